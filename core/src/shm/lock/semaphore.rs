//! A number of permits that processes take and give back, also by dying.

use super::deaths::Mortal;
use super::holders::{self, Guarded};
use super::wait::{self, Attempt, LockFuture};
use super::{Head, How};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::layout::fields;
use crate::shm::memory::SharedMemory;
use crate::sys::fork;
use crate::sys::shared::Placed;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fields! {
    /// A semaphore: permits in all; what is free is this less what the holders have.
    SEMAPHORE_FIELDS, "semaphore":
    S_TOTAL = 24, 8, "total";
}

const NOUN: &str = "semaphore";
const TAG: u32 = 1;

/// Permits at an offset of a [`SharedMemory`] that threads and processes take and give back. A process that dies gives back what it holds.
///
/// At most 248 processes hold permits at a time; the others wait. For processes that trust one another and have the same pid namespace. It takes
/// [`SIZE`](SharedSemaphore::SIZE) bytes at a multiple of 64. Clones are views of the same semaphore.
///
/// # Drop
/// Only the view goes.
///
/// # Example
/// ```
/// use procs::{SharedMemory, SharedSemaphore};
/// let memory = SharedMemory::new(4096)?;
/// let slots = SharedSemaphore::create(&memory, 0, 1)?;
/// let permit = slots.acquire()?;
/// assert!(slots.try_acquire().is_err());
/// drop(permit);
/// assert_eq!(slots.available()?, 1);
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedSemaphore {
    guarded: Guarded,
    total: Placed<AtomicU64>,
}

/// One permit of a [`SharedSemaphore`].
///
/// # Drop
/// Gives it back. In a forked copy nothing happens: it is the parent's.
#[derive(Debug)]
#[must_use = "the permit is given back at once when it is not kept"]
pub struct SemaphorePermit {
    semaphore: SharedSemaphore,
    generation: u64,
    kept: bool,
}

impl SharedSemaphore {
    /// Bytes that it takes.
    pub const SIZE: usize = holders::SIZE;

    /// Makes a semaphore of `permits` permits, whatever is there; nobody may be using it.
    ///
    /// # Errors
    /// - `InvalidArgument`: not inside the memory, or not at a multiple of 64.
    /// - `PermissionDenied`: this process can only read the memory.
    pub fn create(memory: &SharedMemory, offset: usize, permits: u32) -> Result<SharedSemaphore> {
        SharedSemaphore::place((memory, offset), How::Create, permits)
    }

    /// Opens a semaphore that another process made.
    ///
    /// # Errors
    /// As [`create`](SharedSemaphore::create), and `Protocol`: there is none.
    pub fn open(memory: &SharedMemory, offset: usize) -> Result<SharedSemaphore> {
        SharedSemaphore::place((memory, offset), How::Open, 0)
    }

    /// Opens the semaphore, or makes it with `permits` permits where the bytes are still zero; many processes may do that at once.
    ///
    /// # Errors
    /// As [`create`](SharedSemaphore::create), and `Protocol`: there is something else.
    pub fn open_or_create(memory: &SharedMemory, offset: usize, permits: u32) -> Result<SharedSemaphore> {
        SharedSemaphore::place((memory, offset), How::Either, permits)
    }

    fn place(place: (&SharedMemory, usize), how: How, permits: u32) -> Result<SharedSemaphore> {
        let start = |head: &Head| {
            head.u64_at(S_TOTAL)?.store(u64::from(permits), Ordering::SeqCst);
            Ok(())
        };
        let guarded = Guarded::place(place, (*b"PSEM", NOUN), how, start)?;
        Ok(SharedSemaphore { total: guarded.head.u64_at(S_TOTAL)?, guarded })
    }

    fn permit(&self) -> SemaphorePermit {
        SemaphorePermit { semaphore: self.clone(), generation: fork::generation(), kept: true }
    }

