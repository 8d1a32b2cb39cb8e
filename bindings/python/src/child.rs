//! One running child.

use crate::arguments;
use crate::aside::{Cancel, aside_or_here};
use crate::capture::Capture;
use crate::convert;
use crate::error::{IntoPy, guard};
use crate::interrupt::until;
use crate::job::{stop_all, stop_reports};
use crate::options::{Request, run_options};
use crate::outcome::{Outcome, returncode, stop_report};
use crate::timeout::Timeout;
use procs::{ChildHandle, PipeReader, PipeWriter, Stop, StopAction};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A started child. Dropping it leaves the process running unless it was started with `kill_on_drop`.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct Child {
    handle: ChildHandle,
    owner: Mutex<Option<procs::Child>>,
    spawn_retries: u32,
}

/// A stop's steps: action (`wait`, `close-stdin`, `kill` or a signal's number) and seconds.
pub(crate) type Steps<'py> = Vec<(Bound<'py, PyAny>, f64)>;

/// Starts a child; `options` are those of `procs._options`.
#[pyfunction]
#[pyo3(signature = (argv, options=None))]
pub(crate) fn spawn(py: Python<'_>, argv: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Child> {
    guard(py, || {
        let mut request = Request::new(argv, options)?;
        let child = py.detach(|| request.command.spawn()).or_raise(py)?;
        Ok(Child::new(child))
    })
}

/// As `spawn`, for an event loop, which is not held up until a program is executing that was executed before. Why it was not executed this
/// time is told by what waits: an `OSError` with a `stage`.
#[pyfunction]
#[pyo3(signature = (argv, options=None))]
pub(crate) fn spawn_from_loop(py: Python<'_>, argv: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Child> {
    guard(py, || {
        let mut request = Request::new(argv, options)?;
        request.command.wait_for_exec_unless_known();
        let child = py.detach(|| request.command.spawn()).or_raise(py)?;
        Ok(Child::new(child))
    })
}

impl Child {
    pub(crate) fn new(child: procs::Child) -> Child {
        Child { handle: child.handle().clone(), spawn_retries: child.spawn_retries(), owner: Mutex::new(Some(child)) }
    }

    pub(crate) fn handle(&self) -> &ChildHandle {
        &self.handle
    }

    fn with_owner<T>(&self, py: Python<'_>, body: impl FnOnce(&mut procs::Child) -> T) -> PyResult<T> {
        match self.owner.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(child) => Ok(body(child)),
            None => Err(taken(py)),
        }
    }
}

fn taken(py: Python<'_>) -> PyErr {
    crate::error::raise(py, &procs::Error::new(procs::ErrorKind::InvalidState, "child", "its streams are being read by communicate"))
}

fn attach(fd: Option<RawFd>) -> procs::Result<Option<OwnedFd>> {
    fd.map(procs::duplicate_fd).transpose()
}

pub(crate) fn stop_plan(steps: Steps<'_>, tree: Option<bool>) -> PyResult<Stop> {
    let mut plan = Stop::new();
    for (action, wait) in steps {
        let action = match action.extract::<i32>() {
            Ok(signal) => StopAction::Signal(signal),
            Err(_) => match action.extract::<String>()?.as_str() {
                "wait" => StopAction::Wait,
                "close-stdin" => StopAction::CloseStdin,
                "kill" => StopAction::Kill,
                name => {
                    let expected = "expected wait, close-stdin, kill or a signal";
                    return Err(PyValueError::new_err(format!("stop: unknown action (action = {name}, {expected})")));
                }
            },
        };
        plan = plan.step(action, convert::seconds(wait)?);
    }
    Ok(match tree {
        Some(tree) => plan.tree(tree),
        None => plan,
    })
}

#[pymethods]
impl Child {
    #[getter]
    fn pid(&self) -> u32 {
        self.handle.id()
    }

