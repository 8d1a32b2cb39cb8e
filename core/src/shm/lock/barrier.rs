//! A place where processes wait for one another.

use super::deaths::Mortal;
use super::holders::{self, Guarded};
use super::wait::{self, Attempt, LockFuture};
use super::{Head, How};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::layout::fields;
use crate::shm::memory::SharedMemory;
use crate::sys::shared::Placed;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fields! {
    /// A barrier: who arrived stands in the table under the number of the round.
    BARRIER_FIELDS, "barrier":
    B_PARTIES = 24, 4, "parties";
    B_ROUND = 28, 4, "round";
    B_BROKEN = 32, 4, "broken";
    B_WATCHED = 36, 4, "watched";
}

const NOUN: &str = "barrier";

/// A point at an offset of a [`SharedMemory`] that `parties` threads or processes reach before any of them goes on. It is used again at once for
/// the next round.
///
/// When a process dies after it arrived, the round is broken: those who wait, or else the last to arrive, get the error `OwnerDied`, and the next
/// round begins. One that dies before it arrives is not known to the barrier: use a timeout, which takes the arrival back. For processes that trust one another and have the
/// same pid namespace; at most 248 of them. It takes [`SIZE`](SharedBarrier::SIZE) bytes at a multiple of 64. Clones are views of the same
/// barrier.
///
/// # Drop
/// Only the view goes.
///
/// # Example
/// ```
/// use procs::{SharedBarrier, SharedMemory};
/// let memory = SharedMemory::new(4096)?;
/// let start = SharedBarrier::create(&memory, 0, 2)?;
/// let leaders = std::thread::scope(|scope| {
///     let other = scope.spawn(|| start.wait());
///     Ok::<_, procs::Error>([start.wait()?, other.join().expect("it does not panic")?])
/// })?;
/// assert_eq!(leaders.into_iter().filter(|leader| *leader).count(), 1);
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedBarrier {
    guarded: Guarded,
    parties: Placed<AtomicU32>,
    round: Placed<AtomicU32>,
    broken: Placed<AtomicU32>,
    /// The last round in which somebody began to watch those who had arrived, and is to be told of more.
    watched: Placed<AtomicU32>,
}

impl SharedBarrier {
    /// Bytes that it takes.
    pub const SIZE: usize = holders::SIZE;

    /// Makes a barrier for `parties`, at least 1, whatever is there; nobody may be using it.
    ///
    /// # Errors
    /// - `InvalidArgument`: not inside the memory, or not at a multiple of 64, or no parties.
    /// - `PermissionDenied`: this process can only read the memory.
    pub fn create(memory: &SharedMemory, offset: usize, parties: u32) -> Result<SharedBarrier> {
        SharedBarrier::place((memory, offset), How::Create, parties)
    }

    /// Opens a barrier that another process made.
    ///
    /// # Errors
    /// As [`create`](SharedBarrier::create), and `Protocol`: there is none.
    pub fn open(memory: &SharedMemory, offset: usize) -> Result<SharedBarrier> {
        SharedBarrier::place((memory, offset), How::Open, 1)
    }

    /// Opens the barrier, or makes it for `parties` where the bytes are still zero; many processes may do that at once.
    ///
    /// # Errors
    /// As [`create`](SharedBarrier::create), and `Protocol`: there is something else.
    pub fn open_or_create(memory: &SharedMemory, offset: usize, parties: u32) -> Result<SharedBarrier> {
        SharedBarrier::place((memory, offset), How::Either, parties)
    }

    fn place(place: (&SharedMemory, usize), how: How, parties: u32) -> Result<SharedBarrier> {
        if parties == 0 {
            return Err(Error::invalid(NOUN, "nobody to wait for (parties = 0, expected at least 1)"));
        }
        let start = |head: &Head| {
            head.u32_at(B_PARTIES)?.store(parties, Ordering::SeqCst);
            head.u32_at(B_ROUND)?.store(1, Ordering::SeqCst);
            Ok(())
        };
        let guarded = Guarded::place(place, (*b"PBAR", NOUN), how, start)?;
        let head = &guarded.head;
        let (parties, round) = (head.u32_at(B_PARTIES)?, head.u32_at(B_ROUND)?);
        Ok(SharedBarrier { parties, round, broken: head.u32_at(B_BROKEN)?, watched: head.u32_at(B_WATCHED)?, guarded })
    }

    /// How many it waits for.
    pub fn parties(&self) -> u32 {
        self.parties.load(Ordering::Relaxed)
    }

