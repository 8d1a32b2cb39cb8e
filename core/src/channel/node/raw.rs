//! Node's channel as frames, for a program that reads Node's reserved messages itself.

use super::endpoint::{NodeEndpoint, NodeOptions};
use super::line::Framing;
use super::outgoing::Handles;
use super::state::Frames as LinkFrames;
use crate::channel::message::make_room;
use crate::channel::{Codec, Message};
use crate::error::{Error, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::Waker;

/// Unwritten bytes that a link keeps before it refuses more.
const MAX_UNWRITTEN: usize = 256 << 20;

/// An end of Node's channel as frames: for bindings of JavaScript, which decode messages and answer the reserved ones themselves. Everybody else
/// uses [`Channel`](crate::Channel).
///
/// Nothing waits: unwritten bytes are written on the reactor's thread. At most 256 MiB of them are kept, and 1 GiB of one message.
///
/// # Drop
/// Disconnects; what was accepted is still written.
#[derive(Debug)]
pub struct NodeLink {
    end: NodeEndpoint,
    codec: Codec,
}

impl NodeLink {
    /// Both ends: one's own, and the socket for the child. The codec is JSON, or V8 for Node's serialization `advanced`.
    ///
    /// # Errors
    /// `InvalidArgument` for another codec; `Exhausted` when the system has no descriptor left.
    pub fn pair(codec: Codec) -> Result<(NodeLink, OwnedFd)> {
        let framing = match codec {
            Codec::Json => Framing::Json,
            Codec::V8 => Framing::Advanced,
            other => {
                return Err(Error::invalid("node_link", format!("Node's wire has no such codec (codec = {}, expected json or v8)", other.name())));
            }
        };
        let (mine, theirs) = crate::sys::socket::pair().map_err(|error| Error::from_io("node_link", &error, "cannot make a pair of sockets"))?;
        let options = NodeOptions { framing, handles: Handles::ByUser, high_water: MAX_UNWRITTEN, ..NodeOptions::default() };
        Ok((NodeLink { end: NodeEndpoint::new(mine, &options)?, codec }, theirs))
    }

    /// Sends an encoded message, with a descriptor that goes with its first byte; gives the bytes that are not written yet.
    ///
    /// # Errors
    /// `Closed`; `WouldBlock` when too much is unwritten; `TooLarge`; `Exhausted` when there is no memory for a line feed.
    pub fn send(&self, mut body: Vec<u8>, fd: Option<OwnedFd>) -> Result<usize> {
        if self.codec == Codec::Json {
            // A line feed inside would end the message; outside of strings it may be any space, and inside of them it cannot be.
            while let Some(at) = memchr::memchr(b'\n', &body) {
                body[at] = b' ';
            }
            make_room(&mut body, 1)?;
            body.push(b'\n');
        }
        let message = Message { fds: fd.into_iter().collect(), ..Message::encoded(self.codec, body) };
        self.end.try_send(message).map_err(|refused| refused.error)?;
        Ok(self.end.queued_bytes())
    }

    /// From now on messages leave together: by [`uncork`](NodeLink::uncork), and after 1 ms or 64 KiB at the latest.
    pub fn cork(&self) {
        self.end.cork();
    }

    /// Writes what has waited since [`cork`](NodeLink::cork); gives the bytes that are not written yet.
    ///
    /// # Errors
    /// `Closed` when the other side is gone.
    pub fn uncork(&self) -> Result<usize> {
        self.end.uncork()
    }

    /// The messages that have come, in one piece: in JSON each with a line feed after it, in V8's encoding each with its length before it, four bytes
    /// from the highest to the lowest. `out` is emptied first. Reads at most once; `None` when nothing has come.
    ///
    /// # Errors
    /// `Closed` at the end; `Protocol` or `TooLarge` when the other side broke the framing or was cut off; `Exhausted`.
    pub fn take_frames(&self, out: &mut Vec<u8>) -> Result<Option<LinkFrames>> {
        out.clear();
        self.end.take_frames(out)
    }

    /// Whether nothing is unwritten; if something is, wakes once that changes.
    pub fn poll_written(&self, waker: &Waker) -> bool {
        self.end.poll_written(waker)
    }

    /// Bytes accepted and not yet written.
    pub fn queued_bytes(&self) -> usize {
        self.end.queued_bytes()
    }
}

impl AsFd for NodeLink {
    /// Readable while something can be received or the end is to be seen. Never read from it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.made_fd()
    }
}
