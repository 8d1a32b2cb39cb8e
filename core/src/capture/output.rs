//! What a finished run hands over.

use super::bytes::Bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::spawn::{ExitStatus, StopReport, Usage};
use std::fs::File;
use std::time::{Duration, SystemTime};

/// How the capture of one stream went.
#[derive(Debug, Default)]
pub struct StreamReport {
    /// Bytes read from the pipe, kept or not.
    pub total_bytes: u64,
    /// Whether the result's buffer lacks bytes that were read, because of the stream's limit.
    pub truncated: bool,
    /// Whether [`OutputLimit::Error`](crate::OutputLimit::Error) was exceeded; the child was stopped then.
    pub limit_exceeded: bool,
    /// Everything that was read, at position 0, when [`OutputLimit::Spill`](crate::OutputLimit::Spill) was exceeded. The file has no name.
    pub spill: Option<File>,
    /// The first failure of a sink, such as a full disk. A failed sink is given up; the others go on, and so does the child, but the run is no success,
    /// unless it was a pipe or socket whose reader went away: that one wanted no more.
    pub sink_error: Option<Error>,
    /// Whether the result lacks output that could not be read or kept, for want of memory or of room for the spill: `sink_error` says which. The run is
    /// no success then.
    pub incomplete: bool,
}

/// Why a run is no success.
pub(super) type Problem = (ErrorKind, String);

impl StreamReport {
    /// Why output was lost, on the way to the result or to a sink; what [`Output::check`] looks at.
    pub fn loss(&self) -> Option<&Error> {
        let lost = |error: &&Error| self.incomplete || error.kind() != ErrorKind::Closed;
        self.sink_error.as_ref().filter(lost)
    }

    /// What `check` makes of it.
    pub(super) fn problem(&self, stream: impl std::fmt::Display) -> Option<Problem> {
        let error = self.loss()?;
        let what = if self.incomplete { "is incomplete" } else { "did not reach its sink" };
        Some((error.kind(), format!("{stream} {what}: {error}")))
    }
}

/// A finished run: how the child ended, what it wrote, and what had to be done to it.
#[derive(Debug)]
pub struct Output {
    /// Process id the child had. For display only: the number may belong to somebody else by now.
    pub pid: u32,
    /// How the child ended. `Unknown` also when it outlived SIGKILL (a hung disk or network file system).
    pub status: ExitStatus,
    /// What it wrote to standard output; empty when that was not captured.
    pub stdout: Bytes,
    /// What it wrote to standard error; empty when that was not captured.
    pub stderr: Bytes,
    /// How the capture of standard output went.
    pub stdout_report: StreamReport,
    /// How the capture of standard error went.
    pub stderr_report: StreamReport,
    /// CPU time and memory it used; `None` when somebody else reaped it.
    pub usage: Option<Usage>,
    /// When it was started.
    pub started: SystemTime,
    /// Time from the start until its end was seen, on the monotonic clock. Draining afterwards is not included.
    pub wall_time: Duration,
    /// Whether the timeout passed before the run was complete.
    pub timed_out: bool,
    /// Whether the cancel handle ended the run.
    pub cancelled: bool,
    /// Whether somebody (a grandchild) still held a captured stream when reading it was given up.
    pub pipes_left_open: bool,
    /// What stopping the run did, when it had to be stopped.
    pub stopped: Option<StopReport>,
    /// How often the start was repeated because the program's file was open for writing (ETXTBSY).
    pub spawn_retries: u32,
}

// As the standard library's: nobody changes what was captured.
impl std::panic::UnwindSafe for Output {}
impl std::panic::RefUnwindSafe for Output {}

impl Output {
    /// The output of no run: what a test or a wrapper that collects by itself hands to code that takes an `Output`. The process id is 0.
    ///
    /// ```
    /// use procs::{ExitStatus, Output};
    /// assert!(Output::new(ExitStatus::Exited(0), b"out".to_vec(), Vec::new()).success());
    /// ```
    pub fn new(status: ExitStatus, stdout: impl Into<Bytes>, stderr: impl Into<Bytes>) -> Output {
        Output {
            pid: 0,
            status,
            stdout: stdout.into(),
            stderr: stderr.into(),
            stdout_report: StreamReport::default(),
            stderr_report: StreamReport::default(),
            usage: None,
            started: SystemTime::now(),
            wall_time: Duration::ZERO,
            timed_out: false,
            cancelled: false,
            pipes_left_open: false,
            stopped: None,
            spawn_retries: 0,
        }
    }

    /// Whether the child exited with code 0, nothing cut the run short and no output was lost.
    pub fn success(&self) -> bool {
        self.status.success() && self.problem().is_none()
    }

    /// The run itself when it was a success, else an error that carries it: see [`Error::output`].
    ///
    /// # Errors
    /// `Timeout`, `Cancelled`, `TooLarge` (an output limit was exceeded), why output was lost (`Exhausted`, `Io`) or `ChildFailed` (not exit
    /// code 0), the first that applies.
    ///
    /// ```
    /// use procs::{Command, ErrorKind};
    /// let error = Command::shell("echo partial; exit 3").output()?.check().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::ChildFailed);
    /// assert_eq!(error.output().unwrap().stdout, b"partial\n");
    /// # Ok::<(), procs::Error>(())
    /// ```
    pub fn check(self) -> Result<Output> {
        match self.check_error() {
            Some(error) => Err(error.with_payload(self)),
            None => Ok(self),
        }
    }

    /// The error that [`check`](Output::check) would give, without the output in it.
    pub fn check_error(&self) -> Option<Error> {
        let (kind, detail) = self.problem()?;
        Some(Error::new(kind, "run", detail))
    }

    fn problem(&self) -> Option<Problem> {
        let pid = self.pid;
        if self.timed_out {
            Some((ErrorKind::Timeout, format!("the timeout passed (pid = {pid}, status = {})", self.status)))
        } else if self.cancelled {
            Some((ErrorKind::Cancelled, format!("cancelled by the caller (pid = {pid}, status = {})", self.status)))
        } else if self.stdout_report.limit_exceeded {
            Some((ErrorKind::TooLarge, too_large("standard output", self.stdout.len())))
        } else if self.stderr_report.limit_exceeded {
            Some((ErrorKind::TooLarge, too_large("standard error", self.stderr.len())))
        } else if let Some(loss) = self.stdout_report.problem("standard output").or_else(|| self.stderr_report.problem("standard error")) {
            Some(loss)
        } else if !self.status.success() {
            Some((ErrorKind::ChildFailed, format!("the child failed (pid = {pid}, status = {}, expected exit code 0)", self.status)))
        } else {
            None
        }
    }
}

impl TryFrom<Output> for std::process::Output {
    type Error = Error;

    /// For libraries that take the standard library's; an unknown status has no place there.
    fn try_from(output: Output) -> Result<std::process::Output> {
        Ok(std::process::Output { status: output.status.try_into()?, stdout: output.stdout.into(), stderr: output.stderr.into() })
    }
}

fn too_large(stream: &str, limit: usize) -> String {
    format!("{stream} exceeded its limit (limit = {limit} bytes)")
}

impl Error {
    /// The run that failed, with what it wrote until then, when the error came from one.
    pub fn output(&self) -> Option<&Output> {
        self.payload()
    }

    /// As [`Error::output`], by value.
    pub fn into_output(mut self) -> Option<Output> {
        self.take_payload()
    }
}
