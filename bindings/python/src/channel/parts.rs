//! What goes into a message besides an object, and what of it comes out.

use super::{Channel, Unsent, codec_named};
use crate::convert::refused;
use crate::error::{IntoPy, raise};
use crate::memory::to_bytes;
use crate::shared::Buffer;
use procs::{Error, ErrorKind, Message};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::Mutex;

/// What `fds` are.
const FDS: &str = "a list of descriptors or objects with fileno()";

impl Channel {
    /// The message of `send_message`.
    pub(super) fn message(
        &self,
        body: &Bound<'_, PyAny>,
        codec: &str,
        buffers: Option<&Bound<'_, PyAny>>,
        fds: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Message> {
        let mut message = Message::encoded(codec_named(body.py(), codec)?, self.carry("body", body)?);
        for buffer in each("buffers", buffers, "a list of bytes-like objects")? {
            message = message.with_buffer(self.carry("buffers", &buffer?)?);
        }
        with_fds(message, fds)
    }

    /// Sends a message if there is room now; else gives it back for later.
    pub(super) fn give(&self, py: Python<'_>, message: Message) -> PyResult<Option<Unsent>> {
        match self.core.try_send(message) {
            Ok(()) => Ok(None),
            Err(failed) if failed.kind() == ErrorKind::WouldBlock => Ok(Some(Unsent(Mutex::new(Some(failed.into_inner()))))),
            Err(failed) => Err(raise(py, failed.error())),
        }
    }

    /// What `made` makes of the next message, or `default` when none is there.
    pub(super) fn take<'py>(
        &self,
        py: Python<'py>,
        default: Bound<'py, PyAny>,
        made: impl FnOnce(Python<'py>, Message) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.core.try_recv() {
            Ok(message) => made(py, message),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(default),
            Err(error) => Err(raise(py, &error)),
        }
    }
}

/// A message as it is: `procs.Message`.
pub(super) fn whole(py: Python<'_>, message: Message) -> PyResult<Bound<'_, PyAny>> {
    let class = py.import("procs._records")?.getattr("Message")?;
    let body = to_bytes(py, &message.body)?;
    let buffers = PyList::empty(py);
    for buffer in message.buffers {
        buffers.append(Bound::new(py, Buffer::new(buffer))?)?;
    }
    let fds: Vec<RawFd> = message.fds.into_iter().map(IntoRawFd::into_raw_fd).collect();
    class.call1((message.codec.name(), body, buffers, fds))
}

/// Adds copies of descriptors, given as numbers or as objects with `fileno`.
pub(super) fn with_fds(mut message: Message, fds: Option<&Bound<'_, PyAny>>) -> PyResult<Message> {
    for fd in each("fds", fds, FDS)? {
        let fd = fd?;
        let number = descriptor(&fd).map_err(|error| refused("fds", &fd, Some(FDS), error))?;
        message = message.with_fd(procs::duplicate_fd(number).or_raise(fd.py())?);
    }
    Ok(message)
}

fn descriptor(fd: &Bound<'_, PyAny>) -> PyResult<RawFd> {
    let number: RawFd = match fd.extract::<RawFd>() {
        Err(error) if error.is_instance_of::<PyTypeError>(fd.py()) => fd.call_method0("fileno")?.extract()?,
        number => number?,
    };
    if number >= 0 { Ok(number) } else { Err(PyValueError::new_err("not a descriptor")) }
}

/// The items of an argument that may be left out.
fn each<'py>(name: &str, list: Option<&Bound<'py, PyAny>>, expected: &str) -> PyResult<impl Iterator<Item = PyResult<Bound<'py, PyAny>>> + use<'py>> {
    let items = list.map(|list| list.try_iter().map_err(|error| refused(name, list, Some(expected), error))).transpose()?;
    Ok(items.into_iter().flatten())
}

/// A list of channels.
pub(super) fn channels(value: &Bound<'_, PyAny>) -> PyResult<Vec<Py<Channel>>> {
    const EXPECTED: &str = "a list of Channel";
    // One by one: what an object says of its length is not to be believed.
    let ends = each("channels", Some(value), EXPECTED)?.map(|end| end?.extract().map_err(PyErr::from));
    ends.collect::<PyResult<_>>().map_err(|error| refused("channels", value, Some(EXPECTED), error))
}

/// A buffer to receive into, from `offset` on.
pub(super) fn room_in(buffer: &Bound<'_, PyAny>, offset: usize) -> PyResult<PyUntypedBuffer> {
    const EXPECTED: &str = "a writable, contiguous buffer";
    let room = PyUntypedBuffer::get(buffer).map_err(|error| refused("buffer", buffer, Some(EXPECTED), error))?;
    if room.readonly() || !room.is_c_contiguous() {
        return Err(refused("buffer", buffer, Some(EXPECTED), PyTypeError::new_err("cannot be written to")));
    }
    if offset > room.len_bytes() {
        let detail = format!("past the end of the buffer (offset = {offset}, expected 0 to {})", room.len_bytes());
        return Err(raise(buffer.py(), &Error::new(ErrorKind::InvalidArgument, "channel.recv", detail)));
    }
    Ok(room)
}
