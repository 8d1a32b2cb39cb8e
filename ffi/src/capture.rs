//! Captures: runs that are drained bit by bit, for programs with a loop of their own.

use crate::bell::Bell;
use crate::child::{ChildObject, child, not_yet, procs_child};
use crate::choices::timeout;
use crate::command::Plan;
use crate::guard::{guard, guard_value};
use crate::options::procs_spawn_options;
use crate::output::{OutputObject, bytes, procs_output};
use crate::ptr::{Operation, Out, OutStruct, set_optional};
use crate::results::{self, procs_stop_report};
use crate::slab::{self, Object};
use crate::status::procs_status;
use crate::stop::{Ladder, procs_stop_options};
use procs::{Capture, ChildHandle, Deadline, Error, ErrorKind, Result, RunOptions, Stdio};
use std::ffi::{c_char, c_int};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::task::{Context, Poll};

/// One child being captured: can be run for a while, looked at, and run on.
pub struct procs_capture {
    _opaque: [u8; 0],
}

struct CaptureObject {
    /// `None` once finished. Never waited for: a callback that came from a run finds it taken and is refused, instead of hanging.
    capture: Mutex<Option<Capture>>,
    handle: ChildHandle,
    bell: OnceLock<Arc<Bell>>,
}

impl Object for CaptureObject {
    type Handle = procs_capture;
    const TAG: usize = 4;
    const NOUN: &'static str = "capture";
}

impl CaptureObject {
    fn new(capture: Capture) -> CaptureObject {
        CaptureObject { handle: capture.handle().clone(), capture: Mutex::new(Some(capture)), bell: OnceLock::new() }
    }

    fn bell(&self, operation: Operation) -> Result<&Arc<Bell>> {
        if self.bell.get().is_none() {
            // If two threads come at once the second bell is dropped.
            let _ = self.bell.set(Bell::new(operation)?);
        }
        self.bell.get().ok_or_else(|| Error::new(ErrorKind::Panic, operation, "the bell is gone"))
    }
}

/// Takes the lock of something that one call at a time may use.
pub(crate) fn exclusive<'a, T>(operation: Operation, mutex: &'a Mutex<T>) -> Result<MutexGuard<'a, T>> {
    match mutex.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poison)) => Ok(poison.into_inner()),
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(ErrorKind::InvalidState, operation, "another call is using this handle, in another thread or further up in this one"))
        }
    }
}

fn finished(operation: Operation) -> Error {
    Error::new(ErrorKind::InvalidState, operation, "the capture was finished before")
}

/// Starts a program whose output is captured by later calls. Owned: free it with `procs_capture_free`. Errors: as `procs_spawn`.
///
/// Call next: `procs_capture_run`, or poll `procs_capture_fd` and call `procs_capture_dispatch`; then `procs_capture_finish`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_capture_start(options: *const procs_spawn_options, capture: *mut *mut procs_capture) -> procs_status {
    let operation = "procs_capture_start";
    guard(operation, || {
        let out = Out::new(operation, "capture", capture)?;
        let Plan { mut command, run, default_stdio, channel: _ } = Plan::read(operation, options)?;
        let run = run.map_or_else(RunOptions::default, |run| *run);
        if default_stdio[0] {
            command.stdin(if run.input.is_some() { Stdio::piped() } else { Stdio::null() });
        }
        if default_stdio[1] {
            command.stdout(Stdio::piped());
        }
        if default_stdio[2] {
            command.stderr(Stdio::piped());
        }
        let started = command.spawn()?.capture(run)?;
        out.set(slab::insert(CaptureObject::new(started))?);
        Ok(())
    })
}

/// Captures a child that was started with pipes, by the options it was started with; its timeout counts from now. Owned.
///
/// The child's handle stays, to wait for it and to signal it; its streams now belong to the capture, its standard input is fed or closed.
///
/// Errors: PROCS_E_INVALID_STATE when it is captured already or another thread is using its streams.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_capture(child: *const procs_child, capture: *mut *mut procs_capture) -> procs_status {
    let operation = "procs_child_capture";
    guard(operation, || {
        let object = self::child(operation, child)?;
        let out = Out::new(operation, "capture", capture)?;
        let (owned, run) = object.give_up(operation)?;
        out.set(slab::insert(CaptureObject::new(owned.capture(run)?))?);
        Ok(())
    })
}

/// Runs the capture: PROCS_OK once the child has ended and its streams are closed. After a timeout nothing is lost and the child runs on: call
/// again.
///
/// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when it is not complete.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_capture_run(capture: *mut procs_capture, timeout_ms: i64) -> procs_status {
    let operation = "procs_capture_run";
    guard(operation, || {
        let object = slab::get::<CaptureObject>(operation, capture)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let mut slot = exclusive(operation, &object.capture)?;
        let capture = slot.as_mut().ok_or_else(|| finished(operation))?;
        if capture.run(Deadline::from_timeout(limit))? { Ok(()) } else { Err(not_yet(operation, "the run is not complete", limit)) }
    })
}

