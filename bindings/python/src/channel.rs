//! Messages to and from another process: the channel of the core as an object of Python.
//!
//! A call tries without giving the GIL up, and gives it up only to wait. Python objects travel in the codec of the channel: JSON, pickle or
//! bytes as they are; pickle is decoded only where the user chose it.

use crate::aio::Hub;
use crate::calls::{self, AsyncCall, Replies};
use crate::child::Child;
use crate::codec;
use crate::convert;
use crate::error::{IntoPy, guard, raise};
use crate::interrupt;
use crate::shared::wait::block_on_until as block_on;
use crate::shared::{AsyncWait, Buffer};
use procs::{Channel as Core, ChannelOptions, Codec, CodecSet, Deadline, Error, ErrorKind, Message, Spin};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// The options of a channel from keyword arguments; `codec` is the one that `send` uses, and raw is always understood.
pub(crate) fn options(py: Python<'_>, codec: &str, given: Option<&Bound<'_, PyDict>>) -> PyResult<(Codec, ChannelOptions)> {
    let codec = codec::named(py, codec)?;
    let codecs = CodecSet::default().with(codec);
    let mut options = ChannelOptions { codecs, ..ChannelOptions::default() };
    let Some(given) = given else { return Ok((codec, options)) };
    for (key, value) in given {
        let key: String = key.extract()?;
        match key.as_str() {
            "max_message" => options.max_message = value.extract()?,
            "max_queued_bytes" => options.max_queued_bytes = value.extract()?,
            "ring_bytes" => options.ring_bytes = value.extract()?,
            "max_fds" => options.max_fds = value.extract()?,
            "frame_timeout" => options.frame_timeout = value.extract::<Option<f64>>()?.map(convert::seconds).transpose()?,
            "spin" => options.spin = spin(&value)?,
            _ => return Err(pyo3::exceptions::PyTypeError::new_err(format!("channel: no such option ({key})"))),
        }
    }
    Ok((codec, options))
}

/// `None` is adaptive, 0 never, a number of seconds up to that long.
fn spin(value: &Bound<'_, PyAny>) -> PyResult<Spin> {
    match value.extract::<Option<f64>>()? {
        None => Ok(Spin::Adaptive),
        Some(0.0) => Ok(Spin::Off),
        Some(cap) => Ok(Spin::Always(convert::seconds(cap)?)),
    }
}

fn deadline(timeout: Option<f64>) -> PyResult<Deadline> {
    Ok(timeout.map(convert::seconds).transpose()?.map_or(Deadline::NEVER, Deadline::after))
}

/// One end of a channel; see `procs/__init__.pyi`.
#[pyclass(frozen, weakref, module = "procs", name = "Channel")]
pub(crate) struct Channel {
    pub(crate) core: Arc<Core>,
    codec: Codec,
}

impl Channel {
    pub(crate) fn new(core: Core, codec: Codec) -> Channel {
        Channel { core: Arc::new(core), codec }
    }

    /// Sends what is there now without giving the GIL up; waits without it.
    fn send_now(&self, py: Python<'_>, message: Message, timeout: Option<f64>) -> PyResult<()> {
        let mut message = match self.core.try_send(message) {
            Ok(()) => return Ok(()),
            Err(failed) if failed.kind() == ErrorKind::WouldBlock && timeout != Some(0.0) => Some(failed.into_inner()),
            Err(failed) => return Err(raise(py, failed.error())),
        };
        let done = interrupt::until(py, deadline(timeout)?, |slice| {
            let Some(held) = message.take() else { return Ok(Some(())) };
            match self.core.send_deadline(held, slice) {
                Ok(()) => Ok(Some(())),
                Err(failed) if failed.kind() == ErrorKind::Timeout => {
                    message = Some(failed.into_inner());
                    Ok(None)
                }
                Err(failed) => Err(failed.into_parts().0),
            }
        })?;
        done.ok_or_else(|| raise(py, &Error::new(ErrorKind::Timeout, "channel.send", "the other side did not read in time")))
    }

    fn receive(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Message> {
        match self.core.try_recv() {
            Err(error) if error.kind() == ErrorKind::WouldBlock && timeout != Some(0.0) => {}
            done => return done.or_raise(py),
        }
        let done = interrupt::until(py, deadline(timeout)?, |slice| in_time(self.core.recv_deadline(slice)))?;
        done.ok_or_else(|| raise(py, &Error::new(ErrorKind::Timeout, "channel.recv", "no message came before the deadline")))
    }

    pub(crate) fn encode(&self, value: &Bound<'_, PyAny>) -> PyResult<Message> {
        codec::encode(self.codec, value)
    }
}

/// A time-out is no error to `interrupt::until`.
fn in_time<T>(result: procs::Result<T>) -> procs::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
        done => done.map(Some),
    }
}

#[pymethods]
impl Channel {
    /// Both ends of a new channel.
    #[staticmethod]
    #[pyo3(signature = (*, codec = "json", **settings))]
    fn pair(py: Python<'_>, codec: &str, settings: Option<&Bound<'_, PyDict>>) -> PyResult<(Channel, Channel)> {
        guard(py, || {
            let (codec, options) = options(py, codec, settings)?;
            let (here, there) = Core::pair_with(&options).or_raise(py)?;
            Ok((Channel::new(here, codec), Channel::new(there, codec)))
        })
    }

