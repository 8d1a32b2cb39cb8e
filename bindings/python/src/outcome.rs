//! What a finished run tells besides its bytes.

use crate::stream_record::{FactsTuple, StreamRecord};
use procs::{Exit, ExitStatus, Output, StopAction, StopReport, Usage};
use pyo3::exceptions::{PyBaseException, PyChildProcessError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::os::fd::RawFd;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The return code as `subprocess` counts: the exit code, or minus the signal.
///
/// # Errors
/// `ChildProcessError` when somebody else took the status and the kernel no longer tells; no number is invented.
pub(crate) fn returncode(status: ExitStatus) -> PyResult<i32> {
    match status {
        ExitStatus::Exited(code) => Ok(code),
        ExitStatus::Signaled { signal, .. } => Ok(-signal),
        ExitStatus::Unknown => {
            Err(PyChildProcessError::new_err((10, "wait: the exit status is unknown, somebody else reaped the child or SIGCHLD is ignored")))
        }
    }
}

/// Seconds since the epoch.
fn timestamp(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The record of a run, read attribute by attribute by the Python classes.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct Outcome {
    pid: u32,
    status: ExitStatus,
    usage: Option<Usage>,
    started: Option<SystemTime>,
    wall_time: Duration,
    timed_out: bool,
    cancelled: bool,
    pipes_left_open: bool,
    stopped: Option<StopReport>,
    spawn_retries: u32,
    streams: [StreamRecord; 2],
}

impl Outcome {
    /// The record of a run, with the files that hold all of its output.
    pub(crate) fn from_output(output: &mut Output) -> Outcome {
        let mut outcome = Outcome::describe(output);
        for (record, report) in outcome.streams.iter_mut().zip([&mut output.stdout_report, &mut output.stderr_report]) {
            record.spill = Mutex::new(report.spill.take());
        }
        outcome
    }

    /// The record without files.
    pub(crate) fn describe(output: &Output) -> Outcome {
        Outcome {
            pid: output.pid,
            status: output.status,
            usage: output.usage,
            started: Some(output.started),
            wall_time: output.wall_time,
            timed_out: output.timed_out,
            cancelled: output.cancelled,
            pipes_left_open: output.pipes_left_open,
            stopped: output.stopped.clone(),
            spawn_retries: output.spawn_retries,
            streams: [&output.stdout_report, &output.stderr_report].map(StreamRecord::describe),
        }
    }

    pub(crate) fn from_exit(pid: u32, exit: Option<Exit>, status: ExitStatus, spawn_retries: u32) -> Outcome {
        Outcome {
            pid,
            status,
            usage: exit.and_then(|exit| exit.usage),
            started: exit.map(|exit| exit.started),
            wall_time: exit.map_or(Duration::ZERO, |exit| exit.wall_time),
            timed_out: false,
            cancelled: false,
            pipes_left_open: false,
            stopped: None,
            spawn_retries,
            streams: Default::default(),
        }
    }
}

#[pymethods]
impl Outcome {
    #[getter]
    fn pid(&self) -> u32 {
        self.pid
    }
    /// The return code; none of a child that was to be ended and outlived SIGKILL.
    ///
    /// # Errors
    /// As the function of this name.
    #[getter]
    pub(crate) fn returncode(&self) -> PyResult<Option<i32>> {
        let exceeded = self.streams.iter().any(|stream| stream.facts.limit_exceeded);
        let outlived = self.status == ExitStatus::Unknown && (self.timed_out || self.cancelled || exceeded);
        if outlived { Ok(None) } else { returncode(self.status).map(Some) }
    }
    #[getter]
    fn code(&self) -> Option<i32> {
        self.status.code()
    }
    #[getter]
    fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
    #[getter]
    fn core_dumped(&self) -> bool {
        self.status.core_dumped()
    }
    #[getter]
    fn usage(&self) -> Option<(f64, f64, u64)> {
        self.usage.map(usage_tuple)
    }
    #[getter]
    fn started(&self) -> Option<f64> {
        self.started.map(timestamp)
    }
    #[getter]
    fn wall_time(&self) -> f64 {
        self.wall_time.as_secs_f64()
    }
    #[getter]
    fn timed_out(&self) -> bool {
        self.timed_out
    }
    #[getter]
    fn cancelled(&self) -> bool {
        self.cancelled
    }
    #[getter]
    fn pipes_left_open(&self) -> bool {
        self.pipes_left_open
    }
    #[getter]
    fn spawn_retries(&self) -> u32 {
        self.spawn_retries
    }
    #[getter]
    fn stopped<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.stopped.as_ref().map(|report| stop_report(py, report)).transpose()
    }
    /// The file that all output of stream 1 or 2 was written to, once; the caller closes it.
    fn take_spill(&self, number: usize) -> Option<RawFd> {
        self.streams.get(number.checked_sub(1)?)?.take_spill()
    }
    /// Why output of stream 1 or 2 was lost, or else why a sink of it was given up.
    fn sink_error(&self, py: Python<'_>, number: usize) -> Option<Py<PyBaseException>> {
        self.streams.get(number.checked_sub(1)?)?.sink_error(py)
    }
    /// The stream whose output was lost, on the way to the result or to a sink; 0 for none.
    #[getter]
    fn lost(&self) -> usize {
        self.streams.iter().position(|stream| stream.lost).map_or(0, |index| index + 1)
    }
    #[getter]
    fn stdout(&self) -> FactsTuple {
        self.streams[0].facts()
    }
    #[getter]
    fn stderr(&self) -> FactsTuple {
        self.streams[1].facts()
    }
}

/// User seconds, system seconds, largest resident set in bytes.
pub(crate) fn usage_tuple(usage: Usage) -> (f64, f64, u64) {
    (usage.user_time.as_secs_f64(), usage.system_time.as_secs_f64(), usage.max_rss_bytes)
}

fn action_name(action: StopAction) -> String {
    match action {
        StopAction::Wait => "wait".to_owned(),
        StopAction::CloseStdin => "close-stdin".to_owned(),
        StopAction::Kill => "kill".to_owned(),
        StopAction::Signal(signal) => procs::signal_name(signal).map_or_else(|| signal.to_string(), str::to_owned),
    }
}

/// A stop's report as keyword arguments of `procs.StopReport`.
pub(crate) fn stop_report<'py>(py: Python<'py>, report: &StopReport) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let code = report.status.map(returncode).and_then(Result::ok);
    dict.set_item("returncode", code)?;
    dict.set_item("ended_by", report.ended_by.map(action_name))?;
    dict.set_item("level", report.level.name())?;
    dict.set_item("survivors", report.survivors.clone())?;
    Ok(dict)
}
