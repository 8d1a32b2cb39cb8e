//! Arguments that say how long to wait.

use crate::convert::{refused, seconds};
use procs::Deadline;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::time::Duration;

/// A `timeout` of a wait for processes, in seconds; a negative one has passed, as in `subprocess`.
pub(crate) struct Timeout(Duration);

impl<'py> FromPyObject<'_, 'py> for Timeout {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Timeout> {
        let value = value.to_owned();
        value.extract().and_then(seconds).map(Timeout).map_err(|error| refused("timeout", &value, Some("seconds or None"), error))
    }
}

impl Timeout {
    /// When it will have passed; `None` is never.
    pub(crate) fn deadline(timeout: Option<Timeout>) -> Deadline {
        Deadline::from_timeout(timeout.map(|Timeout(time)| time))
    }
}

/// A `timeout` of a channel or a lock, in seconds. A negative one is refused: half of the interfaces that have one mean "for ever" by -1.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Limit(Duration);

impl Limit {
    /// To try, and not to wait.
    pub(crate) const NOW: Limit = Limit(Duration::ZERO);

    /// The limit that the argument of that name gives; the message tells what `None` would be.
    pub(crate) fn named(name: &str, value: &Bound<'_, PyAny>, none: &str) -> PyResult<Limit> {
        limit(value).map_err(|error| refused(name, value, Some(&format!("seconds, 0 or more, or None {none}")), error))
    }

    pub(crate) fn duration(self) -> Duration {
        self.0
    }
}

impl<'py> FromPyObject<'_, 'py> for Limit {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Limit> {
        Limit::named("timeout", &value.to_owned(), "for ever")
    }
}

/// Refuses what is no [`Limit`], for waits that are asyncio's own.
#[pyfunction]
pub(crate) fn check_limit(timeout: Option<Limit>) -> bool {
    timeout.is_some()
}

fn limit(value: &Bound<'_, PyAny>) -> PyResult<Limit> {
    let number: f64 = value.extract()?;
    if number < 0.0 {
        return Err(PyValueError::new_err("a time to wait is not negative"));
    }
    let time = seconds(number)?;
    // However short, it is a wait.
    Ok(Limit(if number > 0.0 { time.max(Duration::from_nanos(1)) } else { time }))
}
