//! Work of the core without a future of its own, done on a thread beside an event loop.

use crate::aio::{Bell, Hub};
use crate::arguments;
use crate::child::{Child, Steps, stop_plan};
use crate::error::{IntoPy, guard, raise};
use crate::outcome::stop_report;
use crate::pipeline::{Joined, result};
use crate::sink::Failure;
use procs::{CancelHandle, ChildHandle, Error, ErrorKind, Stop, StopReport};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// Makes the result, once the loop asks for it with the interpreter in hand.
type Finish = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// A job under way. Dropping it leaves it to end by itself.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct AsyncJob {
    finish: Arc<Mutex<Option<Finish>>>,
    cancel: Box<dyn Fn() + Send + Sync>,
    failure: Failure,
}

#[pymethods]
impl AsyncJob {
    /// The result once the job is finished, else `None`: the hub tells when to ask again.
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        guard(py, || {
            let finish = self.finish.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(finish) = finish else { return Ok(None) };
            self.failure.check()?;
            finish(py).map(Some)
        })
    }

    /// Ends the job early; it then finishes soon.
    fn cancel(&self) {
        (self.cancel)();
    }
}

impl AsyncJob {
    /// Starts a thread for `job`, which never touches the interpreter, and rings when it is done.
    fn start(
        py: Python<'_>,
        bell: Arc<Bell>,
        (cancel, failure): (Box<dyn Fn() + Send + Sync>, Failure),
        job: impl FnOnce() -> Finish + Send + 'static,
    ) -> PyResult<AsyncJob> {
        let finish = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&finish);
        let body = move || {
            let done = catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|_| Box::new(panicked));
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            bell.ring();
        };
        let started = std::thread::Builder::new().name("procs-job".to_owned()).spawn(body);
        started.map_err(|error| raise(py, &Error::from_io("job", &error, "no thread for it")))?;
        Ok(AsyncJob { finish, cancel, failure })
    }
}

fn panicked(py: Python<'_>) -> PyResult<Py<PyAny>> {
    Err(raise(py, &Error::new(ErrorKind::Panic, "job", "its thread panicked")))
}

/// Stops children at once, each by the same ladder.
pub(crate) fn stop_all(handles: &[ChildHandle], plan: &Stop) -> Vec<procs::Result<StopReport>> {
    let [first, others @ ..] = handles else { return Vec::new() };
    std::thread::scope(|scope| {
        let stops: Vec<_> = others.iter().map(|handle| scope.spawn(move || handle.stop(plan))).collect();
        let panicked = |_| Err(Error::new(ErrorKind::Panic, "stop", "its thread panicked"));
        let mut reports = vec![first.stop(plan)];
        reports.extend(stops.into_iter().map(|stop| stop.join().unwrap_or_else(panicked)));
        reports
    })
}

/// A list of dicts, as the stop of one child gives it.
pub(crate) fn stop_reports<'py>(py: Python<'py>, reports: Vec<procs::Result<StopReport>>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for report in reports {
        list.append(stop_report(py, &report.or_raise(py)?)?)?;
    }
    Ok(list)
}

/// As `Child.stop` for several children together, for an event loop. Cancelling kills them.
#[pyfunction]
pub(crate) fn stop_async(
    hub: PyRef<'_, Hub>,
    number: u64,
    children: Vec<PyRef<'_, Child>>,
    steps: Steps<'_>,
    #[pyo3(from_py_with = arguments::tree)] tree: Option<bool>,
) -> PyResult<AsyncJob> {
    let py = hub.py();
    guard(py, || {
        let plan = stop_plan(steps, tree)?;
        let handles: Vec<ChildHandle> = children.iter().map(|child| child.handle().clone()).collect();
        let last = handles.clone();
        let cancel = Box::new(move || last.iter().for_each(|handle| drop(handle.kill())));
        AsyncJob::start(py, hub.bell(number), (cancel, Failure::default()), move || {
            let reports = stop_all(&handles, &plan);
            Box::new(move |py| Ok(stop_reports(py, reports)?.into_any().unbind()))
        })
    })
}

/// As `run_pipeline`, for an event loop.
#[pyfunction]
pub(crate) fn run_pipeline_async(hub: PyRef<'_, Hub>, number: u64, stages: &Bound<'_, PyList>, options: &Bound<'_, PyDict>) -> PyResult<AsyncJob> {
    let py = hub.py();
    guard(py, || {
        let own = CancelHandle::new().or_raise(py)?;
        let Joined { mut pipeline, failure, .. } = Joined::new(stages, options)?;
        pipeline.cancel(&own);
        failure.also(&own);
        let cancel = Box::new(move || own.cancel());
        AsyncJob::start(py, hub.bell(number), (cancel, failure), move || {
            let output = pipeline.output();
            Box::new(move |py| Ok(result(py, output.or_raise(py)?)?.into_any().unbind()))
        })
    })
}
