//! The ends of the children of one event loop, behind one descriptor: one call per wake of the loop, whatever the number of children.

use crate::child::Child;
use crate::error::{IntoPy, guard};
use crate::outcome::returncode;
use procs::ReadySet;
use pyo3::intern;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// A child and the futures that get its return code.
struct Waited {
    child: Py<Child>,
    futures: Vec<Py<PyAny>>,
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

#[pymethods]
impl Ends {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Ends> {
        guard(py, || Ok(Ends { set: ReadySet::new().or_raise(py)?, waited: Mutex::default() }))
    }

    fn fileno(&self) -> RawFd {
        self.set.as_fd().as_raw_fd()
    }

    /// Sets the future to the return code once the child has ended.
    fn add(&self, py: Python<'_>, child: Py<Child>, future: Py<PyAny>) -> PyResult<()> {
        guard(py, || {
            let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
            let key = number(&child);
            if let Some(known) = waited.get_mut(&key) {
                known.futures.push(future);
                return Ok(());
            }
            self.set.add(child.get().handle(), key).or_raise(py)?;
            waited.insert(key, Waited { child, futures: vec![future] });
            Ok(())
        })
    }

    /// Forgets a future that nobody waits for any more.
    fn forget(&self, py: Python<'_>, child: Py<Child>, future: Py<PyAny>) -> PyResult<()> {
        guard(py, || {
            let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
            let key = number(&child);
            let Some(known) = waited.get_mut(&key) else { return Ok(()) };
            known.futures.retain(|kept| !kept.is(&future));
            if !known.futures.is_empty() {
                return Ok(());
            }
            let gone = waited.remove(&key);
            drop(waited);
            drop(gone);
            self.set.remove(child.get().handle()).or_raise(py)
        })
    }

    /// Reaps the children that have ended and sets their futures. Called when the descriptor is readable.
    fn take(&self, py: Python<'_>) -> PyResult<()> {
        guard(py, || {
            let mut ready = Vec::new();
            self.set.ready(&mut ready).or_raise(py)?;
            for key in ready {
                let Some(child) = self.child(py, key) else { continue };
                let code = match child.get().handle().try_wait() {
                    Ok(None) => continue,
                    Ok(Some(status)) => returncode(status),
                    Err(error) => Err(error).or_raise(py),
                };
                let ended = self.waited.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                self.set.remove(child.get().handle()).or_raise(py)?;
                ended.map_or(Ok(()), |ended| settle(py, ended.futures, code))?;
            }
            Ok(())
        })
    }
}

impl Ends {
    fn child(&self, py: Python<'_>, key: u64) -> Option<Py<Child>> {
        self.waited.lock().unwrap_or_else(PoisonError::into_inner).get(&key).map(|waited| waited.child.clone_ref(py))
    }
}

/// Gives the futures their result, unless they were cancelled meanwhile.
fn settle(py: Python<'_>, futures: Vec<Py<PyAny>>, code: PyResult<i32>) -> PyResult<()> {
    for future in futures {
        let future = future.bind(py);
        if future.call_method0(intern!(py, "done"))?.is_truthy()? {
            continue;
        }
        match &code {
            Ok(code) => future.call_method1(intern!(py, "set_result"), (*code,))?,
            Err(error) => future.call_method1(intern!(py, "set_exception"), (error.clone_ref(py).into_value(py),))?,
        };
    }
    Ok(())
}
