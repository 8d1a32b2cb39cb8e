//! Finished pipelines.

use crate::guard::{guard, guard_value};
use crate::output::bytes;
use crate::ptr::{Operation, Out, OutStruct, set_optional};
use crate::results::{self, procs_exit_status, procs_stop_report, procs_stream_report, procs_usage};
use crate::slab::{self, Object, Ref};
use crate::status::{invalid, procs_status, take_pipeline_output};
use procs::{Error, ErrorKind, PipelineOutput, Result, StageResult};
use std::ffi::{c_char, c_int};
use std::time::UNIX_EPOCH;

/// A finished pipeline: how each stage ended and what the last one wrote.
pub struct procs_pipeline_output {
    _opaque: [u8; 0],
}

pub(crate) struct PipelineOutputObject(pub(crate) PipelineOutput);

impl Object for PipelineOutputObject {
    type Handle = procs_pipeline_output;
    const TAG: usize = 7;
    const NOUN: &'static str = "pipeline_output";
}

fn get(operation: Operation, handle: *const procs_pipeline_output) -> Result<Ref<PipelineOutputObject>> {
    slab::get::<PipelineOutputObject>(operation, handle)
}

fn stage(operation: Operation, object: &PipelineOutputObject, index: usize) -> Result<&StageResult> {
    let count = object.0.stages.len();
    object.0.stages.get(index).ok_or_else(|| invalid(operation, format!("no such stage (stage = {index}, expected less than {count})")))
}

/// Takes the pipeline output that came with the last error of this thread (from a run with `check`). Owned.
///
/// Errors: PROCS_E_NOT_FOUND when there is none, or it was taken before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_last_error_take_pipeline_output(output: *mut *mut procs_pipeline_output) -> procs_status {
    let operation = "procs_last_error_take_pipeline_output";
    guard(operation, || {
        let out = Out::new(operation, "output", output)?;
        let taken = take_pipeline_output();
        let taken = taken.ok_or_else(|| Error::new(ErrorKind::NotFound, operation, "the last error has no pipeline output"))?;
        out.set(slab::insert(PipelineOutputObject(taken))?);
        Ok(())
    })
}

/// 1 when every stage exited with code 0, nothing cut the run short and no output was lost, else 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_success(output: *const procs_pipeline_output) -> c_int {
    flag("procs_pipeline_output_success", output, PipelineOutput::success)
}

/// The error that `check` would have made of the run: 0 when it was a success. Becomes the last error of this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_check(output: *const procs_pipeline_output) -> procs_status {
    let operation = "procs_pipeline_output_check";
    guard(operation, || get(operation, output)?.0.check_error().map_or(Ok(()), Err))
}

/// The status of the last stage that was no success, else of the last stage (`pipefail` of sh).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_status(output: *const procs_pipeline_output, status: *mut procs_exit_status) -> procs_status {
    let operation = "procs_pipeline_output_status";
    guard(operation, || {
        let object = get(operation, output)?;
        OutStruct::new(operation, status)?.set(results::exit_status(object.0.status()));
        Ok(())
    })
}

/// Number of stages; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_stage_count(output: *const procs_pipeline_output) -> usize {
    let operation = "procs_pipeline_output_stage_count";
    guard_value(operation, 0, || Ok(get(operation, output)?.0.stages.len()))
}

/// How a stage, counted from 0, ended. One whose reader went away first usually ended by SIGPIPE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_stage_status(
    output: *const procs_pipeline_output,
    stage: usize,
    status: *mut procs_exit_status,
) -> procs_status {
    let operation = "procs_pipeline_output_stage_status";
    guard(operation, || {
        let object = get(operation, output)?;
        let out = OutStruct::new(operation, status)?;
        out.set(results::exit_status(self::stage(operation, &object, stage)?.status));
        Ok(())
    })
}

/// What a stage used. Its `started_us` is 0 and its `wall_time_us` is that of the whole pipeline.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_stage_usage(
    output: *const procs_pipeline_output,
    stage: usize,
    usage: *mut procs_usage,
) -> procs_status {
    let operation = "procs_pipeline_output_stage_usage";
    guard(operation, || {
        let object = get(operation, output)?;
        let out = OutStruct::new(operation, usage)?;
        out.set(results::usage(self::stage(operation, &object, stage)?.usage, UNIX_EPOCH, object.0.wall_time));
        Ok(())
    })
}

/// What a stage wrote to standard error, and in `*len` (may be NULL) how many bytes; NULL when there is no such stage. Borrowed: valid until the
/// output is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_stage_stderr(output: *const procs_pipeline_output, stage: usize, len: *mut usize) -> *const c_char {
    let operation = "procs_pipeline_output_stage_stderr";
    guard_value(operation, std::ptr::null(), || {
        let object = get(operation, output)?;
        let stream: &[u8] = &self::stage(operation, &object, stage)?.stderr;
        set_optional(operation, "len", len, stream.len())?;
        Ok(bytes(stream))
    })
}

/// What the last stage wrote to standard output, and in `*len` (may be NULL) how many bytes; NULL for NULL. Borrowed: valid until the output is
/// freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_stdout(output: *const procs_pipeline_output, len: *mut usize) -> *const c_char {
    let operation = "procs_pipeline_output_stdout";
    guard_value(operation, std::ptr::null(), || {
        let object = get(operation, output)?;
        let stream: &[u8] = &object.0.stdout;
        set_optional(operation, "len", len, stream.len())?;
        Ok(bytes(stream))
    })
}

/// How the capture of standard output went.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_stream_report(output: *const procs_pipeline_output, report: *mut procs_stream_report) -> procs_status {
    let operation = "procs_pipeline_output_stream_report";
    guard(operation, || {
        let object = get(operation, output)?;
        OutStruct::new(operation, report)?.set(results::stream_report(&object.0.stdout_report));
        Ok(())
    })
}

/// What stopping the run did. Errors: PROCS_E_NOT_FOUND when it did not have to be stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_stop_report(output: *const procs_pipeline_output, report: *mut procs_stop_report) -> procs_status {
    let operation = "procs_pipeline_output_stop_report";
    guard(operation, || {
        let object = get(operation, output)?;
        let out = OutStruct::new(operation, report)?;
        let stopped = object.0.stopped.as_ref();
        out.set(results::stop_report(stopped.ok_or_else(|| Error::new(ErrorKind::NotFound, operation, "the run was not stopped"))?));
        Ok(())
    })
}

fn flag(operation: Operation, handle: *const procs_pipeline_output, pick: fn(&PipelineOutput) -> bool) -> c_int {
    guard_value(operation, 0, || Ok(pick(&get(operation, handle)?.0).into()))
}

/// 1 when the timeout passed before the run was complete; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_timed_out(output: *const procs_pipeline_output) -> c_int {
    flag("procs_pipeline_output_timed_out", output, |output| output.timed_out)
}

/// 1 when the cancel handle ended the run; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_cancelled(output: *const procs_pipeline_output) -> c_int {
    flag("procs_pipeline_output_cancelled", output, |output| output.cancelled)
}

/// 1 when somebody (a grandchild) still held a captured stream when reading it was given up; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_pipes_left_open(output: *const procs_pipeline_output) -> c_int {
    flag("procs_pipeline_output_pipes_left_open", output, |output| output.pipes_left_open)
}

/// Frees the output and everything borrowed from it. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_output_free(output: *mut procs_pipeline_output) -> procs_status {
    guard("procs_pipeline_output_free", || slab::remove::<PipelineOutputObject>("procs_pipeline_output_free", output).map(drop))
}
