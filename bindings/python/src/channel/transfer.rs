//! Sending and receiving: at once with the GIL held, and without it for as long as it takes.

use super::Channel;
use crate::error::{IntoPy, raise};
use crate::interrupt;
use crate::memory::{MessageBytes, to_bytes};
use crate::timeout::Limit;
use procs::{Deadline, Error, ErrorKind, Message, Received};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::cell::Cell;
use std::time::Duration;

/// Bytes of a thread's buffer that are kept between two messages.
const MOST_KEPT: usize = 256 << 10;

/// Bytes from which a message may not leave at once although it was taken.
const LARGE: usize = 256 << 10;

thread_local! {
    /// Where small bodies come to before they are objects.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The deadline of a timeout; `None` is never.
pub(super) fn deadline(timeout: Option<Limit>) -> Deadline {
    Deadline::from_timeout(timeout.map(Limit::duration))
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
    pub(super) fn send_message_in(&self, py: Python<'_>, message: Message, timeout: Option<Limit>) -> PyResult<()> {
        let mut message = match self.core.try_send(message) {
            Ok(()) => return Ok(()),
            Err(failed) if failed.kind() == ErrorKind::WouldBlock && timeout != Some(Limit::NOW) => Some(failed.into_inner()),
            Err(failed) => return Err(raise(py, failed.error())),
        };
        let done = interrupt::until(py, deadline(timeout), |slice| {
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
    pub(super) fn send_bytes_in(&self, py: Python<'_>, bytes: &[u8], timeout: Option<Limit>) -> PyResult<()> {
        let large = bytes.len() >= LARGE && timeout != Some(Limit::NOW);
        match self.core.send_bytes_until(bytes, large.then_some(Deadline::PASSED)) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Timeout) && timeout != Some(Limit::NOW) => {
                let done = interrupt::until(py, deadline(timeout), |slice| in_time(self.core.send_bytes_until(bytes, Some(slice))))?;
                done.ok_or_else(|| timed_out(py, "channel.send", "the other side did not read in time"))?;
            }
            done => done.or_raise(py)?,
        }
        if large { self.finish(py, timeout) } else { Ok(()) }
    }

    /// Waits until a message that was taken has left this process, which may end next; as long as the message itself might have taken.
    fn finish(&self, py: Python<'_>, timeout: Option<Limit>) -> PyResult<()> {
        if matches!(self.core.flush(Some(Duration::ZERO)), Ok(false)) {
            // Nobody is there to get the rest: the next receive tells.
            let flushed = |slice: Deadline| Ok(self.core.flush(Some(slice.remaining().unwrap_or_default())).unwrap_or(true).then_some(()));
            interrupt::until(py, deadline(timeout), flushed)?;
        }
        Ok(())
    }

    /// The next message; a timeout of 0 does not wait.
    pub(super) fn receive(&self, py: Python<'_>, timeout: Option<Limit>) -> PyResult<Message> {
        self.receive_as(py, timeout, |found, body| {
            Ok(match found {
                Received::Plain(codec) => Message::encoded(codec, body),
                Received::Whole(message) => message,
            })
        })
    }

    /// What `made` makes of the next message, which is whole or only a body beside it.
    pub(super) fn receive_as<T>(&self, py: Python<'_>, timeout: Option<Limit>, made: impl FnOnce(Received, &[u8]) -> PyResult<T>) -> PyResult<T> {
        let mut body = SCRATCH.take();
        let found = self.receive_into(py, timeout, &mut body).and_then(|found| made(found, &body));
        keep(body);
        found
    }

    /// The body of the next message; one that its sender is still writing comes straight to the object.
    pub(super) fn receive_bytes<'py>(&self, py: Python<'py>, timeout: Option<Limit>) -> PyResult<Bound<'py, PyBytes>> {
        let mut body = SCRATCH.take();
        let mut large = MessageBytes::new(py);
        let found = self.receive_first(py, timeout, |now| self.core.seek_plain_or_large(&mut body, &mut large, now));
        let found = match found {
            Ok(Some(found)) => Ok(found),
            Ok(None) => self.receive_later(py, timeout, &mut body),
            Err(error) => Err(error),
        };
        let made = found.and_then(|found| match found {
            Received::Plain(_) => Ok(match large.finish()? {
                Some(bytes) => bytes,
                None => to_bytes(py, &body)?,
            }),
            // A large body lies in shared memory: this is its only copy.
            Received::Whole(message) => to_bytes(py, &message.body),
        });
        keep(body);
        made
    }

    fn receive_into(&self, py: Python<'_>, timeout: Option<Limit>, body: &mut Vec<u8>) -> PyResult<Received> {
        match self.receive_first(py, timeout, |now| self.core.seek_plain(body, now))? {
            Some(found) => Ok(found),
            None => self.receive_later(py, timeout, body),
        }
    }

    /// What is there or comes while looking for it pays, with the GIL held; `None` when it has to be waited for.
    fn receive_first(
        &self,
        py: Python<'_>,
        timeout: Option<Limit>,
        receive: impl FnOnce(Deadline) -> procs::Result<Option<Received>>,
    ) -> PyResult<Option<Received>> {
        if timeout == Some(Limit::NOW) {
            return self.core.try_recv().or_raise(py).map(|message| Some(Received::Whole(message)));
        }
        receive(Deadline::PASSED).or_raise(py)
    }

    fn receive_later(&self, py: Python<'_>, timeout: Option<Limit>, body: &mut Vec<u8>) -> PyResult<Received> {
        let done = interrupt::until_in_rounds(py, deadline(timeout), |deadline| self.core.seek_plain(body, deadline))?;
        done.ok_or_else(|| timed_out(py, "channel.recv", "no message came before the deadline"))
    }
}

/// Keeps a thread's buffer for the next message.
fn keep(body: Vec<u8>) {
    if body.capacity() <= MOST_KEPT {
        SCRATCH.set(body);
    }
}
