//! Programs joined by pipes of the system.

use crate::aside::{Cancel, aside};
use crate::error::{IntoPy, guard};
use crate::memory::to_bytes;
use crate::options::{Request, run_options};
use crate::outcome::{returncode, stop_report, usage_tuple};
use crate::sink::Failure;
use crate::stream_record::StreamRecord;
use procs::{CancelHandle, Pipeline, PipelineOutput, RunOptions};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Runs the stages and hands back a dict: `stages` (a list of dicts), `stdout`, and the facts of the run.
#[pyfunction]
#[pyo3(signature = (stages, options))]
pub(crate) fn run_pipeline<'py>(py: Python<'py>, stages: &Bound<'py, PyList>, options: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    guard(py, || {
        let own = CancelHandle::new().or_raise(py)?;
        let Joined { mut pipeline, caller, failure } = Joined::new(stages, options)?;
        pipeline.cancel(&own);
        failure.also(&own);
        let cancel = Cancel { own: &|| own.cancel(), caller };
        let output = aside(py, &cancel, move || pipeline.output())?;
        failure.check()?;
        result(py, output.or_raise(py)?)
    })
}

/// The stages with the options of the run.
pub(crate) struct Joined {
    pub(crate) pipeline: Pipeline,
    /// A handle of the caller's that cancels this run among others.
    pub(crate) caller: Option<CancelHandle>,
    pub(crate) failure: Failure,
}

impl Joined {
    /// # Errors
    /// As the conversion of each value raises them.
    pub(crate) fn new(stages: &Bound<'_, PyList>, options: &Bound<'_, PyDict>) -> PyResult<Joined> {
        let mut commands = Vec::with_capacity(stages.len());
        for stage in stages.iter() {
            let (argv, options): (Bound<'_, PyAny>, Bound<'_, PyDict>) = stage.extract()?;
            commands.push(Request::new(&argv, Some(&options))?.into_command());
        }
        let Request { mut run, failure, .. } = run_options(options)?;
        let caller = run.cancel.take();
        Ok(Joined { pipeline: configured(commands, run), caller, failure })
    }
}

fn configured(commands: Vec<procs::Command>, run: RunOptions) -> Pipeline {
    let mut pipeline = Pipeline::new(commands);
    if let Some(timeout) = run.timeout {
        pipeline.timeout(timeout);
    }
    if let Some(input) = run.input {
        pipeline.input(input);
    }
    pipeline.grace(run.grace).kill_tree(run.kill_tree).max_output(run.stdout_limit).stdout_sink(run.stdout_sink);
    pipeline
}

/// The dict of a finished pipeline.
pub(crate) fn result(py: Python<'_>, mut output: PipelineOutput) -> PyResult<Bound<'_, PyDict>> {
    let stages = PyList::empty(py);
    let exceeded = output.stdout_report.limit_exceeded || output.stages.iter().any(|stage| stage.stderr_report.limit_exceeded);
    let ended_here = output.timed_out || output.cancelled || exceeded;
    for stage in &mut output.stages {
        let dict = PyDict::new(py);
        dict.set_item("pid", stage.pid)?;
        // None of one that was to be ended and outlived SIGKILL.
        let outlived = ended_here && stage.status == procs::ExitStatus::Unknown;
        dict.set_item("returncode", if outlived { None } else { Some(returncode(stage.status)?) })?;
        dict.set_item("usage", stage.usage.map(usage_tuple))?;
        dict.set_item("stderr", to_bytes(py, &stage.stderr)?)?;
        dict.set_item("stderr_record", StreamRecord::of(&mut stage.stderr_report))?;
        stages.append(dict)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("stages", stages)?;
    dict.set_item("stdout", to_bytes(py, &output.stdout)?)?;
    dict.set_item("stdout_record", StreamRecord::of(&mut output.stdout_report))?;
    dict.set_item("wall_time", output.wall_time.as_secs_f64())?;
    dict.set_item("timed_out", output.timed_out)?;
    dict.set_item("cancelled", output.cancelled)?;
    dict.set_item("pipes_left_open", output.pipes_left_open)?;
    dict.set_item("stopped", output.stopped.as_ref().map(|report| stop_report(py, report)).transpose()?)?;
    Ok(dict)
}
