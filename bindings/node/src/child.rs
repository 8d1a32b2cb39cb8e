//! One running child, as `lib/handle.js` sees it.

use crate::error::{Failure, catch, guard};
use crate::event::{Event, Wake};
use napi::bindgen_prelude::Either;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use procs::{Child, ErrorKind, PipeReader, Stop, StopAction};
use std::fs::File;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

const SIGKILL: i32 = 9;
const O_NONBLOCK: i32 = 0o4000;
const LARGE_PIPE: usize = 1 << 20;

/// A child. When the object is collected the child runs on and is reaped by the core.
#[napi]
pub struct NativeChild {
    child: Child,
    wake: Arc<Wake>,
}

/// One step of a stop: a signal (0 only waits) and how long it is given.
#[napi(object)]
pub struct StopStep {
    /// Signal number; 0 sends nothing.
    pub signal: i32,
    /// Time before the next step, in milliseconds.
    pub wait_ms: f64,
}

impl NativeChild {
    pub(crate) fn new(child: Child, wake: Arc<Wake>) -> NativeChild {
        NativeChild { child, wake }
    }
}

#[napi]
impl NativeChild {
    /// Process id.
    #[napi(getter)]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Hands the host's end of a pipe over as a descriptor that the caller must close; -1 when there is none (any more).
    #[napi]
    pub fn take(&mut self, fd: i32) -> i32 {
        let end: Option<OwnedFd> = match fd {
            0 => self.child.stdin.take().map(OwnedFd::from),
            1 => self.child.stdout.take().map(OwnedFd::from),
            2 => self.child.stderr.take().map(OwnedFd::from),
            other => self.child.take_fd(other),
        };
        end.map_or(-1, IntoRawFd::into_raw_fd)
    }

    /// Sends a signal; 0 only asks whether the child still runs. Returns 0 or a negative errno.
    #[napi]
    pub fn kill(&self, signal: i32) -> i32 {
        match catch(|| self.child.send_signal(signal)) {
            Ok(()) => 0,
            Err(error) => -error.os_error().unwrap_or(if error.kind() == ErrorKind::NotFound { 3 } else { 22 }),
        }
    }

    /// Stops the child on a thread of its own; the report arrives as an event of this number.
    #[napi]
    pub fn stop(&self, id: u32, steps: Vec<StopStep>, tree: Option<bool>) -> Either<(), Failure> {
        guard(|| {
            let handle = self.child.handle().clone();
            let stop = stop_of(&steps, tree);
            let wake = self.wake.clone();
            let work = move || {
                let report = catch(|| handle.stop(&stop));
                wake.call(Event::Stop(id, report), ThreadsafeFunctionCallMode::NonBlocking);
            };
            std::thread::Builder::new()
                .name("procs-stop".to_owned())
                .spawn(work)
                .map(drop)
                .map_err(|error| procs::Error::from_io("stop", &error, "cannot start a thread"))
        })
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

/// Makes the pipe behind a descriptor of this process hold 1 MiB; false when the system refuses, which changes nothing.
#[napi]
pub fn grow_pipe(fd: i32) -> bool {
    // The size belongs to the pipe, so a second description of it serves as well as the first.
    let pipe = File::options().read(true).custom_flags(O_NONBLOCK).open(format!("/proc/self/fd/{fd}"));
    pipe.is_ok_and(|pipe| PipeReader::from(OwnedFd::from(pipe)).grow(LARGE_PIPE))
}
