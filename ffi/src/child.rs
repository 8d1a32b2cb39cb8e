//! Children: starting, waiting, signalling, stopping, letting go.

use crate::choices::timeout;
use crate::command::Plan;
use crate::guard::{guard, guard_value};
use crate::options::procs_spawn_options;
use crate::ptr::{Operation, Out, OutStruct};
use crate::results::{self, procs_exit_status, procs_stop_report, procs_usage};
use crate::slab::{self, Object, Ref, lock};
use crate::status::{invalid, procs_status};
use crate::stop::{Ladder, procs_stop_options};
use procs::{
    Channel, Child, ChildHandle, Deadline, Error, ErrorKind, PipeReader, PipeWriter, PipelineChild, Result, RunOptions, StopAction, StopReport,
};
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A child process, or one stage of a running pipeline.
pub struct procs_child {
    _opaque: [u8; 0],
}

/// The host's ends of a child's pipes. An `Arc` because a call in another thread may be using one while it is taken or closed.
#[derive(Default)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<Arc<PipeWriter>>,
    pub(crate) outputs: [Option<Arc<PipeReader>>; 2],
}

pub(crate) struct ChildObject {
    pub(crate) handle: ChildHandle,
    /// The child itself, until it is captured; `None` for a stage of a pipeline.
    owner: Mutex<Option<Child>>,
    pub(crate) pipes: Mutex<Pipes>,
    /// How its output would be captured.
    run: Mutex<Option<Box<RunOptions>>>,
    retries: u32,
    /// Keeps the children of a pipeline until the last stage's handle is freed.
    pipeline: Mutex<Option<Arc<Mutex<PipelineChild>>>>,
    /// The channel to it, until it is asked for.
    pub(crate) channel: Mutex<Option<Box<Channel>>>,
}

impl Object for ChildObject {
    type Handle = procs_child;
    const TAG: usize = 2;
    const NOUN: &'static str = "child";
}

impl ChildObject {
    /// A child just started, with the channel to it if there is one.
    fn new(mut child: Child, run: Option<Box<RunOptions>>, channel: Option<Box<Channel>>) -> ChildObject {
        let pipes =
            Pipes { stdin: child.stdin.take().map(Arc::new), outputs: [child.stdout.take().map(Arc::new), child.stderr.take().map(Arc::new)] };
        ChildObject {
            handle: child.handle().clone(),
            retries: child.spawn_retries(),
            owner: Mutex::new(Some(child)),
            pipes: Mutex::new(pipes),
            run: Mutex::new(run),
            pipeline: Mutex::new(None),
            channel: Mutex::new(channel),
        }
    }

    /// A further handle to a child that something else owns.
    pub(crate) fn shared(handle: ChildHandle) -> ChildObject {
        ChildObject {
            handle,
            owner: Mutex::new(None),
            pipes: Mutex::default(),
            run: Mutex::new(None),
            retries: 0,
            pipeline: Mutex::new(None),
            channel: Mutex::new(None),
        }
    }

    /// With the host's ends of these pipes.
    pub(crate) fn with_pipes(mut self, pipes: Pipes) -> ChildObject {
        self.pipes = Mutex::new(pipes);
        self
    }

    /// As a stage of this pipeline.
    pub(crate) fn with_pipeline(mut self, pipeline: Arc<Mutex<PipelineChild>>) -> ChildObject {
        self.pipeline = Mutex::new(Some(pipeline));
        self
    }

    /// The child with its pipes, for a capture.
    pub(crate) fn give_up(&self, operation: Operation) -> Result<(Child, RunOptions)> {
        let state = |detail: &str| Error::new(ErrorKind::InvalidState, operation, detail.to_owned());
        let mut pipes = lock(&self.pipes);
        let in_use = |count: usize| count > 1;
        if pipes.outputs.iter().flatten().map(Arc::strong_count).any(in_use) || pipes.stdin.iter().map(Arc::strong_count).any(in_use) {
            return Err(state("another thread is reading or writing the child's streams"));
        }
        let mut child = lock(&self.owner).take().ok_or_else(|| state("the child was captured before, or belongs to a pipeline"))?;
        let [stdout, stderr] = std::mem::take(&mut pipes.outputs);
        child.stdin = pipes.stdin.take().and_then(Arc::into_inner);
        child.stdout = stdout.and_then(Arc::into_inner);
        child.stderr = stderr.and_then(Arc::into_inner);
        let run = lock(&self.run).take();
        Ok((child, run.map_or_else(RunOptions::default, |run| *run)))
    }

    /// Climbs the ladder; the steps that close standard input are done here, where its pipe is.
    fn stop(&self, ladder: &Ladder) -> Result<StopReport> {
        let mut from = 0;
        for (index, (action, _)) in ladder.steps.iter().enumerate() {
            if *action != StopAction::CloseStdin {
                continue;
            }
            if index > from {
                let report = self.handle.stop(&ladder.part(from..index))?;
                if report.status.is_some() && report.survivors.is_empty() {
                    return Ok(report);
                }
            }
            lock(&self.pipes).stdin = None;
            from = index;
        }
        self.handle.stop(&ladder.part(from..ladder.steps.len()))
    }
}

