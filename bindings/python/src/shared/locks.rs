//! Locks in shared memory as objects of Python: with the names of `threading`, and as waits for an event loop.

use super::wait::{AsyncWait, block_on};
use crate::aio::Hub;
use crate::arguments;
use crate::error::{IntoPy, guard};
use crate::interrupt;
use crate::shared::SharedMemory;
use crate::timeout::Limit;
use procs::{Deadline, Error, ErrorKind, OnceEnd, SharedBarrier, SharedEvent, SharedMutex, SharedOnce, SharedSemaphore};
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Waits in slices, so that signal handlers run; false when the time is over.
pub(super) fn wait<T: Send>(py: Python<'_>, limit: Option<Limit>, mut step: impl FnMut(Duration) -> procs::Result<T> + Send) -> PyResult<Option<T>> {
    let mut attempt = |slice| match step(slice) {
        Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::WouldBlock) => Ok(None),
        done => done.map(Some),
    };
    // Most often there is nothing to wait for: to give the interpreter away and take it back would be most of the time.
    let at_once = attempt(Duration::ZERO).or_raise(py)?;
    if at_once.is_some() || limit == Some(Limit::NOW) {
        return Ok(at_once);
    }
    interrupt::until(py, Deadline::from_timeout(limit.map(Limit::duration)), |slice| attempt(slice.remaining().unwrap_or(Duration::from_millis(50))))
}

/// `acquire` of threading and multiprocessing: not blocking is a timeout of 0.
pub(super) fn limit(blocking: bool, timeout: Option<Limit>) -> Option<Limit> {
    if blocking { timeout } else { Some(Limit::NOW) }
}

/// Where a lock is, for its pickle.
pub(crate) struct Home {
    pub(super) memory: Py<SharedMemory>,
    pub(super) offset: usize,
}

/// What a pickle is made of.
pub(super) type Reduced<'py> = (Bound<'py, PyAny>, (Py<SharedMemory>, &'static str, usize));

impl Home {
    /// The pickle: the memory, the method that opens the lock in it, and where.
    pub(super) fn reduce<'py>(&self, py: Python<'py>, method: &'static str) -> PyResult<Reduced<'py>> {
        let open = py.import("procs._codecs")?.getattr("open_in_memory")?;
        Ok((open, (self.memory.clone_ref(py), method, self.offset)))
    }
}

/// A lock that one thread holds, in any process; it tells when its holder died.
#[pyclass(frozen, module = "procs", name = "SharedMutex")]
pub(crate) struct Mutex {
    pub(super) core: SharedMutex,
    pub(super) owner_died: Arc<AtomicBool>,
    pub(super) home: Home,
}

#[pymethods]
impl Mutex {
    /// Bytes of memory that it takes.
    #[classattr]
    const SIZE: usize = SharedMutex::SIZE;

    /// Waits for the lock, at most `timeout` seconds (None for ever), not at all unless `blocking`: whether it is held now.
    /// `block` is how multiprocessing spells `blocking`. `InvalidStateError` when this very thread has it, and waits.
    #[pyo3(signature = (blocking = true, timeout = None, *, block = None))]
    fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::truth)] blocking: bool,
        timeout: Option<Limit>,
        #[pyo3(from_py_with = arguments::truth_or_none)] block: Option<bool>,
    ) -> PyResult<bool> {
        guard(py, || {
            let limit = limit(block.unwrap_or(blocking), timeout);
            let died = wait(py, limit, |slice| match self.core.acquire(Some(slice)) {
                // To a try it is a lock that somebody has; to a wait it would never end.
                Err(error) if error.kind() == ErrorKind::InvalidState && limit == Some(Limit::NOW) => {
                    Err(Error::new(ErrorKind::WouldBlock, "lock", "it is taken"))
                }
                result => result,
            })?;
            self.owner_died.store(died == Some(true), Ordering::Relaxed);
            Ok(died.is_some())
        })
    }

    /// Gives the lock back; `InvalidStateError` when this thread does not have it.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        guard(py, || self.core.release().or_raise(py))
    }

    /// Whether the holder before the last `acquire` died with the lock.
    #[getter]
    fn owner_died(&self) -> bool {
        self.owner_died.load(Ordering::Relaxed)
    }

    /// Says that what the lock protects is whole again.
    fn repair(&self) {
        self.core.repair();
    }

    fn _wait_async(&self, hub: &Hub, number: u64, limit: Option<Limit>) -> PyResult<AsyncWait> {
        let future = self.core.acquire_async(limit.map(Limit::duration));
        let owner_died = Arc::clone(&self.owner_died);
        Ok(AsyncWait::new(hub, number, async move {
            owner_died.store(future.await?, Ordering::Relaxed);
            Ok(true)
        }))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().acquire(slf.py(), true, None, None)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyAny>) -> PyResult<()> {
        self.release(py)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        self.home.reduce(py, "mutex")
    }
}

/// So many permits; those of a process that dies are free again.
#[pyclass(frozen, module = "procs", name = "SharedSemaphore")]
pub(crate) struct Semaphore(pub(super) SharedSemaphore, pub(super) Home);

#[pymethods]
impl Semaphore {
    /// Bytes of memory that it takes.
    #[classattr]
    const SIZE: usize = SharedSemaphore::SIZE;

