//! Calls over a channel: what a handler answers, what a caller gets.

use crate::aio::Hub;
use crate::channel::Channel;
use crate::codec;
use crate::error::{guard, raise};
use crate::interrupt;
use crate::shared::AsyncWait;
use procs::{Deadline, Error, ErrorKind, Message, RemoteFailure, Request};
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

impl Channel {
    /// Lets the handler work on one call. An exception of it becomes the caller's; one of ours ends the serving.
    pub(crate) fn answer(&self, mut request: Request, handler: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = handler.py();
        let outcome = codec::decode(py, request.take_message()).and_then(|obj| handler.call1((obj,)));
        let value = match outcome {
            Ok(value) => value,
            Err(error) => return failed(py, request, &error),
        };
        let sent = if request.takes_parts() && value.hasattr("__next__")? {
            for part in value.try_iter()? {
                let part = match part.and_then(|part| self.encode(&part)) {
                    Ok(part) => part,
                    Err(error) => return failed(py, request, &error),
                };
                if py.detach(|| request.reply_part(part)).is_err() {
                    return Ok(()); // the caller wants no more of it, or is gone
                }
            }
            request.finish();
            return Ok(());
        } else {
            match self.encode(&value) {
                Ok(message) => py.detach(|| request.reply(message)),
                Err(error) => return failed(py, request, &error),
            }
        };
        match sent {
            Err(error) if !matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Closed) => Err(raise(py, error.error())),
            _ => Ok(()),
        }
    }
}

/// What a caller is told about an exception.
pub(crate) fn failure(py: Python<'_>, error: &PyErr) -> RemoteFailure {
    let trace = error.traceback(py).and_then(|trace| trace.format().ok()).unwrap_or_default();
    let name = error.get_type(py).name().map(|name| name.to_string()).unwrap_or_default();
    let message = error.value(py).str().map(|text| text.to_string()).unwrap_or_default();
    RemoteFailure { name, message, trace }
}

/// Tells the caller what the handler raised. Ctrl-C and its like end the serving as well.
fn failed(py: Python<'_>, request: Request, error: &PyErr) -> PyResult<()> {
    request.fail(failure(py, error));
    if error.is_instance_of::<pyo3::exceptions::PyException>(py) { Ok(()) } else { Err(error.clone_ref(py)) }
}

/// The exception of a call, with what the other side told about its own.
pub(crate) fn remote(py: Python<'_>, error: &Error) -> PyErr {
    let exception = raise(py, error);
    if let Some(failure) = error.remote() {
        let value = exception.value(py);
        let told = value.setattr("remote_type", &failure.name).and_then(|()| value.setattr("remote_traceback", &failure.trace));
        if let Err(other) = told {
            return other;
        }
    }
    exception
}

/// The replies to one call, as they come.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct Replies(Mutex<procs::CallStream>);

impl Replies {
    pub(crate) fn new(stream: procs::CallStream) -> Replies {
        Replies(Mutex::new(stream))
    }
}

#[pymethods]
impl Replies {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        guard(py, || {
            let next = interrupt::until(py, Deadline::NEVER, |slice| {
                let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                match stream.next_timeout(Some(slice.remaining().unwrap_or(Duration::from_millis(50)))) {
                    Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
                    // An error of the call itself is raised below, with what the other side told.
                    found => Ok(Some(found)),
                }
            })?;
            match next {
                Some(Ok(Some(message))) => codec::decode(py, message).map(Some),
                Some(Ok(None)) | None => Ok(None),
                Some(Err(error)) => Err(remote(py, &error)),
            }
        })
    }
}

type Reply = Arc<Mutex<Option<procs::Result<Option<Message>>>>>;

/// A reply that an event loop waits for.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct AsyncCall {
    wait: AsyncWait,
    reply: Reply,
}

impl AsyncCall {
    /// A call that starts with the first `poll`.
    pub(crate) fn new(hub: &Hub, number: u64, core: Arc<procs::Channel>, message: Message) -> AsyncCall {
        AsyncCall::of(hub, number, async move { core.call_async(message).await.map(Some) })
    }

    /// Whatever gives a reply, or that there is none.
    pub(crate) fn of(hub: &Hub, number: u64, future: impl Future<Output = procs::Result<Option<Message>>> + Send + 'static) -> AsyncCall {
        let reply: Reply = Arc::default();
        let slot = Arc::clone(&reply);
        let wait = AsyncWait::new(hub, number, async move {
            let result = future.await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            Ok(true)
        });
        AsyncCall { wait, reply }
    }
}

#[pymethods]
impl AsyncCall {
    /// A list with the reply once it is there; an empty one when there is none.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        if self.wait.poll(py)?.is_none() {
            return Ok(None);
        }
        match self.reply.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Ok(message)) => {
                let replies = message.map(|message| codec::decode(py, message)).transpose()?;
                Ok(Some(PyList::new(py, replies.into_iter().collect::<Vec<_>>())?))
            }
            Some(Err(error)) => Err(remote(py, &error)),
            None => Ok(None),
        }
    }

    fn cancel(&self) {
        self.wait.cancel();
    }
}
