//! The ends of the children of one event loop, behind one descriptor: one call per wake of the loop, whatever the number of children.

use crate::child::Child;
use crate::error::{IntoPy, guard};
use crate::outcome::returncode;
use procs::ReadySet;
use pyo3::exceptions::asyncio::{CancelledError, InvalidStateError};
use pyo3::exceptions::{PyBaseException, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A child and the waits for it.
struct Waited {
    child: Py<Child>,
    waits: Vec<Py<End>>,
}

/// Children that coroutines of one loop wait for; the descriptor is readable as soon as one of them has ended.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct Ends {
    set: ReadySet,
    /// By the address of the child's object, which the entry keeps alive.
    waited: Mutex<HashMap<u64, Waited>>,
}

fn number(child: &Py<Child>) -> u64 {
    child.as_ptr().addr() as u64
}

impl Ends {
    fn waited(&self) -> MutexGuard<'_, HashMap<u64, Waited>> {
        self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The children to look at. A single one is looked at without asking which it was.
    fn ready(&self) -> procs::Result<Vec<u64>> {
        let waited = self.waited();
        let mut ready = Vec::new();
        if waited.len() == 1 {
            ready.extend(waited.keys());
        } else {
            drop(waited);
            self.set.ready(&mut ready)?;
        }
        Ok(ready)
    }
}

#[pymethods]
impl Ends {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Ends> {
        guard(py, || Ok(Ends { set: ReadySet::new().or_raise(py)?, waited: Mutex::default() }))
    }

    fn fileno(&self) -> RawFd {
        self.set.as_fd().as_raw_fd()
    }

    /// What a task of `event_loop` awaits for the return code of the child.
    fn add(&self, py: Python<'_>, child: Py<Child>, event_loop: Py<PyAny>) -> PyResult<Py<End>> {
        guard(py, || {
            let end = Py::new(py, End { event_loop, state: Mutex::default() })?;
            let mut waited = self.waited();
            let key = number(&child);
            match waited.get_mut(&key) {
                Some(known) => known.waits.push(end.clone_ref(py)),
                None => {
                    self.set.add(child.get().handle(), key).or_raise(py)?;
                    waited.insert(key, Waited { child, waits: vec![end.clone_ref(py)] });
                }
            }
            Ok(end)
        })
    }

    /// Forgets a wait that was given up.
    fn forget(&self, py: Python<'_>, child: Py<Child>, end: Py<End>) -> PyResult<()> {
        guard(py, || {
            let mut waited = self.waited();
            let key = number(&child);
            let Some(known) = waited.get_mut(&key) else { return Ok(()) };
            known.waits.retain(|kept| !kept.is(&end));
            if !known.waits.is_empty() {
                return Ok(());
            }
            let gone = waited.remove(&key);
            drop(waited);
            drop(gone);
            self.set.remove(child.get().handle()).or_raise(py)
        })
    }

    /// Reaps the children that have ended and runs the tasks that wait for them. Called by the loop when the descriptor is readable.
    fn take(&self, py: Python<'_>) -> PyResult<()> {
        guard(py, || {
            let mut failed = None;
            for key in self.ready().or_raise(py)? {
                let Some(child) = self.waited().get(&key).map(|waited| waited.child.clone_ref(py)) else { continue };
                let code = match child.get().handle().try_wait() {
                    Ok(None) => continue,
                    Ok(Some(status)) => returncode(status),
                    Err(error) => Err(error).or_raise(py),
                };
                self.set.remove(child.get().handle()).or_raise(py)?;
                let ended = self.waited().remove(&key);
                for end in ended.into_iter().flat_map(|ended| ended.waits) {
                    // What a task raises here, KeyboardInterrupt for one, ends the loop, but not before the others were told.
                    let result = code.as_ref().map(|code| *code).map_err(|error| error.clone_ref(py));
                    if let Err(error) = End::settle(&end, py, result) {
                        failed.get_or_insert(error);
                    }
                }
            }
            failed.map_or(Ok(()), Err)
        })
    }
}

/// Runs once the wait is over.
struct Callback {
    function: Py<PyAny>,
    context: Option<Py<PyAny>>,
}

#[derive(Default)]
struct State {
    /// The protocol's mark of a future that is being awaited.
    blocking: bool,
    /// The error as an object that the collector can look into: its traceback leads back here.
    result: Option<Result<i32, Py<PyBaseException>>>,
    cancelled: bool,
    callbacks: Vec<Callback>,
}

