//! Unlimited output as one `bytes` object: a small one is copied at the end, a large one grows inside the interpreter from the start,
//! so that it is never there twice.

use crate::memory::{GrowingBytes, to_bytes};
use crate::sink::Failure;
use procs::{OutputLimit, Sink};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Up to here a copy at the end costs less than an object of the interpreter from the start.
const SMALL: usize = 256 << 10;

/// Room of a fresh large object; untouched pages cost nothing. With the headers of allocator and object it is a whole number of huge pages.
const FIRST_LARGE: usize = (16 << 20) - HEADERS;

/// Size of a read straight into a large object.
const BLOCK: usize = 256 << 10;

/// What is left for these headers.
const HEADERS: usize = 4096;

/// From here on an object grows by this much at a time, not twofold: address space is not endless everywhere.
const LARGEST_STEP: usize = 256 << 20;

/// A stream's output so far.
enum Store {
    Small(Vec<u8>),
    Large(GrowingBytes),
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

    pub(crate) fn new() -> Gather {
        Gather(Arc::new(Mutex::new(Store::Small(Vec::new()))))
    }

    /// The sink to give to the core; an exception (of memory) ends the run through `failure`.
    fn sink(&self, failure: Failure) -> Sink {
        let (gather, other) = (self.clone(), self.clone());
        let accept = move |block: &[u8]| {
            if !failure.is_set()
                && let Err(error) = gather.accept(block)
            {
                failure.set(error);
            }
        };
        Sink::Direct(Box::new(accept), Box::new(move |fd| other.read_from(fd, BLOCK)))
    }

    /// Adds a block. The interpreter is needed now and then only, to make room.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn accept(&self, block: &[u8]) -> PyResult<()> {
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *store {
            Store::Small(kept) if kept.len() + block.len() <= SMALL => {
                kept.try_reserve(block.len()).map_err(|_| PyMemoryError::new_err(()))?;
                kept.extend_from_slice(block);
                return Ok(());
            }
            Store::Large(large) if block.len() <= large.room() => {
                large.fill(block);
                return Ok(());
            }
            _ => {}
        }
        // Without an interpreter the program is ending and nobody will ask for the output.
        Python::try_attach(|py| {
            if let Store::Small(kept) = &*store {
                let mut large = GrowingBytes::new(py, FIRST_LARGE)?;
                large.fill(kept);
                *store = Store::Large(large);
            }
            let Store::Large(large) = &mut *store else { return Ok(()) };
            if large.room() < block.len() {
                let step = (large.capacity() + HEADERS).min(LARGEST_STEP);
                large.grow(py, large.capacity() + step)?;
            }
            large.fill(block);
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    /// Reads once straight into a large object that has room; `None` when there is none yet, and the caller reads into a block of its own.
    pub(crate) fn read_from(&self, fd: BorrowedFd<'_>, max: usize) -> Option<io::Result<usize>> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Store::Large(large) if large.room() > 0 => Some(large.read_from(fd, max)),
            _ => None,
        }
    }

    /// A copy of what there is so far.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn peek<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Store::Small(kept) => to_bytes(py, kept),
            Store::Large(large) => to_bytes(py, large.as_slice()),
        }
    }

    /// All of it, once.
    pub(crate) fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let store = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Store::Small(Vec::new()));
        match store {
            Store::Small(kept) => to_bytes(py, &kept),
            Store::Large(large) => large.finish(py),
        }
    }
}
