//! Starting a child and seeing it through, in one call.

use crate::capture::{drive, finish};
use crate::error::{IntoPy, guard};
use crate::gather::Gather;
use crate::interrupt::until;
use crate::options::Request;
use crate::outcome::{Outcome, returncode};
use procs::{ChildHandle, Deadline};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::time::Duration;

/// How long a child is left to end by itself after Ctrl-C, which the terminal sent to it as well. Source: subprocess.
const POLITE: Duration = Duration::from_millis(250);

/// How long a finished `wait` may stay inside one call without the interpreter.
const FIRST_SLICE: Duration = Duration::from_millis(50);

type Ran<'py> = (Option<i32>, Option<Bound<'py, PyBytes>>, Option<Bound<'py, PyBytes>>, Outcome);

/// Runs a command to its end: return code, both outputs if they were read, record.
///
/// An exception of a signal handler or callback kills the child; `KeyboardInterrupt` first leaves it 250 ms.
#[pyfunction]
#[pyo3(signature = (argv, options=None))]
pub(crate) fn run<'py>(py: Python<'py>, argv: &Bound<'py, PyAny>, options: Option<&Bound<'py, PyDict>>) -> PyResult<Ran<'py>> {
    guard(py, || {
        let request = Request::new(argv, options)?;
        if request.attended { attended(py, request) } else { unattended(py, request) }
    })
}

/// Nothing to feed, read or bound: one trip into the core for a child that ends soon.
fn unattended(py: Python<'_>, mut request: Request) -> PyResult<Ran<'_>> {
    let started = py.detach(|| {
        let child = request.command.spawn()?;
        let status = procs::interruptible(|| child.handle().wait_timeout(FIRST_SLICE))?;
        Ok((child, status))
    });
    let (child, status) = started.or_raise(py)?;
    let handle = child.handle();
    let status = match status {
        Some(status) => status,
        None => {
            py.check_signals().or_else(|error| abandon(py, handle, &request, error))?;
            let waited = until(py, Deadline::NEVER, |slice| handle.wait_deadline(slice));
            waited.or_else(|error| abandon(py, handle, &request, error))?.unwrap_or(procs::ExitStatus::Unknown)
        }
    };
    let outcome = Outcome::from_exit(child.id(), child.exit(), status, child.spawn_retries());
    Ok((Some(returncode(status)?), None, None, outcome))
}

fn attended(py: Python<'_>, mut request: Request) -> PyResult<Ran<'_>> {
    let mut run = std::mem::replace(&mut request.run, crate::options::unlimited());
    request.run.kill_tree = run.kill_tree;
    let child = py.detach(|| request.command.spawn()).or_raise(py)?;
    let handle = child.handle().clone();
    let stdout = child.stdout.is_some().then(|| Gather::instead_of(&mut run.stdout_sink, run.stdout_limit, &request.failure));
    let stderr = child.stderr.is_some().then(|| Gather::instead_of(&mut run.stderr_sink, run.stderr_limit, &request.failure));
    let mut capture = child.capture(run).or_raise(py)?;
    if let Err(error) = drive(py, &mut capture, Deadline::NEVER, &request.failure) {
        return abandon(py, &handle, &request, error);
    }
    let (outcome, kept_stdout, kept_stderr) = finish(py, capture)?;
    let code = outcome.returncode()?;
    let stdout = stdout.map(|gather| gather.map_or(Ok(kept_stdout), |gather| gather.take(py))).transpose()?;
    let stderr = stderr.map(|gather| gather.map_or(Ok(kept_stderr), |gather| gather.take(py))).transpose()?;
    Ok((code, stdout, stderr, outcome))
}

/// Ends a child that nobody will wait for any more because `error` is on its way up.
fn abandon<T>(py: Python<'_>, handle: &ChildHandle, request: &Request, error: PyErr) -> PyResult<T> {
    let polite = error.is_instance_of::<PyKeyboardInterrupt>(py);
    let tree = request.run.kill_tree;
    let ended = py.detach(|| {
        if polite && handle.wait_timeout(POLITE)?.is_some() && !tree {
            return Ok(());
        }
        if tree {
            handle.kill_tree().map(drop)?
        } else {
            handle.kill()?
        }
        handle.wait_timeout(Duration::from_secs(5)).map(drop)
    });
    if let Err(second) = ended.or_raise(py) {
        second.set_cause(py, Some(error));
        return Err(second);
    }
    Err(error)
}
