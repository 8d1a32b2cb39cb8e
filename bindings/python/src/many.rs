//! Many runs, a bounded number of them at a time.

use crate::arguments;
use crate::aside::{Cancel, aside};
use crate::cancel::CancelHandle;
use crate::error::{IntoPy, guard, raise};
use crate::memory::to_bytes;
use crate::options::Request;
use crate::outcome::Outcome;
use crate::sink::Failure;
use procs::{Command, Output};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Runs all commands, at most `jobs` at a time; a list in the order of the commands.
///
/// Each item is `(outcome, stdout, stderr)` or the exception that its start raised. `progress(index, item)` is called as they end.
#[pyfunction]
#[pyo3(signature = (commands, jobs, progress=None, cancel=None))]
pub(crate) fn run_many<'py>(
    py: Python<'py>,
    commands: &Bound<'py, PyList>,
    #[pyo3(from_py_with = arguments::jobs)] jobs: usize,
    progress: Option<Py<PyAny>>,
    cancel: Option<PyRef<'py, CancelHandle>>,
) -> PyResult<Bound<'py, PyList>> {
    guard(py, || {
        let own = procs::CancelHandle::new().or_raise(py)?;
        let failure = Failure::default();
        let commands = requests(commands, &own)?;
        let cancel = Cancel { own: &|| own.cancel(), caller: cancel.map(|cancel| cancel.handle()) };
        let report = |index: usize, result: &procs::Result<Output>| tell(progress.as_ref(), (index, result), (&failure, &own));
        let results = aside(py, &cancel, || procs::run_many(commands, jobs, report))?;
        failure.check()?;
        let list = PyList::empty(py);
        for result in results {
            list.append(item(py, result)?)?;
        }
        Ok(list)
    })
}

fn requests(commands: &Bound<'_, PyList>, cancel: &procs::CancelHandle) -> PyResult<Vec<Command>> {
    let mut made = Vec::with_capacity(commands.len());
    for command in commands.iter() {
        let (argv, options): (Bound<'_, PyAny>, Bound<'_, PyDict>) = command.extract()?;
        let mut command = Request::new(&argv, Some(&options))?.into_command();
        command.cancel(cancel);
        made.push(command);
    }
    Ok(made)
}

/// Calls the progress function; its first exception stops the rest.
fn tell(progress: Option<&Py<PyAny>>, (index, result): (usize, &procs::Result<Output>), (failure, own): (&Failure, &procs::CancelHandle)) {
    let Some(progress) = progress else { return };
    if failure.is_set() {
        return;
    }
    let told = Python::try_attach(|py| progress.call1(py, (index, summary(py, result)?)).map(drop));
    if let Some(Err(error)) = told {
        failure.set(error);
        own.cancel();
    }
}

fn item(py: Python<'_>, result: procs::Result<Output>) -> PyResult<Bound<'_, PyAny>> {
    match result {
        Ok(mut output) => {
            let outcome = Outcome::from_output(&mut output);
            parts(py, outcome, &output)
        }
        Err(error) => Ok(raise(py, &error).into_value(py).into_bound(py).into_any()),
    }
}

fn summary<'py>(py: Python<'py>, result: &procs::Result<Output>) -> PyResult<Bound<'py, PyAny>> {
    match result {
        Ok(output) => parts(py, Outcome::describe(output), output),
        Err(error) => Ok(raise(py, error).into_value(py).into_bound(py).into_any()),
    }
}

fn parts<'py>(py: Python<'py>, outcome: Outcome, output: &Output) -> PyResult<Bound<'py, PyAny>> {
    let parts = (outcome, to_bytes(py, &output.stdout)?, to_bytes(py, &output.stderr)?);
    Ok(parts.into_pyobject(py)?.into_any())
}
