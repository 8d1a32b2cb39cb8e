//! What a finished pipeline hands over.

use super::bytes::Bytes;
use super::drain::Drain;
use super::intake::Intake;
use super::output::{Problem, StreamReport};
use crate::error::{Error, ErrorKind, Result};
use crate::spawn::{ExitStatus, StopReport, Usage};
use std::time::{Duration, Instant};

/// One stage of a finished pipeline.
#[derive(Debug)]
pub struct StageResult {
    /// Process id the child had.
    pub pid: u32,
    /// How it ended. A stage whose reader went away first usually ended by SIGPIPE.
    pub status: ExitStatus,
    /// CPU time and memory it used; `None` when somebody else reaped it.
    pub usage: Option<Usage>,
    /// What it wrote to standard error; empty when that was not captured.
    pub stderr: Bytes,
    /// How the capture of standard error went.
    pub stderr_report: StreamReport,
}

/// A finished pipeline.
#[derive(Debug)]
pub struct PipelineOutput {
    /// Each stage, in order.
    pub stages: Vec<StageResult>,
    /// What the last stage wrote to standard output; empty when that was not captured.
    pub stdout: Bytes,
    /// How the capture of standard output went.
    pub stdout_report: StreamReport,
    /// Time from the start until the end of the last child to end was seen, on the monotonic clock.
    pub wall_time: Duration,
    /// Whether the timeout passed before the run was complete.
    pub timed_out: bool,
    /// Whether the cancel handle ended the run.
    pub cancelled: bool,
    /// Whether somebody still held a captured stream when reading it was given up.
    pub pipes_left_open: bool,
    /// What stopping the run did, when it had to be stopped.
    pub stopped: Option<StopReport>,
}

impl PipelineOutput {
    /// The result of a finished run: its first stream is the last stage's standard output, the others are the stages' standard errors.
    pub(super) fn of(mut drain: Drain, started: Instant) -> Result<PipelineOutput> {
        let mut streams = drain.take_intakes().into_iter().map(Intake::finish);
        let (stdout, stdout_report) = streams.next().unwrap_or_default();
        let (mut stages, mut wall_time) = (Vec::new(), Duration::ZERO);
        for (index, (stderr, stderr_report)) in streams.enumerate() {
            let end = drain.end_of(index)?;
            wall_time = wall_time.max(end.ended.saturating_duration_since(started));
            let handle = drain.handle(index);
            let usage = handle.exit().and_then(|exit| exit.usage);
            stages.push(StageResult { pid: handle.id(), status: end.status, usage, stderr, stderr_report });
        }
        let output = PipelineOutput {
            stages,
            stdout,
            stdout_report,
            wall_time,
            timed_out: drain.timed_out,
            cancelled: drain.cancelled,
            pipes_left_open: drain.pipes_left_open,
            stopped: drain.take_report(),
        };
        match drain.input_error.take() {
            Some(error) => Err(error.with_payload(output)),
            None => Ok(output),
        }
    }

    /// Whether every stage exited with code 0, nothing cut the run short and no output was lost.
    pub fn success(&self) -> bool {
        self.check_error().is_none()
    }

    /// The status of the last stage that was no success, else of the last stage. Source: `pipefail` of sh.
    pub fn status(&self) -> ExitStatus {
        let failed = self.stages.iter().rev().find(|stage| !stage.status.success());
        failed.or(self.stages.last()).map_or(ExitStatus::Unknown, |stage| stage.status)
    }

    /// The pipeline itself when it was a success, else an error that carries it: see [`Error::pipeline_output`].
    ///
    /// # Errors
    /// `Timeout`, `Cancelled`, `TooLarge`, why output was lost or `ChildFailed`, the first that applies; the message names the stage.
    pub fn check(self) -> Result<PipelineOutput> {
        match self.check_error() {
            Some(error) => Err(error.with_payload(self)),
            None => Ok(self),
        }
    }

    /// What was lost of the output that was to be kept.
    fn loss(&self) -> Option<Problem> {
        let count = self.stages.len();
        let of_stage =
            |(index, stage): (usize, &StageResult)| stage.stderr_report.problem(format_args!("standard error of stage {} of {count}", index + 1));
        self.stdout_report.problem("standard output").or_else(|| self.stages.iter().enumerate().find_map(of_stage))
    }

    /// The error that [`check`](PipelineOutput::check) would give, without the output in it.
    pub fn check_error(&self) -> Option<Error> {
        let count = self.stages.len();
        let numbered = || self.stages.iter().enumerate().map(|(index, stage)| (index + 1, stage));
        let (kind, detail) = if self.timed_out {
            (ErrorKind::Timeout, format!("the timeout passed (stages = {count})"))
        } else if self.cancelled {
            (ErrorKind::Cancelled, format!("cancelled by the caller (stages = {count})"))
        } else if self.stdout_report.limit_exceeded {
            (ErrorKind::TooLarge, format!("standard output exceeded its limit (limit = {} bytes)", self.stdout.len()))
        } else if let Some((number, stage)) = numbered().find(|(_, stage)| stage.stderr_report.limit_exceeded) {
            let limit = stage.stderr.len();
            (ErrorKind::TooLarge, format!("standard error of stage {number} of {count} exceeded its limit (limit = {limit} bytes)"))
        } else if let Some(loss) = self.loss() {
            loss
        } else {
            let (number, stage) = numbered().rfind(|(_, stage)| !stage.status.success())?;
            let (pid, status) = (stage.pid, stage.status);
            (ErrorKind::ChildFailed, format!("stage {number} of {count} failed (pid = {pid}, status = {status}, expected exit code 0)"))
        };
        Some(Error::new(kind, "pipeline", detail))
    }
}

impl Error {
    /// The pipeline that failed, with what it wrote until then, when the error came from one.
    pub fn pipeline_output(&self) -> Option<&PipelineOutput> {
        self.payload()
    }

    /// As [`Error::pipeline_output`], by value.
    pub fn into_pipeline_output(mut self) -> Option<PipelineOutput> {
        self.take_payload()
    }
}