#[inline(always)]
pub(crate) fn child(operation: Operation, handle: *const procs_child) -> Result<Ref<ChildObject>> {
    slab::get::<ChildObject>(operation, handle)
}

/// The error of a wait that did not see what it waited for: PROCS_E_WOULD_BLOCK for a timeout of 0, else PROCS_E_TIMEOUT.
pub(crate) fn not_yet(operation: Operation, what: &str, limit: Option<Duration>) -> Error {
    let limit = limit.unwrap_or_default();
    if limit.is_zero() {
        return Error::new(ErrorKind::WouldBlock, operation, format!("{what} (timeout_ms = 0)"));
    }
    Error::new(ErrorKind::Timeout, operation, format!("{what} (timeout_ms = {})", limit.as_millis()))
}

/// Starts a program. Owned: free the child with `procs_child_free`. Call next: `procs_child_wait`, or one of the readers.
///
/// The call returns once the program is executing, so it reports every reason why it cannot.
///
/// Errors: PROCS_E_NOT_FOUND and PROCS_E_PERMISSION_DENIED, `procs_last_error_stage` says of what; PROCS_E_EXHAUSTED with the errno, nothing is
/// left behind; PROCS_E_INVALID_ARGUMENT names the field; PROCS_E_IO with ENOEXEC for a file that is no program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_spawn(options: *const procs_spawn_options, child: *mut *mut procs_child) -> procs_status {
    let operation = "procs_spawn";
    guard(operation, || {
        let out = Out::new(operation, "child", child)?;
        let mut plan = Plan::read(operation, options)?;
        if let Some(run) = &plan.run {
            if let Some(timeout) = run.timeout {
                plan.command.timeout(timeout);
            }
            if let Some(cancel) = &run.cancel {
                plan.command.cancel(cancel);
            }
        }
        let (started, channel) = match &plan.channel {
            None => (plan.command.spawn()?, None),
            Some(options) => plan.command.fork_with(options).map(|(child, channel)| (child, Some(Box::new(channel))))?,
        };
        out.set(slab::insert(ChildObject::new(started, plan.run, channel))?);
        Ok(())
    })
}

/// Waits until the child has ended. Any number of threads may wait, any number of times; all get the same answer.
///
/// With -1 the host's end of the child's standard input, if it is a pipe, is closed first: a child that reads to the end could not end
/// otherwise. Output that nobody reads can keep a child from ending: use `procs_run` or a capture, or read first.
///
/// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when it still runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_wait(child: *const procs_child, timeout_ms: i64, status: *mut procs_exit_status) -> procs_status {
    let operation = "procs_child_wait";
    guard(operation, || {
        let object = self::child(operation, child)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let out = OutStruct::optional(operation, status)?;
        if limit.is_none() {
            lock(&object.pipes).stdin = None;
        }
        let ended = object.handle.wait_deadline(Deadline::from_timeout(limit))?;
        let ended = ended.ok_or_else(|| not_yet(operation, "the child still runs", limit))?;
        if let Some(out) = out {
            out.set(results::exit_status(ended));
        }
        Ok(())
    })
}

/// As `procs_child_wait` with a timeout of 0: PROCS_E_WOULD_BLOCK when it still runs. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_try_wait(child: *const procs_child, status: *mut procs_exit_status) -> procs_status {
    let operation = "procs_child_try_wait";
    guard(operation, || {
        let object = self::child(operation, child)?;
        let out = OutStruct::optional(operation, status)?;
        let ended = object.handle.try_wait()?.ok_or_else(|| not_yet(operation, "the child still runs", None))?;
        if let Some(out) = out {
            out.set(results::exit_status(ended));
        }
        Ok(())
    })
}

/// What the child used and when. Errors: PROCS_E_INVALID_STATE before it was waited for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_usage(child: *const procs_child, usage: *mut procs_usage) -> procs_status {
    let operation = "procs_child_usage";
    guard(operation, || {
        let object = self::child(operation, child)?;
        let out = OutStruct::new(operation, usage)?;
        let exit = object.handle.exit();
        let exit = exit.ok_or_else(|| Error::new(ErrorKind::InvalidState, operation, "the child was not waited for yet"))?;
        out.set(results::usage_of(&exit));
        Ok(())
    })
}

/// The process id; 0 for NULL. It stays this child's own until the child was waited for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_pid(child: *const procs_child) -> i32 {
    guard_value("procs_child_pid", 0, || Ok(self::child("procs_child_pid", child)?.handle.id() as i32))
}

/// A descriptor that becomes and stays readable once the child has ended, for poll and event loops; -1 for NULL. Borrowed: valid until the child
/// is freed; never read from it. Call next: `procs_child_try_wait`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_fd(child: *const procs_child) -> c_int {
    guard_value("procs_child_fd", -1, || Ok(self::child("procs_child_fd", child)?.handle.as_fd().as_raw_fd()))
}

