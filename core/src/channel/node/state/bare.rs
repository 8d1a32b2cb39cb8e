//! What a user needs who reads reserved messages itself: many messages in one piece, and descriptors beside them.

use super::{Reading, State, Step};
use crate::channel::node::line::KEEP as LONG;
use crate::channel::node::outgoing::Handles;
use std::os::fd::{BorrowedFd, OwnedFd};

/// What came with a look at a [`NodeLink`](crate::NodeLink), beside the bytes.
#[derive(Debug)]
pub struct Frames {
    /// Descriptors that have come, for messages that announce them: these, or some that follow.
    pub fds: Vec<OwnedFd>,
    /// Whether one whole message came, neither more nor none.
    pub one: bool,
    /// Whether more may be there at once. Otherwise whoever polls is told when something comes.
    pub more: bool,
}

/// Bytes of the first read: what the socket of a busy peer has ready.
const FIRST: usize = 64 << 10;

impl State {
    /// Whether reserved messages and descriptors are the user's business.
    pub(crate) fn is_bare(&self) -> bool {
        self.handles == Handles::ByUser
    }

    /// Reads once and takes the whole messages that are there to `out`, which is empty; `None` when there is nothing, or the end.
    pub(crate) fn take_frames(&mut self, fd: BorrowedFd<'_>, out: &mut Vec<u8>) -> Option<Frames> {
        let space = self.splitter.space();
        if space.capacity() < FIRST {
            // Without it the read makes the room that it needs, or tells that there is none.
            let _ = space.try_reserve(FIRST);
        }
        let step = self.read(fd);
        let found = self.splitter.framed(out).unwrap_or_else(|error| {
            self.fail(fd, error.kind(), error.detail().to_owned());
            None
        });
        if found.is_none() && step != Step::Moved {
            return None;
        }
        let fds: Vec<OwnedFd> = self.arrived.drain(..).collect();
        // A read that brought less than there was room for has emptied the socket, unless it ended where a descriptor came. A long message comes alone.
        let more = self.reading != Reading::Open || out.len() > LONG || (step == Step::Moved && (self.filled || !fds.is_empty()));
        Some(Frames { fds, one: found == Some(true), more })
    }
}
