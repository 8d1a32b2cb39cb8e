//! A system that has no memory for what is sent or received: perhaps for a moment, but nobody waits for that without end.

use crate::deadline::Deadline;
use crate::error::Error;
use std::io;
use std::time::{Duration, Instant};

/// How long it is tried again, within the deadline.
const PATIENCE: Duration = Duration::from_secs(1);
/// Nothing tells when there is memory again: look from time to time.
const PAUSE: Duration = Duration::from_millis(5);

/// Since when, and the system's word for it.
#[derive(Debug, Default)]
pub(super) struct Starved(Option<(i32, Instant)>);

impl Starved {
    /// Whether what failed may go later: the socket is full, this user has too many descriptors on their way (reading on the other side cures
    /// both), or there is no memory just now.
    pub(super) fn may_pass(&mut self, error: &io::Error) -> bool {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ETOOMANYREFS) => self.0 = None,
            Some(errno @ (libc::ENOMEM | libc::ENOBUFS)) => {
                self.0.get_or_insert_with(|| (errno, Instant::now()));
            }
            _ => return false,
        }
        true
    }

    /// It went.
    pub(super) fn passed(&mut self) {
        self.0 = None;
    }

    /// Whether there was no memory at the last try.
    pub(super) fn is_now(&self) -> bool {
        self.0.is_some()
    }

    /// Whether it has lasted too long.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_some_and(|(_, since)| since.elapsed() >= PATIENCE)
    }

    /// What whoever gives up is told.
    pub(super) fn error(&self, operation: &'static str) -> Option<Error> {
        self.0.map(|(errno, _)| Error::from_os(operation, errno, "the system has no memory for the message"))
    }
}

/// The next time to look.
pub(super) fn pause(deadline: Deadline) -> Deadline {
    deadline.min(Deadline::after(PAUSE))
}
