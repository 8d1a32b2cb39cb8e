//! The arguments of native functions: each by its name, with what is expected, for the error of a value that is refused.

use crate::convert::refused;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::os::fd::RawFd;

/// One argument of any type.
pub(crate) fn named<'a, 'py, T: FromPyObject<'a, 'py>>(name: &str, value: &'a Bound<'py, PyAny>, expected: &str) -> PyResult<T> {
    value.extract::<T>().map_err(|error| refused(name, value, Some(expected), error.into()))
}

/// Functions for `from_py_with`.
macro_rules! arguments {
    ($($function:ident: $kind:ty = $name:literal, $expected:literal;)*) => {$(
        pub(crate) fn $function(value: &Bound<'_, PyAny>) -> PyResult<$kind> {
            named($name, value, $expected)
        }
    )*};
}

arguments! {
    size: usize = "size", "a number of bytes, 0 or more";
    size_or_all: Option<usize> = "size", "a number of bytes, 0 or more, or None for all from the offset on";
    max_bytes: usize = "max_bytes", "a number of bytes, 0 or more";
    offset: usize = "offset", "a number of bytes from the start, 0 or more";
    seat: u32 = "seat", "the number that seat() gave";
    segment: usize = "segment", "the number of a segment, 0 or more";
    byte: u8 = "byte", "0 to 255";
    permits: u32 = "value", "a number of permits, 0 to 4294967295";
    parties: u32 = "parties", "how many wait for one another, 1 or more";
    capacity: u32 = "capacity", "a number of names, 1 or more";
    amount: i64 = "amount", "an integer of 64 bits";
    count: i64 = "value", "an integer of 64 bits";
    recorded: u64 = "value", "an integer of 64 bits, 0 or more";
    jobs: usize = "jobs", "how many run at a time, at least 1";
    signal: i32 = "sig", "the number of a signal";
    child_fd: RawFd = "number", "the child's number of a descriptor that was asked for";
    read_only: bool = "read_only", "a bool";
    prefault: bool = "prefault", "a bool";
    huge_pages: bool = "huge_pages", "a bool";
    failed: bool = "failed", "a bool";
    tree: Option<bool> = "tree", "a bool, or None for as it was started";
    create: Option<bool> = "create", "True to make it, False to open it, or None for what is needed";
}

/// The name of a codec.
pub(crate) fn codec<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    named("codec", value, "\"json\", \"raw\", \"pickle\" or \"v8\"")
}

/// The name of a kind of number.
pub(crate) fn kind<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    named("kind", value, "\"u32\", \"i32\", \"u64\" or \"i64\"")
}

/// The name of a counter.
pub(crate) fn counter<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    named("name", value, "a str")
}

/// A descriptor of this process.
pub(crate) fn fd(value: &Bound<'_, PyAny>) -> PyResult<RawFd> {
    const EXPECTED: &str = "an open descriptor";
    match named("fd", value, EXPECTED)? {
        number if number >= 0 => Ok(number),
        _ => Err(refused("fd", value, Some(EXPECTED), PyValueError::new_err("not a descriptor"))),
    }
}

/// How many permits are given back: 1 or more, as in `threading`.
pub(crate) fn given_back(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    const EXPECTED: &str = "a number of permits, 1 or more";
    match named("n", value, EXPECTED)? {
        0 => Err(refused("n", value, Some(EXPECTED), PyValueError::new_err("nothing to release"))),
        number => Ok(number),
    }
}

/// A part of all, between 0 and 1.
pub(crate) fn part(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    const EXPECTED: &str = "a number from 0 to 1";
    match named("part", value, EXPECTED)? {
        number if (0.0..=1.0).contains(&number) => Ok(number),
        _ => Err(refused("part", value, Some(EXPECTED), PyValueError::new_err("out of range"))),
    }
}

/// A value that counts for its truth, as it does in the standard library.
pub(crate) fn truth(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.is_truthy()
}

/// As [`truth`], where `None` is neither.
pub(crate) fn truth_or_none(value: &Bound<'_, PyAny>) -> PyResult<Option<bool>> {
    if value.is_none() { Ok(None) } else { value.is_truthy().map(Some) }
}

/// Something to call.
pub(crate) fn callable<'a, 'py>(name: &str, value: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyAny>> {
    if value.is_callable() {
        return Ok(value);
    }
    Err(refused(name, value, Some("a function"), PyTypeError::new_err("it cannot be called")))
}