    /// Arrives and waits for the others; true for one of them.
    ///
    /// # Errors
    /// - `OwnerDied`: a process that had arrived died.
    pub fn wait(&self) -> Result<bool> {
        wait::block_on(Arrival::new(self), Deadline::NEVER, NOUN)
    }

    /// Arrives and waits for the others, at most `timeout`.
    ///
    /// # Errors
    /// As [`wait`](SharedBarrier::wait), and `Timeout` (`WouldBlock` for a timeout of zero): the arrival was taken back.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        wait::block_on(Arrival::new(self), Deadline::after(timeout), NOUN)
    }

    /// Arrives and waits as a future; dropping it takes the arrival back. `timeout`: `None` is never.
    ///
    /// # Errors
    /// As [`wait_timeout`](SharedBarrier::wait_timeout).
    pub fn wait_async(&self, timeout: Option<Duration>) -> LockFuture<bool> {
        wait::future(Arrival::new(self), Deadline::from_timeout(timeout), NOUN)
    }

    /// Whether one is dead that had arrived in this round, which is over then. Inside the inner mutex.
    fn breaks(&self, round: u32) -> bool {
        let broken = self.guarded.bury(round) > 0;
        if broken {
            self.broken.store(round, Ordering::SeqCst);
            self.turn();
        }
        broken
    }

    /// Begins the next round, which makes every arrival of this one void by a single store. Inside the inner mutex.
    fn turn(&self) {
        let next = self.round.load(Ordering::Relaxed).wrapping_add(1).max(1);
        self.round.store(next, Ordering::SeqCst);
        self.guarded.keep_only(next);
    }
}

/// One who waits, and the round it arrived in.
struct Arrival {
    barrier: SharedBarrier,
    round: Option<u32>,
    /// Those who wait have to be told of something.
    news: bool,
}

impl Arrival {
    fn new(barrier: &SharedBarrier) -> Arrival {
        Arrival { barrier: barrier.clone(), round: None, news: false }
    }

    /// What happened to the round that this one arrived in.
    fn look(&mut self, arrived: u32, check: bool) -> Result<Option<bool>> {
        let barrier = &self.barrier;
        let now = barrier.round.load(Ordering::SeqCst);
        if check && now == arrived && barrier.breaks(arrived) {
            self.news = true;
        }
        if barrier.round.load(Ordering::SeqCst) == arrived {
            return Ok(None);
        }
        if barrier.broken.load(Ordering::SeqCst) == arrived {
            return Err(one_died());
        }
        Ok(Some(false))
    }

    fn arrive(&mut self, check: bool) -> Result<Option<bool>> {
        let barrier = &self.barrier;
        let round = barrier.round.load(Ordering::SeqCst);
        if check {
            // A full table may hold dead ones only.
            barrier.guarded.keep_only(round);
        }
        if !barrier.guarded.add(round) {
            return Ok(None);
        }
        if barrier.guarded.held(round) < u64::from(barrier.parties()) {
            self.news = barrier.watched.load(Ordering::SeqCst) == round;
            self.round = Some(round);
            return self.look(round, check);
        }
        self.news = true;
        // Of one that died when nobody else was waiting nobody has been told.
        if barrier.breaks(round) {
            return Err(one_died());
        }
        barrier.turn();
        Ok(Some(true))
    }
}

fn one_died() -> Error {
    Error::new(ErrorKind::OwnerDied, NOUN, "a process died that had arrived")
}

impl Attempt for Arrival {
    type Output = bool;

    fn head(&self) -> &Head {
        &self.barrier.guarded.head
    }

    fn attempt(&mut self, check: bool) -> Result<Option<bool>> {
        let guarded = self.barrier.guarded.clone();
        let result = guarded.try_with(|| match self.round {
            Some(arrived) => self.look(arrived, check),
            None => self.arrive(check),
        })?;
        if std::mem::take(&mut self.news) {
            guarded.head.changed();
        }
        let result = result.unwrap_or(Ok(None));
        if !matches!(result, Ok(None)) {
            self.round = None;
        }
        result
    }

    fn holders(&self) -> Option<Vec<Mortal>> {
        let barrier = &self.barrier;
        let round = self.round?;
        let arrived = barrier.guarded.try_with(|| {
            barrier.watched.store(round, Ordering::SeqCst);
            barrier.guarded.owners(round)
        });
        arrived.ok().flatten()
    }

    fn give_up(&mut self) {
        if let Some(round) = self.round.take() {
            let guarded = &self.barrier.guarded;
            let _ = guarded.with(|| guarded.subtract(round));
        }
    }
}
