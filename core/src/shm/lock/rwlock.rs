//! Many readers or one writer, across processes.

use super::deaths::Mortal;
use super::holders::{self, Guarded};
use super::wait::{self, Attempt, LockFuture};
use super::{Head, How};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::layout::fields;
use crate::shm::memory::SharedMemory;
use crate::sys::alive::Owner;
use crate::sys::fork;
use crate::sys::shared::Placed;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fields! {
    /// A rwlock: the process that writes, and the one that waits to.
    RWLOCK_FIELDS, "rwlock":
    W_WRITER = 24, 8, "writer";
    W_WANTING = 32, 8, "wanting";
}

const NOUN: &str = "rwlock";
const READING: u32 = 1;

/// Values of `lock.state`.
const WHOLE: u32 = 0;
const WRITER_DIED: u32 = 1;
const POISONED: u32 = 2;

/// A lock at an offset of a [`SharedMemory`] that many readers or one writer hold, across processes. Readers that die are forgotten; a writer
/// that dies is noticed.
///
/// A writer that waits keeps new readers out, so a thread that reads must not ask to read again. At most 248 processes read at a time (each as often
/// as it likes); the others wait. For processes that trust one another and have the same pid namespace. It takes [`SIZE`](SharedRwLock::SIZE)
/// bytes at a multiple of 64. Clones are views of the same lock.
///
/// # A writer that died
/// Readers get the error `OwnerDied` until a writer has repaired: the next writer gets the lock with
/// [`owner_died`](SharedWriteGuard::owner_died) set. If it drops the guard without [`repair`](SharedWriteGuard::repair) the lock is poisoned:
/// `OwnerDied` for everybody, until it is [created](SharedRwLock::create) anew.
///
/// # Drop
/// Only the view goes.
///
/// # Example
/// ```
/// use procs::{SharedMemory, SharedRwLock};
/// let memory = SharedMemory::new(4096)?;
/// let lock = SharedRwLock::create(&memory, 0)?;
/// let (one, two) = (lock.read()?, lock.read()?);
/// assert!(lock.try_write().is_err());
/// drop((one, two));
/// assert!(!lock.write()?.owner_died());
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedRwLock {
    guarded: Guarded,
    writer: Placed<AtomicU64>,
    wanting: Placed<AtomicU64>,
}

/// Holds a [`SharedRwLock`] for reading.
///
/// # Drop
/// Gives it back. In a forked copy nothing happens: it is the parent's.
#[derive(Debug)]
#[must_use = "the lock is given back at once when the guard is not kept"]
pub struct SharedReadGuard {
    lock: SharedRwLock,
    generation: u64,
}

/// Holds a [`SharedRwLock`] for writing.
///
/// # Drop
/// Gives it back; poisons it if the former writer died and nothing was repaired. In a forked copy nothing happens: it is the parent's.
#[derive(Debug)]
#[must_use = "the lock is given back at once when the guard is not kept"]
pub struct SharedWriteGuard {
    lock: SharedRwLock,
    generation: u64,
    owner_died: bool,
}

fn lost() -> Error {
    Error::new(ErrorKind::OwnerDied, NOUN, "a writer died, and nobody repaired what the lock protects")
}

impl SharedRwLock {
    /// Bytes that it takes.
    pub const SIZE: usize = holders::SIZE;

    /// Makes a free lock of these bytes, whatever is there; nobody may be using it.
    ///
    /// # Errors
    /// - `InvalidArgument`: not inside the memory, or not at a multiple of 64.
    /// - `PermissionDenied`: this process can only read the memory.
    pub fn create(memory: &SharedMemory, offset: usize) -> Result<SharedRwLock> {
        SharedRwLock::place((memory, offset), How::Create)
    }

    /// Opens a lock that another process made.
    ///
    /// # Errors
    /// As [`create`](SharedRwLock::create), and `Protocol`: there is none.
    pub fn open(memory: &SharedMemory, offset: usize) -> Result<SharedRwLock> {
        SharedRwLock::place((memory, offset), How::Open)
    }

    /// Opens the lock, or makes it where the bytes are still zero; many processes may do that at once.
    ///
    /// # Errors
    /// As [`create`](SharedRwLock::create), and `Protocol`: there is something else.
    pub fn open_or_create(memory: &SharedMemory, offset: usize) -> Result<SharedRwLock> {
        SharedRwLock::place((memory, offset), How::Either)
    }

    fn place(place: (&SharedMemory, usize), how: How) -> Result<SharedRwLock> {
        let guarded = Guarded::place(place, (*b"PRWL", NOUN), how, |_| Ok(()))?;
        Ok(SharedRwLock { writer: guarded.head.u64_at(W_WRITER)?, wanting: guarded.head.u64_at(W_WANTING)?, guarded })
    }

