//! Errors of the core as Python exceptions, and the guard that keeps panics on this side.

use procs::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

static FROM_NATIVE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception for an error of the core, made by `procs._errors` because the classes have two bases each.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    raise_parts(py, &parts(error))
}

/// What an exception is made of: number of the kind, message, errno, stage, path.
pub(crate) type Parts = (i32, String, Option<i32>, Option<&'static str>, Option<OsString>);

pub(crate) fn parts(error: &Error) -> Parts {
    (
        error.kind().number(),
        error.to_string(),
        error.os_error(),
        error.stage().map(procs::Stage::name),
        error.path().map(|path| path.as_os_str().to_owned()),
    )
}

pub(crate) fn raise_parts(py: Python<'_>, (number, message, errno, stage, path): &Parts) -> PyErr {
    let made = FROM_NATIVE
        .get_or_try_init(py, || Ok::<_, PyErr>(py.import("procs._errors")?.getattr("from_native")?.unbind()))
        .and_then(|make| make.call1(py, (number, message, errno, stage, path.as_deref())));
    match made {
        Ok(exception) => PyErr::from_value(exception.into_bound(py)),
        Err(error) => error,
    }
}

/// Shorthand to turn a result of the core into one of Python.
pub(crate) trait IntoPy<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> IntoPy<T> for procs::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, &error))
    }
}

/// Runs the body of an exported function; a panic becomes the exception of kind `PANIC`, which `except Exception` catches.
pub(crate) fn guard<T>(py: Python<'_>, body: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "unknown reason".to_owned());
            Err(raise_parts(py, &(ErrorKind::Panic.number(), format!("panic: {text}"), None, None, None)))
        }
    }
}

/// Number and name of every error kind, for the test that walks the table of classes.
#[pyfunction]
pub(crate) fn error_kinds() -> Vec<(i32, &'static str)> {
    ErrorKind::ALL.iter().map(|kind| (kind.number(), kind.name())).collect()
}

/// The names of the steps of a spawn, in order.
#[pyfunction]
pub(crate) fn stages() -> Vec<&'static str> {
    procs::Stage::ALL.iter().map(|stage| stage.name()).collect()
}
