//! The public channel: one face over the wires.

use super::futures::{RecvFuture, SendFuture};
use super::link::Link;
use super::message::{LargeRoom, Message, Received, ReceivedSlice};
use super::native::pair::Unopened;
use super::native::plain::{Found, TwoRooms};
use super::native::{Native, Wait};
use super::options::ChannelOptions;
use super::peer::PeerProcess;
use super::request::Request;
use super::unsent::SendError;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::Block;
use crate::sys::poll::{Events, PollFd, poll};
use parking_lot::Mutex;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One end of a channel: messages to and from another process, or another thread of this one, in order and whole.
///
/// Both directions are independent. Any number of threads may send and receive; each message goes to one of them. What was sent reaches the
/// other side even if this process ends right after; what was not read when the other side closes is lost.
///
/// # Drop
/// Closes this end, as [`Channel::close`].
///
/// ```
/// use procs::{Channel, Message};
/// let (here, there) = Channel::pair()?;
/// let thread = std::thread::spawn(move || -> procs::Result<()> {
///     let question = there.recv()?;
///     there.send(Message::raw(question.body.to_ascii_uppercase()))?;
///     Ok(())
/// });
/// here.send_bytes(b"hello")?;
/// assert_eq!(here.recv()?.body, *b"HELLO");
/// thread.join().expect("the thread")?;
/// assert_eq!(here.recv().unwrap_err().kind(), procs::ErrorKind::Closed);
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Debug)]
pub struct Channel {
    pub(super) link: OnceLock<Link>,
    /// What the link is made of at the first use.
    pub(super) unopened: Mutex<Option<Unopened>>,
    pub(super) options: ChannelOptions,
    /// The process at the other end, where it is known.
    pub(super) peer: OnceLock<Arc<dyn PeerProcess>>,
    /// What of the end was told as an event.
    pub(super) told: AtomicU8,
}

/// What waits in a channel. See [`Channel::stats`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelStats {
    /// Bytes sent that the other side has not read, up to an eighth of the ring too many; large bodies count with their frame only.
    pub unread_bytes: u64,
    /// Bytes received that nobody has asked for, outside of the ring.
    pub kept_bytes: u64,
}

impl Channel {
    #[inline]
    pub(super) fn link(&self) -> Result<&Link> {
        match self.link.get() {
            Some(link) => Ok(link),
            None => self.open(),
        }
    }

    /// The native wire, which calls need.
    pub(super) fn native(&self, operation: &'static str) -> Result<&Arc<Native>> {
        match self.link()? {
            Link::Native(native) => Ok(native),
            Link::Node(_) => Err(Error::new(ErrorKind::Unsupported, operation, "Node's wire carries messages, not calls")),
        }
    }

    /// The next message or call of the other side.
    pub(crate) fn next_of_both(&self, deadline: Deadline) -> Result<std::result::Result<Message, Request>> {
        match self.link()? {
            Link::Native(native) => {
                let found = native.next_of_both(Some(deadline))?;
                Ok(found.map_err(|asked| Request::new(Arc::clone(native), asked)))
            }
            Link::Node(node) => node.recv(deadline).map(Ok),
        }
    }

    /// Sends a message; waits while the other side does not read.
    ///
    /// # Errors
    /// Each gives the message back.
    /// - `Closed`: the other side is gone.
    /// - `TooLarge`: the other side does not take messages of this size.
    /// - `InvalidArgument`: a descriptor is not what the message says it is.
    /// - `InvalidState`: closed by this side, or a forked copy of the process.
    #[inline]
    pub fn send(&self, message: Message) -> std::result::Result<(), SendError> {
        self.send_until(message, Some(Deadline::NEVER))
    }

    /// As [`Channel::send`], but waits until the deadline only.
    ///
    /// # Errors
    /// As there, and `Timeout`.
    pub fn send_deadline(&self, message: Message, deadline: Deadline) -> std::result::Result<(), SendError> {
        self.send_until(message, Some(deadline))
    }

