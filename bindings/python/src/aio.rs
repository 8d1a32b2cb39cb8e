//! Runs that an event loop waits for: the core's future, and one descriptor per loop that tells which runs to poll.

use crate::error::{IntoPy, guard, raise};
use crate::gather::Gather;
use crate::memory::to_bytes;
use crate::options::Request;
use crate::outcome::Outcome;
use crate::sink::Failure;
use procs::{CancelHandle, Output, OutputFuture, Stdio};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::future::Future;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Which runs have something to do, and the pipe that wakes the loop. Filled by the core's thread, which never touches the interpreter.
struct Ready {
    runs: Mutex<Vec<u64>>,
    wake: PipeWriter,
}

/// One per event loop; its descriptor is readable while `take` has something to give.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct Hub {
    ready: Arc<Ready>,
    woken: Mutex<PipeReader>,
}

#[pymethods]
impl Hub {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Hub> {
        guard(py, || {
            let (reader, wake) = std::io::pipe().map_err(|error| raise(py, &procs::Error::from_io("hub", &error, "no pipe for it")))?;
            Ok(Hub { ready: Arc::new(Ready { runs: Mutex::default(), wake }), woken: Mutex::new(reader) })
        })
    }

    fn fileno(&self) -> RawFd {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).as_raw_fd()
    }

    /// The numbers of the runs to poll. Called when the descriptor is readable.
    fn take(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        guard(py, || {
            let mut runs = self.ready.runs.lock().unwrap_or_else(PoisonError::into_inner);
            if !runs.is_empty() {
                // One byte stands for a list that was empty before: it is there, so this does not block.
                let read = self.woken.lock().unwrap_or_else(PoisonError::into_inner).read_exact(&mut [0]);
                read.map_err(|error| raise(py, &procs::Error::from_io("hub", &error, "cannot be read")))?;
            }
            Ok(std::mem::take(&mut *runs))
        })
    }
}

impl Hub {
    /// What wakes this loop for one run.
    pub(crate) fn bell(&self, number: u64) -> Arc<Bell> {
        Arc::new(Bell { ready: Arc::clone(&self.ready), number })
    }
}

/// Wakes the loop for one run.
pub(crate) struct Bell {
    ready: Arc<Ready>,
    number: u64,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

impl Bell {
    /// Puts the run's number on the loop's list.
    pub(crate) fn ring(&self) {
        let mut runs = self.ready.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let first = runs.is_empty();
        runs.push(self.number);
        if first {
            // The write end stays open as long as this bell; the pipe holds far more than the one byte there can be.
            let _ = (&self.ready.wake).write(&[1]);
        }
    }
}

/// A captured run under way. Dropping it kills the child.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct AsyncRun {
    future: Mutex<Option<OutputFuture>>,
    waker: Waker,
    cancel: CancelHandle,
    failure: Failure,
    gathers: [Option<Gather>; 2],
}

/// Prepares a run; it starts with the first `poll`, on a thread of the core.
#[pyfunction]
pub(crate) fn run_async(py: Python<'_>, hub: &Hub, number: u64, argv: &Bound<'_, PyAny>, options: &Bound<'_, PyDict>) -> PyResult<AsyncRun> {
    guard(py, || {
        let mut request = Request::new(argv, Some(options))?;
        let failure = request.failure.clone();
        let run = &mut request.run;
        let gathers = [
            Gather::instead_of(&mut run.stdout_sink, run.stdout_limit, &failure),
            Gather::instead_of(&mut run.stderr_sink, run.stderr_limit, &failure),
        ];
        let cancel = CancelHandle::new().or_raise(py)?;
        let mut command = request.into_command();
        for (name, fd) in [("stdin", 0), ("stdout", 1), ("stderr", 2)] {
            if !options.contains(name)? {
                command.fd(fd, Stdio::inherit());
            }
        }
        command.cancel(&cancel);
        let waker = Waker::from(hub.bell(number));
        Ok(AsyncRun { future: Mutex::new(Some(command.output_async())), waker, cancel, failure, gathers })
    })
}

type Finished<'py> = (Outcome, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

#[pymethods]
impl AsyncRun {
    /// Record and both outputs once the run is finished, else `None`: the hub tells when to ask again.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<Finished<'py>>> {
        guard(py, || {
            let polled = py.detach(|| self.step());
            self.failure.check().inspect_err(|_| self.cancel.cancel())?;
            let Some(result) = polled else { return Ok(None) };
            let mut output = result.or_raise(py)?;
            let outcome = Outcome::from_output(&mut output);
            let [stdout, stderr] = [(&self.gathers[0], &output.stdout), (&self.gathers[1], &output.stderr)]
                .map(|(gather, kept)| gather.as_ref().map_or_else(|| to_bytes(py, kept), |gather| gather.take(py)));
            Ok(Some((outcome, stdout?, stderr?)))
        })
    }

    /// Ends the run as its deadline would; it then finishes soon.
    fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl AsyncRun {
    fn step(&self) -> Option<procs::Result<Output>> {
        let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let future = slot.as_mut()?;
        match Pin::new(future).poll(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(result) => {
                *slot = None;
                Some(result)
            }
            Poll::Pending => None,
        }
    }
}
