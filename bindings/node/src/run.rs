//! Captured runs beside the event loop: started here and now, drained by the hub's thread.

use crate::error::{Failure, catch, guard};
use crate::event::Event;
use crate::hub::Hub;
use crate::options::SpawnRequest;
use napi::bindgen_prelude::{Either, Uint8Array};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use procs::{CancelHandle, Capture, Error, Output, OutputLimit, RunOptions, Sink, duplicate_fd};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

/// What is kept of a stream.
#[napi(object)]
pub struct LimitOptions {
    /// `unlimited`, `error`, `head`, `tail` or `spill`.
    pub policy: String,
    /// Bytes kept.
    pub bytes: f64,
}

/// One place that output goes to.
#[napi(object)]
pub struct SinkRequest {
    /// `buffer`, `discard`, `fd`, `file`, `append` or `stream`: a pipe whose other end is handed over by `take_sink`.
    pub kind: String,
    /// The descriptor of `fd`; it stays the caller's.
    pub fd: Option<i32>,
    /// The path of `file` and `append`.
    pub path: Option<String>,
}

/// How a run is bounded.
#[napi(object)]
pub struct RunRequest {
    /// Fed to standard input.
    pub input: Option<Uint8Array>,
    /// Time allowed for the whole run, in milliseconds.
    pub timeout_ms: Option<f64>,
    /// Time between the stop signal and SIGKILL, in milliseconds.
    pub grace_ms: Option<f64>,
    /// The signal that asks for the end.
    pub stop_signal: Option<i32>,
    /// How long output is read after a kill, in milliseconds.
    pub drain_grace_ms: Option<f64>,
    /// How long output is read after a normal exit, in milliseconds.
    pub drain_after_exit_ms: Option<f64>,
    /// Whether stopping stops all descendants.
    pub kill_tree: Option<bool>,
    /// Whether standard input is left to the caller, who takes it with `take_input`.
    pub feed: Option<bool>,
    /// Where standard output goes; absent keeps it for the result.
    pub stdout_sinks: Option<Vec<SinkRequest>>,
    /// Where standard error goes.
    pub stderr_sinks: Option<Vec<SinkRequest>>,
    /// What is kept of standard output.
    pub stdout_limit: Option<LimitOptions>,
    /// What is kept of standard error.
    pub stderr_limit: Option<LimitOptions>,
}

pub(crate) fn duration(milliseconds: f64) -> Duration {
    Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or(Duration::MAX)
}

fn limit(options: Option<&LimitOptions>) -> OutputLimit {
    let Some(options) = options else { return OutputLimit::Unlimited };
    let bytes = options.bytes as u64;
    match options.policy.as_str() {
        "error" => OutputLimit::Error(bytes),
        "head" => OutputLimit::Head(bytes),
        "tail" => OutputLimit::Tail(bytes),
        "spill" => OutputLimit::Spill(bytes),
        _ => OutputLimit::Unlimited,
    }
}

impl RunRequest {
    pub(crate) fn options(&self) -> RunOptions {
        let mut options = RunOptions {
            timeout: self.timeout_ms.map(duration),
            grace: self.grace_ms.map_or(Duration::ZERO, duration),
            drain_after_exit: self.drain_after_exit_ms.map(duration),
            kill_tree: self.kill_tree == Some(true),
            input: self.input.as_ref().map(|input| input.to_vec().into()),
            stdout_limit: limit(self.stdout_limit.as_ref()),
            stderr_limit: limit(self.stderr_limit.as_ref()),
            ..RunOptions::default()
        };
        if let Some(signal) = self.stop_signal {
            options.stop_signal = signal;
        }
        if let Some(grace) = self.drain_grace_ms {
            options.drain_grace = duration(grace);
        }
        options
    }
}

/// The core's sinks for what was asked; read ends of those that JavaScript takes are added to `taken`.
fn sink(requests: Option<&Vec<SinkRequest>>, taken: &mut Vec<OwnedFd>) -> procs::Result<Sink> {
    let Some(requests) = requests else { return Ok(Sink::Buffer) };
    let one = |request: &SinkRequest| {
        let path = || PathBuf::from(request.path.clone().unwrap_or_default());
        Ok(match request.kind.as_str() {
            "buffer" => Sink::Buffer,
            "fd" => Sink::Fd(duplicate_fd(request.fd.unwrap_or(-1))?),
            "file" => Sink::File(path()),
            "append" => Sink::Append(path()),
            "stream" => {
                let (reader, writer) = std::io::pipe().map_err(|error| Error::from_io("run", &error, "cannot make a pipe for a sink"))?;
                taken.push(reader.into());
                Sink::Fd(writer.into())
            }
            _ => Sink::Discard,
        })
    };
    Ok(Sink::Tee(requests.iter().map(one).collect::<procs::Result<Vec<_>>>()?))
}

/// A run in progress.
#[napi]
pub struct NativeRun {
    pid: u32,
    /// Until it is over: a handle has a descriptor, and JavaScript lets go of this when it likes.
    cancel: Option<CancelHandle>,
    input: Option<OwnedFd>,
    sinks: VecDeque<OwnedFd>,
}

#[napi]
impl NativeRun {
    /// Process id.
    #[napi(getter)]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The write end of standard input, which the caller must close; -1 unless `feed` was asked for.
    #[napi]
    pub fn take_input(&mut self) -> i32 {
        self.input.take().map_or(-1, IntoRawFd::into_raw_fd)
    }

    /// The read end of the next sink of kind `stream`, standard output's first, which the caller must close; -1 after the last.
    #[napi]
    pub fn take_sink(&mut self) -> i32 {
        self.sinks.pop_front().map_or(-1, IntoRawFd::into_raw_fd)
    }

    /// Stops the run; its result says `cancelled`.
    #[napi]
    pub fn cancel(&self) {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }

    /// The result has been told: there is nothing to cancel any more.
    #[napi]
    pub fn over(&mut self) {
        self.cancel = None;
    }
}

#[napi]
impl Hub {
    /// Starts a captured run here and now. Its result arrives as an event of this number.
    #[napi]
    pub fn run(&self, id: u32, request: SpawnRequest, run: RunRequest) -> Either<NativeRun, Failure> {
        guard(|| {
            let executor = self.executor()?;
            let cancel = CancelHandle::new()?;
            let mut options = run.options();
            options.cancel = Some(cancel.clone());
            let mut sinks = Vec::new();
            options.stdout_sink = sink(run.stdout_sinks.as_ref(), &mut sinks)?;
            options.stderr_sink = sink(run.stderr_sinks.as_ref(), &mut sinks)?;
            let mut child = request.command()?.spawn()?;
            let pid = child.id();
            let input = if run.feed == Some(true) { child.stdin.take().map(OwnedFd::from) } else { None };
            let capture = child.capture(options)?;
            let wake = self.wake.clone();
            executor.run(async move {
                let result = drive(capture).await;
                wake.call(Event::Run(id, result), ThreadsafeFunctionCallMode::NonBlocking);
            });
            Ok(NativeRun { pid, cancel: Some(cancel), input, sinks: sinks.into() })
        })
    }
}

async fn drive(mut capture: Capture) -> procs::Result<Output> {
    poll_fn(|cx| match catch(|| Ok(capture.poll_run(cx))) {
        Ok(poll) => poll,
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await?;
    catch(|| capture.finish())
}
