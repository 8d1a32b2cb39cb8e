//! An end of Node's channel: sending and receiving with deadlines, without waiting, and by wakers.
//!
//! One lock guards the state; it is held for system calls that do not wait, never while waiting. Whoever waits polls the socket and a bell: the
//! bell rings when another thread has read what this one waits for. What is left to do when nobody waits (unwritten bytes, an acknowledgement
//! that is due) is done on the reactor's thread, so a sender that turns to other work loses nothing.

mod bare;
mod inner;

use super::last;
use super::line::Framing;
use super::outgoing::Handles;
use super::state::{Bounds, State};
use super::watch::{Bell, Watches};
use crate::channel::Message;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::Spin;
use crate::shm::ring::spin::Spinner;
use crate::sys::fork;
use crate::sys::poll::Epoll;
use parking_lot::{Mutex, MutexGuard};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const SEND: &str = "channel.send";
const RECV: &str = "channel.recv";

/// How an endpoint is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeOptions {
    pub(crate) framing: Framing,
    pub(crate) handles: Handles,
    /// Bytes of one message. Default: 1 GiB.
    pub(crate) max_message: usize,
    /// Bytes of received messages that are kept while nobody asks for them. Default: 256 MiB.
    pub(crate) max_queued: usize,
    /// Unwritten bytes from which on nothing more is accepted. Default: 1 MiB.
    pub(crate) high_water: usize,
    /// How long the rest of a message may take to come once it has begun, while somebody waits for it. Default: for ever.
    pub(crate) frame_timeout: Option<Duration>,
    /// Whether a receiver looks again before it sleeps. Default: adaptive.
    pub(crate) spin: Spin,
}

impl Default for NodeOptions {
    fn default() -> NodeOptions {
        NodeOptions {
            framing: Framing::Json,
            handles: Handles::Managed,
            max_message: 1 << 30,
            max_queued: 256 << 20,
            high_water: 1 << 20,
            frame_timeout: None,
            spin: Spin::Adaptive,
        }
    }
}

/// A message that was not sent, and why.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: Error,
    pub(crate) message: Message,
}

/// An end of a channel that speaks Node's wire.
///
/// # Drop
/// Disconnects. What was accepted is still written, on the reactor's thread, or for at most 5 s when the process ends by itself; the drop waits for
/// nothing.
#[derive(Debug)]
pub(crate) struct NodeEndpoint(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    /// First, so that the watches go before the descriptors that they watch.
    locked: Mutex<Locked>,
    fd: OwnedFd,
    generation: u64,
    receivers: Bell,
    /// Rings while no acknowledgement is awaited.
    senders: Bell,
    peer: OnceLock<OwnedFd>,
    pollable: OnceLock<Epoll>,
}

#[derive(Debug)]
pub(super) struct Locked {
    state: State,
    watches: Watches,
    /// Of one receiver at a time.
    spinner: Spinner,
    recv_wakers: Vec<Waker>,
    send_wakers: Vec<Waker>,
    written_wakers: Vec<Waker>,
    /// The endpoint was dropped; what is left is written for it.
    abandoned: bool,
    /// What was accepted last is about to be written together with more.
    corked: bool,
}

type Guard<'a> = MutexGuard<'a, Locked>;

impl NodeEndpoint {
    /// Speaks Node's wire on this end of a pair of stream sockets.
    ///
    /// # Errors
    /// `Exhausted` when no descriptor is left for the bells.
    pub(crate) fn new(fd: OwnedFd, options: &NodeOptions) -> Result<NodeEndpoint> {
        let bounds = Bounds {
            max_message: options.max_message,
            max_queued: options.max_queued,
            high_water: options.high_water,
            frame_timeout: options.frame_timeout,
        };
        let locked = Locked {
            state: State::new(options.framing, options.handles, bounds),
            watches: Watches::default(),
            spinner: Spinner::new(options.spin),
            recv_wakers: Vec::new(),
            send_wakers: Vec::new(),
            written_wakers: Vec::new(),
            abandoned: false,
            corked: false,
        };
        let inner = Arc::new(Inner {
            locked: Mutex::new(locked),
            fd,
            generation: fork::generation(),
            receivers: Bell::new()?,
            senders: Bell::new()?,
            peer: OnceLock::new(),
            pollable: OnceLock::new(),
        });
        inner.locked.lock().watches.notify(&inner);
        last::remember(&inner);
        Ok(NodeEndpoint(inner))
    }

    /// Names the process at the other end by its pidfd: once it has ended and what it sent has been read, the channel has ended, even if one of
    /// its own children still holds the socket. Once only, before the endpoint is used.
    pub(crate) fn set_peer(&self, pidfd: OwnedFd) {
        let _ = self.0.peer.set(pidfd);
    }

