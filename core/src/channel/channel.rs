//! The public channel: one face over the wires.

use super::handoff::{Given, take_from_env};
use super::link::Link;
use super::message::{Message, Received};
use super::native::pair::{Unopened, open, pair};
use super::native::{self, Native, Wait};
use super::options::ChannelOptions;
use super::peer::PeerProcess;
use super::request::Request;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::io::reactor::Watch;
use crate::shm::Block;
use crate::sys::fork;
use crate::sys::poll::{Events, PollFd, poll};
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
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
    link: OnceLock<Link>,
    /// What the link is made of at the first use.
    unopened: Mutex<Option<Unopened>>,
    options: ChannelOptions,
    /// The process at the other end, where it is known.
    peer: OnceLock<Arc<dyn PeerProcess>>,
    /// What of the end was told as an event.
    told: AtomicU8,
}

/// Bits of [`Channel::told`].
const TOLD_END: u8 = 1;
const TOLD_EXIT: u8 = 2;

/// What waits in a channel. See [`Channel::stats`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelStats {
    /// Bytes sent that the other side has not read, up to an eighth of the ring too many; large bodies count with their frame only.
    pub unread_bytes: u64,
    /// Bytes received that nobody has asked for, outside of the ring.
    pub kept_bytes: u64,
}

/// A message that was not sent, and why.
pub struct SendError {
    error: Error,
    message: Box<Message>,
}

impl SendError {
    pub(super) fn new(error: Error, message: Message) -> SendError {
        SendError { error, message: Box::new(message) }
    }

    /// Why it was not sent.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The kind of the error, to branch on.
    pub fn kind(&self) -> ErrorKind {
        self.error.kind()
    }

    /// The message, to be sent again.
    pub fn into_inner(self) -> Message {
        *self.message
    }

