//! What both directions of one end share: the socket, the bells, and knowing that either side is gone.

use super::rounds::Rounds;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::io::reactor::{Interest, Watch, watch_fd};
use crate::shm::ring::{BELL_DATA, BELL_ROOM, DATA, FUTEX_DATA, FUTEX_ROOM, ROOM, Word, take};
use crate::sys::lane::{Lane, SideWords};
use crate::sys::poll::{Epoll, EventFd, hung_up};
use crate::sys::{cpu, fork, futex, socket};
use parking_lot::Mutex;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

/// The bells of both sides. Data: something came for its owner. Room: its owner may send again.
#[derive(Debug)]
pub(super) struct Bells {
    pub(super) data: EventFd,
    pub(super) room: EventFd,
    pub(super) peer_data: EventFd,
    pub(super) peer_room: EventFd,
}

/// What a channel with rings has beside its socket.
#[derive(Debug)]
pub(super) struct RingLine {
    /// The lane that this end writes: its writer is this side, its reader the other.
    lane: Lane,
    pub(super) bells: Bells,
}

/// One descriptor for two reasons to wake up.
#[derive(Debug)]
struct Polled {
    both: Epoll,
    kept: EventFd,
}

impl Polled {
    fn new(socket: &OwnedFd) -> Result<Polled> {
        let failed = |error: std::io::Error| Error::from_io("channel", &error, "cannot make a descriptor to poll");
        let (both, kept) = (Epoll::new().map_err(failed)?, EventFd::new("channel")?);
        both.add_number(socket.as_raw_fd(), 0).map_err(failed)?;
        both.add_number(kept.as_fd().as_raw_fd(), 1).map_err(failed)?;
        Ok(Polled { both, kept })
    }
}

/// One end's connection.
#[derive(Debug)]
pub(super) struct Line {
    /// Tells when the other side goes. First, so that it goes before the socket is closed.
    watch: Mutex<Option<Watch>>,
    socket: OwnedFd,
    ring: Option<RingLine>,
    /// Without rings: what the user polls, the socket and a flag for what was read already.
    polled: Option<Polled>,
    /// The other side's process is gone or has closed its socket.
    gone: AtomicBool,
    /// Closed here.
    shut: AtomicBool,
    generation: u64,
    /// Whom to wake when there may be room, or when the end has come.
    pub(super) room_wakers: Mutex<Vec<Waker>>,
    /// Whether there are any.
    pub(super) room_wanted: AtomicBool,
    /// Tells when the other side's process ends, even if its descriptors live on in a process that it started.
    process: Mutex<Option<(Watch, OwnedFd)>>,
    pub(super) rounds: Rounds,
}

impl RingLine {
    pub(super) fn new(lane: Lane, bells: Bells) -> RingLine {
        RingLine { lane, bells }
    }

    /// What this side says.
    #[inline]
    pub(super) fn mine(&self) -> &SideWords {
        self.lane.writer()
    }

    /// What the other side says.
    #[inline]
    pub(super) fn peer(&self) -> &SideWords {
        self.lane.reader()
    }

    /// Says on which processor this side runs.
    #[inline]
    pub(super) fn say_cpu(&self) {
        let here = cpu::current();
        if self.mine().cpu.load(Ordering::Relaxed) != here {
            self.mine().cpu.store(here, Ordering::Relaxed);
        }
    }

    /// Wakes the other side in the ways that it waits.
    #[inline]
    pub(super) fn wake_peer(&self, ways: u32) {
        if ways != 0 {
            wake(self.peer(), ways, &self.bells.peer_data, &self.bells.peer_room);
        }
    }

    /// Wakes whoever of this side waits, in whatever way.
    fn wake_self(&self) {
        take(&self.mine().waiting, DATA | ROOM);
        wake(self.mine(), u32::MAX, &self.bells.data, &self.bells.room);
    }
}

#[cold]
fn wake(side: &SideWords, ways: u32, data: &EventFd, room: &EventFd) {
    if ways & (FUTEX_DATA | FUTEX_ROOM) != 0 {
        futex::wake(&side.waiting, i32::MAX);
    }
    if ways & BELL_DATA != 0 {
        data.signal();
    }
    if ways & BELL_ROOM != 0 {
        room.signal();
    }
}

impl Line {
    pub(super) fn new(socket: OwnedFd, ring: Option<RingLine>) -> Result<Arc<Line>> {
        let polled = if ring.is_none() { Some(Polled::new(&socket)?) } else { None };
        let line = Arc::new(Line {
            socket,
            ring,
            polled,
            gone: AtomicBool::new(false),
            shut: AtomicBool::new(false),
            generation: fork::generation(),
            watch: Mutex::new(None),
            room_wakers: Mutex::default(),
            room_wanted: AtomicBool::new(false),
            process: Mutex::new(None),
            rounds: Rounds::default(),
        });
        if line.ring.is_some() {
            line.watch_socket()?;
        }
        Ok(line)
    }

    fn watch_socket(self: &Arc<Line>) -> Result<()> {
        let waker = Waker::from(Arc::new(HangUp(Arc::downgrade(self))));
        let mut slot = self.watch.lock();
        *slot = None;
        *slot = Some(watch_fd(self.socket.as_fd(), Interest::HangUp, &waker)?);
        Ok(())
    }

