//! Finished runs: running to the end, and looking at what came out.

use crate::command::Plan;
use crate::guard::{guard, guard_value};
use crate::options::procs_spawn_options;
use crate::ptr::{Operation, Out, OutStruct, set_optional};
use crate::results::{self, procs_exit_status, procs_stop_report, procs_stream_report, procs_usage};
use crate::slab::{self, Object, Ref};
use crate::status::{invalid, procs_status, take_output};
use procs::{Error, ErrorKind, Output, Result, StreamReport};
use std::ffi::{c_char, c_int};
use std::os::fd::AsRawFd;

/// A finished run: how the child ended, what it wrote, and what had to be done to it.
pub struct procs_output {
    _opaque: [u8; 0],
}

pub(crate) struct OutputObject(pub(crate) Output);

impl Object for OutputObject {
    type Handle = procs_output;
    const TAG: usize = 3;
    const NOUN: &'static str = "output";
}

fn output(operation: Operation, handle: *const procs_output) -> Result<Ref<OutputObject>> {
    slab::get::<OutputObject>(operation, handle)
}

/// A stream of bytes for C: an empty one has an address too.
pub(crate) fn bytes(bytes: &[u8]) -> *const c_char {
    if bytes.is_empty() { c"".as_ptr() } else { bytes.as_ptr().cast() }
}

/// Runs a program to its end and gives what it wrote. Owned: free the output with `procs_output_free`.
///
/// PROCS_OK whatever the status; the output says when the timeout, the cancel handle or a limit stopped the run, and has all that was captured
/// until then. With `check` these are errors, and `procs_last_error_take_output` has the output.
///
/// When the run is stopped the child (with `kill_tree`, its tree) gets SIGTERM and `grace_ms`, then SIGKILL; its output is drained meanwhile
/// and for at most `drain_grace_ms` afterwards.
///
/// Errors: as `procs_spawn`; PROCS_E_CANCELLED before the start; PROCS_E_IO when the input function fails; with `check` PROCS_E_TIMEOUT,
/// PROCS_E_CANCELLED, PROCS_E_TOO_LARGE, PROCS_E_CHILD_FAILED, or why output was lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_run(options: *const procs_spawn_options, output: *mut *mut procs_output) -> procs_status {
    let operation = "procs_run";
    guard(operation, || {
        let out = Out::new(operation, "output", output)?;
        let done = Plan::read(operation, options)?.into_command().output()?;
        out.set(slab::insert(OutputObject(done))?);
        Ok(())
    })
}

/// Takes the output that came with the last error of this thread (from a run with `check`). Owned.
///
/// Errors: PROCS_E_NOT_FOUND when there is none, or it was taken before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_last_error_take_output(output: *mut *mut procs_output) -> procs_status {
    let operation = "procs_last_error_take_output";
    guard(operation, || {
        let out = Out::new(operation, "output", output)?;
        let taken = take_output().ok_or_else(|| Error::new(ErrorKind::NotFound, operation, "the last error has no output"))?;
        out.set(slab::insert(OutputObject(taken))?);
        Ok(())
    })
}

/// How the child ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_status(output: *const procs_output, status: *mut procs_exit_status) -> procs_status {
    let operation = "procs_output_status";
    guard(operation, || {
        let object = self::output(operation, output)?;
        OutStruct::new(operation, status)?.set(results::exit_status(object.0.status));
        Ok(())
    })
}

/// 1 when the child exited with code 0, nothing cut the run short and no output was lost, else 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_success(output: *const procs_output) -> c_int {
    guard_value("procs_output_success", 0, || Ok(self::output("procs_output_success", output)?.0.success().into()))
}

/// The error that `check` would have made of the run: 0 when it was a success. Becomes the last error of this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_check(output: *const procs_output) -> procs_status {
    guard("procs_output_check", || match self::output("procs_output_check", output)?.0.check_error() {
        Some(error) => Err(error),
        None => Ok(()),
    })
}

/// What the child wrote to standard output, and in `*len` (may be NULL) how many bytes; NULL for NULL. Borrowed: valid until the output is freed.
/// Not NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_stdout(output: *const procs_output, len: *mut usize) -> *const c_char {
    stream_bytes("procs_output_stdout", output, len, |output| &output.stdout)
}

