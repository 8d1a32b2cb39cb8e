//! The blocking calls: the core's own loop feeds and drains, JavaScript waits.

use crate::collect::{Extra, Limited, counted, exact};
use crate::error::{Failure, guard};
use crate::event::{Usage, code_and_signal};
use crate::memory::to_buffer_without_loop;
use crate::options::{SpawnRequest, is_pipe};
use crate::run::duration;
use napi::Env;
use napi::bindgen_prelude::{Buffer, Either, Uint8Array};
use napi_derive::napi;
use procs::{CancelHandle, Output, RunOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ETIMEDOUT: i32 = 110;
const ENOBUFS: i32 = 105;
const EPIPE: i32 = 32;
const EIO: i32 = 5;
const ENOMEM: i32 = 12;
const SIGKILL: i32 = 9;

/// How a blocking run is bounded.
#[napi(object)]
pub struct SyncRequest {
    /// Fed to standard input.
    pub input: Option<Uint8Array>,
    /// Time allowed, in milliseconds.
    pub timeout_ms: Option<f64>,
    /// Most bytes of either stream.
    pub max_buffer: Option<f64>,
    /// Sent when a limit is exceeded.
    pub kill_signal: i32,
    /// Whether the descendants are ended too.
    pub kill_tree: bool,
}

/// What came of it.
#[napi(object)]
pub struct SyncOutcome {
    /// Process id.
    pub pid: u32,
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The name of the signal that ended it.
    pub signal: Option<String>,
    /// Per descriptor: what was read, or null where there is no pipe.
    pub output: Vec<Option<Buffer>>,
    /// `ETIMEDOUT`, `ENOBUFS`, why output was lost, `EPIPE` (input left unread) or 0.
    pub errno: i32,
    /// What the child used.
    pub usage: Option<Usage>,
}

impl SyncRequest {
    fn options(&self) -> RunOptions {
        RunOptions {
            timeout: self.timeout_ms.map(duration),
            // child_process sends its one signal and then waits, however long it takes.
            grace: if self.kill_signal == SIGKILL { Duration::ZERO } else { Duration::MAX },
            stop_signal: self.kill_signal,
            kill_tree: self.kill_tree,
            stdout_limit: exact(self.max_buffer),
            stderr_limit: exact(self.max_buffer),
            ..RunOptions::default()
        }
    }
}

/// A finished run with what was taken in beside it.
struct Finished {
    output: Output,
    limited: Option<[Limited; 2]>,
    extra: Vec<(usize, Option<Vec<u8>>)>,
    unread: usize,
}

/// More than any collector waits for, in bytes.
const PRESSURE: i64 = 1 << 42;

/// Has the collector look at everything, here and now: for a moment it is told of much memory that depends on it.
#[napi]
pub fn collect_all(env: Env) -> napi::Result<()> {
    env.adjust_external_memory(PRESSURE)?;
    env.adjust_external_memory(-PRESSURE).map(drop)
}

/// Runs a child to its end.
#[napi]
pub fn run_sync(env: Env, request: SpawnRequest, run: SyncRequest) -> napi::Result<Either<SyncOutcome, Failure>> {
    Ok(match guard(|| finish(&request, run)) {
        Either::A(finished) => Either::A(finished.outcome(&env, &request)?),
        Either::B(failure) => Either::B(failure),
    })
}

fn finish(request: &SpawnRequest, run: SyncRequest) -> procs::Result<Finished> {
    let mut options = run.options();
    let limited = Limited::new(run.max_buffer).zip(Limited::new(run.max_buffer)).map(|(stdout, stderr)| [stdout, stderr]);
    if let Some([stdout, stderr]) = &limited {
        let cancel = CancelHandle::new()?;
        options.stdout_sink = stdout.sink(&cancel);
        options.stderr_sink = stderr.sink(&cancel);
        options.cancel = Some(cancel);
    }
    let unread = Arc::new(AtomicUsize::new(0));
    let mut child = request.start()?;
    match run.input {
        Some(input) => options.input = Some(counted(input, unread.clone())),
        // Without input the child finds its standard input at the end.
        None => child.stdin = None,
    }
    let mut extra = Vec::new();
    let codes = request.codes();
    for (number, fd) in (3..).zip(3..codes.len()) {
        if let Some(end) = child.take_fd(number) {
            extra.push(Extra::start(fd, end)?);
        }
    }
    let output = child.capture(options)?.finish()?;
    let extra = extra.into_iter().map(|extra| extra.finish(output.stopped.is_some())).collect();
    Ok(Finished { output, limited, extra, unread: unread.load(Ordering::Relaxed) })
}

impl Finished {
    fn errno(&self) -> i32 {
        let output = &self.output;
        let over = output.stdout_report.limit_exceeded || output.stderr_report.limit_exceeded;
        if output.timed_out {
            ETIMEDOUT
        } else if over || self.limited.iter().flatten().any(Limited::exceeded) {
            ENOBUFS
        } else if let Some(loss) = output.stdout_report.loss().or_else(|| output.stderr_report.loss()) {
            loss.os_error().unwrap_or(EIO)
        } else if self.limited.iter().flatten().any(Limited::lost) || self.extra.iter().any(|(_, bytes)| bytes.is_none()) {
            ENOMEM
        } else if self.unread > 0 {
            EPIPE
        } else {
            0
        }
    }

    fn outcome(self, env: &Env, request: &SpawnRequest) -> napi::Result<SyncOutcome> {
        let errno = self.errno();
        let output = self.output;
        let (code, signal) = code_and_signal(output.status);
        let (stdout, stderr) = match self.limited {
            Some([stdout, stderr]) => (stdout.take().into(), stderr.take().into()),
            None => (output.stdout, output.stderr),
        };
        let codes = request.codes();
        let mut streams: Vec<Option<Buffer>> = codes.iter().map(|_| None).collect();
        for (fd, bytes) in [(1, stdout), (2, stderr)] {
            if codes.get(fd).is_some_and(|code| is_pipe(*code)) {
                streams[fd] = Some(to_buffer_without_loop(env, bytes)?);
            }
        }
        for (fd, bytes) in self.extra {
            streams[fd] = Some(to_buffer_without_loop(env, bytes.unwrap_or_default().into())?);
        }
        Ok(SyncOutcome { pid: output.pid, code, signal, output: streams, errno, usage: output.usage.as_ref().map(Usage::from) })
    }
}
