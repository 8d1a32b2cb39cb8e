//! Unlimited output as one `bytes` object: a small one is copied at the end, a large one grows inside the interpreter from the start,
//! so that it is never there twice.

use crate::sink::Failure;
use procs::{OutputLimit, Sink};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::{Arc, Mutex, PoisonError};

/// Up to here a copy costs less than an object of the interpreter for each block.
const SMALL: usize = 1 << 20;

/// A stream's output so far.
enum Store {
    Small(Vec<u8>),
    /// An `io.BytesIO`: it grows in place and gives its memory away as `bytes` without a copy.
    Large(Py<PyAny>),
}

/// Collects what a sink is given.
#[derive(Clone)]
pub(crate) struct Gather(Arc<Mutex<Store>>);

impl Gather {
    /// Takes the place of the buffer for output that is kept whole; `None` where the core does better, by a limit or other sinks.
    pub(crate) fn instead_of(sink: &mut Sink, limit: OutputLimit, failure: &Failure) -> Option<Gather> {
        if !matches!(sink, Sink::Buffer) || limit != OutputLimit::Unlimited {
            return None;
        }
        let gather = Gather::new();
        *sink = gather.sink(failure.clone());
        Some(gather)
    }

    fn new() -> Gather {
        Gather(Arc::new(Mutex::new(Store::Small(Vec::new()))))
    }

    /// The sink to give to the core; an exception (of memory) ends the run through `failure`.
    fn sink(&self, failure: Failure) -> Sink {
        let gather = self.clone();
        Sink::Callback(Box::new(move |block| {
            if !failure.is_set()
                && let Err(error) = gather.accept(block)
            {
                failure.set(error);
            }
        }))
    }

    fn accept(&self, block: &[u8]) -> PyResult<()> {
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Store::Small(kept) = &mut *store
            && kept.len() + block.len() <= SMALL
        {
            kept.extend_from_slice(block);
            return Ok(());
        }
        // Without an interpreter the program is ending and nobody will ask for the output.
        Python::try_attach(|py| {
            if let Store::Small(kept) = &*store {
                let large = py.import("io")?.getattr("BytesIO")?.call0()?;
                large.call_method1("write", (PyBytes::new(py, kept),))?;
                *store = Store::Large(large.unbind());
            }
            let Store::Large(large) = &*store else { return Ok(()) };
            large.call_method1(py, "write", (PyBytes::new(py, block),)).map(drop)
        })
        .unwrap_or(Ok(()))
    }

    /// A copy of what there is so far.
    pub(crate) fn peek<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Store::Small(kept) => Ok(PyBytes::new(py, kept)),
            Store::Large(large) => Ok(large.bind(py).call_method0("getvalue")?.cast_into::<PyBytes>()?),
        }
    }

    /// All of it, once.
    pub(crate) fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let store = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Store::Small(Vec::new()));
        match store {
            Store::Small(kept) => Ok(PyBytes::new(py, &kept)),
            Store::Large(large) => Ok(large.bind(py).call_method0("getvalue")?.cast_into::<PyBytes>()?),
        }
    }
}