    /// The end behind a descriptor that `detach` gave; takes the descriptor.
    #[staticmethod]
    #[pyo3(signature = (fd, *, codec = "json", **settings))]
    fn from_fd(py: Python<'_>, fd: RawFd, codec: &str, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Channel> {
        guard(py, || {
            let (codec, options) = options(py, codec, settings)?;
            let own = procs::duplicate_fd(fd).or_raise(py)?;
            let core = Core::from_fd_with(own, &options).or_raise(py)?;
            py.import("os")?.call_method1("close", (fd,))?;
            Ok(Channel::new(core, codec))
        })
    }

    #[getter]
    fn codec(&self) -> &'static str {
        self.codec.name()
    }

    /// Sends an object.
    #[pyo3(signature = (obj, *, fds = None, timeout = None))]
    fn send(&self, obj: &Bound<'_, PyAny>, fds: Option<&Bound<'_, PyAny>>, timeout: Option<f64>) -> PyResult<()> {
        let py = obj.py();
        guard(py, || self.send_now(py, with_fds(self.encode(obj)?, fds)?, timeout))
    }

    /// The next object.
    #[pyo3(signature = (timeout = None))]
    fn recv<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        guard(py, || codec::decode(py, self.receive(py, timeout)?))
    }

    /// The next object, or `default` when none is there; for event loops.
    fn _take<'py>(&self, py: Python<'py>, default: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        guard(py, || match self.core.try_recv() {
            Ok(message) => codec::decode(py, message),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(default),
            Err(error) => Err(raise(py, &error)),
        })
    }

    /// Sends an object if there is room now; whether it was sent.
    #[pyo3(signature = (obj, fds = None))]
    fn _give(&self, obj: &Bound<'_, PyAny>, fds: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let py = obj.py();
        guard(py, || match self.core.try_send(with_fds(self.encode(obj)?, fds)?) {
            Ok(()) => Ok(true),
            Err(failed) if failed.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(failed) => Err(raise(py, failed.error())),
        })
    }

    /// Sends an object when there is room, for event loops.
    #[pyo3(signature = (hub, number, obj, fds = None))]
    fn _send_async(&self, hub: &Hub, number: u64, obj: &Bound<'_, PyAny>, fds: Option<&Bound<'_, PyAny>>) -> PyResult<AsyncWait> {
        let py = obj.py();
        guard(py, || {
            let message = with_fds(self.encode(obj)?, fds)?;
            let core = Arc::clone(&self.core);
            Ok(AsyncWait::new(hub, number, async move { core.send_async(message).await.map(|()| true).map_err(procs::Error::from) }))
        })
    }

    /// Asks the other side, which serves, and waits for its reply.
    #[pyo3(signature = (obj, timeout = None))]
    fn call<'py>(&self, obj: &Bound<'py, PyAny>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let py = obj.py();
        guard(py, || {
            let message = self.encode(obj)?;
            let reply = block_on(py, deadline(timeout)?, self.core.call_async(message))?;
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

    /// Sends a bytes-like object as it is.
    #[pyo3(signature = (data, timeout = None))]
    fn send_bytes(&self, data: &Bound<'_, PyAny>, timeout: Option<f64>) -> PyResult<()> {
        let py = data.py();
        guard(py, || {
            let copied;
            let bytes = match data.cast::<PyBytes>() {
                Ok(bytes) => bytes.as_bytes(),
                Err(_) => {
                    copied = convert::bytes_like(data)?;
                    &copied
                }
            };
            match self.core.send_bytes_until(bytes, None) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && timeout != Some(0.0) => {}
                done => return done.or_raise(py),
            }
            let done = interrupt::until(py, deadline(timeout)?, |slice| in_time(self.core.send_bytes_until(bytes, Some(slice))))?;
            done.ok_or_else(|| raise(py, &Error::new(ErrorKind::Timeout, "channel.send", "the other side did not read in time")))
        })
    }

    /// The body of the next message.
    #[pyo3(signature = (timeout = None))]
    fn recv_bytes<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyBytes>> {
        guard(py, || {
            // A large body lies in shared memory: this is its only copy.
            Ok(PyBytes::new(py, &self.receive(py, timeout)?.body))
        })
    }

    /// Copies the body of the next message into a writable buffer and gives its length.
    #[pyo3(signature = (buffer, offset = 0, timeout = None))]
    fn recv_bytes_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>, offset: usize, timeout: Option<f64>) -> PyResult<usize> {
        guard(py, || {
            let view = py.import("builtins")?.getattr("memoryview")?.call1((buffer,))?.call_method1("cast", ("B",))?;
            let body = self.receive(py, timeout)?.body;
            if offset.saturating_add(body.len()) > view.len()? {
                let detail = format!("the buffer is too small (message = {} bytes, room = {})", body.len(), view.len()?.saturating_sub(offset));
                return Err(raise(py, &Error::new(ErrorKind::TooLarge, "channel.recv", detail)));
            }
            let range = pyo3::types::PySlice::new(py, offset.cast_signed(), (offset + body.len()).cast_signed(), 1);
            view.set_item(range, PyBytes::new(py, &body))?;
            Ok(body.len())
        })
    }

    /// Sends a body in a codec of one's own choice, with buffers and descriptors.
    #[pyo3(signature = (body, *, codec = "raw", buffers = None, fds = None, timeout = None))]
    fn send_message(
        &self,
        body: &Bound<'_, PyAny>,
        codec: &str,
        buffers: Option<&Bound<'_, PyAny>>,
        fds: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let py = body.py();
        guard(py, || {
            let mut message = Message::encoded(codec::named(py, codec)?, convert::bytes_like(body)?);
            for buffer in buffers.map(|list| list.try_iter()).transpose()?.into_iter().flatten() {
                message = message.with_buffer(convert::bytes_like(&buffer?)?);
            }
            self.send_now(py, with_fds(message, fds)?, timeout)
        })
    }

    /// The next message: codec, body, buffers, and descriptors that are the caller's to close.
    #[pyo3(signature = (timeout = None))]
    fn recv_message<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        guard(py, || {
            let message = self.receive(py, timeout)?;
            let class = py.import("procs._codecs")?.getattr("Message")?;
            let buffers: Vec<Buffer> = message.buffers.into_iter().map(Buffer::new).collect();
            let body = PyBytes::new(py, &message.body);
            let buffers = PyList::new(py, buffers.into_iter().map(|buffer| Bound::new(py, buffer)).collect::<PyResult<Vec<_>>>()?)?;
            let fds: Vec<RawFd> = message.fds.into_iter().map(IntoRawFd::into_raw_fd).collect();
            class.call1((message.codec.name(), body, buffers, fds))
        })
    }

    /// Whether a message, or the end, can be received within that time.
    #[pyo3(signature = (timeout = Some(0.0)))]
    fn poll(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        guard(py, || {
            let limit = deadline(timeout)?;
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
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        guard(py, || {
            let limit = deadline(timeout)?;
            Ok(interrupt::until(py, limit, |slice| Ok(self.core.flush(Some(slice.remaining().unwrap_or(Duration::from_millis(50))))?.then_some(())))?
                .is_some())
        })
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
        guard(py, || match self.receive(py, None) {
            Ok(message) => codec::decode(py, message).map(Some),
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyEOFError>(py) => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn __repr__(&self) -> String {
        format!("<procs.Channel codec={} {}>", self.codec.name(), if self.core.is_closed() { "closed" } else { "open" })
    }
}

/// Adds copies of descriptors, given as numbers or as objects with `fileno`.
fn with_fds(mut message: Message, fds: Option<&Bound<'_, PyAny>>) -> PyResult<Message> {
    let Some(fds) = fds else { return Ok(message) };
    let py = fds.py();
    for fd in fds.try_iter()? {
        let fd = fd?;
        let number: RawFd = match fd.extract() {
            Ok(number) => number,
            Err(_) => fd.call_method0("fileno")?.extract()?,
        };
        message = message.with_fd(procs::duplicate_fd(number).or_raise(py)?);
    }
    Ok(message)
}

/// The channel to the parent, once in a process.
#[pyfunction]
#[pyo3(signature = (*, codec = "json", **settings))]
pub(crate) fn parent_channel(py: Python<'_>, codec: &str, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Channel> {
    guard(py, || {
        let (codec, options) = options(py, codec, settings)?;
        Ok(Channel::new(Core::from_env_with(&options).or_raise(py)?, codec))
    })
}

/// Starts a child with a channel to it; `options` are those of `procs._options`.
#[pyfunction]
#[pyo3(signature = (argv, options, codec, settings = None))]
pub(crate) fn spawn_with_channel(
    py: Python<'_>,
    argv: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyDict>>,
    codec: &str,
    settings: Option<&Bound<'_, PyDict>>,
) -> PyResult<(Child, Channel)> {
    guard(py, || {
        let (codec, settings) = self::options(py, codec, settings)?;
        let mut request = crate::options::Request::new(argv, options)?;
        let (child, channel) = py.detach(|| request.command.fork_with(&settings)).or_raise(py)?;
        Ok((Child::new(child), Channel::new(channel, codec)))
    })
}

/// The place of the first channel of a list that has a message or has ended; `None` when the time is over.
#[pyfunction]
#[pyo3(signature = (channels, timeout = None))]
pub(crate) fn wait_any_channel(py: Python<'_>, channels: Vec<Py<Channel>>, timeout: Option<f64>) -> PyResult<Option<usize>> {
    guard(py, || {
        let ends: Vec<&Core> = channels.iter().map(|channel| &*channel.get().core).collect();
        let limit = deadline(timeout)?;
        interrupt::until(py, limit, |slice| Core::wait_any(&ends, Some(slice.remaining().unwrap_or(Duration::from_millis(50)))))
    })
}
