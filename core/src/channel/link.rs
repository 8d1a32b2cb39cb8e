//! The wire that a channel speaks, each verb passed on to it.

use super::channel::ChannelStats;
use super::codec::Codec;
use super::message::Message;
use super::native::plain::{Found, Room};
use super::native::{Native, Wait};
use super::node::{Framing, NodeEndpoint, NodeOptions};
use super::options::ChannelOptions;
use super::unsent::SendError;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::io::reactor::Watch;
use crate::shm::Block;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll};

#[derive(Debug)]
pub(super) enum Link {
    Native(Arc<Native>),
    Node(NodeEndpoint),
}

impl Link {
    /// Node's wire on this end of a pair of sockets.
    ///
    /// # Errors
    /// `InvalidArgument` when the options do not take JSON, `Exhausted`.
    pub(super) fn node(fd: OwnedFd, options: &ChannelOptions) -> Result<Link> {
        if !options.codecs.contains(Codec::Json) {
            let detail = format!("Node's wire carries JSON (codecs = {}, expected json among them)", options.codecs);
            return Err(Error::invalid("channel", detail));
        }
        let node = NodeOptions {
            framing: Framing::Json,
            max_message: usize::try_from(options.max_message).unwrap_or(usize::MAX),
            max_queued: options.max_queued_bytes,
            high_water: options.high_water.max(1),
            frame_timeout: options.frame_timeout,
            spin: options.spin,
            ..NodeOptions::default()
        };
        NodeEndpoint::new(fd, &node).map(Link::Node)
    }

    #[inline]
    pub(super) fn send(&self, message: Message, wait: Wait) -> std::result::Result<(), SendError> {
        match self {
            Link::Native(native) => native.send(&message, wait).map_err(|error| SendError::new(error, message)),
            Link::Node(node) => match wait {
                Some(deadline) => node.send(message, deadline),
                None => node.try_send(message),
            }
            .map_err(|refused| SendError::new(refused.error, refused.message)),
        }
    }

    #[inline]
    pub(super) fn send_bytes(&self, bytes: &[u8], wait: Wait) -> Result<()> {
        match self {
            Link::Native(native) => native.send_bytes(bytes, wait),
            Link::Node(_) => self.send(Message::raw(bytes), wait).map_err(Error::from),
        }
    }

    pub(super) fn alloc(&self, len: usize) -> Result<Block> {
        match self {
            Link::Native(native) => native.alloc(len),
            Link::Node(_) => Err(Error::new(ErrorKind::Unsupported, "channel.alloc", "Node's wire shares no memory")),
        }
    }

    /// Takes the message out of the option once it is done with it.
    pub(super) fn poll_send(
        &self,
        message: &mut Option<Message>,
        cx: &mut Context<'_>,
        watch: &mut Option<Watch>,
    ) -> Poll<std::result::Result<(), SendError>> {
        match self {
            Link::Native(native) => {
                let Some(pending) = message.as_ref() else { return Poll::Ready(Ok(())) };
                let result = native.poll_send(pending, cx, watch);
                result.map(|result| {
                    let message = message.take().unwrap_or_default();
                    result.map_err(|error| SendError::new(error, message))
                })
            }
            Link::Node(node) => node.poll_send(cx, message).map_err(|refused| SendError::new(refused.error, refused.message)),
        }
    }

    #[inline]
    pub(super) fn recv(&self, wait: Wait) -> Result<Message> {
        match (self, wait) {
            (Link::Native(native), wait) => native.recv(wait),
            (Link::Node(node), Some(deadline)) => node.recv(deadline),
            (Link::Node(node), None) => node.try_recv(),
        }
    }

    pub(super) fn try_recv(&self) -> Result<Message> {
        match self {
            Link::Native(native) => native.try_recv(),
            Link::Node(node) => node.try_recv(),
        }
    }

    #[inline]
    pub(super) fn recv_plain<R: Room + ?Sized>(&self, out: &mut R, wait: Wait) -> Result<Found> {
        match self {
            Link::Native(native) => native.recv_plain(out, wait),
            Link::Node(_) => self.recv(wait).map(Found::whole),
        }
    }

    /// As [`Link::recv_plain`]; `None` when the time is over.
    #[inline]
    pub(super) fn seek_plain<R: Room + ?Sized>(&self, out: &mut R, deadline: Deadline) -> Result<Option<Found>> {
        let sought = match self {
            Link::Native(native) => native.seek_plain(out, Some(deadline)),
            Link::Node(node) => node.recv(deadline.within_a_round()).map(Found::whole).map(Some),
        };
        match sought {
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
            sought => sought,
        }
    }

    pub(super) fn poll_recv(&self, cx: &mut Context<'_>, watch: &mut Option<Watch>) -> Poll<Result<Message>> {
        match self {
            Link::Native(native) => native.poll_recv(cx, watch),
            Link::Node(node) => node.poll_recv(cx),
        }
    }

    pub(super) fn pollable(&self) -> Result<BorrowedFd<'_>> {
        match self {
            Link::Native(native) => native.pollable(),
            Link::Node(node) => node.as_fd(),
        }
    }

    /// Whether a call to receive would give something now: a message or the end.
    pub(super) fn has_something(&self) -> Result<bool> {
        match self {
            Link::Native(native) => native.has_something(),
            Link::Node(node) => node.has_something(),
        }
    }

    pub(super) fn flush(&self, deadline: Deadline) -> Result<bool> {
        match self {
            Link::Native(native) => native.flush(Some(deadline)),
            Link::Node(node) => match node.flush(deadline) {
                Err(error) if error.kind() == ErrorKind::Timeout => Ok(false),
                result => result.map(|()| true),
            },
        }
    }

    pub(super) fn close(&self) {
        match self {
            Link::Native(native) => native.close(),
            Link::Node(node) => node.disconnect(),
        }
    }

    pub(super) fn stats(&self) -> Result<ChannelStats> {
        let (unread_bytes, kept_bytes) = match self {
            Link::Native(native) => native.queued()?,
            Link::Node(node) => (node.queued_bytes() as u64, 0),
        };
        Ok(ChannelStats { unread_bytes, kept_bytes })
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Link::Native(native) => native.is_closed(),
            Link::Node(node) => !node.is_connected(),
        }
    }

    /// On Node's wire the end says nothing about its reason.
    pub(super) fn closed_in_order(&self) -> bool {
        match self {
            Link::Native(native) => native.closed_in_order(),
            Link::Node(_) => false,
        }
    }

    pub(super) fn watch_process(&self, pidfd: OwnedFd) -> Result<()> {
        match self {
            Link::Native(native) => native.watch_process(pidfd),
            Link::Node(node) => {
                node.set_peer(pidfd);
                Ok(())
            }
        }
    }
}
