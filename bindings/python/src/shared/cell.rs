//! Numbers in shared memory.

use crate::arguments::named;
use pyo3::prelude::*;

const NUMBER: &str = "an integer of the cell's kind";

/// The kinds of number that a cell can hold.
pub(crate) enum Number {
    U32(procs::AtomicCell<u32>),
    I32(procs::AtomicCell<i32>),
    U64(procs::AtomicCell<u64>),
    I64(procs::AtomicCell<i64>),
}

/// A number of shared memory that all processes read and change atomically; arithmetic wraps around.
#[pyclass(frozen, module = "procs", name = "AtomicCell")]
pub(crate) struct Cell(Number);

impl Cell {
    pub(crate) fn new(number: Number) -> Cell {
        Cell(number)
    }
}

/// The same expression on each kind of number.
macro_rules! each {
    ($self:expr, $cell:ident => $body:expr) => {
        match &$self.0 {
            Number::U32($cell) => $body,
            Number::I32($cell) => $body,
            Number::U64($cell) => $body,
            Number::I64($cell) => $body,
        }
    };
}

#[pymethods]
impl Cell {
    /// The value now.
    fn load<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        each!(self, cell => Ok(cell.load().into_pyobject(py)?.into_any()))
    }

    /// Sets the value; `OverflowError` when it does not fit the kind of number.
    fn store(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        each!(self, cell => { cell.store(named("value", value, NUMBER)?); Ok(()) })
    }

    /// Sets the value and gives the one before.
    fn swap<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        each!(self, cell => Ok(cell.swap(named("value", value, NUMBER)?).into_pyobject(py)?.into_any()))
    }

    /// Adds and gives the value before.
    #[pyo3(signature = (value = None), text_signature = "($self, value=1)")]
    fn fetch_add<'py>(&self, py: Python<'py>, value: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        each!(self, cell => Ok(cell.fetch_add(value.map_or(Ok(1), |value| named("value", value, NUMBER))?).into_pyobject(py)?.into_any()))
    }

    /// Subtracts and gives the value before.
    #[pyo3(signature = (value = None), text_signature = "($self, value=1)")]
    fn fetch_sub<'py>(&self, py: Python<'py>, value: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        each!(self, cell => Ok(cell.fetch_sub(value.map_or(Ok(1), |value| named("value", value, NUMBER))?).into_pyobject(py)?.into_any()))
    }

    /// Sets the value to `new` if it is `current`: whether it was.
    fn compare_exchange(&self, current: &Bound<'_, PyAny>, new: &Bound<'_, PyAny>) -> PyResult<bool> {
        each!(self, cell => Ok(cell.compare_exchange(named("current", current, NUMBER)?, named("new", new, NUMBER)?).is_ok()))
    }

    /// The value now; setting it is `store`.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.load(py)
    }

    #[setter]
    fn set_value(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.store(value)
    }

    fn __repr__(&self) -> String {
        each!(self, cell => format!("<procs.AtomicCell {}>", cell.load()))
    }
}
