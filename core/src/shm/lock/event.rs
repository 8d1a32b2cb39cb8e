//! A flag that processes wait for.

use super::wait::{self, Attempt, LockFuture};
use super::{Head, How, Shape};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::shm::memory::SharedMemory;
use std::sync::atomic::Ordering;
use std::time::Duration;

const NOUN: &str = "event";

/// A flag at an offset of a [`SharedMemory`]: off at first, waited for by any number of threads and processes, all of which go on when it is set.
/// It stays set until it is cleared.
///
/// Nobody holds it, so nobody's death leaves it in a wrong state; whoever waits for a process that dies before it sets the flag needs a timeout.
/// It takes [`SIZE`](SharedEvent::SIZE) bytes at a multiple of 64. Clones are views of the same event.
///
/// # Drop
/// Only the view goes.
///
/// # Example
/// ```
/// use procs::{SharedEvent, SharedMemory};
/// let memory = SharedMemory::new(4096)?;
/// let ready = SharedEvent::create(&memory, 0)?;
/// std::thread::scope(|scope| {
///     let waiting = scope.spawn(|| ready.wait());
///     ready.set();
///     waiting.join().expect("it does not panic")
/// })?;
/// assert!(ready.is_set());
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedEvent {
    pub(super) head: Head,
}

impl SharedEvent {
    /// Bytes that it takes.
    pub const SIZE: usize = 64;

    /// Makes an event that is not set, whatever is there; nobody may be using it.
    ///
    /// # Errors
    /// - `InvalidArgument`: not inside the memory, or not at a multiple of 64.
    /// - `PermissionDenied`: this process can only read the memory.
    pub fn create(memory: &SharedMemory, offset: usize) -> Result<SharedEvent> {
        SharedEvent::place(memory, offset, How::Create)
    }

    /// Opens an event that another process made.
    ///
    /// # Errors
    /// As [`create`](SharedEvent::create), and `Protocol`: there is none.
    pub fn open(memory: &SharedMemory, offset: usize) -> Result<SharedEvent> {
        SharedEvent::place(memory, offset, How::Open)
    }

    /// Opens the event, or makes it where the bytes are still zero; many processes may do that at once.
    ///
    /// # Errors
    /// As [`create`](SharedEvent::create), and `Protocol`: there is something else.
    pub fn open_or_create(memory: &SharedMemory, offset: usize) -> Result<SharedEvent> {
        SharedEvent::place(memory, offset, How::Either)
    }

    fn place(memory: &SharedMemory, offset: usize, how: How) -> Result<SharedEvent> {
        let shape = Shape { magic: *b"PEVT", size: Self::SIZE, noun: NOUN };
        Head::place((memory, offset), shape, how, |_| Ok(())).map(|head| SharedEvent { head })
    }

    /// Sets it and wakes everybody who waits.
    pub fn set(&self) {
        self.head.state.store(1, Ordering::SeqCst);
        self.head.changed();
    }

    /// Clears it.
    pub fn clear(&self) {
        self.head.state.store(0, Ordering::SeqCst);
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.head.state.load(Ordering::SeqCst) != 0
    }

    /// Waits until it is set.
    ///
    /// # Errors
    /// None in practice.
    pub fn wait(&self) -> Result<()> {
        wait::block_on(Wanted::new(self), Deadline::NEVER, NOUN)
    }

    /// Waits until it is set, at most `timeout`.
    ///
    /// # Errors
    /// - `Timeout`: not set (`WouldBlock` for a timeout of zero).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        wait::block_on(Wanted::new(self), Deadline::after(timeout), NOUN)
    }

    /// Waits as a future. `timeout`: `None` is never.
    ///
    /// # Errors
    /// As [`wait_timeout`](SharedEvent::wait_timeout).
    pub fn wait_async(&self, timeout: Option<Duration>) -> LockFuture<()> {
        wait::future(Wanted::new(self), Deadline::from_timeout(timeout), NOUN)
    }
}

struct Wanted {
    event: SharedEvent,
    /// A flag that was set and cleared again while we slept counts: `set` goes by this number.
    first: Option<u32>,
}

impl Wanted {
    fn new(event: &SharedEvent) -> Wanted {
        Wanted { event: event.clone(), first: None }
    }
}

impl Attempt for Wanted {
    type Output = ();
    const SLICE: Option<Duration> = None;

    fn head(&self) -> &Head {
        &self.event.head
    }

    fn attempt(&mut self, _check: bool) -> Result<Option<()>> {
        let sequence = self.event.head.sequence.load(Ordering::SeqCst);
        let first = *self.first.get_or_insert(sequence);
        Ok((self.event.is_set() || sequence != first).then_some(()))
    }
}
