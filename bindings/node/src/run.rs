//! Captured runs beside the event loop: started here and now, drained by the hub's thread.

use crate::error::{Failure, catch, guard};
use crate::event::Event;
use crate::hub::Hub;
use crate::options::SpawnRequest;
use napi::bindgen_prelude::{Either, Uint8Array};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use procs::{CancelHandle, Capture, Output, OutputLimit, RunOptions};
use std::future::poll_fn;
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

/// A run in progress.
#[napi]
pub struct NativeRun {
    pid: u32,
    cancel: CancelHandle,
}

#[napi]
impl NativeRun {
    /// Process id.
    #[napi(getter)]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Stops the run; its result says `cancelled`.
    #[napi]
    pub fn cancel(&self) {
        self.cancel.cancel();
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
            let child = request.command()?.spawn()?;
            let pid = child.id();
            let capture = child.capture(options)?;
            let wake = self.wake.clone();
            executor.run(async move {
                let result = drive(capture).await;
                wake.call(Event::Run(id, result), ThreadsafeFunctionCallMode::NonBlocking);
            });
            Ok(NativeRun { pid, cancel })
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
