//! What a user needs who reads reserved messages itself: many lines in one piece, and descriptors beside them.

use super::{Reading, State, Step};
use crate::channel::node::line::{Framing, KEEP as LONG};
use crate::channel::node::outgoing::Handles;
use std::os::fd::{BorrowedFd, OwnedFd};

/// What came with a look at a [`NodeLink`](crate::NodeLink), beside the bytes.
#[derive(Debug)]
pub struct Lines {
    /// Descriptors that have come, for messages that announce them: these, or some that follow.
    pub fds: Vec<OwnedFd>,
    /// Whether one whole line came, neither more nor none.
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

    /// Whether lines stay together until somebody takes them.
    pub(super) fn keeps_lines(&self) -> bool {
        self.is_bare() && self.splitter.framing() == Framing::Json
    }

    /// Reads once and takes the whole lines that are there to `out`, which is empty; `None` when there is nothing, or the end.
    pub(crate) fn take_lines(&mut self, fd: BorrowedFd<'_>, out: &mut Vec<u8>) -> Option<Lines> {
        let space = self.splitter.space();
        if space.capacity() < FIRST {
            space.reserve(FIRST);
        }
        let step = self.read(fd);
        let found = self.splitter.lines(out).unwrap_or_else(|error| {
            self.fail(fd, error.kind(), error.detail().to_owned());
            None
        });
        if found.is_none() && step != Step::Moved {
            return None;
        }
        let fds: Vec<OwnedFd> = self.arrived.drain(..).collect();
        // A read that brought less than there was room for has emptied the socket, unless it ended where a descriptor came. A long line comes alone.
        let more = self.reading != Reading::Open || out.len() > LONG || (step == Step::Moved && (self.filled || !fds.is_empty()));
        Some(Lines { fds, one: found == Some(true), more })
    }
}
