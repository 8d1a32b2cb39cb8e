//! An end whose user reads reserved messages itself, in an event loop: many messages in one piece, and messages that leave together.

use super::{Guard, Inner, NodeEndpoint, RECV, SEND, disconnected};
use crate::channel::node::state::Frames;
use crate::error::Result;
use std::time::{Duration, Instant};

/// Bytes that are kept for the others that come with them, at most.
pub(super) const CORKED: usize = 64 << 10;
/// As many messages are kept for the others at most. Their system call is a small part of what they cost by then, and the other side can begin with
/// them while the rest is being made.
pub(super) const CORKED_MESSAGES: usize = 8;
/// How long a message waits for others at most: a program that stands still in the middle of its turn holds nothing back.
const LATEST: Duration = Duration::from_millis(1);

impl Inner {
    /// Leaves the output to whoever uncorks, or to the reactor.
    pub(super) fn write_soon(&self, guard: &mut Guard<'_>) {
        if !guard.watches.by(|| Instant::now() + LATEST) {
            guard.state.write(self.fd());
        }
    }
}

impl NodeEndpoint {
    /// From now on messages wait for [`uncork`](NodeEndpoint::uncork), 64 KiB of them or 1 ms at most.
    pub(crate) fn cork(&self) {
        self.0.locked.lock().corked = true;
    }

    /// Writes what has waited; gives the bytes that the socket did not take.
    ///
    /// # Errors
    /// `Closed` when the other side is gone.
    pub(crate) fn uncork(&self) -> Result<usize> {
        let mut guard = self.0.enter(SEND)?;
        guard.corked = false;
        guard.state.write(self.0.fd());
        let left = if guard.state.is_open() { Ok(guard.state.output_bytes()) } else { Err(disconnected()) };
        self.0.leave(guard);
        left
    }

    /// Whole messages that have come, in one piece, read at most once for them; `out` is empty. `None` when there is nothing.
    ///
    /// # Errors
    /// How the channel ended.
    pub(crate) fn take_frames(&self, out: &mut Vec<u8>) -> Result<Option<Frames>> {
        let mut guard = self.0.enter(RECV)?;
        let frames = guard.state.take_frames(self.0.fd(), out);
        let taken = if frames.is_none() { guard.state.take() } else { None };
        self.0.leave(guard);
        match taken {
            Some(Err(error)) => Err(error),
            _ => Ok(frames),
        }
    }
}
