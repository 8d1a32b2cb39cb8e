//! Where captured output goes, from the tuples that `procs._options` makes.

use crate::convert;
use crate::memory::to_bytes;
use procs::{CancelHandle, Sink};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first exception that a callback raised; the run raises it when it is back in Python.
#[derive(Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Raised>>);

#[derive(Default)]
struct Raised {
    error: Option<PyErr>,
    cancel: Option<CancelHandle>,
}

impl Failure {
    fn raised(&self) -> MutexGuard<'_, Raised> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the first exception cancel this as well, where nobody looks at it while the run goes on.
    pub(crate) fn also(&self, cancel: &CancelHandle) {
        self.raised().cancel = Some(cancel.clone());
    }

    pub(crate) fn set(&self, error: PyErr) {
        let mut raised = self.raised();
        raised.error.get_or_insert(error);
        if let Some(cancel) = &raised.cancel {
            cancel.cancel();
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.raised().error.is_some()
    }

    /// Raises what a callback raised, once.
    pub(crate) fn check(&self) -> PyResult<()> {
        self.raised().error.take().map_or(Ok(()), Err)
    }
}

/// `("buffer",)`, `("discard",)`, `("fd", n)`, `("file", path)`, `("append", path)`, `("call", function)` or `("tee", [sinks])`.
pub(crate) fn sink(value: &Bound<'_, PyAny>, failure: &Failure) -> PyResult<Sink> {
    let tuple = value.cast::<PyTuple>()?;
    let name: String = tuple.get_item(0)?.extract()?;
    let argument = || tuple.get_item(1);
    match name.as_str() {
        "buffer" => Ok(Sink::Buffer),
        "discard" => Ok(Sink::Discard),
        "fd" => {
            let fd = procs::duplicate_fd(argument()?.extract()?);
            Ok(Sink::Fd(crate::error::IntoPy::or_raise(fd, value.py())?))
        }
        "file" => Ok(Sink::File(PathBuf::from(convert::path(&argument()?)?))),
        "append" => Ok(Sink::Append(PathBuf::from(convert::path(&argument()?)?))),
        "call" => Ok(callback(argument()?.unbind(), failure.clone())),
        "tee" => Ok(Sink::Tee(argument()?.try_iter()?.map(|item| sink(&item?, failure)).collect::<PyResult<_>>()?)),
        _ => Err(PyValueError::new_err(format!("run: unknown sink (name = {name})"))),
    }
}

/// Calls a Python function with each chunk, on the thread that drains; after an exception it is not called again.
fn callback(function: Py<PyAny>, failure: Failure) -> Sink {
    Sink::Callback(Box::new(move |chunk| {
        if failure.is_set() {
            return;
        }
        let called = Python::try_attach(|py| function.call1(py, (to_bytes(py, chunk)?,)).map(drop));
        if let Some(Err(error)) = called {
            failure.set(error);
        }
    }))
}