/// What the child wrote to standard error; as `procs_output_stdout`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_stderr(output: *const procs_output, len: *mut usize) -> *const c_char {
    stream_bytes("procs_output_stderr", output, len, |output| &output.stderr)
}

fn stream_bytes(operation: Operation, handle: *const procs_output, len: *mut usize, pick: fn(&Output) -> &[u8]) -> *const c_char {
    guard_value(operation, std::ptr::null(), || {
        let object = output(operation, handle)?;
        let stream = pick(&object.0);
        set_optional(operation, "len", len, stream.len())?;
        Ok(bytes(stream))
    })
}

fn report(operation: Operation, object: &OutputObject, stream: c_int) -> Result<&StreamReport> {
    match stream {
        1 => Ok(&object.0.stdout_report),
        2 => Ok(&object.0.stderr_report),
        _ => Err(invalid(operation, format!("not an output stream (stream = {stream}, expected 1 or 2)"))),
    }
}

/// How the capture of stream 1 or 2 went.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_stream_report(output: *const procs_output, stream: c_int, report: *mut procs_stream_report) -> procs_status {
    let operation = "procs_output_stream_report";
    guard(operation, || {
        let object = self::output(operation, output)?;
        let out = OutStruct::new(operation, report)?;
        out.set(results::stream_report(self::report(operation, &object, stream)?));
        Ok(())
    })
}

/// The file that holds all of stream 1 or 2, at position 0, when PROCS_LIMIT_SPILL was exceeded; -1 otherwise. Borrowed: valid until the output is
/// freed. The file has no name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_spill_fd(output: *const procs_output, stream: c_int) -> c_int {
    let operation = "procs_output_spill_fd";
    guard_value(operation, -1, || {
        let object = self::output(operation, output)?;
        Ok(report(operation, &object, stream)?.spill.as_ref().map_or(-1, AsRawFd::as_raw_fd))
    })
}

/// What the child used and when.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_usage(output: *const procs_output, usage: *mut procs_usage) -> procs_status {
    let operation = "procs_output_usage";
    guard(operation, || {
        let object = self::output(operation, output)?;
        let out = OutStruct::new(operation, usage)?;
        out.set(results::usage(object.0.usage, object.0.started, object.0.wall_time));
        Ok(())
    })
}

/// What stopping the run did. Errors: PROCS_E_NOT_FOUND when it did not have to be stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_stop_report(output: *const procs_output, report: *mut procs_stop_report) -> procs_status {
    let operation = "procs_output_stop_report";
    guard(operation, || {
        let object = self::output(operation, output)?;
        let out = OutStruct::new(operation, report)?;
        let stopped = object.0.stopped.as_ref();
        out.set(results::stop_report(stopped.ok_or_else(|| Error::new(ErrorKind::NotFound, operation, "the run was not stopped"))?));
        Ok(())
    })
}

fn flag(operation: Operation, handle: *const procs_output, pick: fn(&Output) -> bool) -> c_int {
    guard_value(operation, 0, || Ok(pick(&output(operation, handle)?.0).into()))
}

/// 1 when the timeout passed before the run was complete; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_timed_out(output: *const procs_output) -> c_int {
    flag("procs_output_timed_out", output, |output| output.timed_out)
}

/// 1 when the cancel handle ended the run; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_cancelled(output: *const procs_output) -> c_int {
    flag("procs_output_cancelled", output, |output| output.cancelled)
}

/// 1 when somebody (a grandchild) still held a captured stream when reading it was given up; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_pipes_left_open(output: *const procs_output) -> c_int {
    flag("procs_output_pipes_left_open", output, |output| output.pipes_left_open)
}

/// The process id that the child had, for display only: the number may belong to somebody else by now. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_pid(output: *const procs_output) -> i32 {
    guard_value("procs_output_pid", 0, || Ok(self::output("procs_output_pid", output)?.0.pid as i32))
}

/// How often the start was repeated because the program's file was open for writing (ETXTBSY); 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_spawn_retries(output: *const procs_output) -> u32 {
    let operation = "procs_output_spawn_retries";
    guard_value(operation, 0, || Ok(self::output(operation, output)?.0.spawn_retries))
}

/// Frees the output and everything borrowed from it. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_output_free(output: *mut procs_output) -> procs_status {
    guard("procs_output_free", || slab::remove::<OutputObject>("procs_output_free", output).map(drop))
}
