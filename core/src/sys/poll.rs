//! Waiting: poll, epoll, eventfd.

use super::{check, check_size, retry};
use crate::deadline::{Deadline, note_interrupt};
use crate::error::{Error, Result};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// One descriptor to wait for, as poll(2) takes it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct PollFd(libc::pollfd);

/// Which readiness is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Events {
    Read,
    Write,
}

impl PollFd {
    /// Waits for this descriptor; the caller keeps it open meanwhile.
    pub(crate) fn new(fd: BorrowedFd<'_>, events: Events) -> PollFd {
        let events = match events {
            Events::Read => libc::POLLIN,
            Events::Write => libc::POLLOUT,
        };
        PollFd(libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 })
    }

    /// An entry that is never ready.
    pub(crate) fn unused() -> PollFd {
        PollFd(libc::pollfd { fd: -1, events: 0, revents: 0 })
    }

    /// Whether it is ready, hung up or in error: a read or write will not block.
    pub(crate) fn ready(&self) -> bool {
        self.0.revents != 0
    }

    /// Whether the other side is gone and nothing is left to read: end of file, known without a read.
    pub(crate) fn ended(&self) -> bool {
        self.0.revents & (libc::POLLHUP | libc::POLLIN) == libc::POLLHUP
    }
}

/// Waits until one of the descriptors is ready or the deadline passes; gives the number that are ready. A signal
/// handler ends it early only within [`crate::interruptible`].
pub(crate) fn poll(fds: &mut [PollFd], deadline: Deadline) -> io::Result<usize> {
    loop {
        let timeout = deadline.remaining().map(timespec);
        let timeout_ptr = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: PollFd is a transparent pollfd; the timeout lives across the call; a null mask leaves the mask alone.
        let count = unsafe { libc::ppoll(fds.as_mut_ptr().cast(), fds.len() as libc::nfds_t, timeout_ptr, std::ptr::null()) };
        match check(count) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                if note_interrupt() {
                    return Ok(0);
                }
            }
            result => return result.map(|count| count as usize),
        }
    }
}

pub(super) fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(duration.subsec_nanos() as i32),
    }
}

/// Whether the other side of a socket or pipe has gone, whatever is left to read.
pub(crate) fn hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut entry = [PollFd(libc::pollfd { fd: fd.as_raw_fd(), events: 0, revents: 0 })];
    poll(&mut entry, Deadline::after(Duration::ZERO)).is_ok_and(|count| count > 0)
}

/// Whether the descriptor is readable now.
pub(crate) fn readable_now(fd: BorrowedFd<'_>) -> io::Result<bool> {
    poll(&mut [PollFd::new(fd, Events::Read)], Deadline::after(Duration::ZERO)).map(|count| count > 0)
}

/// A flag that can be waited for with poll.
#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    pub(crate) fn new(operation: &'static str) -> Result<EventFd> {
        // SAFETY: eventfd takes no pointers.
        let fd = retry(|| check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }))
            // SAFETY: the kernel has just created the descriptor.
            .and_then(|fd| super::fd::above_stdio(unsafe { OwnedFd::from_raw_fd(fd) }))
            .map_err(|error| Error::from_io(operation, &error, "cannot make an event descriptor"))?;
        Ok(EventFd(fd))
    }

    /// Sets the flag. Never blocks: a full counter is set already.
    pub(crate) fn signal(&self) {
        let one = 1u64;
        // SAFETY: eight bytes are read from a live u64.
        let _ = retry(|| check_size(unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) }));
    }

    /// Clears the flag.
    pub(crate) fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes are written to a live u64.
        let _ = retry(|| check_size(unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) }));
    }

    /// Takes over a descriptor that another process gave as a flag. It is made non-blocking again: the flag must never block whoever sets it.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<EventFd> {
        super::fd::set_nonblocking(fd.as_fd(), true)?;
        Ok(EventFd(fd))
    }

    /// Whether the flag is set.
    pub(crate) fn is_set(&self) -> bool {
        readable_now(self.as_fd()).unwrap_or(false)
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An epoll instance whose entries carry a number.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What a descriptor is ready for; hang-up and errors count as readable and writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) fd: RawFd,
    pub(crate) round: u32,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) hang_up: bool,
}

/// What an epoll entry waits for, beside hang-up and errors, which always count; an entry fires once and is armed again by `modify`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Wanted {
    fn bits(self) -> u32 {
        let mut bits = libc::EPOLLONESHOT as u32;
        if self.read {
            bits |= libc::EPOLLIN as u32;
        }
        if self.write {
            bits |= libc::EPOLLOUT as u32;
        }
        bits
    }
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: epoll_create1 takes no pointers.
        let fd = retry(|| check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }))?;
        // SAFETY: the kernel has just created the descriptor.
        super::fd::above_stdio(unsafe { OwnedFd::from_raw_fd(fd) }).map(Epoll)
    }

    fn control(&self, operation: i32, fd: RawFd, round: u32, wanted: Wanted) -> io::Result<()> {
        let mut event = libc::epoll_event { events: wanted.bits(), u64: u64::from(round) << 32 | u64::from(fd as u32) };
        // SAFETY: `event` lives across the call.
        retry(|| check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, fd, &mut event) })).map(drop)
    }

    /// `round` comes back in [`Ready`]: it tells an event from one of another file that had the same descriptor before.
    pub(crate) fn add(&self, fd: RawFd, round: u32, wanted: Wanted) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, round, wanted)
    }

    /// Adds an entry that counts as long as the descriptor is readable: the instance itself is then readable as long.
    pub(crate) fn add_readable(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd.as_raw_fd() as u64 };
        // SAFETY: `event` lives across the call.
        retry(|| check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &mut event) })).map(drop)
    }

    pub(crate) fn modify(&self, fd: RawFd, round: u32, wanted: Wanted) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, round, wanted)
    }

    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Wanted::default())
    }

    /// Reports `number` as long as the descriptor is readable, hung up or in error.
    pub(crate) fn add_number(&self, fd: RawFd, number: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number };
        // SAFETY: `event` lives across the call.
        retry(|| check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) })).map(drop)
    }

    /// Gives up to 64 numbers of entries that are ready now. Never blocks.
    pub(crate) fn numbers(&self, ready: &mut Vec<u64>) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        // SAFETY: `events` has room for 64 entries.
        let count = retry(|| check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 64, 0) }))?;
        ready.extend(events[..count as usize].iter().map(|event| event.u64));
        Ok(())
    }

    /// Waits and gives up to 64 ready entries.
    pub(crate) fn wait(&self, deadline: Deadline, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        // Rounded up, so that a timer is never polled for before it is due.
        let timeout = deadline.remaining().map_or(-1, |left| i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        // SAFETY: `events` has room for 64 entries.
        let count = match check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 64, timeout) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            result => result?,
        };
        let both = (libc::EPOLLHUP | libc::EPOLLERR) as u32;
        for event in &events[..count as usize] {
            let bits = event.events;
            ready.push(Ready {
                fd: event.u64 as u32 as RawFd,
                round: (event.u64 >> 32) as u32,
                read: bits & (libc::EPOLLIN as u32 | both) != 0,
                write: bits & (libc::EPOLLOUT as u32 | both) != 0,
                hang_up: bits & both != 0,
            });
        }
        Ok(())
    }
}
