//! What goes into a message besides an object, and what of it comes out.

use super::{Channel, Unsent, codec_named};
use crate::error::{IntoPy, raise};
use crate::memory::to_bytes;
use crate::shared::Buffer;
use procs::{ErrorKind, Message};
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::Mutex;

impl Channel {
    /// The message of `send_message`.
    pub(super) fn message(
        &self,
        body: &Bound<'_, PyAny>,
        codec: &str,
        buffers: Option<&Bound<'_, PyAny>>,
        fds: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Message> {
        let mut message = Message::encoded(codec_named(body.py(), codec)?, self.carry(body)?);
        for buffer in buffers.map(|list| list.try_iter()).transpose()?.into_iter().flatten() {
            message = message.with_buffer(self.carry(&buffer?)?);
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
