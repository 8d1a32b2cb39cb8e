//! Channels in an event loop that watches their descriptors itself.

use super::channel::Channel;
use super::link::Link;
use super::message::{Message, ReceivedSlice};
use super::native::plain::Next;
use crate::error::{ErrorKind, Result};

impl Channel {
    /// The next message if one is there; the descriptor of [`as_fd`](Channel::as_fd) stays readable. For an event loop that takes what has
    /// come, lets its handlers run, and calls [`settle`](Channel::settle) before it waits again.
    ///
    /// # Errors
    /// As [`Channel::recv`].
    pub fn take_ready(&self) -> Result<Option<Message>> {
        match self.link()? {
            Link::Native(native) => native.take_ready(),
            Link::Node(node) => match node.try_recv() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                result => result.map(Some),
            },
        }
    }

    /// As [`take_ready`](Channel::take_ready); the body of a message that has neither buffers nor descriptors and fits is copied to the front of
    /// `out`, without allocating.
    ///
    /// # Errors
    /// As [`Channel::recv`].
    pub fn take_ready_slice(&self, out: &mut [u8]) -> Result<Option<ReceivedSlice>> {
        if let Link::Native(native) = self.link()? {
            match native.take_ready_plain(out)? {
                Next::Plain(codec, len) => return Ok(Some(ReceivedSlice::Plain(codec, len))),
                Next::Nothing => return Ok(None),
                Next::Long(..) | Next::Other => {}
            }
        }
        Ok(self.take_ready()?.map(ReceivedSlice::Whole))
    }

    /// Whether there is something to take, before the event loop waits for the descriptor. With `Spin::Off` at once; otherwise it looks again
    /// for at most about 50 µs, after a large message 300 µs, where experience says that this pays
    /// ([`ChannelOptions::spin`](super::ChannelOptions::spin)), or lets the other side run first where that shares this processor.
    ///
    /// # Errors
    /// As [`Channel::as_fd`].
    pub fn settle(&self) -> Result<bool> {
        self.settle_if(true)
    }

    /// As [`settle`](Channel::settle) for who has something to do that can wait and takes a few microseconds at a time: where it looks again and
    /// nothing is there, `work` is called again and again until it answers false. It must not use the channel, but may send by its other end.
    ///
    /// # Errors
    /// As there.
    pub fn settle_meanwhile(&self, work: &mut dyn FnMut() -> bool) -> Result<bool> {
        match self.link()? {
            Link::Native(native) => native.settle(Some(work)),
            Link::Node(node) => node.has_something(),
        }
    }

    /// As [`settle`](Channel::settle) for a loop that has something else to do: does not look again.
    ///
    /// # Errors
    /// As there.
    pub fn settle_now(&self) -> Result<bool> {
        self.settle_if(false)
    }

    /// As [`settle_now`](Channel::settle_now) for a loop that comes back when it has done something else: where looking again pays and nothing is
    /// there, the descriptor is readable at once, until the next of these calls. To be followed by one of the others if nothing came by then.
    ///
    /// # Errors
    /// As there.
    pub fn settle_soon(&self) -> Result<bool> {
        match self.link()? {
            Link::Native(native) => native.settle_soon(),
            Link::Node(node) => node.has_something(),
        }
    }

    /// Looks itself whether the other side is gone, where the thread that watches for that may not have told yet: for a loop that has just heard of
    /// the end of the process there.
    pub fn look_for_end(&self) {
        if let Some(Link::Native(native)) = self.link.get() {
            native.look_for_end();
        }
    }

    fn settle_if(&self, may_spin: bool) -> Result<bool> {
        match self.link()? {
            Link::Native(native) => native.settle(may_spin.then_some(&mut || false)),
            Link::Node(node) => node.has_something(),
        }
    }
}