    /// The host's end of a pipe, once; from then on the caller closes it. From descriptor 3 up it is a socket.
    fn take_fd(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::child_fd)] child_fd: RawFd) -> PyResult<Option<RawFd>> {
        guard(py, || {
            self.with_owner(py, |child| match child_fd {
                0 => child.stdin.take().map(|pipe| OwnedFd::from(pipe).into_raw_fd()),
                1 => child.stdout.take().map(|pipe| OwnedFd::from(pipe).into_raw_fd()),
                2 => child.stderr.take().map(|pipe| OwnedFd::from(pipe).into_raw_fd()),
                other => child.take_fd(other).map(IntoRawFd::into_raw_fd),
            })
        })
    }

    /// The return code if the child has ended.
    fn poll(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        guard(py, || self.handle.try_wait().or_raise(py)?.map(returncode).transpose())
    }

    /// Waits at most `timeout` seconds; `None` when it passed. Signal handlers run meanwhile and may raise.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<Timeout>) -> PyResult<Option<i32>> {
        guard(py, || {
            let deadline = Timeout::deadline(timeout);
            until(py, deadline, |slice| self.handle.wait_deadline(slice))?.map(returncode).transpose()
        })
    }

    /// Waits at most `timeout` seconds and lets signal handlers wait.
    fn linger(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        guard(py, || {
            let time = convert::seconds(timeout)?;
            Ok(py.detach(|| self.handle.wait_timeout(time)).or_raise(py)?.is_some())
        })
    }

    fn send_signal(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::signal)] signal: i32) -> PyResult<()> {
        guard(py, || self.handle.send_signal(signal).or_raise(py))
    }

    fn kill(&self, py: Python<'_>) -> PyResult<()> {
        guard(py, || self.handle.kill().or_raise(py))
    }

    /// Ends the child step by step; a dict of what was done.
    #[pyo3(signature = (steps, tree=None))]
    fn stop<'py>(
        &self,
        py: Python<'py>,
        steps: Steps<'py>,
        #[pyo3(from_py_with = arguments::tree)] tree: Option<bool>,
    ) -> PyResult<Bound<'py, PyDict>> {
        guard(py, || {
            let plan = stop_plan(steps, tree)?;
            // An exception of a signal handler ends the waiting, not the stop: what is left of the ladder is its last step.
            let last = tree.map_or_else(Stop::kill, |tree| Stop::kill().tree(tree));
            let cut = || drop(self.handle.stop(&last));
            let report = aside_or_here(py, &Cancel { own: &cut, caller: None }, || self.handle.stop(&plan))?.or_raise(py)?;
            stop_report(py, &report)
        })
    }

    fn kill_tree<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        guard(py, || {
            let report = py.detach(|| self.handle.kill_tree()).or_raise(py)?;
            stop_report(py, &report)
        })
    }

    #[getter]
    fn tree_level(&self) -> &'static str {
        self.handle.tree_level().name()
    }

    /// A descriptor that is readable once the child has ended; it belongs to the child.
    fn fileno(&self) -> RawFd {
        self.handle.as_fd().as_raw_fd()
    }

    /// The record of the end, once it was waited for.
    #[getter]
    fn outcome(&self) -> Option<Outcome> {
        let exit = self.handle.exit()?;
        Some(Outcome::from_exit(self.handle.id(), Some(exit), exit.status, self.spawn_retries))
    }

    /// Starts reading and feeding; descriptors are those of the caller, which stay the caller's.
    #[pyo3(signature = (fds, options))]
    fn capture(&self, py: Python<'_>, fds: (Option<RawFd>, Option<RawFd>, Option<RawFd>), options: &Bound<'_, PyDict>) -> PyResult<Capture> {
        guard(py, || {
            let request = run_options(options)?;
            let stdin = attach(fds.0).or_raise(py)?;
            let stdout = attach(fds.1).or_raise(py)?;
            let stderr = attach(fds.2).or_raise(py)?;
            let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut child = owner.ok_or_else(|| taken(py))?;
            child.stdin = stdin.map(PipeWriter::from);
            child.stdout = stdout.map(PipeReader::from);
            child.stderr = stderr.map(PipeReader::from);
            Capture::start(py, child, request)
        })
    }
}

/// The index of a child that has ended, or `None` after `timeout` seconds.
#[pyfunction]
#[pyo3(signature = (children, timeout=None))]
pub(crate) fn wait_any(py: Python<'_>, children: Vec<PyRef<'_, Child>>, timeout: Option<Timeout>) -> PyResult<Option<usize>> {
    guard(py, || {
        let deadline = Timeout::deadline(timeout);
        let handles: Vec<ChildHandle> = children.iter().map(|child| child.handle().clone()).collect();
        let borrowed: Vec<&ChildHandle> = handles.iter().collect();
        until(py, deadline, |slice| procs::wait_any(&borrowed, Some(slice.remaining().unwrap_or(Duration::MAX))))
    })
}

/// As `Child.stop` for several children together: a list of dicts.
#[pyfunction]
#[pyo3(signature = (children, steps, tree=None))]
pub(crate) fn stop_many<'py>(
    py: Python<'py>,
    children: Vec<PyRef<'py, Child>>,
    steps: Steps<'py>,
    #[pyo3(from_py_with = arguments::tree)] tree: Option<bool>,
) -> PyResult<Bound<'py, PyList>> {
    guard(py, || {
        let plan = stop_plan(steps, tree)?;
        let handles: Vec<ChildHandle> = children.iter().map(|child| child.handle().clone()).collect();
        let last = tree.map_or_else(Stop::kill, |tree| Stop::kill().tree(tree));
        let cut = || drop(stop_all(&handles, &last));
        let reports = aside_or_here(py, &Cancel { own: &cut, caller: None }, || stop_all(&handles, &plan))?;
        stop_reports(py, reports)
    })
}
