//! The blocking calls: the core's own loop feeds and drains, JavaScript waits.

use crate::error::{Failure, guard};
use crate::event::{Usage, code_and_signal};
use crate::memory::to_buffer;
use crate::options::SpawnRequest;
use crate::run::duration;
use napi::Env;
use napi::bindgen_prelude::{Buffer, Either, Uint8Array};
use napi_derive::napi;
use procs::{Input, Output, OutputLimit, RunOptions};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const ETIMEDOUT: i32 = 110;
const ENOBUFS: i32 = 105;
const EPIPE: i32 = 32;
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
    /// `ETIMEDOUT`, `ENOBUFS`, `EPIPE` (input left unread) or 0.
    pub errno: i32,
    /// What the child used.
    pub usage: Option<Usage>,
}

impl SyncRequest {
    fn options(&self) -> RunOptions {
        let limit = self.max_buffer.map_or(OutputLimit::Unlimited, |bytes| OutputLimit::Error(bytes as u64));
        RunOptions {
            timeout: self.timeout_ms.map(duration),
            // child_process sends its one signal and then waits, however long it takes.
            grace: if self.kill_signal == SIGKILL { Duration::ZERO } else { Duration::MAX },
            stop_signal: self.kill_signal,
            kill_tree: self.kill_tree,
            stdout_limit: limit,
            stderr_limit: limit,
            ..RunOptions::default()
        }
    }
}

/// Runs a child to its end.
#[napi]
pub fn run_sync(env: Env, request: SpawnRequest, run: SyncRequest) -> napi::Result<Either<SyncOutcome, Failure>> {
    let finished = guard(|| {
        let mut child = request.start()?;
        if run.input.is_none() {
            // Without input the child finds its standard input at the end.
            child.stdin = None;
        }
        let extra = read_extra(&mut child, request.stdio.len())?;
        let mut options = run.options();
        let unread = Arc::new(AtomicUsize::new(0));
        options.input = run.input.map(|input| counted(input.to_vec(), unread.clone()));
        let output = child.capture(options)?.finish()?;
        Ok((output, extra, unread.load(Ordering::Relaxed)))
    });
    Ok(match finished {
        Either::A((output, extra, unread)) => Either::A(outcome(&env, &request, (output, extra), unread)?),
        Either::B(failure) => Either::B(failure),
    })
}

/// Input that knows how much of it was not asked for: a child that ends before it has read everything is an error to child_process.
fn counted(bytes: Vec<u8>, unread: Arc<AtomicUsize>) -> Input {
    unread.store(bytes.len(), Ordering::Relaxed);
    let mut at = 0;
    Input::Callback(Box::new(move |buffer| {
        let count = buffer.len().min(bytes.len() - at);
        buffer[..count].copy_from_slice(&bytes[at..at + count]);
        at += count;
        unread.store(bytes.len() - at, Ordering::Relaxed);
        Ok(count)
    }))
}

/// Threads that read what the child writes to its pipes above 2.
type Extra = Vec<(usize, JoinHandle<Vec<u8>>)>;

fn read_extra(child: &mut procs::Child, count: usize) -> procs::Result<Extra> {
    let mut readers = Vec::new();
    for (number, index) in (3..).zip(3..count) {
        let Some(fd) = child.take_fd(number) else { continue };
        let reader = std::thread::Builder::new()
            .name("procs-extra".to_owned())
            .spawn(move || read_all(fd))
            .map_err(|error| procs::Error::from_io("spawnSync", &error, "cannot start a thread"))?;
        readers.push((index, reader));
    }
    Ok(readers)
}

fn read_all(fd: OwnedFd) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset connection ends the stream like its end does; what came before is kept.
    let _ = File::from(fd).read_to_end(&mut bytes);
    bytes
}

fn outcome(env: &Env, request: &SpawnRequest, (output, extra): (Output, Extra), unread: usize) -> napi::Result<SyncOutcome> {
    let (code, signal) = code_and_signal(output.status);
    let exceeded = output.stdout_report.limit_exceeded || output.stderr_report.limit_exceeded;
    let errno = match (output.timed_out, exceeded) {
        (true, _) => ETIMEDOUT,
        (false, true) => ENOBUFS,
        (false, false) if unread > 0 => EPIPE,
        (false, false) => 0,
    };
    let mut streams: Vec<Option<Buffer>> = (0..request.stdio.len()).map(|_| None).collect();
    if request.is_pipe(1) {
        streams[1] = Some(to_buffer(env, output.stdout)?);
    }
    if request.is_pipe(2) {
        streams[2] = Some(to_buffer(env, output.stderr)?);
    }
    for (index, reader) in extra {
        streams[index] = Some(reader.join().unwrap_or_default().into());
    }
    Ok(SyncOutcome { pid: output.pid, code, signal, output: streams, errno, usage: output.usage.as_ref().map(Usage::from) })
}
