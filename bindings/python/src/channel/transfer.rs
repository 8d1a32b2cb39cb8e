//! Sending and receiving: at once with the GIL held, and without it for as long as it takes.

use super::Channel;
use crate::convert;
use crate::error::{IntoPy, raise};
use crate::interrupt;
use procs::{Deadline, Error, ErrorKind, Message, Received};
use pyo3::prelude::*;
use std::cell::Cell;
use std::sync::LazyLock;
use std::time::Instant;

/// A deadline that has passed: to look, and to look again for as long as the channel thinks that it pays, but never to sleep.
static NOW: LazyLock<Deadline> = LazyLock::new(|| Deadline::at(Instant::now()));

/// Bytes of a thread's buffer that are kept between two messages.
const MOST_KEPT: usize = 256 << 10;

thread_local! {
    /// Where small bodies come to before they are objects.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The deadline of a timeout in seconds; `None` is never.
pub(super) fn deadline(timeout: Option<f64>) -> PyResult<Deadline> {
    Ok(timeout.map(convert::seconds).transpose()?.map_or(Deadline::NEVER, Deadline::after))
}

/// A time-out is no error to `interrupt::until`.
fn in_time<T>(result: procs::Result<T>) -> procs::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
        done => done.map(Some),
    }
}

fn timed_out(py: Python<'_>, operation: &'static str, detail: &'static str) -> PyErr {
    raise(py, &Error::new(ErrorKind::Timeout, operation, detail))
}

impl Channel {
    /// Sends a message; a timeout of 0 does not wait.
    pub(super) fn send_message_in(&self, py: Python<'_>, message: Message, timeout: Option<f64>) -> PyResult<()> {
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
        done.ok_or_else(|| timed_out(py, "channel.send", "the other side did not read in time"))
    }

    /// Sends bytes that nobody changes meanwhile, without a message around them.
    pub(super) fn send_bytes_in(&self, py: Python<'_>, bytes: &[u8], timeout: Option<f64>) -> PyResult<()> {
        match self.core.send_bytes_until(bytes, None) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && timeout != Some(0.0) => {}
            done => return done.or_raise(py),
        }
        let done = interrupt::until(py, deadline(timeout)?, |slice| in_time(self.core.send_bytes_until(bytes, Some(slice))))?;
        done.ok_or_else(|| timed_out(py, "channel.send", "the other side did not read in time"))
    }

    /// The next message; a timeout of 0 does not wait.
    pub(super) fn receive(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Message> {
        self.receive_as(py, timeout, |found, body| {
            Ok(match found {
                Received::Plain(codec) => Message::encoded(codec, body),
                Received::Whole(message) => message,
            })
        })
    }

    /// What `made` makes of the next message, which is whole or only a body beside it.
    pub(super) fn receive_as<T>(&self, py: Python<'_>, timeout: Option<f64>, made: impl FnOnce(Received, &[u8]) -> PyResult<T>) -> PyResult<T> {
        let mut body = SCRATCH.take();
        let found = self.receive_into(py, timeout, &mut body).and_then(|found| made(found, &body));
        if body.capacity() <= MOST_KEPT {
            SCRATCH.set(body);
        }
        found
    }

    fn receive_into(&self, py: Python<'_>, timeout: Option<f64>, body: &mut Vec<u8>) -> PyResult<Received> {
        if timeout == Some(0.0) {
            return self.core.try_recv().or_raise(py).map(Received::Whole);
        }
        match self.core.recv_plain(body, Some(*NOW)) {
            Err(error) if error.kind() == ErrorKind::Timeout => {}
            done => return done.or_raise(py),
        }
        let done = interrupt::until(py, deadline(timeout)?, |slice| in_time(self.core.recv_plain(body, Some(slice))))?;
        done.ok_or_else(|| timed_out(py, "channel.recv", "no message came before the deadline"))
    }
}
