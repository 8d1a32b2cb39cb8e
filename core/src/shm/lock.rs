//! Locks and signals in shared memory: a head that all of them share, and how a place becomes one of them.
//!
//! ```text
//!   all zero ──CAS starter──▶ being made ──magic──▶ ready ──▶ used until the memory goes
//!                  ▲              │
//!                  └──────────────┘ the maker died: the next one starts again
//! ```
//! Waiting is done on the word `sequence`: whoever changes something that others wait for adds 1 and wakes all. A waiter reads it, looks whether
//! it can go on, and sleeps only while it is unchanged, so no wake-up is lost. A holder that dies wakes nobody (except of the robust mutex): a waiter
//! looks after the living after [`SLICE`], and from then on has their pidfds watched, or looks again and again where that cannot be.

mod barrier;
mod deaths;
mod event;
mod holders;
mod mutex;
mod once;
mod rwlock;
mod semaphore;
#[cfg(test)]
mod tests;
mod wait;
mod watcher;

use super::layout::{Field, fields, refused};
use super::memory::SharedMemory;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::sys::alive::Owner;
use crate::sys::futex;
use crate::sys::shared::{Placed, SharedMapping};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

pub use barrier::SharedBarrier;
pub use event::SharedEvent;
pub use mutex::{SharedMutex, SharedMutexGuard};
pub use once::{OnceEnd, OnceTurn, SharedOnce};
pub use rwlock::{SharedReadGuard, SharedRwLock, SharedWriteGuard};
pub use semaphore::{SemaphorePermit, SharedSemaphore};
pub use wait::LockFuture;

/// How long a waiter sleeps before it looks whether a holder died.
const SLICE: Duration = Duration::from_millis(10);
/// How long one sleeps that will be told of every death.
const LONG_SLICE: Duration = Duration::from_secs(1);
/// Locks start on cache lines of their own.
const ALIGN: usize = 64;

fields! {
    /// The head of every lock, 64 bytes.
    LOCK_FIELDS, "lock":
    L_MAGIC = 0, 4, "magic";
    L_WAITERS = 4, 4, "waiters";
    L_STARTER = 8, 8, "starter";
    L_SEQUENCE = 16, 4, "sequence";
    L_STATE = 20, 4, "state";
}

/// Where the part of a kind begins.
const BODY: usize = 24;

/// Whether a place is to be made into a lock, or must be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Create,
    Open,
    Either,
}

/// A kind of lock: its first four bytes and its size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) magic: [u8; 4],
    pub(super) size: usize,
    pub(super) noun: &'static str,
}

/// The head of a lock at a checked place.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) map: Arc<SharedMapping>,
    /// In the mapping.
    pub(super) at: usize,
    magic: Placed<AtomicU32>,
    waiters: Placed<AtomicU32>,
    starter: Placed<AtomicU64>,
    sequence: Placed<AtomicU32>,
    state: Placed<AtomicU32>,
}

impl Head {
    /// Finds or makes a lock. `start` makes the body, which is all zero then; it is called by one process at a time.
    pub(super) fn place((memory, offset): (&SharedMemory, usize), shape: Shape, how: How, start: impl Fn(&Head) -> Result<()>) -> Result<Head> {
        if !offset.is_multiple_of(ALIGN) {
            let detail = format!("not aligned (offset = {offset}, expected a multiple of {ALIGN})");
            return Err(Error::invalid(shape.noun, detail));
        }
        let at = memory.inside(offset, shape.size)?;
        let map = memory.map();
        let head = Head {
            map: Arc::clone(map),
            at,
            magic: Placed::new32(map, at + L_MAGIC)?,
            waiters: Placed::new32(map, at + L_WAITERS)?,
            starter: Placed::new64(map, at + L_STARTER)?,
            sequence: Placed::new32(map, at + L_SEQUENCE)?,
            state: Placed::new32(map, at + L_STATE)?,
        };
        let magic = u32::from_le_bytes(shape.magic);
        match how {
            How::Create => {
                head.magic.store(0, Ordering::SeqCst);
                head.starter.store(Owner::current().0, Ordering::SeqCst);
                head.begin(magic, shape.size, &start)?;
            }
            How::Open if head.magic.load(Ordering::Acquire) == 0 => {
                return Err(refused(format!("there is no {} (offset = {offset})", shape.noun)));
            }
            How::Open => {}
            How::Either => head.start_once(magic, shape.size, &start)?,
        }
        if head.magic.load(Ordering::Acquire) != magic {
            return Err(refused(format!("there is something else than a {} (offset = {offset})", shape.noun)));
        }
        Ok(head)
    }

    fn begin(&self, magic: u32, size: usize, start: &impl Fn(&Head) -> Result<()>) -> Result<()> {
        self.map.fill(self.at + L_SEQUENCE, size - L_SEQUENCE, 0)?;
        self.waiters.store(0, Ordering::SeqCst);
        start(self)?;
        self.magic.store(magic, Ordering::SeqCst);
        self.starter.store(0, Ordering::SeqCst);
        futex::wake(&self.magic, i32::MAX);
        Ok(())
    }

    /// Makes the lock unless somebody has, or is doing so and lives.
    fn start_once(&self, magic: u32, size: usize, start: &impl Fn(&Head) -> Result<()>) -> Result<()> {
        let own = Owner::current().0;
        while self.magic.load(Ordering::SeqCst) == 0 {
            let starter = self.starter.load(Ordering::SeqCst);
            if starter == 0 || Owner(starter).is_dead() {
                let taken = self.starter.compare_exchange(starter, own, Ordering::SeqCst, Ordering::SeqCst).is_ok();
                if taken && self.magic.load(Ordering::SeqCst) == 0 {
                    return self.begin(magic, size, start);
                }
                if taken {
                    self.starter.store(0, Ordering::SeqCst);
                }
            } else {
                futex::wait(&self.magic, 0, Deadline::after(SLICE));
            }
        }
        Ok(())
    }

    pub(super) fn u32_at(&self, offset: usize) -> Result<Placed<AtomicU32>> {
        Placed::new32(&self.map, self.at + offset)
    }

    pub(super) fn u64_at(&self, offset: usize) -> Result<Placed<AtomicU64>> {
        Placed::new64(&self.map, self.at + offset)
    }

    /// Tells all who wait that something changed.
    fn changed(&self) {
        self.sequence.fetch_add(1, Ordering::SeqCst);
        if self.waiters.load(Ordering::SeqCst) > 0 {
            futex::wake(&self.sequence, i32::MAX);
        }
    }
}

/// The rows of the layout table that belong to locks.
pub(super) fn rows() -> impl Iterator<Item = Field> {
    let tables: [&[Field]; 8] = [
        LOCK_FIELDS,
        mutex::MUTEX_FIELDS,
        holders::GUARDED_FIELDS,
        holders::HOLDER_FIELDS,
        rwlock::RWLOCK_FIELDS,
        semaphore::SEMAPHORE_FIELDS,
        barrier::BARRIER_FIELDS,
        once::ONCE_FIELDS,
    ];
    tables.into_iter().flatten().copied()
}
