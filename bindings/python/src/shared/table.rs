//! Counters and histograms in shared memory.

use super::locks::{Home, Reduced};
use crate::arguments;
use crate::error::{IntoPy, guard};
use pyo3::prelude::*;

/// A table of named numbers that many processes add to; it takes 128 + 64 × capacity bytes, at a multiple of 64.
#[pyclass(frozen, module = "procs", name = "Counters")]
pub(crate) struct Counters(pub(super) procs::Counters, pub(super) Home);

#[pymethods]
impl Counters {
    /// How many names there is room for.
    #[getter]
    fn capacity(&self) -> u32 {
        self.0.capacity()
    }

    /// The number of that name, made with 0 if there is none.
    fn counter(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::counter)] name: &str) -> PyResult<Counter> {
        guard(py, || self.0.counter(name).or_raise(py).map(Counter))
    }

    /// Every name and its value.
    fn values(&self, py: Python<'_>) -> PyResult<std::collections::BTreeMap<String, i64>> {
        guard(py, || Ok(self.0.list().or_raise(py)?.into_iter().collect()))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        self.1.reduce(py, "counters")
    }
}

/// One number of a table.
#[pyclass(frozen, module = "procs", name = "Counter")]
pub(crate) struct Counter(procs::Counter);

#[pymethods]
impl Counter {
    /// Adds, or subtracts what is negative; gives the value before.
    #[pyo3(signature = (amount = 1))]
    fn add(&self, #[pyo3(from_py_with = arguments::amount)] amount: i64) -> i64 {
        self.0.add(amount)
    }

    /// Sets the value.
    fn set(&self, #[pyo3(from_py_with = arguments::count)] value: i64) {
        self.0.set(value);
    }

    /// The value now.
    #[getter]
    fn value(&self) -> i64 {
        self.0.value()
    }

    fn __repr__(&self) -> String {
        format!("<procs.Counter {}>", self.0.value())
    }
}

/// How often values of which size were recorded, by all processes.
#[pyclass(frozen, module = "procs", name = "Histogram")]
pub(crate) struct Histogram(pub(super) procs::Histogram, pub(super) Home);

#[pymethods]
impl Histogram {
    /// Bytes of memory that it takes.
    #[classattr]
    const SIZE: usize = procs::Histogram::SIZE;

    /// Counts one value, a whole number from 0 to 2**64 - 1 in a unit of your choice.
    fn record(&self, #[pyo3(from_py_with = arguments::recorded)] value: u64) {
        self.0.record(value);
    }

    /// How many values were recorded.
    #[getter]
    fn count(&self) -> u64 {
        self.0.snapshot().count()
    }

    /// The sum of the recorded values.
    #[getter]
    fn sum(&self) -> u64 {
        self.0.snapshot().sum()
    }

    /// The smallest recorded value, 0 when there is none.
    #[getter]
    fn min(&self) -> u64 {
        self.0.snapshot().min()
    }

    /// The largest recorded value, 0 when there is none.
    #[getter]
    fn max(&self) -> u64 {
        self.0.snapshot().max()
    }

    /// A value that at least this part (0 to 1) of the recorded ones do not exceed, at most 1/8 too large; 0 when there is none.
    fn quantile(&self, #[pyo3(from_py_with = arguments::part)] part: f64) -> u64 {
        self.0.snapshot().quantile(part)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        self.1.reduce(py, "histogram")
    }
}
