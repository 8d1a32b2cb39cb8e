//! Pipelines: children joined by pipes of the system.

use crate::cancel::{CancelObject, procs_cancel};
use crate::child::{ChildObject, Pipes, procs_child};
use crate::choices::{timeout, whole_timeout, yes};
use crate::command::{Plan, input, limit, sink, stream};
use crate::guard::{guard, guard_value};
use crate::options::*;
use crate::pipeline_output::{PipelineOutputObject, procs_pipeline_output};
use crate::ptr::{self, Operation, Out, Sized8, init_options};
use crate::slab::{self, Object};
use crate::status::{invalid, procs_status};
use procs::{Pipeline, PipelineChild, Result};
use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex};

/// Several commands, each reading what the one before it writes. The bytes go through pipes of the system, not through the host.
pub struct procs_pipeline {
    _opaque: [u8; 0],
}

struct PipelineObject(Mutex<State>);

struct State {
    pipeline: Pipeline,
    stages: usize,
}

impl Object for PipelineObject {
    type Handle = procs_pipeline;
    const TAG: usize = 6;
    const NOUN: &'static str = "pipeline";
}

/// What holds for a pipeline as a whole. Set the defaults with `procs_pipeline_options_init`. Names and meanings are those of
/// `procs_spawn_options`; what a stage's own options say about these is not used, apart from `stderr_to`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_pipeline_options {
    /// sizeof(procs_pipeline_options), set by `procs_pipeline_options_init`.
    pub size: usize,
    /// Standard input of the first stage.
    pub stdin_from: procs_stdio,
    /// Standard output of the last stage.
    pub stdout_to: procs_stdio,
    /// Standard error of every stage that names none itself.
    pub stderr_to: procs_stdio,
    /// run: time for the whole run; -1: no limit (default).
    pub timeout_ms: i64,
    /// run: time between SIGTERM and SIGKILL when the run is stopped. Default: 0.
    pub grace_ms: i64,
    /// run: fed to the first stage. Default: NULL, nothing.
    pub input: *const c_void,
    /// run: bytes of `input`.
    pub input_len: usize,
    /// run: supplies the input piece by piece, instead of `input`. Default: NULL.
    pub input_callback: procs_input_fn,
    /// run: handed to `input_callback`.
    pub input_user_data: *mut c_void,
    /// run: limit of the captured standard output, and of each stage's captured standard error.
    pub output_limit: procs_output_limit,
    /// run: where the captured standard output goes.
    pub stdout_sink: procs_sink,
    /// run: stops the run when cancelled. Default: NULL.
    pub cancel: *const procs_cancel,
    /// 1: stopping stops the descendants of every stage. Default: 0.
    pub kill_tree: c_int,
    /// run, 1: anything but a success of every stage is an error; `procs_last_error_take_pipeline_output` then has the output. Default: 0.
    pub check: c_int,
}

// SAFETY: integers, pointers, `Option` of functions and frozen structs of these; `tests/c/abi.c` asserts that there is no padding.
unsafe impl Sized8 for procs_pipeline_options {
    const NAME: &'static str = "procs_pipeline_options";
}

const WHOLE: procs_pipeline_options = procs_pipeline_options {
    size: size_of::<procs_pipeline_options>(),
    stdin_from: DEFAULTS.stdin_from,
    stdout_to: DEFAULTS.stdout_to,
    stderr_to: DEFAULTS.stderr_to,
    timeout_ms: -1,
    grace_ms: 0,
    input: std::ptr::null(),
    input_len: 0,
    input_callback: None,
    input_user_data: std::ptr::null_mut(),
    output_limit: DEFAULTS.stdout_limit,
    stdout_sink: DEFAULTS.stdout_sink,
    cancel: std::ptr::null(),
    kill_tree: 0,
    check: 0,
};

/// Writes the defaults; `size` is sizeof(procs_pipeline_options).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_options_init(options: *mut procs_pipeline_options, size: usize) -> procs_status {
    let operation = "procs_pipeline_options_init";
    guard(operation, || init_options(operation, options, size, &WHOLE))
}

/// Makes a pipeline without stages. NULL for `options` means the defaults. Owned: free it with `procs_pipeline_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_new(options: *const procs_pipeline_options, pipeline: *mut *mut procs_pipeline) -> procs_status {
    let operation = "procs_pipeline_new";
    guard(operation, || {
        let out = Out::new(operation, "pipeline", pipeline)?;
        let o = if options.is_null() { WHOLE } else { ptr::read_options(operation, options, &WHOLE)? };
        let mut made = Pipeline::new([]);
        set_streams(operation, &o, &mut made)?;
        set_run(operation, &o, &mut made)?;
        out.set(slab::insert(PipelineObject(Mutex::new(State { pipeline: made, stages: 0 })))?);
        Ok(())
    })
}

fn set_streams(op: Operation, o: &procs_pipeline_options, pipeline: &mut Pipeline) -> Result<()> {
    if let Some(stdio) = stream(op, &o.stdin_from)? {
        pipeline.stdin(stdio);
    }
    if let Some(stdio) = stream(op, &o.stdout_to)? {
        pipeline.stdout(stdio);
    }
    if let Some(stdio) = stream(op, &o.stderr_to)? {
        pipeline.stderr(stdio);
    }
    Ok(())
}

