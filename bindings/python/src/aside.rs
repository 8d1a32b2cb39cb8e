//! Work of the core that takes no deadline, done beside the interpreter.

use crate::error::raise;
use procs::{CancelHandle, Error, ErrorKind};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a signal handler, or a caller's own cancel handle, may have to wait.
const SLICE: Duration = Duration::from_millis(50);

/// Where the job leaves its result.
struct Slot<T> {
    value: Mutex<Option<std::thread::Result<T>>>,
    filled: Condvar,
}

impl<T> Slot<T> {
    fn fill(&self, value: std::thread::Result<T>) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        self.filled.notify_one();
    }

    fn take_within(&self, time: Duration) -> Option<std::thread::Result<T>> {
        let guard = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut guard, _) = self.filled.wait_timeout_while(guard, time, |value| value.is_none()).unwrap_or_else(PoisonError::into_inner);
        guard.take()
    }
}

/// The job's cancel handle, and the caller's, which may stop other runs as well and is only watched.
pub(crate) struct Cancel<'a> {
    pub(crate) own: &'a CancelHandle,
    pub(crate) caller: Option<CancelHandle>,
}

/// Runs `job` on a thread of its own while this one lets signal handlers run.
///
/// # Errors
/// An exception of a signal handler cancels the job, waits until it has stopped its children, and goes on its way.
pub(crate) fn aside<T: Send>(py: Python<'_>, cancel: &Cancel<'_>, job: impl FnOnce() -> T + Send) -> PyResult<T> {
    let slot = Slot { value: Mutex::new(None), filled: Condvar::new() };
    std::thread::scope(|scope| {
        let slot = &slot;
        let started =
            std::thread::Builder::new().name("procs-run".to_owned()).spawn_scoped(scope, move || slot.fill(catch_unwind(AssertUnwindSafe(job))));
        match started {
            Ok(_) => watch(py, cancel, slot),
            Err(error) => Err(raise(py, &Error::from_io("run", &error, "no thread for it"))),
        }
    })
}

fn watch<T: Send>(py: Python<'_>, cancel: &Cancel<'_>, slot: &Slot<T>) -> PyResult<T> {
    let mut interrupted = None;
    loop {
        match py.detach(|| slot.take_within(SLICE)) {
            Some(Ok(value)) => return interrupted.map_or(Ok(value), Err),
            Some(Err(_)) => return Err(raise(py, &Error::new(ErrorKind::Panic, "run", "its thread panicked"))),
            None => {}
        }
        if interrupted.is_none()
            && let Err(error) = py.check_signals()
        {
            interrupted = Some(error);
        }
        if interrupted.is_some() || cancel.caller.as_ref().is_some_and(CancelHandle::is_cancelled) {
            cancel.own.cancel();
        }
    }
}