    /// As [`Channel::send`], but waits at most this long.
    ///
    /// # Errors
    /// As there, and `Timeout`.
    pub fn send_timeout(&self, message: Message, timeout: Duration) -> std::result::Result<(), SendError> {
        self.send_until(message, Some(Deadline::after(timeout)))
    }

    /// As [`Channel::send`], but does not wait.
    ///
    /// # Errors
    /// As there, and `WouldBlock` when the other side has to read first.
    pub fn try_send(&self, message: Message) -> std::result::Result<(), SendError> {
        self.send_until(message, None)
    }

    #[inline]
    fn send_until(&self, message: Message, wait: Wait) -> std::result::Result<(), SendError> {
        match self.link() {
            Ok(link) => link.send(message, wait),
            Err(error) => Err(SendError::new(error, message)),
        }
    }

    /// Sends bytes as a raw message, without allocating; waits while the other side does not read.
    ///
    /// # Errors
    /// As [`Channel::send`].
    #[inline]
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.link()?.send_bytes(bytes, Some(Deadline::NEVER))
    }

    /// As [`Channel::send_bytes`], but waits until the deadline only; `None` is not at all. A large body that has begun to leave by then is sent, but
    /// its rest waits here for the other side to read: [`Channel::flush`] before an end of this process.
    ///
    /// # Errors
    /// As [`Channel::send`], and `Timeout`, or `WouldBlock` without a deadline.
    #[inline]
    pub fn send_bytes_until(&self, bytes: &[u8], deadline: Option<Deadline>) -> Result<()> {
        self.link()?.send_bytes(bytes, deadline)
    }

    /// A block of the memory that is shared with the other side, to build a large message in place: sent as a body or a buffer
    /// (`Message::raw(block)`) it is not copied, whatever its size.
    ///
    /// # Errors
    /// - `Exhausted`: the other side has not given back enough of `max_queued_bytes`.
    /// - `Unsupported`: a channel without shared memory.
    /// - `InvalidArgument`: `len` is 0.
    pub fn alloc(&self, len: usize) -> Result<Block> {
        self.link()?.alloc(len)
    }

    /// Sends a message without blocking; needs no runtime. A future that is dropped has sent the message or not, never a part.
    pub fn send_async(&self, message: Message) -> SendFuture<'_> {
        SendFuture { watch: None, message: Some(message), channel: self }
    }

    /// The next message; waits for it.
    ///
    /// # Errors
    /// - `Closed`: everything was received and the other side has closed or is gone.
    /// - `Protocol`, `TooLarge`: what came is no message of this wire or over the limits. The channel has ended.
    /// - `Exhausted`: the descriptors of a message did not fit this process. The channel has ended.
    /// - `InvalidState`: closed by this side, or a forked copy of the process.
    #[inline]
    pub fn recv(&self) -> Result<Message> {
        self.link()?.recv(Some(Deadline::NEVER))
    }

    /// As [`Channel::recv`], but waits until the deadline only.
    ///
    /// # Errors
    /// As there, and `Timeout`.
    pub fn recv_deadline(&self, deadline: Deadline) -> Result<Message> {
        self.link()?.recv(Some(deadline))
    }

    /// As [`Channel::recv`], but waits at most this long.
    ///
    /// # Errors
    /// As there, and `Timeout`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message> {
        self.link()?.recv(Some(Deadline::after(timeout)))
    }

    /// As [`Channel::recv`], but does not wait.
    ///
    /// # Errors
    /// As there, and `WouldBlock` when no message is there.
    pub fn try_recv(&self) -> Result<Message> {
        self.link()?.try_recv()
    }

    /// Receives without blocking; needs no runtime. Dropping the future loses no message.
    pub fn recv_async(&self) -> RecvFuture<'_> {
        RecvFuture { watch: None, channel: self }
    }

    /// Replaces the contents of `out` with the body of the next message, whatever its codec; its buffers and descriptors are dropped. Waits;
    /// allocates only if `out` is too small.
    ///
    /// # Errors
    /// As [`Channel::recv`].
    #[inline]
    pub fn recv_into(&self, out: &mut Vec<u8>) -> Result<()> {
        self.recv_into_until(out, Some(Deadline::NEVER))
    }

    /// As [`Channel::recv_into`], but waits until the deadline only; `None` is not at all.
    ///
    /// # Errors
    /// As there, and `Timeout`, or `WouldBlock` without a deadline.
    #[inline]
    pub fn recv_into_until(&self, out: &mut Vec<u8>, deadline: Option<Deadline>) -> Result<()> {
        if let Received::Whole(message) = self.recv_plain(out, deadline)? {
            out.clear();
            out.extend_from_slice(&message.body);
        }
        Ok(())
    }

    /// Waits for the next message until the deadline; `None` is not at all. The body of a small one that has neither buffers nor descriptors
    /// replaces the contents of `out`, without allocating; any other is given whole, its body where it lies.
    ///
    /// # Errors
    /// As [`Channel::recv`], and `Timeout`, or `WouldBlock` without a deadline.
    ///
    /// ```
    /// use procs::{Channel, Codec, Deadline, Message, Received};
    /// let (here, there) = Channel::pair()?;
    /// let mut body = Vec::new();
    /// here.send_bytes(b"small")?;
    /// assert!(matches!(there.recv_plain(&mut body, Some(Deadline::NEVER))?, Received::Plain(Codec::Raw)));
    /// assert_eq!(body, b"small");
    /// here.send(Message::raw("more").with_buffer("to it"))?;
    /// assert!(matches!(there.recv_plain(&mut body, None)?, Received::Whole(message) if message.body == *b"more"));
    /// # Ok::<(), procs::Error>(())
    /// ```
    #[inline]
    pub fn recv_plain(&self, out: &mut Vec<u8>, deadline: Option<Deadline>) -> Result<Received> {
        self.link()?.recv_plain(out, deadline).map(Received::from)
    }

    /// As [`Channel::recv_plain`], but `None` when the deadline has passed, for callers who look before they wait: no error is made for that.
    /// Within [`interruptible`](crate::interruptible) also `None` when a signal handler ran, and every 50 ms: it may be called with the caller's
    /// own deadline, which costs less than one after the other.
    ///
    /// # Errors
    /// As [`Channel::recv`].
    ///
    /// ```
    /// use procs::{Channel, Codec, Deadline, Received};
    /// use std::time::Duration;
    /// let (here, there) = Channel::pair()?;
    /// let mut body = Vec::new();
    /// assert!(there.seek_plain(&mut body, Deadline::after(Duration::ZERO))?.is_none());
    /// here.send_bytes(b"small")?;
    /// assert!(matches!(there.seek_plain(&mut body, Deadline::NEVER)?, Some(Received::Plain(Codec::Raw))));
    /// # Ok::<(), procs::Error>(())
    /// ```
    #[inline]
    pub fn seek_plain(&self, out: &mut Vec<u8>, deadline: Deadline) -> Result<Option<Received>> {
        Ok(self.link()?.seek_plain(out, deadline)?.map(Received::from))
    }

    /// As [`Channel::seek_plain`]; a large body that its sender is still writing is copied to `large` instead of `out`, if that makes room for it.
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn seek_plain_or_large(&self, out: &mut Vec<u8>, large: &mut dyn LargeRoom, deadline: Deadline) -> Result<Option<Received>> {
        Ok(self.link()?.seek_plain(&mut TwoRooms { small: out, large }, deadline)?.map(Received::from))
    }

    /// Waits for the next message until the deadline; `None` is not at all. The body of one that has neither buffers nor descriptors and fits
    /// is copied to the front of `out`, without allocating; any other message is given whole, and `out` is as it was.
    ///
    /// # Errors
    /// As [`Channel::recv`], and `Timeout`, or `WouldBlock` without a deadline.
    ///
    /// ```
    /// use procs::{Channel, Codec, Deadline, ReceivedSlice};
    /// let (here, there) = Channel::pair()?;
    /// let mut room = [0; 8];
    /// here.send_bytes(b"small")?;
    /// assert!(matches!(there.recv_slice(&mut room, Some(Deadline::NEVER))?, ReceivedSlice::Plain(Codec::Raw, 5)));
    /// assert_eq!(&room, b"small\0\0\0");
    /// here.send_bytes(b"too large for it")?;
    /// assert!(matches!(there.recv_slice(&mut room, None)?, ReceivedSlice::Whole(message) if message.body == *b"too large for it"));
    /// # Ok::<(), procs::Error>(())
    /// ```
    #[inline]
    pub fn recv_slice(&self, out: &mut [u8], deadline: Option<Deadline>) -> Result<ReceivedSlice> {
        Ok(match self.link()?.recv_plain(out, deadline)? {
            Found::Plain(codec, len) => ReceivedSlice::Plain(codec, len),
            Found::Whole(message) => ReceivedSlice::of(*message, out),
        })
    }

    /// Waits for a message, then gives it and those that came with it, up to `max`.
    ///
    /// # Errors
    /// As [`Channel::recv`], if there is not one message.
    pub fn recv_many(&self, max: usize) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        while messages.len() < max {
            let next = if messages.is_empty() { self.recv() } else { self.try_recv() };
            match next {
                Ok(message) => messages.push(message),
                Err(error) if messages.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(messages)
    }

    /// A descriptor to poll: readable while a message can be received or the end is to be seen. After it was readable, call
    /// [`Channel::try_recv`] until it says `WouldBlock`. Never read from it.
    ///
    /// # Errors
    /// `InvalidState` when closed by this side.
    pub fn as_fd(&self) -> Result<BorrowedFd<'_>> {
        self.link()?.pollable()
    }

    /// Waits until one of the channels has a message or has ended; gives its place. `None` when the time is over.
    ///
    /// # Errors
    /// `InvalidState` when one was closed by this side; the system's failure to wait.
    pub fn wait_any(channels: &[&Channel], timeout: Option<Duration>) -> Result<Option<usize>> {
        let deadline = Deadline::from_timeout(timeout);
        loop {
            let mut fds = Vec::with_capacity(channels.len());
            for (index, channel) in channels.iter().enumerate() {
                let link = channel.link()?;
                fds.push(PollFd::new(link.pollable()?, Events::Read));
                if link.has_something()? {
                    return Ok(Some(index));
                }
            }
            if deadline.passed() {
                return Ok(None);
            }
            poll(&mut fds, deadline).map_err(|error| Error::from_io("channel.wait_any", &error, "cannot wait"))?;
        }
    }

    /// Waits until everything sent has left this process, so that its end cannot lose it. False when the time is over.
    ///
    /// # Errors
    /// `Closed` when the other side is gone before.
    pub fn flush(&self, timeout: Option<Duration>) -> Result<bool> {
        match self.link.get() {
            Some(link) => link.flush(Deadline::from_timeout(timeout)),
            None => Ok(true),
        }
    }

    /// Closes this end: the other side receives what was sent, then `Closed`. Never waits; what was not flushed is lost
    /// ([`Channel::flush`]). Idempotent. On Node's wire what was accepted is still written, and what the other side has sent can still be
    /// received.
    pub fn close(&self) {
        let unopened = self.unopened.lock().take();
        drop(unopened);
        if let Some(link) = self.link.get() {
            link.close();
        }
    }

    /// What waits on either side. Waits for a sender that is sending.
    ///
    /// # Errors
    /// `InvalidState` when closed by this side.
    pub fn stats(&self) -> Result<ChannelStats> {
        self.link()?.stats()
    }

    /// Whether either side has closed or is gone. Messages may still be there to be received.
    pub fn is_closed(&self) -> bool {
        match self.link.get() {
            Some(link) => link.is_closed(),
            None => self.unopened.lock().is_none(),
        }
    }

    /// Whether the other side closed the channel in order, rather than being killed or breaking off. False while it is open, and always on
    /// Node's wire, which does not tell.
    pub fn closed_in_order(&self) -> bool {
        match self.link.get() {
            Some(link) => link.closed_in_order(),
            None => false,
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // Requests and streams that are still held do not keep the channel open.
        self.close();
    }
}