    /// Takes it for reading; waits as long as it takes.
    ///
    /// # Errors
    /// - `OwnerDied`: a writer died and nothing was repaired.
    pub fn read(&self) -> Result<SharedReadGuard> {
        wait::block_on(Reading(self.clone()), Deadline::NEVER, NOUN)
    }

    /// Takes it for reading if no writer has it or waits for it.
    ///
    /// # Errors
    /// As [`read`](SharedRwLock::read), and `WouldBlock`.
    pub fn try_read(&self) -> Result<SharedReadGuard> {
        self.read_timeout(Duration::ZERO)
    }

    /// Takes it for reading; waits at most `timeout`.
    ///
    /// # Errors
    /// As [`read`](SharedRwLock::read), and `Timeout` (`WouldBlock` for a timeout of zero).
    pub fn read_timeout(&self, timeout: Duration) -> Result<SharedReadGuard> {
        wait::block_on(Reading(self.clone()), Deadline::after(timeout), NOUN)
    }

    /// Takes it for reading as a future. `timeout`: `None` is never.
    ///
    /// # Errors
    /// As [`read_timeout`](SharedRwLock::read_timeout).
    pub fn read_async(&self, timeout: Option<Duration>) -> LockFuture<SharedReadGuard> {
        wait::future(Reading(self.clone()), Deadline::from_timeout(timeout), NOUN)
    }

    /// Takes it for writing; waits as long as it takes.
    ///
    /// # Errors
    /// - `OwnerDied`: poisoned.
    pub fn write(&self) -> Result<SharedWriteGuard> {
        wait::block_on(Writing(self.clone()), Deadline::NEVER, NOUN)
    }

    /// Takes it for writing if nobody has it.
    ///
    /// # Errors
    /// As [`write`](SharedRwLock::write), and `WouldBlock`.
    pub fn try_write(&self) -> Result<SharedWriteGuard> {
        self.write_timeout(Duration::ZERO)
    }

    /// Takes it for writing; waits at most `timeout`.
    ///
    /// # Errors
    /// As [`write`](SharedRwLock::write), and `Timeout` (`WouldBlock` for a timeout of zero).
    pub fn write_timeout(&self, timeout: Duration) -> Result<SharedWriteGuard> {
        wait::block_on(Writing(self.clone()), Deadline::after(timeout), NOUN)
    }

    /// Takes it for writing as a future. `timeout`: `None` is never.
    ///
    /// # Errors
    /// As [`write_timeout`](SharedRwLock::write_timeout).
    pub fn write_async(&self, timeout: Option<Duration>) -> LockFuture<SharedWriteGuard> {
        wait::future(Writing(self.clone()), Deadline::from_timeout(timeout), NOUN)
    }

    /// Gives back one reading of this process, for bindings; the guard was [left](SharedReadGuard::leave).
    ///
    /// # Errors
    /// - `InvalidState`: this process does not read.
    pub fn release_read(&self) -> Result<()> {
        if !self.guarded.with(|| self.guarded.subtract(READING))? {
            return Err(Error::new(ErrorKind::InvalidState, NOUN, "this process does not hold it for reading"));
        }
        self.guarded.head.changed();
        Ok(())
    }

    /// Gives back the writing of this process, for bindings; the guard was [left](SharedWriteGuard::leave).
    ///
    /// # Errors
    /// - `InvalidState`: this process does not write.
    pub fn release_write(&self) -> Result<()> {
        let own = Owner::current().0;
        let mine = self.guarded.with(|| {
            let mine = self.writer.load(Ordering::Relaxed) == own;
            if mine {
                // Poisoned before it is free: in the other order a killed process would leave it looking merely abandoned, which is right too.
                if self.guarded.head.state.load(Ordering::Relaxed) == WRITER_DIED {
                    self.guarded.head.state.store(POISONED, Ordering::SeqCst);
                }
                self.writer.store(0, Ordering::SeqCst);
            }
            mine
        })?;
        if !mine {
            return Err(Error::new(ErrorKind::InvalidState, NOUN, "this process does not hold it for writing"));
        }
        self.guarded.head.changed();
        Ok(())
    }