    /// Takes a permit; waits as long as it takes.
    ///
    /// # Errors
    /// None in practice.
    pub fn acquire(&self) -> Result<SemaphorePermit> {
        wait::block_on(Wanted(self.clone()), Deadline::NEVER, NOUN)
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    /// - `WouldBlock`: there is none.
    pub fn try_acquire(&self) -> Result<SemaphorePermit> {
        self.acquire_timeout(Duration::ZERO)
    }

    /// Takes a permit; waits at most `timeout`.
    ///
    /// # Errors
    /// - `Timeout`: there was none (`WouldBlock` for a timeout of zero).
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<SemaphorePermit> {
        wait::block_on(Wanted(self.clone()), Deadline::after(timeout), NOUN)
    }

    /// Takes a permit as a future. `timeout`: `None` is never.
    ///
    /// # Errors
    /// As [`acquire_timeout`](SharedSemaphore::acquire_timeout).
    pub fn acquire_async(&self, timeout: Option<Duration>) -> LockFuture<SemaphorePermit> {
        wait::future(Wanted(self.clone()), Deadline::from_timeout(timeout), NOUN)
    }

    /// Adds permits that nobody took: the other half of [`SemaphorePermit::consume`].
    ///
    /// # Errors
    /// - `TooLarge`: more than 2³² permits.
    pub fn release(&self, permits: u32) -> Result<()> {
        self.add(permits, 0)
    }

    /// Gives so many permits of this process back, whichever they are, and adds those that it does not hold. For bindings.
    ///
    /// # Errors
    /// As [`release`](SharedSemaphore::release); then none was given back.
    pub fn give_back(&self, permits: u32) -> Result<()> {
        self.add(permits, permits)
    }

    /// Frees permits: at most `own` of them are some that this process holds, the others are new.
    fn add(&self, permits: u32, own: u32) -> Result<()> {
        let fits = self.guarded.with(|| {
            let own = self.guarded.held_here(TAG).min(own);
            let total = self.total.load(Ordering::Relaxed).saturating_add(u64::from(permits - own));
            let fits = total <= u64::from(u32::MAX);
            if fits {
                for _ in 0..own {
                    self.guarded.subtract(TAG);
                }
                self.total.store(total, Ordering::SeqCst);
            }
            fits
        })?;
        if !fits {
            return Err(Error::new(ErrorKind::TooLarge, NOUN, format!("too many permits (added = {permits}, limit = {})", u32::MAX)));
        }
        self.guarded.head.changed();
        Ok(())
    }

    /// Permits that are free now, those of dead processes included.
    ///
    /// # Errors
    /// None in practice.
    pub fn available(&self) -> Result<u64> {
        let (freed, free) = self.guarded.with(|| (self.guarded.bury(TAG), self.free()))?;
        if freed > 0 {
            self.guarded.head.changed();
        }
        Ok(free)
    }

    fn free(&self) -> u64 {
        self.total.load(Ordering::Relaxed).saturating_sub(self.guarded.held(TAG))
    }
}

impl SemaphorePermit {
    /// Keeps the permit from being given back, ever: a signal that was received. [`SharedSemaphore::release`] adds new ones.
    ///
    /// # Errors
    /// None in practice.
    pub fn consume(mut self) -> Result<()> {
        self.kept = false;
        let semaphore = self.semaphore.clone();
        semaphore.guarded.with(|| {
            // In this order: who is killed between the two has consumed it, since a dead holder has nothing.
            semaphore.total.store(semaphore.total.load(Ordering::Relaxed).saturating_sub(1), Ordering::SeqCst);
            semaphore.guarded.subtract(TAG)
        })?;
        Ok(())
    }

    /// Leaves it to [`SharedSemaphore::give_back`], for bindings.
    pub fn leave(mut self) {
        self.kept = false;
    }
}

impl Drop for SemaphorePermit {
    fn drop(&mut self) {
        if self.kept && self.generation == fork::generation() {
            let guarded = &self.semaphore.guarded;
            if guarded.with(|| guarded.subtract(TAG)).is_ok() {
                guarded.head.changed();
            }
        }
    }
}

struct Wanted(SharedSemaphore);

impl Attempt for Wanted {
    type Output = SemaphorePermit;

    fn head(&self) -> &Head {
        &self.0.guarded.head
    }

    fn attempt(&mut self, check: bool) -> Result<Option<SemaphorePermit>> {
        let guarded = &self.0.guarded;
        let taken = guarded.try_with(|| {
            if check {
                guarded.bury(TAG);
            }
            self.0.free() > 0 && guarded.add(TAG)
        })?;
        Ok((taken == Some(true)).then(|| self.0.permit()))
    }

    fn holders(&self) -> Option<Vec<Mortal>> {
        Some(self.0.guarded.owners(TAG))
    }
}
