//! Stopping a run from another thread.

use crate::error::{IntoPy, guard};
use pyo3::prelude::*;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// Stops every run that it is given to as `cancel=`; permanent, from any thread, any number of times.
#[pyclass(frozen, module = "procs", name = "CancelHandle")]
pub(crate) struct CancelHandle {
    inner: procs::CancelHandle,
}

impl CancelHandle {
    pub(crate) fn handle(&self) -> procs::CancelHandle {
        self.inner.clone()
    }
}

#[pymethods]
impl CancelHandle {
    #[new]
    fn new(py: Python<'_>) -> PyResult<CancelHandle> {
        guard(py, || Ok(CancelHandle { inner: procs::CancelHandle::new().or_raise(py)? }))
    }

    /// Cancels.
    fn cancel(&self) {
        self.inner.cancel();
    }

    /// Whether it was cancelled.
    fn cancelled(&self) -> bool {
        self.inner.is_cancelled()
    }

    /// A descriptor that is readable once cancelled; it belongs to the handle.
    fn fileno(&self) -> RawFd {
        self.inner.as_fd().as_raw_fd()
    }
}