    /// Both.
    pub fn into_parts(self) -> (Error, Message) {
        (self.error, *self.message)
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendError").field(&self.error).finish()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for SendError {}

impl From<SendError> for Error {
    fn from(failed: SendError) -> Error {
        failed.error
    }
}

impl Channel {
    /// Makes both ends, with default options.
    ///
    /// # Errors
    /// `Exhausted` when the system has no descriptor or memory left.
    pub fn pair() -> Result<(Channel, Channel)> {
        Channel::pair_with(&ChannelOptions::default())
    }

    /// Makes both ends. Each can be used in this process, or handed to another one as a descriptor ([`Channel::into_fd`]) while it is unused.
    ///
    /// # Errors
    /// `Exhausted` when the system has no descriptor or memory left.
    pub fn pair_with(options: &ChannelOptions) -> Result<(Channel, Channel)> {
        let (a, b) = pair(options)?;
        Ok((Channel::unopened(a, options), Channel::unopened(b, options)))
    }

    /// The end that [`Channel::into_fd`] gave, with default options.
    ///
    /// # Errors
    /// Never now; the first use tells when the descriptor is not an end of a channel.
    pub fn from_fd(fd: impl Into<OwnedFd>) -> Result<Channel> {
        Channel::from_fd_with(fd, &ChannelOptions::default())
    }

    /// The end that [`Channel::into_fd`] gave.
    ///
    /// # Errors
    /// Never now; the first use tells when the descriptor is not an end of a channel.
    pub fn from_fd_with(fd: impl Into<OwnedFd>, options: &ChannelOptions) -> Result<Channel> {
        Ok(Channel::unopened(Unopened { socket: fd.into(), rings: None, generation: fork::generation() }, options))
    }

    /// The channel to the parent that started this process with one. Once in a process: the descriptor is taken out of the environment and is
    /// not passed on to children.
    ///
    /// # Errors
    /// - `NotFound`: this process was not given a channel.
    /// - `InvalidState`: it was taken before.
    pub fn from_env() -> Result<Channel> {
        Channel::from_env_with(&ChannelOptions::default())
    }

    /// As [`Channel::from_env`], with options.
    ///
    /// # Errors
    /// As there.
    pub fn from_env_with(options: &ChannelOptions) -> Result<Channel> {
        match take_from_env()? {
            Given::Native(fd) => {
                let channel = Channel::from_fd_with(fd, options)?;
                // Now rather than at the first message: a parent of another version is known at once.
                channel.link()?;
                Ok(channel)
            }
            Given::Node(fd) => Channel::node(fd, options),
        }
    }

    /// Both ends for Node's wire: one's own, and the socket for a child that speaks it.
    ///
    /// # Errors
    /// As [`node`](Channel::node).
    pub(crate) fn node_pair(options: &ChannelOptions) -> Result<(Channel, OwnedFd)> {
        let (mine, theirs) = crate::sys::socket::pair().map_err(|error| Error::from_io("channel", &error, "cannot make a pair of sockets"))?;
        Ok((Channel::node(mine, options)?, theirs))
    }

    /// Node's wire on one end of a pair of stream sockets.
    ///
    /// # Errors
    /// `InvalidArgument` when the options do not take JSON, `Exhausted` when the system has no descriptor left.
    pub(crate) fn node(fd: OwnedFd, options: &ChannelOptions) -> Result<Channel> {
        let link = OnceLock::from(Link::node(fd, options)?);
        Ok(Channel { link, unopened: Mutex::new(None), options: options.clone(), peer: OnceLock::new(), told: AtomicU8::new(0) })
    }

    fn unopened(end: Unopened, options: &ChannelOptions) -> Channel {
        Channel { link: OnceLock::new(), unopened: Mutex::new(Some(end)), options: options.clone(), peer: OnceLock::new(), told: AtomicU8::new(0) }
    }

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

    #[cold]
    fn open(&self) -> Result<&Link> {
        let mut unopened = self.unopened.lock();
        if unopened.as_ref().is_some_and(|end| end.generation != fork::generation()) {
            return Err(Error::new(ErrorKind::InvalidState, "channel", native::FORKED));
        }
        if let Some(end) = unopened.take() {
            let native = open(end, &self.options)?;
            let _ = self.link.set(Link::Native(Arc::new(native)));
        }
        drop(unopened);
        let closed = || Error::new(ErrorKind::InvalidState, "channel", "the channel was closed before its first use, or could not be opened");
        self.link.get().ok_or_else(closed)
    }

    /// The descriptor of an end that nobody has used, for another process: it is all that the process needs. See [`Channel::from_fd`].
    ///
    /// # Errors
    /// `InvalidState` when the end was used.
    pub fn into_fd(self) -> Result<OwnedFd> {
        self.take_fd()
    }

    /// As [`Channel::into_fd`], for a handle that others share; the handle is closed then.
    ///
    /// # Errors
    /// As there.
    pub fn take_fd(&self) -> Result<OwnedFd> {
        let end = self.unopened.lock().take();
        end.map(|end| end.socket).ok_or_else(|| Error::new(ErrorKind::InvalidState, "channel.into_fd", "the end was used in this process"))
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

    /// As [`Channel::send_bytes`], but waits until the deadline only; `None` is not at all.
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
        self.link()?.recv_plain(out, deadline)
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

    /// Names the process at the other end: the other side counts as gone once it has ended, even if something it started holds its end open.
    pub(crate) fn set_peer(&self, process: Arc<dyn PeerProcess>) -> Result<()> {
        let pidfd = process.as_fd().try_clone_to_owned();
        let pidfd = pidfd.map_err(|error| Error::from_io("channel", &error, "cannot watch the process at the other end"))?;
        self.link()?.watch_process(pidfd)?;
        let _ = self.peer.set(process);
        Ok(())
    }

    pub(crate) fn peer(&self) -> Option<&dyn PeerProcess> {
        self.peer.get().map(|peer| &**peer)
    }

    /// Notes that the end of the channel was told; false when it was before.
    pub(crate) fn tell_end(&self) -> bool {
        self.told.fetch_or(TOLD_END, Ordering::Relaxed) & TOLD_END == 0
    }

    pub(crate) fn end_was_told(&self) -> bool {
        self.told.load(Ordering::Relaxed) & TOLD_END != 0
    }

    /// Notes that the end of the process was told; false when it was before.
    pub(crate) fn tell_exit(&self) -> bool {
        self.told.fetch_or(TOLD_EXIT, Ordering::Relaxed) & TOLD_EXIT == 0
    }

    pub(crate) fn exit_was_told(&self) -> bool {
        self.told.load(Ordering::Relaxed) & TOLD_EXIT != 0
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // Requests and streams that are still held do not keep the channel open.
        self.close();
    }
}

/// Resolves when the message was sent. See [`Channel::send_async`].
#[must_use = "a future does nothing unless awaited"]
#[derive(Debug)]
pub struct SendFuture<'a> {
    // First, so that the watch goes before what it watches.
    watch: Option<Watch>,
    message: Option<Message>,
    channel: &'a Channel,
}

impl Future for SendFuture<'_> {
    type Output = std::result::Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match this.channel.link() {
            Ok(link) => link.poll_send(&mut this.message, cx, &mut this.watch),
            Err(error) => Poll::Ready(Err(SendError::new(error, this.message.take().unwrap_or_default()))),
        }
    }
}

/// Resolves to the next message. See [`Channel::recv_async`].
#[must_use = "a future does nothing unless awaited"]
#[derive(Debug)]
pub struct RecvFuture<'a> {
    // First, so that the watch goes before what it watches.
    watch: Option<Watch>,
    channel: &'a Channel,
}

impl Future for RecvFuture<'_> {
    type Output = Result<Message>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.channel.link()?.poll_recv(cx, &mut this.watch)
    }
}
