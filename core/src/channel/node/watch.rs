//! Bells for threads that wait, and watches of the reactor for work that nobody waits for.

use super::endpoint::Inner;
use crate::error::Result;
use crate::io::reactor::{Interest, Watch, watch_fd, watch_time};
use crate::sys::poll::EventFd;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Instant;

/// Wakes threads that wait in poll for something that another thread may do.
#[derive(Debug)]
pub(super) struct Bell(EventFd);

/// Who hears a bell, and whether it rings. Guarded by the lock of the endpoint.
#[derive(Debug, Default)]
pub(super) struct Hearers {
    pub(super) waiting: usize,
    rings: bool,
}

impl Bell {
    pub(super) fn new() -> Result<Bell> {
        EventFd::new("channel").map(Bell)
    }

    /// Makes it ring or not; a system call only where that changes anything.
    pub(super) fn ring(&self, hearers: &mut Hearers, wanted: bool) {
        if hearers.rings != wanted {
            hearers.rings = wanted;
            if wanted { self.0.signal() } else { self.0.clear() }
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What the reactor's thread calls.
pub(super) trait Ready {
    fn ready(&self);
}

struct Notify(Weak<Inner>);

impl Wake for Notify {
    fn wake(self: Arc<Notify>) {
        if let Some(inner) = self.0.upgrade() {
            inner.ready();
        }
    }
}

/// Keeps an abandoned endpoint until its output has been written. The circle (endpoint, watch, waker, endpoint) is cut when the watches go.
struct Linger(Arc<Inner>);

impl Wake for Linger {
    fn wake(self: Arc<Linger>) {
        self.0.ready();
    }
}

/// The watches of an endpoint, and who else has to be told.
#[derive(Debug, Default)]
pub(super) struct Watches {
    pub(super) receivers: Hearers,
    pub(super) senders: Hearers,
    /// Somebody polls the descriptor of the endpoint.
    pub(super) polled: bool,
    waker: Option<Waker>,
    read: Option<Watch>,
    write: Option<Watch>,
    peer: Option<Watch>,
    /// Writes what is corked.
    late: Option<Watch>,
}

impl Watches {
    /// Says whom to call; before the first watch is armed.
    pub(super) fn notify(&mut self, inner: &Arc<Inner>) {
        self.waker = Some(Arc::new(Notify(Arc::downgrade(inner))).into());
    }

    /// As [`notify`](Watches::notify), for an endpoint that nobody else holds.
    pub(super) fn linger(&mut self, inner: Arc<Inner>) {
        self.spent();
        self.waker = Some(Arc::new(Linger(inner)).into());
    }

    /// Watches what is wanted and nothing else.
    pub(super) fn arm(&mut self, fd: BorrowedFd<'_>, peer: Option<BorrowedFd<'_>>, (read, write): (bool, bool)) -> Result<()> {
        let Some(waker) = self.waker.as_ref() else { return Ok(()) };
        let mut result = Ok(());
        let mut set = |slot: &mut Option<Watch>, wanted: bool, fd: BorrowedFd<'_>, interest: Interest| {
            if !wanted {
                *slot = None;
            } else if slot.is_none() {
                *slot = watch_fd(fd, interest, waker).map_err(|error| result = Err(error)).ok();
            }
        };
        set(&mut self.read, read, fd, Interest::Read);
        set(&mut self.write, write, fd, Interest::Write);
        set(&mut self.peer, peer.is_some(), peer.unwrap_or(fd), Interest::Read);
        result
    }

    /// Calls at this time at the latest, unless that is arranged already. False when nobody would.
    pub(super) fn by(&mut self, at: impl FnOnce() -> Instant) -> bool {
        if self.late.is_none()
            && let Some(waker) = &self.waker
        {
            self.late = watch_time(at(), waker).ok();
        }
        self.late.is_some()
    }

    /// Forgets the watches: one of them has fired, and which is not known.
    pub(super) fn spent(&mut self) {
        (self.read, self.write, self.peer, self.late) = (None, None, None, None);
    }
}