/// A descriptor to poll for reading: readable when `procs_capture_dispatch` has something to do, at first and at the end too; -1 when there is
/// none. Borrowed: valid until the capture is freed; never read from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_capture_fd(capture: *const procs_capture) -> c_int {
    let operation = "procs_capture_fd";
    guard_value(operation, -1, || Ok(slab::get::<CaptureObject>(operation, capture)?.bell(operation)?.fd()))
}

/// Does what can be done without blocking. `*complete` becomes 1 once the child has ended and its streams are closed, else 0: poll again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_capture_dispatch(capture: *mut procs_capture, complete: *mut c_int) -> procs_status {
    let operation = "procs_capture_dispatch";
    guard(operation, || {
        let object = slab::get::<CaptureObject>(operation, capture)?;
        let out = Out::new(operation, "complete", complete)?;
        let mut slot = exclusive(operation, &object.capture)?;
        let capture = slot.as_mut().ok_or_else(|| finished(operation))?;
        let bell = object.bell(operation)?;
        bell.silence();
        let polled = capture.poll_run(&mut Context::from_waker(&bell.waker()));
        let ready = matches!(polled, Poll::Ready(_));
        if ready {
            // Level-readable at the end: a loop that polls once more finds it.
            bell.ring();
        }
        if let Poll::Ready(result) = polled {
            result?;
        }
        out.set(ready.into());
        Ok(())
    })
}

/// Standard output as far as captured, and in `*len` (may be NULL) how many bytes; NULL when there is none or the capture was finished. Borrowed:
/// valid until the next call with this capture.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_capture_stdout(capture: *mut procs_capture, len: *mut usize) -> *const c_char {
    so_far("procs_capture_stdout", capture, len, Capture::stdout)
}

/// Standard error as far as captured; as `procs_capture_stdout`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_capture_stderr(capture: *mut procs_capture, len: *mut usize) -> *const c_char {
    so_far("procs_capture_stderr", capture, len, Capture::stderr)
}

fn so_far(operation: Operation, handle: *mut procs_capture, len: *mut usize, pick: fn(&Capture) -> &[u8]) -> *const c_char {
    guard_value(operation, std::ptr::null(), || {
        let object = slab::get::<CaptureObject>(operation, handle)?;
        let slot = exclusive(operation, &object.capture)?;
        let stream = pick(slot.as_ref().ok_or_else(|| finished(operation))?);
        set_optional(operation, "len", len, stream.len())?;
        Ok(bytes(stream))
    })
}

/// A further handle to the captured child, to wait for its end, to signal it or to name it. Owned: free it with `procs_child_free`, which does
/// nothing to the child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_capture_child(capture: *const procs_capture, child: *mut *mut procs_child) -> procs_status {
    let operation = "procs_capture_child";
    guard(operation, || {
        let object = slab::get::<CaptureObject>(operation, capture)?;
        let out = Out::new(operation, "child", child)?;
        out.set(slab::insert(ChildObject::shared(object.handle.clone()))?);
        Ok(())
    })
}

/// Ends the child by a ladder, draining its output meanwhile, so that a child that still writes can obey. NULL as in `procs_child_stop`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_capture_stop(
    capture: *mut procs_capture,
    options: *const procs_stop_options,
    report: *mut procs_stop_report,
) -> procs_status {
    let operation = "procs_capture_stop";
    guard(operation, || {
        let object = slab::get::<CaptureObject>(operation, capture)?;
        let ladder = Ladder::read(operation, options)?;
        let out = OutStruct::optional(operation, report)?;
        let mut slot = exclusive(operation, &object.capture)?;
        let done = slot.as_mut().ok_or_else(|| finished(operation))?.stop(&ladder.whole())?;
        if let Some(out) = out {
            out.set(results::stop_report(&done));
        }
        Ok(())
    })
}

/// Runs to the end if that is not reached, and gives the result. Owned: free it with `procs_output_free`. Only once; the capture remains to be
/// freed.
///
/// Errors: as `procs_run` once the child is started; PROCS_E_INVALID_STATE when it was finished before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_capture_finish(capture: *mut procs_capture, output: *mut *mut procs_output) -> procs_status {
    let operation = "procs_capture_finish";
    guard(operation, || {
        let object = slab::get::<CaptureObject>(operation, capture)?;
        let out = Out::new(operation, "output", output)?;
        let mut slot = exclusive(operation, &object.capture)?;
        slot.as_mut().ok_or_else(|| finished(operation))?.run(Deadline::NEVER)?;
        let done = slot.take().ok_or_else(|| finished(operation))?.finish()?;
        out.set(slab::insert(OutputObject(done))?);
        Ok(())
    })
}

/// Frees the capture. A child that has not ended is killed (with `kill_tree`, its tree), because nobody is left to read its output. NULL is
/// fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_capture_free(capture: *mut procs_capture) -> procs_status {
    let operation = "procs_capture_free";
    guard(operation, || {
        if let Some(object) = slab::remove::<CaptureObject>(operation, capture)? {
            // A call that is running it, perhaps the one whose callback we are in, drops it when it ends.
            let running = exclusive(operation, &object.capture).ok().and_then(|mut slot| slot.take());
            drop(running);
        }
        Ok(())
    })
}
