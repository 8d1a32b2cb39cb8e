//! Values of Python as values of the core.

use crate::memory::to_vec;
use procs::Input;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// From this many bytes on input is lent: a reference to the object costs as much as a copy of less.
const LEND_FROM: usize = 16 << 10;

/// A str (file system encoding, so that any byte survives), bytes or path-like object.
pub(crate) fn path(value: &Bound<'_, PyAny>) -> PyResult<OsString> {
    if let Ok(text) = value.cast::<PyString>() {
        return match text.to_str() {
            Ok(utf8) if utf8.is_ascii() => Ok(OsString::from(utf8)),
            _ => text.extract(),
        };
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(OsStr::from_bytes(bytes.as_bytes()).to_owned());
    }
    let inner = value.py().import("os")?.call_method1("fspath", (value,))?;
    match inner.cast::<PyBytes>() {
        Ok(bytes) => Ok(OsStr::from_bytes(bytes.as_bytes()).to_owned()),
        Err(_) => inner.extract(),
    }
}

/// A [`path`] that the system is told as it is.
///
/// # Errors
/// `ValueError`, in the words of the standard library, for a NUL.
pub(crate) fn directory(value: &Bound<'_, PyAny>) -> PyResult<OsString> {
    let path = path(value)?;
    if path.as_bytes().contains(&0) { Err(PyValueError::new_err("embedded null byte")) } else { Ok(path) }
}

/// The argument vector: list, tuple or any iterable of what [`path`] takes.
pub(crate) fn argv(value: &Bound<'_, PyAny>) -> PyResult<Vec<OsString>> {
    if let Ok(list) = value.cast::<PyList>() {
        return list.iter().map(|item| path(&item)).collect();
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return tuple.iter().map(|item| path(&item)).collect();
    }
    value.try_iter()?.map(|item| path(&item?)).collect()
}

/// Seconds; negative is zero, as in the standard library's waits.
pub(crate) fn seconds(value: f64) -> PyResult<Duration> {
    if value.is_nan() {
        return Err(PyValueError::new_err("not a number"));
    }
    Ok(Duration::try_from_secs_f64(value.max(0.0)).unwrap_or(Duration::MAX))
}

/// What a bytes-like object holds, as input: `bytes`, which never change, are lent, everything else is copied.
pub(crate) fn input(value: &Bound<'_, PyAny>) -> PyResult<Input> {
    Ok(match value.cast::<PyBytes>() {
        Ok(bytes) if bytes.as_bytes().len() >= LEND_FROM => Input::Lent(Box::new(PyBackedBytes::from(bytes.clone()))),
        _ => Input::Bytes(bytes_like("input", value)?),
    })
}

/// The exception of a failed conversion, with the argument it was about, and what was expected where its name does not tell.
pub(crate) fn refused(name: &str, value: &Bound<'_, PyAny>, expected: Option<&str>, error: PyErr) -> PyErr {
    let py = value.py();
    let made = py.import("procs._arguments").and_then(|module| module.call_method1("refused", (error.value(py), name, value, expected)));
    made.map_or(error, PyErr::from_value)
}

/// A copy of a bytes-like object of any item type: the argument of that name.
pub(crate) fn bytes_like(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return to_vec(bytes.as_bytes());
    }
    if let Ok(buffer) = PyBuffer::<u8>::get(value) {
        let mut copy = Vec::new();
        copy.try_reserve_exact(buffer.item_count()).map_err(|_| PyMemoryError::new_err(()))?;
        copy.resize(buffer.item_count(), 0);
        buffer.copy_to_slice(value.py(), &mut copy)?;
        return Ok(copy);
    }
    let memory = value.py().import("builtins")?.getattr("memoryview")?.call1((value,)).map_err(|_| {
        let kind = value.get_type().name().map(|name| name.to_string()).unwrap_or_default();
        let error = PyTypeError::new_err(format!("a bytes-like object is required, not '{kind}'"));
        refused(name, value, Some("a bytes-like object"), error)
    })?;
    to_vec(memory.call_method0("tobytes")?.cast::<PyBytes>()?.as_bytes())
}