fn set_run(op: Operation, o: &procs_pipeline_options, pipeline: &mut Pipeline) -> Result<()> {
    if let Some(limit) = timeout(op, "timeout_ms", o.timeout_ms)? {
        pipeline.timeout(limit);
    }
    if let Some(input) = input(op, o.input, o.input_len, (o.input_callback, o.input_user_data))? {
        pipeline.input(input);
    }
    if !o.cancel.is_null() {
        pipeline.cancel(&slab::get::<CancelObject>(op, o.cancel)?.0);
    }
    pipeline.grace(whole_timeout(op, "grace_ms", o.grace_ms)?).kill_tree(yes(op, "kill_tree", o.kill_tree)?);
    pipeline.max_output(limit(op, &o.output_limit)?).stdout_sink(sink(op, &o.stdout_sink)?).check(yes(op, "check", o.check)?);
    Ok(())
}

/// Appends a stage.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_add(pipeline: *mut procs_pipeline, options: *const procs_spawn_options) -> procs_status {
    let operation = "procs_pipeline_add";
    guard(operation, || {
        let object = slab::get::<PipelineObject>(operation, pipeline)?;
        let command = Plan::read(operation, options)?.command;
        let mut state = crate::capture::exclusive(operation, &object.0)?;
        state.pipeline.then(command);
        state.stages += 1;
        Ok(())
    })
}

/// Number of stages; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_stage_count(pipeline: *const procs_pipeline) -> usize {
    let operation = "procs_pipeline_stage_count";
    guard_value(operation, 0, || Ok(crate::slab::lock(&slab::get::<PipelineObject>(operation, pipeline)?.0).stages))
}

/// Runs the pipeline to its end; as `procs_run`, for all stages together. Owned: free the output with `procs_pipeline_output_free`.
///
/// Errors: as `procs_spawn`, the message names the stage; PROCS_E_INVALID_ARGUMENT without stages, or when a stage names a stream that the
/// pipeline joins; with `check` as `procs_run`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_run(pipeline: *mut procs_pipeline, output: *mut *mut procs_pipeline_output) -> procs_status {
    let operation = "procs_pipeline_run";
    guard(operation, || {
        let object = slab::get::<PipelineObject>(operation, pipeline)?;
        let out = Out::new(operation, "output", output)?;
        let done = crate::capture::exclusive(operation, &object.0)?.pipeline.output()?;
        out.set(slab::insert(PipelineOutputObject(done))?);
        Ok(())
    })
}

/// Starts every stage and gives a child for each, in order, to read, write, wait for and stop. `children` has room for `capacity`, which must be
/// `procs_pipeline_stage_count`. Owned: free each.
///
/// The first has the pipe to its standard input, the last the one from its standard output, if they were asked for; each its standard error.
/// `kill_on_free` of a stage takes effect when the last of the children is freed.
///
/// Errors: as `procs_pipeline_run`; if one stage fails to start, those before it are killed and reaped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_spawn(pipeline: *mut procs_pipeline, children: *mut *mut procs_child, capacity: usize) -> procs_status {
    let operation = "procs_pipeline_spawn";
    guard(operation, || {
        let object = slab::get::<PipelineObject>(operation, pipeline)?;
        let mut state = crate::capture::exclusive(operation, &object.0)?;
        let room = ptr::array_mut(operation, "children", children, capacity)?;
        if capacity != state.stages {
            return Err(invalid(operation, format!("not as many as there are stages (capacity = {capacity}, expected {})", state.stages)));
        }
        let handles = stages(state.pipeline.spawn()?)?;
        room.copy_from_slice(&handles);
        Ok(())
    })
}

/// A handle for each stage; all together keep the pipeline's own children.
fn stages(mut running: PipelineChild) -> Result<Vec<*mut procs_child>> {
    let count = running.children().len();
    let (mut stdin, mut stdout) = (running.stdin.take(), running.stdout.take());
    let mut objects = Vec::with_capacity(count);
    for (index, child) in running.children_mut().iter_mut().enumerate() {
        let pipes = Pipes {
            stdin: stdin.take().map(Arc::new),
            outputs: [if index + 1 == count { stdout.take().map(Arc::new) } else { None }, child.stderr.take().map(Arc::new)],
        };
        objects.push(ChildObject::shared(child.handle().clone()).with_pipes(pipes));
    }
    let together = Arc::new(Mutex::new(running));
    objects.into_iter().map(|object| slab::insert(object.with_pipeline(Arc::clone(&together)))).collect()
}

/// Frees the pipeline; children that it started go on. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_pipeline_free(pipeline: *mut procs_pipeline) -> procs_status {
    guard("procs_pipeline_free", || slab::remove::<PipelineObject>("procs_pipeline_free", pipeline).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_accepted() {
        let mut pipeline = Pipeline::new([]);
        set_streams("test", &WHOLE, &mut pipeline).unwrap();
        set_run("test", &WHOLE, &mut pipeline).unwrap();
        assert_eq!(WHOLE.stdin_from.kind, procs_stdio_kind::PROCS_STDIO_DEFAULT as c_int);
    }
}
