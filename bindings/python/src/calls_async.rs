//! Replies in parts, and serving, for event loops.

use crate::aio::Hub;
use crate::calls::{AsyncCall, failure};
use crate::channel::Channel;
use crate::codec;
use crate::error::{guard, raise};
use crate::shared::AsyncWait;
use procs::{CallStream, Error, ErrorKind, Message, Request, SendError};
use pyo3::prelude::*;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

type Slot<T> = Arc<Mutex<Option<T>>>;

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The replies to one call. Dropping it cancels the call.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct AsyncReplies {
    core: Arc<procs::Channel>,
    message: Mutex<Option<Message>>,
    stream: Slot<CallStream>,
}

impl AsyncReplies {
    pub(crate) fn new(core: Arc<procs::Channel>, message: Message) -> AsyncReplies {
        AsyncReplies { core, message: Mutex::new(Some(message)), stream: Arc::default() }
    }
}

#[pymethods]
impl AsyncReplies {
    /// Sends the call.
    fn begin(&self, hub: &Hub, number: u64) -> AsyncWait {
        let message = lock(&self.message).take().unwrap_or_default();
        let (core, slot) = (Arc::clone(&self.core), Arc::clone(&self.stream));
        AsyncWait::new(hub, number, async move {
            let stream = core.call_stream_async(message).await?;
            *lock(&slot) = Some(stream);
            Ok(true)
        })
    }

    /// Waits for the next reply: an empty list when there are no more.
    fn next(&self, hub: &Hub, number: u64) -> AsyncCall {
        let slot = Arc::clone(&self.stream);
        let next = poll_fn(move |context| lock(&slot).as_mut().map_or(Poll::Ready(Ok(None)), |stream| stream.poll_next(context)));
        AsyncCall::of(hub, number, next)
    }
}

/// A call of the other side. Dropped without an answer, it fails there.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct AsyncRequest {
    request: Slot<Request>,
    channel: Py<Channel>,
}

impl AsyncRequest {
    pub(crate) fn new(request: Request, channel: Py<Channel>) -> AsyncRequest {
        AsyncRequest { request: Arc::new(Mutex::new(Some(request))), channel }
    }

    fn encode(&self, value: &Bound<'_, PyAny>) -> PyResult<Message> {
        self.channel.get().encode(value)
    }
}

/// Whether it was sent; a caller that wants it no more is no error.
fn wanted(sent: Result<(), SendError>) -> procs::Result<bool> {
    match sent {
        Ok(()) => Ok(true),
        Err(failed) if matches!(failed.kind(), ErrorKind::Cancelled | ErrorKind::Closed) => Ok(false),
        Err(failed) => Err(failed.into()),
    }
}

#[pymethods]
impl AsyncRequest {
    /// What the caller sent; once.
    fn message<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        guard(py, || {
            let message = lock(&self.request).as_mut().map(Request::take_message).unwrap_or_default();
            codec::decode(py, message)
        })
    }

    /// Whether the caller takes several replies.
    #[getter]
    fn takes_parts(&self) -> bool {
        lock(&self.request).as_ref().is_some_and(Request::takes_parts)
    }

    /// Sends the answer; false when nobody wants it any more.
    fn reply(&self, hub: &Hub, number: u64, value: &Bound<'_, PyAny>) -> PyResult<AsyncWait> {
        let py = value.py();
        guard(py, || {
            let mut message = Some(self.encode(value)?);
            let answered = || raise(py, &Error::new(ErrorKind::InvalidState, "request.reply", "it was answered before"));
            let mut request = lock(&self.request).take().ok_or_else(answered)?;
            Ok(AsyncWait::new(hub, number, async move { wanted(poll_fn(|context| request.poll_reply(&mut message, context)).await) }))
        })
    }

    /// Sends one of several replies; false when nobody wants it any more.
    fn part(&self, hub: &Hub, number: u64, value: &Bound<'_, PyAny>) -> PyResult<AsyncWait> {
        guard(value.py(), || {
            let mut message = Some(self.encode(value)?);
            let slot = Arc::clone(&self.request);
            let sent = poll_fn(move |context| match lock(&slot).as_mut() {
                Some(request) => request.poll_reply_part(&mut message, context),
                None => Poll::Ready(Ok(())),
            });
            Ok(AsyncWait::new(hub, number, async move { wanted(sent.await) }))
        })
    }

    /// Ends the parts.
    fn finish(&self) {
        let request = lock(&self.request).take();
        request.into_iter().for_each(Request::finish);
    }

    /// Tells the caller what was raised, if it was not answered.
    fn fail(&self, error: &Bound<'_, PyAny>) {
        let request = lock(&self.request).take();
        let failure = failure(error.py(), &PyErr::from_value(error.clone()));
        request.into_iter().for_each(|request| request.fail(failure.clone()));
    }
}