    /// Counts the other side as gone once this process has ended.
    pub(super) fn watch_process(self: &Arc<Line>, process: OwnedFd) -> Result<()> {
        let waker = Waker::from(Arc::new(Ended(Arc::downgrade(self))));
        let mut slot = self.process.lock();
        *slot = None;
        let watch = watch_fd(process.as_fd(), Interest::Read, &waker)?;
        *slot = Some((watch, process));
        Ok(())
    }

    #[inline]
    pub(super) fn wake_peer(&self, ways: u32) {
        if let Some(ring) = self.ring.as_ref().filter(|_| ways != 0) {
            ring.wake_peer(ways);
        }
    }

    /// Tells the other side by the socket that nothing more will be taken or sent.
    pub(super) fn hang_up(&self) {
        let _ = socket::shutdown_both(self.socket.as_fd());
    }

    #[inline]
    pub(super) fn ring(&self) -> Option<&RingLine> {
        self.ring.as_ref()
    }

    /// What the user polls.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        match (&self.ring, &self.polled) {
            (Some(ring), _) => ring.bells.data.as_fd(),
            (None, Some(polled)) => polled.both.as_fd(),
            (None, None) => self.socket.as_fd(),
        }
    }

    /// Makes the bell readable whatever the other side does.
    pub(super) fn ring_own_bell(&self) {
        match (&self.ring, &self.polled) {
            (Some(ring), _) => ring.bells.data.signal(),
            (None, Some(polled)) => polled.kept.signal(),
            (None, None) => {}
        }
    }

    /// Without rings: takes back what [`Line::ring_own_bell`] did.
    pub(super) fn quiet(&self) {
        if let Some(polled) = &self.polled {
            polled.kept.clear();
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether this is a forked copy, whose rings and locks belong to the original.
    #[inline]
    pub(super) fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// The error of using it where it cannot be used.
    #[inline]
    pub(super) fn check(&self, operation: &'static str) -> Result<()> {
        if self.is_forked() || self.shut.load(Ordering::Relaxed) { Err(self.refusal(operation)) } else { Ok(()) }
    }

    #[cold]
    fn refusal(&self, operation: &'static str) -> Error {
        let detail = if self.is_forked() { super::FORKED } else { "the channel was closed by this side" };
        Error::new(ErrorKind::InvalidState, operation, detail)
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    /// Whether the other side takes nothing any more and sends nothing that is not there yet.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.gone.load(Ordering::SeqCst) || self.ring.as_ref().is_some_and(|ring| Word::load(&ring.peer().closed) != 0)
    }

    /// Whether the other side closed the channel in order. False also while it is open.
    pub(super) fn closed_in_order(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| Word::load(&ring.peer().closed) != 0)
    }

    /// Notes that the other side is gone and wakes everybody who waits for it.
    pub(super) fn set_gone(&self) {
        self.gone.store(true, Ordering::SeqCst);
        if let Some(ring) = &self.ring {
            ring.wake_self();
        }
        self.wake_senders();
    }

    pub(super) fn wake_senders(&self) {
        self.room_wanted.store(false, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *self.room_wakers.lock());
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Closes this side: everything published is still read, nothing more is taken. True the first time.
    pub(super) fn shut(&self) -> bool {
        if self.is_forked() || self.shut.swap(true, Ordering::SeqCst) {
            return false;
        }
        if let Some(ring) = &self.ring {
            Word::set(&ring.mine().closed, 1);
            ring.wake_peer(take(&ring.peer().waiting, DATA | ROOM));
            ring.wake_self();
        }
        let watches = (self.watch.lock().take(), self.process.lock().take());
        drop(watches);
        self.rounds.stop();
        // Also ends a socket that a grandchild of either side inherited.
        let _ = socket::shutdown_both(self.socket.as_fd());
        self.wake_senders();
        true
    }

    /// Ends the sleep of this side's reader, also one that is yet to begin.
    pub(super) fn wake_reader(&self) {
        if let Some(ring) = &self.ring {
            take(&ring.mine().waiting, FUTEX_DATA);
            futex::wake(&ring.mine().waiting, i32::MAX);
        }
    }

    /// Sleeps until one of `ways` is answered, unless `ready` is true by then. May return early.
    pub(super) fn sleep(&self, ring: &RingLine, ways: u32, deadline: Deadline, mut ready: impl FnMut() -> bool) {
        let seen = Word::set(&ring.mine().waiting, ways);
        if !ready() && !self.gone.load(Ordering::SeqCst) && !self.is_shut() {
            futex::wait(&ring.mine().waiting, seen, deadline);
        }
    }
}

/// Woken by the reactor when the socket has hung up.
struct HangUp(Weak<Line>);

impl Wake for HangUp {
    fn wake(self: Arc<Self>) {
        let Some(line) = self.0.upgrade() else { return };
        if line.is_shut() {
            return;
        }
        if hung_up(line.socket()) {
            line.set_gone();
        } else {
            let _ = line.watch_socket();
        }
    }
}

/// Woken by the reactor when the other side's process has ended.
struct Ended(Weak<Line>);

impl Wake for Ended {
    fn wake(self: Arc<Self>) {
        if let Some(line) = self.0.upgrade() {
            line.set_gone();
        }
    }
}
