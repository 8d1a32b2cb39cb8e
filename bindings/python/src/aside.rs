//! Work of the core that takes no deadline, done beside the interpreter.

use crate::error::raise;
use procs::{CancelHandle, Deadline, Error, ErrorKind, PipeReader, interruptible};
use pyo3::prelude::*;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a caller's own cancel handle may have to wait, and a signal handler whose signal came to another thread.
const SLICE: Duration = Duration::from_millis(50);

/// Where the job leaves its result.
type Slot<T> = Mutex<Option<std::thread::Result<T>>>;

/// How to end the job early, and a handle of the caller's that asks for it; it may stop other runs as well and is only watched.
pub(crate) struct Cancel<'a> {
    pub(crate) own: &'a dyn Fn(),
    pub(crate) caller: Option<CancelHandle>,
}

/// Runs `job` on a thread of its own while this one lets signal handlers run.
///
/// # Errors
/// An exception of a signal handler cancels the job, waits until it has stopped its children, and goes on its way.
pub(crate) fn aside<T: Send>(py: Python<'_>, cancel: &Cancel<'_>, job: impl FnOnce() -> T + Send) -> PyResult<T> {
    let slot: Slot<T> = Mutex::new(None);
    let no_thread = |error| raise(py, &Error::from_io("run", &error, "no thread for it"));
    // Ends when the job does: a descriptor to wait for, because only waits for descriptors are ended by signals.
    let (ended, running) = std::io::pipe().map_err(no_thread)?;
    let ended = PipeReader::from(OwnedFd::from(ended));
    std::thread::scope(|scope| {
        let slot = &slot;
        let body = move || {
            let value = catch_unwind(AssertUnwindSafe(job));
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            drop(running);
        };
        std::thread::Builder::new().name("procs-run".to_owned()).spawn_scoped(scope, body).map_err(no_thread)?;
        let interrupted = watch(py, cancel, &ended);
        let value = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (interrupted, value) {
            (Some(error), _) => Err(error),
            (None, Some(Ok(value))) => Ok(value),
            (None, _) => Err(raise(py, &Error::new(ErrorKind::Panic, "run", "its thread panicked"))),
        }
    })
}

/// As `aside`, for a job that must be done whatever is short: without a thread or a descriptor for it, it runs here, and handlers wait.
pub(crate) fn aside_or_here<T: Send>(py: Python<'_>, cancel: &Cancel<'_>, job: impl FnOnce() -> T + Send) -> PyResult<T> {
    let slot = Mutex::new(Some(job));
    let take = || slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let done = aside(py, cancel, || take().map(|job| job()));
    match (take(), done) {
        (Some(job), _) => Ok(py.detach(job)),
        (None, Ok(Some(value))) => Ok(value),
        (None, Err(error)) => Err(error),
        (None, Ok(None)) => Err(raise(py, &Error::new(ErrorKind::Panic, "run", "its job was done twice"))),
    }
}

/// Waits until the job has ended; cancels it for an exception of a signal handler, which it returns, or for the caller's handle.
fn watch(py: Python<'_>, cancel: &Cancel<'_>, ended: &PipeReader) -> Option<PyErr> {
    let mut interrupted = None;
    loop {
        let waited = py.detach(|| interruptible(|| ended.wait_readable(Deadline::after(SLICE))));
        match waited {
            Ok(true) => return interrupted,
            Ok(false) => {}
            // Without a way to wait only the job's own end is left; the scope waits for that.
            Err(error) => {
                (cancel.own)();
                return Some(interrupted.unwrap_or_else(|| raise(py, &error)));
            }
        }
        if interrupted.is_none() {
            interrupted = py.check_signals().err();
        }
        if interrupted.is_some() || cancel.caller.as_ref().is_some_and(CancelHandle::is_cancelled) {
            (cancel.own)();
        }
    }
}
