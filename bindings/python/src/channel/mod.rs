//! Messages to and from another process: the channel of the core as an object of Python.
//!
//! A call tries without giving the GIL up, and gives it up only to wait. Python objects travel in the codec of the channel: JSON, pickle or
//! bytes as they are; pickle is decoded only where the user chose it.

mod carry;
mod open;
mod options;
mod parts;
mod transfer;

pub(crate) use open::{parent_channel, spawn_with_channel};

use crate::aio::Hub;
use crate::arguments;
use crate::calls::{self, AsyncCall, Replies};
use crate::calls_async::{AsyncReplies, AsyncRequest};
use crate::codec;
use crate::error::{IntoPy, guard, raise};
use crate::interrupt;
use crate::memory::to_bytes;
use crate::shared::wait::block_on_until as block_on;
use crate::shared::{AsyncWait, Block, Buffer, copy_into};
use crate::timeout::Limit;
use carry::Blocks;
pub(crate) use options::codec_named;
use parts::{whole, with_fds};
use procs::{Channel as Core, Codec, Deadline, Error, ErrorKind, Message, Received};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use transfer::deadline;

/// One end of a channel; see `procs/__init__.pyi`.
#[pyclass(frozen, weakref, module = "procs", name = "Channel")]
pub(crate) struct Channel {
    pub(crate) core: Arc<Core>,
    codec: Codec,
    blocks: Blocks,
}

impl Channel {
    pub(crate) fn new(core: Core, codec: Codec) -> Channel {
        Channel { core: Arc::new(core), codec, blocks: Blocks::default() }
    }

    fn next_object<'py>(&self, py: Python<'py>, timeout: Option<Limit>) -> PyResult<Bound<'py, PyAny>> {
        self.receive_as(py, timeout, |found, body| match found {
            Received::Plain(codec) => codec::decode_body(py, codec, body),
            Received::Whole(message) => codec::decode(py, message),
        })
    }

    pub(crate) fn encode(&self, value: &Bound<'_, PyAny>) -> PyResult<Message> {
        codec::encode(self, self.codec, value)
    }
}

/// A message that found no room, for event loops to send when there is some.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct Unsent(Mutex<Option<Message>>);

