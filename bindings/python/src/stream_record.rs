//! What became of one stream of a run.

use crate::error::{Parts, parts, raise_parts};
use procs::StreamReport;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use std::fs::File;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// Total bytes, truncated, limit exceeded, incomplete.
pub(crate) type FactsTuple = (u64, bool, bool, bool);

/// The part of a stream's report that is plain numbers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Facts {
    total_bytes: u64,
    truncated: bool,
    pub(crate) limit_exceeded: bool,
    incomplete: bool,
}

/// The report of a stream. A file that nobody took is closed with it.
#[pyclass(frozen, module = "procs._native")]
#[derive(Default)]
pub(crate) struct StreamRecord {
    pub(crate) facts: Facts,
    /// Whether output was lost, on the way to the result or to a sink.
    pub(crate) lost: bool,
    pub(crate) spill: Mutex<Option<File>>,
    /// In parts: an exception refers to what raised it, perhaps to us, and the collector does not look into this.
    sink_error: Option<Parts>,
}

impl StreamRecord {
    /// Of a finished stream, with the file that holds all of it.
    pub(crate) fn of(report: &mut StreamReport) -> StreamRecord {
        let spill = Mutex::new(report.spill.take());
        StreamRecord { spill, ..StreamRecord::describe(report) }
    }

    /// The record without the file.
    pub(crate) fn describe(report: &StreamReport) -> StreamRecord {
        let facts = Facts {
            total_bytes: report.total_bytes,
            truncated: report.truncated,
            limit_exceeded: report.limit_exceeded,
            incomplete: report.incomplete,
        };
        StreamRecord { facts, lost: report.loss().is_some(), spill: Mutex::default(), sink_error: report.sink_error.as_ref().map(parts) }
    }
}

#[pymethods]
impl StreamRecord {
    #[getter]
    pub(crate) fn facts(&self) -> FactsTuple {
        let facts = self.facts;
        (facts.total_bytes, facts.truncated, facts.limit_exceeded, facts.incomplete)
    }
    #[getter]
    fn lost(&self) -> bool {
        self.lost
    }
    /// The file that all output was written to, once; the caller closes it.
    pub(crate) fn take_spill(&self) -> Option<RawFd> {
        self.spill.lock().unwrap_or_else(PoisonError::into_inner).take().map(IntoRawFd::into_raw_fd)
    }
    /// Why output was lost, or else why a sink was given up.
    #[getter]
    pub(crate) fn sink_error(&self, py: Python<'_>) -> Option<Py<PyBaseException>> {
        self.sink_error.as_ref().map(|error| raise_parts(py, error).into_value(py))
    }
}
