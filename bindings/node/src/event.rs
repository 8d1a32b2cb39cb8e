//! What the core's threads tell JavaScript: ends of children, results of runs, reports of stops.

use crate::error::Failure;
use crate::memory::to_buffer;
use napi::bindgen_prelude::{Buffer, Either5, FnArgs};
use napi::threadsafe_function::ThreadsafeFunction;
use napi::{Env, Status};
use napi_derive::napi;
use procs::{Error, ExitStatus, Output, PipelineOutput, StageResult, StopReport, StreamReport};
use std::os::fd::IntoRawFd;
use std::time::Duration;

/// What a finished child used.
#[napi(object)]
pub struct Usage {
    /// CPU time in user mode, in milliseconds.
    pub user_ms: f64,
    /// CPU time in the kernel, in milliseconds.
    pub system_ms: f64,
    /// Largest resident set, in bytes.
    pub max_rss_bytes: f64,
}

/// What became of one stream.
#[napi(object)]
pub struct StreamInfo {
    /// Bytes read from the child.
    pub total_bytes: f64,
    /// Whether the result does not hold all of them.
    pub truncated: bool,
    /// Whether the limit stopped the child.
    pub limit_exceeded: bool,
    /// Descriptor of the file with the whole output, owned by the receiver.
    pub spill_fd: Option<i32>,
    /// Why a sink failed.
    pub sink_error: Option<Failure>,
    /// Whether the result lacks output that could not be read or kept.
    pub incomplete: bool,
}

/// What a stop did.
#[napi(object)]
pub struct StopInfo {
    /// The exit code, unless a signal ended it or it outlived the stop.
    pub code: Option<i32>,
    /// The name of the signal that ended it.
    pub signal: Option<String>,
    /// The step after which it ended.
    pub ended_by: Option<String>,
    /// The means used on the tree: process, group, walk or cgroup.
    pub level: String,
    /// Process ids of the tree that were seen alive afterwards.
    pub survivors: Vec<u32>,
}

/// A captured run.
#[napi(object)]
pub struct RunInfo {
    /// Process id.
    pub pid: u32,
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The name of the signal that ended it.
    pub signal: Option<String>,
    /// Captured standard output.
    pub stdout: Buffer,
    /// Captured standard error.
    pub stderr: Buffer,
    /// What became of standard output.
    pub stdout_info: StreamInfo,
    /// What became of standard error.
    pub stderr_info: StreamInfo,
    /// What the child used.
    pub usage: Option<Usage>,
    /// Time from start to end, in milliseconds.
    pub wall_ms: f64,
    /// Whether the deadline passed.
    pub timed_out: bool,
    /// Whether the run was cancelled.
    pub cancelled: bool,
    /// Whether somebody still held a pipe when reading ended.
    pub pipes_left_open: bool,
    /// What the stop did, when the run had to be stopped.
    pub stopped: Option<StopInfo>,
}

/// One stage of a pipeline.
#[napi(object)]
pub struct StageInfo {
    /// Process id.
    pub pid: u32,
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The name of the signal that ended it.
    pub signal: Option<String>,
    /// Captured standard error.
    pub stderr: Buffer,
    /// What became of it.
    pub stderr_info: StreamInfo,
    /// What the stage used.
    pub usage: Option<Usage>,
}

/// A captured pipeline.
#[napi(object)]
pub struct PipelineInfo {
    /// One entry per command.
    pub stages: Vec<StageInfo>,
    /// Captured standard output of the last.
    pub stdout: Buffer,
    /// What became of it.
    pub stdout_info: StreamInfo,
    /// Time from start to end, in milliseconds.
    pub wall_ms: f64,
    /// Whether the deadline passed.
    pub timed_out: bool,
    /// Whether the run was cancelled.
    pub cancelled: bool,
    /// Whether somebody still held a pipe when reading ended.
    pub pipes_left_open: bool,
}

/// What arrives in JavaScript.
pub(crate) type Answer = Either5<RunInfo, StopInfo, PipelineInfo, Failure, bool>;

/// The arguments of the function that receives answers: whose, and what.
pub(crate) type AnswerArgs = FnArgs<(u32, Answer)>;

/// The weak way to JavaScript. Calls after the end of the environment are dropped.
pub(crate) type Wake = ThreadsafeFunction<Event, (), AnswerArgs, Status, false, true>;

/// The number that belongs to no answer: a look is asked for.
const LOOK: u32 = 0;

/// What a thread sends; converted on JavaScript's thread.
pub(crate) enum Event {
    Run(u32, procs::Result<Output>),
    Stop(u32, procs::Result<StopReport>),
    Pipeline(u32, procs::Result<PipelineOutput>),
    /// Nothing is unwritten on a channel.
    Written(u32),
    /// Something has happened to a child: JavaScript is to look (`Hub::look`).
    Ready,
}