    /// Waits for a permit, at most `timeout` seconds (None for ever), not at all unless `blocking`: whether there was one.
    #[pyo3(signature = (blocking = true, timeout = None))]
    fn acquire(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::truth)] blocking: bool, timeout: Option<Limit>) -> PyResult<bool> {
        guard(py, || Ok(wait(py, limit(blocking, timeout), |slice| self.0.acquire_timeout(slice).map(procs::SemaphorePermit::leave))?.is_some()))
    }

    /// Gives permits back; adds new ones when this process holds none.
    #[pyo3(signature = (n = 1))]
    fn release(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::given_back)] n: u32) -> PyResult<()> {
        guard(py, || self.0.give_back(n).or_raise(py))
    }

    /// Permits that are free now.
    #[getter]
    fn available(&self, py: Python<'_>) -> PyResult<u64> {
        guard(py, || self.0.available().or_raise(py))
    }

    fn _wait_async(&self, hub: &Hub, number: u64, limit: Option<Limit>) -> PyResult<AsyncWait> {
        let future = self.0.acquire_async(limit.map(Limit::duration));
        Ok(AsyncWait::new(hub, number, async move {
            future.await?.leave();
            Ok(true)
        }))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().acquire(slf.py(), true, None)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyAny>) -> PyResult<()> {
        self.release(py, 1)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        self.1.reduce(py, "semaphore")
    }
}

/// Something that has happened or not.
#[pyclass(frozen, module = "procs", name = "SharedEvent")]
pub(crate) struct Event(pub(super) SharedEvent, pub(super) Home);

#[pymethods]
impl Event {
    /// Bytes of memory that it takes.
    #[classattr]
    const SIZE: usize = SharedEvent::SIZE;

    /// Says that it has happened, and wakes all who wait.
    fn set(&self) {
        self.0.set();
    }

    /// Says that it has not happened (again).
    fn clear(&self) {
        self.0.clear();
    }

    /// Whether it has happened.
    fn is_set(&self) -> bool {
        self.0.is_set()
    }

    /// Waits until it has happened, at most `timeout` seconds (None for ever): whether it has.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<Limit>) -> PyResult<bool> {
        guard(py, || Ok(wait(py, timeout, |slice| self.0.wait_timeout(slice))?.is_some()))
    }

    fn _wait_async(&self, hub: &Hub, number: u64, limit: Option<Limit>) -> PyResult<AsyncWait> {
        let future = self.0.wait_async(limit.map(Limit::duration));
        Ok(AsyncWait::new(hub, number, async move { future.await.map(|()| true) }))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        self.1.reduce(py, "event")
    }
}

/// A place where so many wait for one another.
#[pyclass(frozen, module = "procs", name = "SharedBarrier")]
pub(crate) struct Barrier(pub(super) SharedBarrier, pub(super) Home);

#[pymethods]
impl Barrier {
    /// Bytes of memory that it takes.
    #[classattr]
    const SIZE: usize = SharedBarrier::SIZE;

    /// How many wait for one another.
    #[getter]
    fn parties(&self) -> u32 {
        self.0.parties()
    }

    /// Waits for the others: true for one of them. A time-out withdraws, and the others wait on.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<Limit>) -> PyResult<bool> {
        guard(py, || block_on(py, self.0.wait_async(timeout.map(Limit::duration))))
    }

    fn _wait_async(&self, hub: &Hub, number: u64, limit: Option<Limit>) -> PyResult<AsyncWait> {
        Ok(AsyncWait::new(hub, number, self.0.wait_async(limit.map(Limit::duration))))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        self.1.reduce(py, "barrier")
    }
}

/// Work that is done once, by whichever process comes first.
#[pyclass(frozen, module = "procs", name = "SharedOnce")]
pub(crate) struct Once(pub(super) SharedOnce, pub(super) Home);

#[pymethods]
impl Once {
    /// Bytes of memory that it takes.
    #[classattr]
    const SIZE: usize = SharedOnce::SIZE;

    /// Whether the work has been done.
    #[getter]
    fn done(&self) -> bool {
        self.0.is_done()
    }

    /// True when the work is this caller's to do, who then calls `finish`; false when it is done.
    #[pyo3(signature = (timeout = None))]
    fn begin(&self, py: Python<'_>, timeout: Option<Limit>) -> PyResult<bool> {
        guard(py, || {
            let turn = wait(py, timeout, |slice| self.0.begin_timeout(slice).map(|turn| turn.map(procs::OnceTurn::leave).is_some()))?;
            turn.ok_or_else(|| crate::error::raise(py, &procs::Error::new(ErrorKind::Timeout, "once", "another process was at it in that time")))
        })
    }

    fn _wait_async(&self, hub: &Hub, number: u64, limit: Option<Limit>) -> PyResult<AsyncWait> {
        let future = self.0.begin_async(limit.map(Limit::duration));
        Ok(AsyncWait::new(hub, number, async move { Ok(future.await?.map(procs::OnceTurn::leave).is_some()) }))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        self.1.reduce(py, "once")
    }

    /// Ends the turn: the work is done, or has failed and the next one has to do it.
    #[pyo3(signature = (*, failed = false))]
    fn finish(&self, #[pyo3(from_py_with = arguments::failed)] failed: bool) -> bool {
        self.0.finish(if failed { OnceEnd::Failed } else { OnceEnd::Done })
    }

    /// Calls `work` if nobody has done it yet; waits while another does.
    #[pyo3(signature = (work, timeout = None))]
    fn call_once(&self, py: Python<'_>, work: &Bound<'_, PyAny>, timeout: Option<Limit>) -> PyResult<()> {
        let work = arguments::callable("work", work)?;
        if self.begin(py, timeout)? {
            let result = work.call0();
            self.finish(result.is_err());
            result?;
        }
        Ok(())
    }
}