    /// Sends a message; waits while the other side is behind or has a handle to acknowledge. Messages that come meanwhile are kept.
    ///
    /// Returns once the message is in the socket, or accepted when the deadline passes in the middle of it: the rest is then written without
    /// the caller.
    ///
    /// # Errors
    /// `InvalidArgument` for what Node's wire cannot carry, `TooLarge`, `Closed` when the channel has ended, `Timeout` when the message was not
    /// accepted in time. The message is given back.
    pub(crate) fn send(&self, message: Message, deadline: Deadline) -> std::result::Result<(), Refused> {
        let inner = &*self.0;
        let mut guard = match inner.enter(SEND) {
            Ok(guard) => guard,
            Err(error) => return Err(Refused { error, message }),
        };
        let plan = match guard.state.plan(&message) {
            Ok(plan) => plan,
            Err(error) => return Err(Refused { error, message }),
        };
        while guard.state.is_open() && !guard.state.has_room() {
            match inner.wait_to_send(guard, deadline) {
                Ok(entered) => guard = entered,
                Err(error) => return Err(Refused { error, message }),
            }
        }
        if !guard.state.is_open() {
            inner.leave(guard);
            return Err(Refused { error: disconnected(), message });
        }
        let ticket = guard.state.accept(plan, message);
        guard.state.write(inner.fd.as_fd());
        loop {
            if let Some(message) = guard.state.take_back(ticket) {
                inner.leave(guard);
                return Err(Refused { error: disconnected(), message });
            }
            if guard.state.is_written(ticket) {
                inner.leave(guard);
                return Ok(());
            }
            match inner.wait_to_send(guard, deadline) {
                Ok(entered) => guard = entered,
                // Accepted and partly written, perhaps: it stays.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Sends a message if it can be accepted without waiting; what the socket does not take at once is written later.
    ///
    /// # Errors
    /// As [`send`](NodeEndpoint::send); `WouldBlock` in place of `Timeout`.
    pub(crate) fn try_send(&self, message: Message) -> std::result::Result<(), Refused> {
        let inner = &*self.0;
        let mut guard = match inner.enter(SEND) {
            Ok(guard) => guard,
            Err(error) => return Err(Refused { error, message }),
        };
        let result = inner.accept_now(&mut guard, message);
        inner.leave(guard);
        result
    }

    /// As [`try_send`](NodeEndpoint::try_send), with a waker for when it is worth another attempt. Takes the message out of the option when it
    /// is done with it.
    pub(crate) fn poll_send(&self, context: &mut Context<'_>, message: &mut Option<Message>) -> Poll<std::result::Result<(), Refused>> {
        let inner = &*self.0;
        let Some(taken) = message.take() else { return Poll::Ready(Ok(())) };
        let mut guard = match inner.enter(SEND) {
            Ok(guard) => guard,
            Err(error) => return Poll::Ready(Err(Refused { error, message: taken })),
        };
        let result = inner.accept_now(&mut guard, taken);
        let result = match result {
            Err(refused) if refused.error.kind() == ErrorKind::WouldBlock => {
                *message = Some(refused.message);
                add_waker(&mut guard.send_wakers, context.waker());
                Poll::Pending
            }
            result => Poll::Ready(result),
        };
        inner.leave(guard);
        result
    }

    /// The next message; waits for it.
    ///
    /// # Errors
    /// `Closed` once the other side has disconnected and everything was received, `Timeout`, `Protocol` or `TooLarge` when the other side broke
    /// the protocol or was cut off inside a message (everything before is received first), `Exhausted` when a handle that was sent could not
    /// be delivered (the channel goes on).
    pub(crate) fn recv(&self, deadline: Deadline) -> Result<Message> {
        let inner = &*self.0;
        let mut guard = inner.enter(RECV)?;
        loop {
            if let Some(result) = inner.take(&mut guard) {
                inner.leave(guard);
                return result;
            }
            guard = inner.wait_to_receive(guard, deadline)?;
        }
    }

    /// The next message if it has come.
    ///
    /// # Errors
    /// As [`recv`](NodeEndpoint::recv); `WouldBlock` in place of `Timeout`.
    pub(crate) fn try_recv(&self) -> Result<Message> {
        let inner = &*self.0;
        let mut guard = inner.enter(RECV)?;
        let taken = inner.take(&mut guard);
        inner.leave(guard);
        taken.unwrap_or_else(|| Err(Error::new(ErrorKind::WouldBlock, RECV, "no message has come")))
    }

    /// As [`try_recv`](NodeEndpoint::try_recv), with a waker for when it is worth another attempt.
    pub(crate) fn poll_recv(&self, context: &mut Context<'_>) -> Poll<Result<Message>> {
        let inner = &*self.0;
        let mut guard = match inner.enter(RECV) {
            Ok(guard) => guard,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let taken = inner.take(&mut guard);
        if taken.is_none() {
            add_waker(&mut guard.recv_wakers, context.waker());
        }
        inner.leave(guard);
        taken.map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits until everything accepted is in the socket and the last handle is acknowledged.
    ///
    /// # Errors
    /// `Timeout`; `Closed` when the other side went before that.
    pub(crate) fn flush(&self, deadline: Deadline) -> Result<()> {
        let inner = &*self.0;
        let mut guard = inner.enter("channel.flush")?;
        while !guard.state.is_flushed() {
            guard = inner.wait_to_send(guard, deadline)?;
        }
        inner.leave(guard);
        Ok(())
    }

    /// Ends the channel: what was accepted is written, then the other side sees the end. Messages that it has sent can still be received. A
    /// second call changes nothing.
    pub(crate) fn disconnect(&self) {
        if let Ok(mut guard) = self.0.enter("channel.close") {
            guard.state.disconnect();
            guard.state.write(self.0.fd.as_fd());
            self.0.leave(guard);
        }
    }

    /// Whether messages can be sent: neither side has disconnected, as far as is known here.
    pub(crate) fn is_connected(&self) -> bool {
        self.0.generation == fork::generation() && self.0.locked.lock().state.is_open()
    }

    /// Whether a call to receive would give something now: a message or the end.
    pub(crate) fn has_something(&self) -> Result<bool> {
        let mut guard = self.0.enter("channel.wait_any")?;
        while !guard.state.has_news() && self.0.fill(&mut guard) {}
        let news = guard.state.has_news();
        self.0.leave(guard);
        Ok(news)
    }

    /// Bytes accepted and not yet written.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.0.locked.lock().state.output_bytes()
    }

    /// Whether everything accepted is in the socket; if not, wakes once it is or never can be.
    pub(crate) fn poll_written(&self, waker: &Waker) -> bool {
        let Ok(mut guard) = self.0.enter("channel.flush") else { return true };
        let written = !guard.state.has_output();
        if !written {
            add_waker(&mut guard.written_wakers, waker);
        }
        self.0.leave(guard);
        written
    }

    /// What [`as_fd`](NodeEndpoint::as_fd) gave before; the socket if that was never asked for.
    pub(crate) fn made_fd(&self) -> BorrowedFd<'_> {
        self.0.pollable.get().map_or(self.0.fd(), AsFd::as_fd)
    }

    /// A descriptor that polls readable while something may be received or the end may be seen: receive without waiting until `WouldBlock`.
    ///
    /// # Errors
    /// `Exhausted` when no descriptor is left.
    pub(crate) fn as_fd(&self) -> Result<BorrowedFd<'_>> {
        let inner = &*self.0;
        let mut guard = inner.enter("channel.fd")?;
        if inner.pollable.get().is_none() {
            let failed = |error: std::io::Error| Error::from_io("channel.fd", &error, "cannot make a descriptor to poll");
            let epoll = Epoll::new().map_err(failed)?;
            let peer = inner.peer.get().map(AsFd::as_fd);
            for fd in [Some(inner.fd.as_fd()), Some(inner.receivers.as_fd()), peer].into_iter().flatten() {
                epoll.add_readable(fd).map_err(failed)?;
            }
            let _ = inner.pollable.set(epoll);
            guard.watches.polled = true;
        }
        inner.leave(guard);
        inner.pollable.get().map(AsFd::as_fd).ok_or_else(|| Error::new(ErrorKind::Panic, "channel.fd", "the descriptor is gone"))
    }
}

impl Drop for NodeEndpoint {
    fn drop(&mut self) {
        if self.0.generation != fork::generation() {
            return;
        }
        let mut guard = self.0.locked.lock();
        guard.abandoned = true;
        guard.corked = false;
        guard.state.disconnect();
        guard.state.write(self.0.fd.as_fd());
        if !guard.state.has_output() {
            // The peer holds the descriptor of a handle that it has not acknowledged: nothing is left to do.
            return self.0.finish(guard);
        }
        guard.watches.linger(Arc::clone(&self.0));
        if self.0.settle(guard).is_err() {
            // Nobody is there to write the rest.
            self.0.finish(self.0.locked.lock());
        }
    }
}

fn disconnected() -> Error {
    Error::new(ErrorKind::Closed, SEND, "the channel has been disconnected")
}

fn add_waker(wakers: &mut Vec<Waker>, waker: &Waker) {
    if !wakers.iter().any(|known| known.will_wake(waker)) {
        wakers.push(waker.clone());
    }
}