impl Event {
    pub(crate) fn into_args(self, env: &Env) -> napi::Result<AnswerArgs> {
        let (id, answer) = match self {
            Event::Run(id, run) => (id, answer(run, |output| RunInfo::new(env, output).map(Answer::A))),
            Event::Stop(id, stop) => (id, answer(stop, |report| Ok(Answer::B(StopInfo::from(&report))))),
            Event::Written(id) => (id, Ok(Answer::E(true))),
            Event::Ready => (LOOK, Ok(Answer::E(true))),
            Event::Pipeline(id, run) => (id, answer(run, |output| PipelineInfo::new(env, output).map(Answer::C))),
        };
        Ok((id, answer?).into())
    }
}

fn answer<T>(result: procs::Result<T>, convert: impl FnOnce(T) -> napi::Result<Answer>) -> napi::Result<Answer> {
    match result {
        Ok(value) => convert(value),
        Err(error) => Ok(Answer::D(Failure::from(&error))),
    }
}

/// Code and signal name of a status; both absent when it is unknown.
pub(crate) fn code_and_signal(status: ExitStatus) -> (Option<i32>, Option<String>) {
    let name = |signal| procs::signal_name(signal).map_or_else(|| format!("SIG{signal}"), str::to_owned);
    (status.code(), status.signal().map(name))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

impl From<&procs::Usage> for Usage {
    fn from(usage: &procs::Usage) -> Usage {
        Usage { user_ms: milliseconds(usage.user_time), system_ms: milliseconds(usage.system_time), max_rss_bytes: usage.max_rss_bytes as f64 }
    }
}

impl From<StreamReport> for StreamInfo {
    fn from(report: StreamReport) -> StreamInfo {
        StreamInfo {
            incomplete: report.incomplete,
            total_bytes: report.total_bytes as f64,
            truncated: report.truncated,
            limit_exceeded: report.limit_exceeded,
            spill_fd: report.spill.map(IntoRawFd::into_raw_fd),
            sink_error: report.sink_error.as_ref().map(|error: &Error| Failure::from(error)),
        }
    }
}

impl From<&StopReport> for StopInfo {
    fn from(report: &StopReport) -> StopInfo {
        let (code, signal) = report.status.map_or((None, None), code_and_signal);
        StopInfo {
            code,
            signal,
            ended_by: report.ended_by.map(action_name),
            level: report.level.name().to_owned(),
            survivors: report.survivors.clone(),
        }
    }
}

fn action_name(action: procs::StopAction) -> String {
    match action {
        procs::StopAction::Wait => "wait".to_owned(),
        procs::StopAction::CloseStdin => "closeStdin".to_owned(),
        procs::StopAction::Kill => "SIGKILL".to_owned(),
        procs::StopAction::Signal(signal) => procs::signal_name(signal).map_or_else(|| format!("SIG{signal}"), str::to_owned),
    }
}

impl RunInfo {
    fn new(env: &Env, output: Output) -> napi::Result<RunInfo> {
        let (code, signal) = code_and_signal(output.status);
        Ok(RunInfo {
            pid: output.pid,
            code,
            signal,
            stdout: to_buffer(env, output.stdout)?,
            stderr: to_buffer(env, output.stderr)?,
            stdout_info: output.stdout_report.into(),
            stderr_info: output.stderr_report.into(),
            usage: output.usage.as_ref().map(Usage::from),
            wall_ms: milliseconds(output.wall_time),
            timed_out: output.timed_out,
            cancelled: output.cancelled,
            pipes_left_open: output.pipes_left_open,
            stopped: output.stopped.as_ref().map(StopInfo::from),
        })
    }
}

impl StageInfo {
    fn new(env: &Env, stage: StageResult) -> napi::Result<StageInfo> {
        let (code, signal) = code_and_signal(stage.status);
        let usage = stage.usage.as_ref().map(Usage::from);
        Ok(StageInfo { pid: stage.pid, code, signal, stderr: to_buffer(env, stage.stderr)?, stderr_info: stage.stderr_report.into(), usage })
    }
}

impl PipelineInfo {
    fn new(env: &Env, output: PipelineOutput) -> napi::Result<PipelineInfo> {
        Ok(PipelineInfo {
            stages: output.stages.into_iter().map(|stage| StageInfo::new(env, stage)).collect::<napi::Result<_>>()?,
            stdout: to_buffer(env, output.stdout)?,
            stdout_info: output.stdout_report.into(),
            wall_ms: milliseconds(output.wall_time),
            timed_out: output.timed_out,
            cancelled: output.cancelled,
            pipes_left_open: output.pipes_left_open,
        })
    }
}
