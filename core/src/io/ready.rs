//! Many children and pipes behind one descriptor, for an event loop that somebody else runs.

use super::pipe::wait_ready;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::sys::poll::{Epoll, Events};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// A set of descriptors that an event loop of the host waits for as one: readable as soon as one of them is. No thread is involved.
///
/// Each entry has a number of the caller's choice, which is reported as long as its descriptor is readable, hung up or in error. Closing a
/// descriptor removes it, except that a child that is just being started elsewhere in the process can keep it for some microseconds:
/// numbers that are no longer known are to be ignored, and descriptors that stay open to be [removed](ReadySet::remove).
///
/// # Drop
/// Closes the set, not its entries. In a forked copy of the host the set is still the parent's; make another.
///
/// ```
/// use procs::{Command, Deadline, ReadySet};
/// let child = Command::new("true").spawn()?;
/// let set = ReadySet::new()?;
/// set.add(&child, 7)?;
/// let mut ready = Vec::new();
/// while ready.is_empty() {
///     set.wait(Deadline::NEVER)?; // a host with a loop lets that wait for the set's own descriptor
///     set.ready(&mut ready)?;
/// }
/// assert_eq!(ready, [7]);
/// assert!(child.try_wait()?.unwrap().success());
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Debug)]
pub struct ReadySet {
    epoll: Epoll,
}

impl ReadySet {
    /// An empty set.
    ///
    /// # Errors
    /// `Exhausted` when no descriptor is free.
    pub fn new() -> Result<ReadySet> {
        let epoll = Epoll::new().map_err(|error| Error::from_io("ready_set", &error, "cannot make the set"))?;
        Ok(ReadySet { epoll })
    }

    /// Adds a child (its end) or a pipe (something to read, or its end) under a number.
    ///
    /// # Errors
    /// `Exhausted`, or `Io` with EEXIST when the descriptor is in the set, EPERM when it cannot be waited for.
    pub fn add(&self, source: &impl AsFd, number: u64) -> Result<()> {
        self.epoll
            .add_number(source.as_fd().as_raw_fd(), number)
            .map_err(|error| Error::from_io("ready_set", &error, format!("cannot add a descriptor (number = {number})")))
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// `NotFound` when it is not in the set.
    pub fn remove(&self, source: &impl AsFd) -> Result<()> {
        self.epoll.remove(source.as_fd().as_raw_fd()).map_err(|error| Error::from_io("ready_set", &error, "cannot remove a descriptor"))
    }

    /// Appends the numbers of up to 64 entries that are ready now. Never blocks.
    ///
    /// # Errors
    /// `Io`, which no valid use provokes.
    pub fn ready(&self, numbers: &mut Vec<u64>) -> Result<()> {
        self.epoll.numbers(numbers).map_err(|error| Error::from_io("ready_set", &error, "cannot look at the set"))
    }

    /// Waits until an entry is ready: for a host without an event loop, or with one that takes no descriptors. False when the deadline
    /// passed first.
    ///
    /// # Errors
    /// The system's failure to wait.
    pub fn wait(&self, deadline: Deadline) -> Result<bool> {
        wait_ready(self.as_fd(), Events::Read, deadline)
    }
}

impl AsFd for ReadySet {
    /// Readable while an entry is ready; for poll, epoll and event loops. Never read from it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
