//! One run being fed and drained; it can be left at a deadline and taken up again.

use crate::error::{IntoPy, guard, raise};
use crate::gather::Gather;
use crate::interrupt::until;
use crate::memory::to_bytes;
use crate::options::Request;
use crate::outcome::Outcome;
use crate::sink::Failure;
use crate::timeout::Timeout;
use procs::{Deadline, Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::{Mutex, PoisonError};

/// What a finished run hands over: record, standard output, standard error.
pub(crate) type Finished<'py> = (Outcome, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// A run whose streams the core reads and writes. Dropping it leaves the child running.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct Capture {
    inner: Mutex<Option<procs::Capture>>,
    failure: Failure,
    gathers: [Option<Gather>; 2],
}

impl Capture {
    /// Starts to read a child whose pipes were given back to it.
    pub(crate) fn start(py: Python<'_>, child: procs::Child, request: Request) -> PyResult<Capture> {
        let Request { mut run, failure, .. } = request;
        let gathers = [
            Gather::instead_of(&mut run.stdout_sink, run.stdout_limit, &failure),
            Gather::instead_of(&mut run.stderr_sink, run.stderr_limit, &failure),
        ];
        let capture = child.capture(run).or_raise(py)?;
        Ok(Capture { inner: Mutex::new(Some(capture)), failure, gathers })
    }

    /// Takes the run out, so that a second thread gets an error and never a deadlock, and puts it back afterwards.
    fn lend<T>(&self, py: Python<'_>, body: impl FnOnce(&mut procs::Capture) -> PyResult<T>) -> PyResult<T> {
        let mut capture = self.take(py)?;
        let result = body(&mut capture);
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Some(capture);
        result
    }

    fn take(&self, py: Python<'_>) -> PyResult<procs::Capture> {
        let taken = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| raise(py, &Error::new(ErrorKind::InvalidState, "communicate", "it is finished, or another thread is in it")))
    }
}

/// Runs a capture until it is finished (`true`) or the deadline passes.
pub(crate) fn drive(py: Python<'_>, capture: &mut procs::Capture, deadline: Deadline, failure: &Failure) -> PyResult<bool> {
    let finished = until(py, deadline, |slice| {
        let finished = capture.run(slice)?;
        Ok((finished || failure.is_set()).then_some(finished))
    })?;
    failure.check()?;
    Ok(finished.unwrap_or(false))
}

/// Hands over what a finished run has read.
pub(crate) fn finish(py: Python<'_>, capture: procs::Capture) -> PyResult<Finished<'_>> {
    let mut output = py.detach(|| capture.finish()).or_raise(py)?;
    let outcome = Outcome::from_output(&mut output);
    Ok((outcome, to_bytes(py, &output.stdout)?, to_bytes(py, &output.stderr)?))
}

impl Drop for Capture {
    fn drop(&mut self) {
        if let Some(capture) = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            capture.release();
        }
    }
}

#[pymethods]
impl Capture {
    /// Whether the run is finished; `False` after `timeout` seconds, and then it can be called again.
    #[pyo3(signature = (timeout=None))]
    fn run(&self, py: Python<'_>, timeout: Option<Timeout>) -> PyResult<bool> {
        guard(py, || {
            let deadline = Timeout::deadline(timeout);
            self.lend(py, |capture| drive(py, capture, deadline, &self.failure))
        })
    }

    /// What was read so far: standard output and standard error.
    fn partial<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let so_far = |index: usize, kept: &[u8]| match &self.gathers[index] {
            Some(gather) => gather.peek(py),
            None => to_bytes(py, kept),
        };
        guard(py, || self.lend(py, |capture| Ok((so_far(0, capture.stdout())?, so_far(1, capture.stderr())?))))
    }

    /// Closes its copies of the pipes and leaves the child running, unless a thread is in it.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        guard(py, || {
            let capture = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
            py.detach(|| capture.map(procs::Capture::release));
            Ok(())
        })
    }

    /// The record and all output; the capture is used up.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Finished<'py>> {
        guard(py, || {
            let (outcome, stdout, stderr) = finish(py, self.take(py)?)?;
            let [stdout, stderr] = [(&self.gathers[0], stdout), (&self.gathers[1], stderr)]
                .map(|(gather, kept)| gather.as_ref().map_or(Ok(kept), |gather| gather.take(py)));
            Ok((outcome, stdout?, stderr?))
        })
    }
}