/// How often the start was repeated because the program's file was open for writing (ETXTBSY); 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_spawn_retries(child: *const procs_child) -> u32 {
    guard_value("procs_child_spawn_retries", 0, || Ok(self::child("procs_child_spawn_retries", child)?.retries))
}

/// The means that stopping the tree will use: one of `procs_tree_level`; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_tree_level(child: *const procs_child) -> c_int {
    let operation = "procs_child_tree_level";
    guard_value(operation, 0, || Ok(crate::choices::tree_level_number(self::child(operation, child)?.handle.tree_level())))
}

/// Sends SIGKILL to the child alone. Works also when it has ended already; wait for it afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_kill(child: *const procs_child) -> procs_status {
    guard("procs_child_kill", || self::child("procs_child_kill", child)?.handle.kill())
}

/// Sends a signal, 0 to 64, to the child alone; 0 only checks.
///
/// Errors: PROCS_E_NOT_FOUND with ESRCH when it has ended; never reaches another process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_send_signal(child: *const procs_child, signal: c_int) -> procs_status {
    let operation = "procs_child_send_signal";
    guard(operation, || self::child(operation, child)?.handle.send_signal(signal))
}

/// Ends the child by a ladder of actions and waits for it. NULL for `options` is SIGTERM, 5 s, SIGKILL; NULL for `report` is fine.
///
/// Works also when the child has ended already. A child that outlives the last step is reported as PROCS_EXIT_NONE, not as an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_stop(
    child: *const procs_child,
    options: *const procs_stop_options,
    report: *mut procs_stop_report,
) -> procs_status {
    let operation = "procs_child_stop";
    guard(operation, || {
        let object = self::child(operation, child)?;
        let ladder = Ladder::read(operation, options)?;
        let out = OutStruct::optional(operation, report)?;
        let done = object.stop(&ladder)?;
        if let Some(out) = out {
            out.set(results::stop_report(&done));
        }
        Ok(())
    })
}

/// Ends the child and all its descendants with SIGKILL, by the strongest means there is, and waits. NULL for `report` is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_kill_tree(child: *const procs_child, report: *mut procs_stop_report) -> procs_status {
    let operation = "procs_child_kill_tree";
    guard(operation, || {
        let object = self::child(operation, child)?;
        let out = OutStruct::optional(operation, report)?;
        let done = object.handle.kill_tree()?;
        if let Some(out) = out {
            out.set(results::stop_report(&done));
        }
        Ok(())
    })
}

/// Hands over the host's end of a pipe to the child's descriptor `child_fd`. Owned: close it. Each once; afterwards the functions here that
/// read and write it no longer do.
///
/// Errors: PROCS_E_INVALID_STATE when there is no such pipe, it was taken before, or another thread is using it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_take_fd(child: *const procs_child, child_fd: c_int, fd: *mut c_int) -> procs_status {
    let operation = "procs_child_take_fd";
    guard(operation, || {
        let object = self::child(operation, child)?;
        let out = Out::new(operation, "fd", fd)?;
        if child_fd < 0 {
            return Err(invalid(operation, format!("not a descriptor (child_fd = {child_fd})")));
        }
        let taken = take_end(&object, child_fd);
        let missing = || Error::new(ErrorKind::InvalidState, operation, format!("no pipe, taken before or in use (child_fd = {child_fd})"));
        out.set(taken.ok_or_else(missing)?.into_raw_fd());
        Ok(())
    })
}

fn take_end(object: &ChildObject, child_fd: c_int) -> Option<OwnedFd> {
    let mut pipes = lock(&object.pipes);
    match child_fd {
        0 => take_unused(&mut pipes.stdin).map(OwnedFd::from),
        1 | 2 => take_unused(&mut pipes.outputs[child_fd as usize - 1]).map(OwnedFd::from),
        _ => lock(&object.owner).as_mut()?.take_fd(child_fd),
    }
}

/// Takes what no other thread is using; leaves it there otherwise.
pub(crate) fn take_unused<T>(slot: &mut Option<Arc<T>>) -> Option<T> {
    match Arc::try_unwrap(slot.take()?) {
        Ok(value) => Some(value),
        Err(shared) => {
            *slot = Some(shared);
            None
        }
    }
}

/// Frees the handle. A child that still runs runs on and is reaped by the library once it ends, unless it was started with `kill_on_free`. Its
/// pipes are closed. Never blocks. Calls that are using the child in other threads finish first. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_free(child: *mut procs_child) -> procs_status {
    guard("procs_child_free", || {
        if let Some(object) = slab::remove::<ChildObject>("procs_child_free", child)? {
            // Taken out now, because a call in another thread may keep the object itself for long.
            let owner = lock(&object.owner).take();
            let pipes = std::mem::take(&mut *lock(&object.pipes));
            let pipeline = lock(&object.pipeline).take();
            drop((owner, pipes, pipeline));
        }
        Ok(())
    })
}