/// A future as tasks know it, of a return code. Its callbacks run within `Ends.take` and not a turn of the loop later.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct End {
    event_loop: Py<PyAny>,
    state: Mutex<State>,
}

impl End {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(this: &Py<End>, py: Python<'_>, result: PyResult<i32>) -> PyResult<()> {
        let mut state = this.get().state();
        if state.cancelled {
            return Ok(());
        }
        state.result = Some(result.map_err(|error| error.into_value(py)));
        let callbacks = std::mem::take(&mut state.callbacks);
        drop(state);
        let mut failed = Ok(());
        for Callback { function, context } in callbacks {
            let called = match context {
                Some(context) => context.call_method1(py, intern!(py, "run"), (function, this)),
                None => function.call1(py, (this,)),
            };
            failed = failed.and(called.map(drop));
        }
        failed
    }

    fn is_over(state: &State) -> bool {
        state.cancelled || state.result.is_some()
    }

    /// Calls in the loop's next turn.
    fn soon(this: &Py<End>, py: Python<'_>, Callback { function, context }: Callback) -> PyResult<()> {
        let kwargs = PyDict::new(py);
        kwargs.set_item(intern!(py, "context"), context)?;
        this.get().event_loop.call_method(py, intern!(py, "call_soon"), (function, this), Some(&kwargs)).map(drop)
    }
}

/// The part of `asyncio.Future` that tasks use of what they await.
#[pymethods]
impl End {
    #[getter(_asyncio_future_blocking)]
    fn blocking(&self) -> bool {
        self.state().blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.state().blocking = blocking;
    }

    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    fn __await__(this: Py<End>) -> Py<End> {
        this
    }

    /// Itself until it is over, which tells the task to wait; then the return code as the value of the `await`.
    fn __next__(this: Py<End>, py: Python<'_>) -> PyResult<Py<End>> {
        let mut state = this.get().state();
        if End::is_over(&state) {
            drop(state);
            return Err(PyStopIteration::new_err(this.get().result(py)?));
        }
        state.blocking = true;
        drop(state);
        Ok(this)
    }

    fn done(&self) -> bool {
        End::is_over(&self.state())
    }

    fn cancelled(&self) -> bool {
        self.state().cancelled
    }

    fn result(&self, py: Python<'_>) -> PyResult<i32> {
        let state = self.state();
        match &state.result {
            _ if state.cancelled => Err(CancelledError::new_err(())),
            Some(Ok(code)) => Ok(*code),
            Some(Err(error)) => Err(PyErr::from_value(error.bind(py).clone().into_any())),
            None => Err(InvalidStateError::new_err("the child has not ended")),
        }
    }

    #[pyo3(signature = (function, *, context=None))]
    fn add_done_callback(this: Py<End>, py: Python<'_>, function: Py<PyAny>, context: Option<Py<PyAny>>) -> PyResult<()> {
        let mut state = this.get().state();
        let callback = Callback { function, context };
        if End::is_over(&state) {
            drop(state);
            return End::soon(&this, py, callback);
        }
        state.callbacks.push(callback);
        Ok(())
    }

    fn remove_done_callback(&self, py: Python<'_>, function: &Bound<'_, PyAny>) -> PyResult<usize> {
        let callbacks = std::mem::take(&mut self.state().callbacks);
        let (mut kept, before) = (Vec::new(), callbacks.len());
        for callback in callbacks {
            if !callback.function.bind(py).eq(function)? {
                kept.push(callback);
            }
        }
        let removed = before - kept.len();
        self.state().callbacks.extend(kept);
        Ok(removed)
    }

    /// As `asyncio.Future.cancel`: the task is told in the loop's next turn, because it may be the one that runs.
    #[pyo3(signature = (msg=None))]
    fn cancel(this: Py<End>, py: Python<'_>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        drop(msg);
        let mut state = this.get().state();
        if End::is_over(&state) {
            return Ok(false);
        }
        state.cancelled = true;
        let callbacks = std::mem::take(&mut state.callbacks);
        drop(state);
        callbacks.into_iter().try_for_each(|callback| End::soon(&this, py, callback))?;
        Ok(true)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        if let Some(Err(error)) = &state.result {
            visit.call(error)?;
        }
        for callback in &state.callbacks {
            visit.call(&callback.function)?;
            visit.call(&callback.context)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let mut state = self.state();
        let callbacks = std::mem::take(&mut state.callbacks);
        // A wait that failed is over, whoever still asks.
        let error = if matches!(state.result, Some(Err(_))) { state.result.take() } else { None };
        drop(state);
        drop((callbacks, error));
    }
}