    /// Says that what the lock protects is whole again; this process holds it for writing.
    pub fn repair(&self) {
        let _ = self.guarded.head.state.compare_exchange(WRITER_DIED, WHOLE, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Notes a writer that died, and forgets dead readers and dead waiters. Inside the inner mutex.
    fn look_after(&self) {
        let writer = self.writer.load(Ordering::Relaxed);
        if writer != 0 && Owner(writer).is_dead() {
            self.guarded.head.state.store(WRITER_DIED, Ordering::SeqCst);
            self.writer.store(0, Ordering::SeqCst);
        }
        let wanting = self.wanting.load(Ordering::Relaxed);
        if wanting != 0 && Owner(wanting).is_dead() {
            self.wanting.store(0, Ordering::SeqCst);
        }
        self.guarded.bury(READING);
    }
}

impl SharedReadGuard {
    /// Leaves it to [`SharedRwLock::release_read`], for bindings.
    pub fn leave(mut self) {
        self.generation = u64::MAX;
    }
}

impl Drop for SharedReadGuard {
    fn drop(&mut self) {
        if self.generation == fork::generation() {
            let _ = self.lock.release_read();
        }
    }
}

impl SharedWriteGuard {
    /// Whether the former writer died while it held the lock.
    pub fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// Says that what the lock protects is whole again. Without it the lock is poisoned when this guard goes.
    pub fn repair(&self) {
        self.lock.repair();
    }

    /// Leaves it to [`SharedRwLock::release_write`], for bindings.
    pub fn leave(mut self) {
        self.generation = u64::MAX;
    }
}

impl Drop for SharedWriteGuard {
    fn drop(&mut self) {
        if self.generation == fork::generation() {
            let _ = self.lock.release_write();
        }
    }
}

struct Reading(SharedRwLock);

impl Attempt for Reading {
    type Output = SharedReadGuard;

    fn head(&self) -> &Head {
        &self.0.guarded.head
    }

    fn attempt(&mut self, check: bool) -> Result<Option<SharedReadGuard>> {
        let lock = &self.0;
        let taken = lock.guarded.try_with(|| {
            if check {
                lock.look_after();
            }
            if lock.guarded.head.state.load(Ordering::Relaxed) != WHOLE {
                return Err(lost());
            }
            let free = lock.writer.load(Ordering::Relaxed) == 0 && lock.wanting.load(Ordering::Relaxed) == 0;
            Ok(free && lock.guarded.add(READING))
        })?;
        match taken {
            Some(Err(error)) => Err(error),
            Some(Ok(true)) => Ok(Some(SharedReadGuard { lock: lock.clone(), generation: fork::generation() })),
            _ => Ok(None),
        }
    }

    fn holders(&self) -> Option<Vec<Mortal>> {
        let writers = [&self.0.writer, &self.0.wanting].map(|word| Owner(word.load(Ordering::SeqCst)));
        let writers: Vec<Mortal> = writers.into_iter().filter(|writer| writer.0 != 0).map(Mortal::Process).collect();
        // Without a writer it waits for a place among the readers.
        Some(if writers.is_empty() { self.0.guarded.owners(READING) } else { writers })
    }
}

struct Writing(SharedRwLock);

impl Attempt for Writing {
    type Output = SharedWriteGuard;

    fn head(&self) -> &Head {
        &self.0.guarded.head
    }

    fn attempt(&mut self, check: bool) -> Result<Option<SharedWriteGuard>> {
        let lock = &self.0;
        let own = Owner::current().0;
        let taken = lock.guarded.try_with(|| {
            if check {
                lock.look_after();
            }
            let state = lock.guarded.head.state.load(Ordering::Relaxed);
            if state == POISONED {
                return Err(lost());
            }
            if lock.writer.load(Ordering::Relaxed) == 0 && lock.guarded.held(READING) == 0 {
                lock.writer.store(own, Ordering::SeqCst);
                if lock.wanting.load(Ordering::Relaxed) == own {
                    lock.wanting.store(0, Ordering::SeqCst);
                }
                return Ok(Some(state == WRITER_DIED));
            }
            if lock.wanting.load(Ordering::Relaxed) == 0 {
                lock.wanting.store(own, Ordering::SeqCst);
            }
            Ok(None)
        })?;
        match taken {
            Some(Err(error)) => Err(error),
            Some(Ok(Some(owner_died))) => Ok(Some(SharedWriteGuard { lock: lock.clone(), generation: fork::generation(), owner_died })),
            _ => Ok(None),
        }
    }

    fn holders(&self) -> Option<Vec<Mortal>> {
        let writer = Owner(self.0.writer.load(Ordering::SeqCst));
        Some(if writer.0 != 0 { vec![Mortal::Process(writer)] } else { self.0.guarded.owners(READING) })
    }

    fn give_up(&mut self) {
        let own = Owner::current().0;
        // Another thread of this process that waits too sets it again at its next look.
        let cleared = self.0.wanting.compare_exchange(own, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if cleared {
            self.0.guarded.head.changed();
        }
    }
}
