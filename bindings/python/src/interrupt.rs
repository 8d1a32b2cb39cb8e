//! Blocking calls: without the GIL, and awake often enough for Ctrl-C.

use procs::Deadline;
use pyo3::prelude::*;
use std::time::Duration;

/// How long a blocked call may leave a Python signal handler waiting whose signal came just before the call, or to another thread. Else a
/// signal ends the wait at once.
const SLICE: Duration = Duration::from_millis(50);

/// Calls `step` with short deadlines, the GIL released, until it returns a value or `deadline` passes (`None`).
///
/// # Errors
/// What a signal handler raised, `KeyboardInterrupt` first of all; nothing is lost, the call can be repeated.
pub(crate) fn until<T: Send>(
    py: Python<'_>,
    deadline: Deadline,
    mut step: impl FnMut(Deadline) -> procs::Result<Option<T>> + Send,
) -> PyResult<Option<T>> {
    until_in_rounds(py, deadline, |deadline| step(deadline.min(Deadline::after(SLICE))))
}

/// As [`until`], for steps that come back by themselves as often as that.
pub(crate) fn until_in_rounds<T: Send>(
    py: Python<'_>,
    deadline: Deadline,
    mut step: impl FnMut(Deadline) -> procs::Result<Option<T>> + Send,
) -> PyResult<Option<T>> {
    loop {
        let stepped = py.detach(|| procs::interruptible(|| step(deadline)));
        if let Some(value) = crate::error::IntoPy::or_raise(stepped, py)? {
            return Ok(Some(value));
        }
        py.check_signals()?;
        if deadline.passed() {
            return Ok(None);
        }
    }
}