#[pymethods]
impl Channel {
    /// Both ends of a new channel.
    #[staticmethod]
    #[pyo3(signature = (*, codec = "json", **settings))]
    fn pair(
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::codec)] codec: &str,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<(Channel, Channel)> {
        guard(py, || {
            let (codec, options) = options::of_end(py, codec, settings)?;
            let (here, there) = Core::pair_with(&options).or_raise(py)?;
            Ok((Channel::new(here, codec), Channel::new(there, codec)))
        })
    }

    /// The end behind a descriptor that `detach` gave; takes the descriptor.
    #[staticmethod]
    #[pyo3(signature = (fd, *, codec = "json", **settings))]
    fn from_fd(
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::fd)] fd: RawFd,
        #[pyo3(from_py_with = arguments::codec)] codec: &str,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Channel> {
        guard(py, || {
            let (codec, options) = options::of_end(py, codec, settings)?;
            let own = procs::duplicate_fd(fd).or_raise(py)?;
            let core = Core::from_fd_with(own, &options).or_raise(py)?;
            py.import("os")?.call_method1("close", (fd,))?;
            Ok(Channel::new(core, codec))
        })
    }

    /// How `send` and `recv` write objects: json, raw, pickle or v8.
    #[getter]
    fn codec(&self) -> &'static str {
        self.codec.name()
    }

    /// Sends an object.
    #[pyo3(signature = (obj, *, fds = None, timeout = None))]
    fn send(&self, obj: &Bound<'_, PyAny>, fds: Option<&Bound<'_, PyAny>>, timeout: Option<Limit>) -> PyResult<()> {
        let py = obj.py();
        guard(py, || self.send_message_in(py, with_fds(self.encode(obj)?, fds)?, timeout))
    }

    /// The next object.
    #[pyo3(signature = (timeout = None))]
    fn recv<'py>(&self, py: Python<'py>, timeout: Option<Limit>) -> PyResult<Bound<'py, PyAny>> {
        guard(py, || self.next_object(py, timeout))
    }

    /// The next object, or `default` when none is there; for event loops.
    fn _take<'py>(&self, py: Python<'py>, default: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        guard(py, || self.take(py, default, codec::decode))
    }

    /// Sends an object if there is room now; else gives what is to be sent later.
    #[pyo3(signature = (obj, fds = None))]
    fn _give(&self, obj: &Bound<'_, PyAny>, fds: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Unsent>> {
        let py = obj.py();
        guard(py, || self.give(py, with_fds(self.encode(obj)?, fds)?))
    }

    /// As `_give`, for what `send_bytes` takes.
    fn _give_bytes(&self, data: &Bound<'_, PyAny>) -> PyResult<Option<Unsent>> {
        let py = data.py();
        guard(py, || self.give(py, Message::raw(self.carry("data", data)?)))
    }

    /// As `_give`, for what `send_message` takes.
    #[pyo3(signature = (body, codec, buffers, fds))]
    fn _give_message(
        &self,
        body: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = arguments::codec)] codec: &str,
        buffers: Option<&Bound<'_, PyAny>>,
        fds: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Unsent>> {
        let py = body.py();
        guard(py, || self.give(py, self.message(body, codec, buffers, fds)?))
    }

    /// Sends when there is room, for event loops; once.
    fn _send_async(&self, py: Python<'_>, hub: &Hub, number: u64, unsent: &Unsent) -> PyResult<AsyncWait> {
        guard(py, || {
            let taken = unsent.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            let message = taken.ok_or_else(|| raise(py, &Error::new(ErrorKind::InvalidState, "channel.send", "it was sent before")))?;
            let core = Arc::clone(&self.core);
            Ok(AsyncWait::new(hub, number, async move { core.send_async(message).await.map(|()| true).map_err(procs::Error::from) }))
        })
    }

    /// Asks the other side, which serves, and waits for its reply.
    #[pyo3(signature = (obj, timeout = None))]
    fn call<'py>(&self, obj: &Bound<'py, PyAny>, timeout: Option<Limit>) -> PyResult<Bound<'py, PyAny>> {
        let py = obj.py();
        guard(py, || {
            let message = self.encode(obj)?;
            let reply = block_on(py, deadline(timeout), self.core.call_async(message))?;
            match reply {
                Some(Ok(reply)) => codec::decode(py, reply),
                Some(Err(error)) => Err(calls::remote(py, &error)),
                None => Err(raise(py, &Error::new(ErrorKind::Timeout, "channel.call", "no reply came before the deadline"))),
            }
        })
    }

    /// Asks for several replies: an iterator over them.
    fn call_stream(slf: Py<Self>, obj: &Bound<'_, PyAny>) -> PyResult<Replies> {
        let py = obj.py();
        guard(py, || {
            let channel = slf.get();
            let message = channel.encode(obj)?;
            Ok(Replies::new(py.detach(|| channel.core.call_stream(message)).or_raise(py)?))
        })
    }

    /// Answers the calls of the other side with what `handler` returns, until it closes. A generator sends each value it yields.
    fn serve(&self, handler: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = handler.py();
        guard(py, || {
            let handler = arguments::callable("handler", handler)?;
            loop {
                let asked = interrupt::until(py, Deadline::NEVER, |slice| match self.core.next_request(slice.remaining()) {
                    Err(error) if error.kind() == ErrorKind::Closed => Ok(Some(None)),
                    found => found.map(|request| request.map(Some)),
                })?;
                match asked.flatten() {
                    Some(request) => self.answer(request, handler)?,
                    None => return Ok(()),
                }
            }
        })
    }

    /// Sends a call for event loops; its reply is fetched with `take`.
    #[pyo3(signature = (hub, number, obj))]
    fn _call_async(&self, hub: &Hub, number: u64, obj: &Bound<'_, PyAny>) -> PyResult<AsyncCall> {
        let py = obj.py();
        guard(py, || Ok(AsyncCall::new(hub, number, Arc::clone(&self.core), self.encode(obj)?)))
    }

    /// The replies to a call, for event loops.
    fn _stream_async(&self, obj: &Bound<'_, PyAny>) -> PyResult<AsyncReplies> {
        guard(obj.py(), || Ok(AsyncReplies::new(Arc::clone(&self.core), self.encode(obj)?)))
    }

    /// The next call of the other side if one is there, for event loops.
    fn _take_request(slf: Py<Self>, py: Python<'_>) -> PyResult<Option<AsyncRequest>> {
        guard(py, || match slf.get().core.try_next_request() {
            Ok(request) => Ok(request.map(|request| AsyncRequest::new(request, slf.clone_ref(py)))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(raise(py, &error)),
        })
    }

    /// Sends a bytes-like object as it is.
    #[pyo3(signature = (data, timeout = None))]
    fn send_bytes(&self, data: &Bound<'_, PyAny>, timeout: Option<Limit>) -> PyResult<()> {
        let py = data.py();
        guard(py, || match data.cast::<PyBytes>() {
            Ok(bytes) => self.send_bytes_in(py, bytes.as_bytes(), timeout),
            Err(_) => self.send_message_in(py, Message::raw(self.carry("data", data)?), timeout),
        })
    }

    /// The body of the next message.
    #[pyo3(signature = (timeout = None))]
    fn recv_bytes<'py>(&self, py: Python<'py>, timeout: Option<Limit>) -> PyResult<Bound<'py, PyBytes>> {
        guard(py, || self.receive_bytes(py, timeout))
    }

    /// The body of the next message, in place.
    #[pyo3(signature = (timeout = None))]
    fn recv_buffer(&self, py: Python<'_>, timeout: Option<Limit>) -> PyResult<Buffer> {
        guard(py, || Ok(Buffer::new(self.receive(py, timeout)?.body)))
    }

    /// Copies the body of the next message into a writable buffer and gives its length.
    #[pyo3(signature = (buffer, offset = 0, timeout = None))]
    fn recv_bytes_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        timeout: Option<Limit>,
    ) -> PyResult<usize> {
        guard(py, || {
            let room = parts::room_in(buffer, offset)?;
            let body = self.receive(py, timeout)?.body;
            if copy_into(&room, offset, &body) {
                return Ok(body.len());
            }
            let left = room.len_bytes().saturating_sub(offset);
            let detail = format!("the buffer is too small (message = {} bytes, room = {left})", body.len());
            let error = raise(py, &Error::new(ErrorKind::TooLarge, "channel.recv", detail));
            // As multiprocessing's BufferTooShort has it: the message is not lost.
            error.value(py).setattr("body", to_bytes(py, &body)?)?;
            Err(error)
        })
    }

    /// A block of the memory that is shared with the other side, to build a large message in place.
    fn alloc(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::size)] size: usize) -> PyResult<Block> {
        guard(py, || self.new_block(size).or_raise(py))
    }

    /// Sends a body in a codec of one's own choice, with buffers and descriptors.
    #[pyo3(signature = (body, *, codec = "raw", buffers = None, fds = None, timeout = None))]
    fn send_message(
        &self,
        body: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = arguments::codec)] codec: &str,
        buffers: Option<&Bound<'_, PyAny>>,
        fds: Option<&Bound<'_, PyAny>>,
        timeout: Option<Limit>,
    ) -> PyResult<()> {
        let py = body.py();
        guard(py, || self.send_message_in(py, self.message(body, codec, buffers, fds)?, timeout))
    }

    /// The next message: codec, body, buffers, and descriptors that are the caller's to close.
    #[pyo3(signature = (timeout = None))]
    fn recv_message<'py>(&self, py: Python<'py>, timeout: Option<Limit>) -> PyResult<Bound<'py, PyAny>> {
        guard(py, || whole(py, self.receive(py, timeout)?))
    }

    /// As `_take`, for `recv_message`.
    fn _take_message<'py>(&self, py: Python<'py>, default: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        guard(py, || self.take(py, default, whole))
    }

    /// As `_take`, for `recv_bytes`.
    fn _take_bytes<'py>(&self, py: Python<'py>, default: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        guard(py, || self.take(py, default, |py, message| to_bytes(py, &message.body).map(Bound::into_any)))
    }

    /// Whether a message, or the end, can be received within that time.
    #[pyo3(signature = (timeout = Some(Limit::NOW)), text_signature = "($self, timeout=0.0)")]
    fn poll(&self, py: Python<'_>, timeout: Option<Limit>) -> PyResult<bool> {
        guard(py, || {
            let limit = deadline(timeout);
            Ok(interrupt::until(py, limit, |slice| {
                let wait = slice.remaining().unwrap_or(Duration::from_millis(50));
                Core::wait_any(&[&self.core], Some(wait)).map(|found| found.map(drop))
            })?
            .is_some())
        })
    }

    /// A descriptor to poll; readable while something can be received. It belongs to the channel: never read from it.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        guard(py, || Ok(self.core.as_fd().or_raise(py)?.as_raw_fd()))
    }

    /// Waits until what was sent has left this process: false when the time is over.
    #[pyo3(signature = (timeout = None))]
    fn flush(&self, py: Python<'_>, timeout: Option<Limit>) -> PyResult<bool> {
        guard(py, || {
            let limit = deadline(timeout);
            Ok(interrupt::until(py, limit, |slice| Ok(self.core.flush(Some(slice.remaining().unwrap_or(Duration::from_millis(50))))?.then_some(())))?
                .is_some())
        })
    }

    /// Gives an end that was not used as a descriptor, which is the caller's to pass on and to close.
    fn detach(&self, py: Python<'_>) -> PyResult<RawFd> {
        guard(py, || self.core.take_fd().or_raise(py).map(IntoRawFd::into_raw_fd))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(pyo3::exceptions::PyTypeError::new_err(
            "cannot pickle Channel: detach() an end that was not used, send the descriptor with fds=, and make it a channel there with from_fd",
        ))
    }

    /// Closes this end.
    fn close(&self) {
        self.core.close();
    }

    /// Whether either side has closed.
    #[getter]
    fn closed(&self) -> bool {
        self.core.is_closed()
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyAny>) {
        self.close();
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        guard(py, || match self.next_object(py, None) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyEOFError>(py) => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn __repr__(&self) -> String {
        format!("<procs.Channel codec={} {}>", self.codec.name(), if self.core.is_closed() { "closed" } else { "open" })
    }
}

/// The place of the first channel of a list that has a message or has ended; `None` when the time is over.
#[pyfunction]
#[pyo3(signature = (channels, timeout = None))]
pub(crate) fn wait_any_channel(
    py: Python<'_>,
    #[pyo3(from_py_with = parts::channels)] channels: Vec<Py<Channel>>,
    timeout: Option<Limit>,
) -> PyResult<Option<usize>> {
    guard(py, || {
        let ends: Vec<&Core> = channels.iter().map(|channel| &*channel.get().core).collect();
        let limit = deadline(timeout);
        interrupt::until(py, limit, |slice| Core::wait_any(&ends, Some(slice.remaining().unwrap_or(Duration::from_millis(50)))))
    })
}
