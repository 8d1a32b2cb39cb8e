//! Starting children and acting on them, by the numbers that `lib/handle.js` gives them.

use crate::error::{Failure, catch, guard};
use crate::event::Event;
use crate::hub::Hub;
use crate::memory::to_buffer;
use crate::text::text_of_output;
use napi::bindgen_prelude::{Buffer, Either};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi::{Env, JsString};
use napi_derive::napi;
use procs::{Bytes, Collector, ErrorKind, PipeReader, Stop, StopAction};
use std::fs::File;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const SIGKILL: i32 = 9;
const ESRCH: i32 = 3;
const EINVAL: i32 = 22;
const O_NONBLOCK: i32 = 0o4000;
const LARGE_PIPE: usize = 1 << 20;

/// One step of a stop: a signal (0 only waits) and how long it is given.
#[napi(object)]
pub struct StopStep {
    /// Signal number; 0 sends nothing.
    pub signal: i32,
    /// Time before the next step, in milliseconds.
    pub wait_ms: f64,
}

#[napi]
impl Hub {
    /// Whether the loop stays alive while this child runs, as it does from its start on.
    #[napi]
    pub fn refer(&self, id: u32, keep: bool) {
        self.children.hold(id, keep);
    }

    /// Why the program of the child that a notice has just called failed was not executed.
    #[napi]
    pub fn take_failure(&self) -> Option<Failure> {
        self.children.take_failure().as_ref().map(Failure::from)
    }

    /// Hands the host's end of a pipe over as a descriptor that the caller must close; -1 when there is none (any more).
    #[napi]
    pub fn take(&self, id: u32, fd: i32) -> i32 {
        self.children.take(id, fd).map_or(-1, IntoRawFd::into_raw_fd)
    }

    /// What was read of an output until now; the rest can be taken afterwards.
    #[napi]
    pub fn ahead(&self, env: Env, id: u32, fd: u32) -> napi::Result<Option<Either<Buffer, Failure>>> {
        let Some(collector) = self.children.ahead(id, fd) else { return Ok(None) };
        whole(collector, |bytes| to_buffer(&env, bytes)).map(Some)
    }

    /// What was collected of an output, in two parts: up to the read that exceeded the limit, and that read. Its pipe is closed.
    #[napi]
    pub fn collected(&self, env: Env, id: u32, fd: u32) -> napi::Result<Option<Either<Collected, Failure>>> {
        let Some((collector, within)) = self.children.collected(id, fd) else { return Ok(None) };
        whole(collector, |bytes| Ok(Collected { bytes: to_buffer(&env, bytes)?, within: within as f64 })).map(Some)
    }

    /// What was collected of an output as UTF-8 text, made from the bytes where they lie; its pipe is closed. Null when it is not there.
    #[napi]
    pub fn collected_text<'env>(&self, env: &'env Env, id: u32, fd: u32) -> napi::Result<Option<Either<JsString<'env>, Failure>>> {
        let Some((collector, _)) = self.children.collected(id, fd) else { return Ok(None) };
        whole(collector, |bytes| text_of_output(env, bytes)).map(Some)
    }

    /// Sends a signal; 0 only asks whether the child still runs. Returns 0 or a negative errno.
    #[napi]
    pub fn kill(&self, id: u32, signal: i32) -> i32 {
        match catch(|| self.children.with(id, |child| child.send_signal(signal)).transpose()) {
            Ok(Some(())) => 0,
            Ok(None) => -ESRCH,
            Err(error) => -error.os_error().unwrap_or(if error.kind() == ErrorKind::NotFound { ESRCH } else { EINVAL }),
        }
    }

    /// Stops the child on a thread of its own; the report arrives as an event of the number `event`. False when it has ended.
    #[napi]
    pub fn stop(&self, id: u32, event: u32, steps: Vec<StopStep>, tree: Option<bool>) -> Either<bool, Failure> {
        guard(|| {
            let Some(handle) = self.children.with(id, |child| child.handle().clone()) else { return Ok(false) };
            let stop = stop_of(&steps, tree);
            let wake = self.wake.clone();
            let work = move || {
                let report = catch(|| handle.stop(&stop));
                wake.call(Event::Stop(event, report), ThreadsafeFunctionCallMode::NonBlocking);
            };
            std::thread::Builder::new()
                .name("procs-stop".to_owned())
                .spawn(work)
                .map(|_| true)
                .map_err(|error| procs::Error::from_io("stop", &error, "cannot start a thread"))
        })
    }
}

/// A collected output.
#[napi(object)]
pub struct Collected {
    /// All of it, the read that exceeded the limit included.
    pub bytes: Buffer,
    /// Bytes before that read; 0 when the limit was not exceeded.
    pub within: f64,
}

/// What was collected, or why some of it is lost: a failed read, no memory.
fn whole<T>(collector: Collector, convert: impl FnOnce(Bytes) -> napi::Result<T>) -> napi::Result<Either<T, Failure>> {
    match collector.finish() {
        Ok(bytes) => convert(bytes).map(Either::A),
        Err(error) => Ok(Either::B(Failure::from(&error))),
    }
}

fn stop_of(steps: &[StopStep], tree: Option<bool>) -> Stop {
    let mut stop = Stop::new();
    for step in steps {
        let wait = Duration::try_from_secs_f64(step.wait_ms / 1e3).unwrap_or(Duration::MAX);
        let action = match step.signal {
            0 => StopAction::Wait,
            SIGKILL => StopAction::Kill,
            signal => StopAction::Signal(signal),
        };
        stop = stop.step(action, wait);
    }
    match tree {
        Some(tree) => stop.tree(tree),
        None => stop,
    }
}

/// A pipe end whose other side is already closed: what the streams of a child that never started are made of.
#[napi]
pub fn dead_end(fd: i32) -> i32 {
    let end: std::io::Result<OwnedFd> = match fd {
        0 => std::io::pipe().map(|(_, writer)| writer.into()),
        1 | 2 => std::io::pipe().map(|(reader, _)| reader.into()),
        _ => UnixStream::pair().map(|(one, _)| one.into()),
    };
    end.map_or(-1, IntoRawFd::into_raw_fd)
}

/// Closes a descriptor of this process, such as one that came and that nobody wants. Unlike the runtime's own way this says nothing in a
/// worker thread, where the runtime warns of descriptors that it has not opened. False when it was not open.
#[napi]
pub fn close_fd(fd: i32) -> bool {
    procs::close_fd(fd).is_ok()
}

/// Makes the pipe behind a descriptor of this process hold 1 MiB; false when the system refuses, which changes nothing.
#[napi]
pub fn grow_pipe(fd: i32) -> bool {
    // The size belongs to the pipe, so a second description of it serves as well as the first.
    let pipe = File::options().read(true).custom_flags(O_NONBLOCK).open(format!("/proc/self/fd/{fd}"));
    pipe.is_ok_and(|pipe| PipeReader::from(OwnedFd::from(pipe)).grow(LARGE_PIPE))
}
