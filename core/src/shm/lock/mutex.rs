//! Mutual exclusion between processes that notices the death of a holder.

use super::deaths::Mortal;
use super::wait::{self, Attempt, LockFuture};
use super::{Head, How, Shape};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::layout::fields;
use crate::shm::memory::SharedMemory;
use crate::sys::alive::Thread;
use crate::sys::robust::{Locked, ROBUST, RobustMutex};
use crate::sys::shared::Placed;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fields! {
    /// A mutex: the head, the thread that has it, then the mutex of the C library. 128 bytes.
    MUTEX_FIELDS, "mutex":
    M_HOLDER = 24, 8, "holder";
    M_MUTEX = 64, ROBUST, "mutex";
}

const NOUN: &str = "mutex";

/// A lock at an offset of a [`SharedMemory`] that one thread of one process holds at a time. When a holder is killed, the kernel wakes the next
/// one, which holds the lock and is told.
///
/// The lock belongs to the thread that took it. For processes that trust one another and have the same pid namespace: who can write the memory
/// can break the lock. It takes [`SIZE`](SharedMutex::SIZE) bytes at a multiple of 64. Clones are views of the same lock.
///
/// # A holder that died
/// [`owner_died`](SharedMutexGuard::owner_died) says so on the guard: what the lock protects may be half changed. Repair it, then call
/// [`repair`](SharedMutexGuard::repair). A guard that is dropped without that poisons the lock: from then on every attempt is the error
/// `OwnerDied`, until the lock is [created](SharedMutex::create) anew.
///
/// # Drop
/// Only the view goes; the lock stays in the memory. A lock that is held keeps the memory mapped.
///
/// # Example
/// ```
/// use procs::{SharedMemory, SharedMutex};
/// let memory = SharedMemory::new(4096)?;
/// let mutex = SharedMutex::create(&memory, 0)?;
/// {
///     let guard = mutex.lock()?;
///     if guard.owner_died() {
///         memory.fill(128, 8, 0)?; // make it whole again
///         guard.repair();
///     }
///     memory.write(128, &7u64.to_le_bytes())?;
/// }
/// assert!(mutex.try_lock().is_ok());
/// # Ok::<(), procs::Error>(())
/// ```
/// A guard that is not kept protects nothing:
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # fn example(mutex: &procs::SharedMutex) -> procs::Result<()> {
/// mutex.lock()?;
/// # Ok(())
/// # }
/// ```
/// It stays on its thread:
/// ```compile_fail
/// # fn example(mutex: &procs::SharedMutex) {
/// let guard = mutex.lock();
/// std::thread::spawn(move || drop(guard));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SharedMutex {
    pub(super) head: Head,
    mutex: RobustMutex,
    /// Written by whoever has it, for futures: the kernel wakes sleepers of the mutex when a holder dies, and no others.
    holder: Placed<AtomicU64>,
}

/// Holds a [`SharedMutex`] until it is dropped.
///
/// # Drop
/// Gives the lock to the next one. If the former holder died and [`repair`](SharedMutexGuard::repair) was not called: poisons it.
#[derive(Debug)]
#[must_use = "the lock is given back at once when the guard is not kept"]
pub struct SharedMutexGuard {
    mutex: SharedMutex,
    owner_died: bool,
    /// A robust mutex belongs to its thread.
    not_send: PhantomData<*const ()>,
}

impl SharedMutex {
    /// Bytes that it takes.
    pub const SIZE: usize = 128;

    /// Makes a free lock of these bytes, whatever is there; nobody may be using it.
    ///
    /// # Errors
    /// - `InvalidArgument`: not inside the memory, or not at a multiple of 64.
    /// - `PermissionDenied`: this process can only read the memory.
    pub fn create(memory: &SharedMemory, offset: usize) -> Result<SharedMutex> {
        SharedMutex::place(memory, offset, How::Create)
    }

    /// Opens a lock that another process made.
    ///
    /// # Errors
    /// As [`create`](SharedMutex::create), and `Protocol`: there is none.
    pub fn open(memory: &SharedMemory, offset: usize) -> Result<SharedMutex> {
        SharedMutex::place(memory, offset, How::Open)
    }

    /// Opens the lock, or makes it where the bytes are still zero; many processes may do that at once.
    ///
    /// # Errors
    /// As [`create`](SharedMutex::create), and `Protocol`: there is something else.
    pub fn open_or_create(memory: &SharedMemory, offset: usize) -> Result<SharedMutex> {
        SharedMutex::place(memory, offset, How::Either)
    }

    fn place(memory: &SharedMemory, offset: usize, how: How) -> Result<SharedMutex> {
        let shape = Shape { magic: *b"PMUX", size: Self::SIZE, noun: NOUN };
        let failed = |error: std::io::Error| Error::from_io(NOUN, &error, "cannot make a robust mutex");
        let start = |head: &Head| RobustMutex::new(&head.map, head.at + M_MUTEX)?.init().map_err(failed);
        let head = Head::place((memory, offset), shape, how, start)?;
        Ok(SharedMutex { mutex: RobustMutex::new(&head.map, head.at + M_MUTEX)?, holder: head.u64_at(M_HOLDER)?, head })
    }

    fn take(&self, deadline: Deadline) -> Result<Locked> {
        let locked = self.mutex.lock(deadline)?;
        self.holder.store(Thread::current().0, Ordering::Relaxed);
        Ok(locked)
    }

    fn guard(&self, locked: Locked) -> SharedMutexGuard {
        SharedMutexGuard { mutex: self.clone(), owner_died: locked == Locked::OwnerDied, not_send: PhantomData }
    }

    /// Takes the lock; waits as long as it takes.
    ///
    /// # Errors
    /// - `OwnerDied`: poisoned: a holder died and the next one did not repair.
    /// - `InvalidState`: this thread has it already.
    pub fn lock(&self) -> Result<SharedMutexGuard> {
        self.take(Deadline::NEVER).map(|locked| self.guard(locked))
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// As [`lock`](SharedMutex::lock), and `WouldBlock`: somebody has it.
    pub fn try_lock(&self) -> Result<SharedMutexGuard> {
        self.lock_timeout(Duration::ZERO)
    }

    /// Takes the lock; waits at most `timeout`.
    ///
    /// # Errors
    /// As [`lock`](SharedMutex::lock), and `Timeout` (`WouldBlock` for a timeout of zero).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<SharedMutexGuard> {
        self.take(Deadline::after(timeout)).map(|locked| self.guard(locked))
    }

    /// Takes the lock as a future; the lock belongs to the thread that polled it last. `timeout`: `None` is never.
    ///
    /// # Errors
    /// As [`lock_timeout`](SharedMutex::lock_timeout).
    pub fn lock_async(&self, timeout: Option<Duration>) -> LockFuture<SharedMutexGuard> {
        wait::future(Wanted(self.clone()), Deadline::from_timeout(timeout), NOUN)
    }

    /// Takes the lock without a guard, for bindings: the same thread calls [`release`](SharedMutex::release). True when the former holder died.
    ///
    /// # Errors
    /// As [`lock_timeout`](SharedMutex::lock_timeout).
    pub fn acquire(&self, timeout: Option<Duration>) -> Result<bool> {
        self.take(Deadline::from_timeout(timeout)).map(|locked| locked == Locked::OwnerDied)
    }

    /// [`acquire`](SharedMutex::acquire) as a future: the thread that polled it last holds the lock.
    ///
    /// # Errors
    /// As [`lock_timeout`](SharedMutex::lock_timeout).
    pub fn acquire_async(&self, timeout: Option<Duration>) -> LockFuture<bool> {
        wait::future(Held(self.clone()), Deadline::from_timeout(timeout), NOUN)
    }

    /// Gives back what [`acquire`](SharedMutex::acquire) took.
    ///
    /// # Errors
    /// - `InvalidState`: this thread has not got it.
    pub fn release(&self) -> Result<()> {
        let mine = self.holder.load(Ordering::Relaxed) == Thread::current().0;
        if mine {
            // The next one has not said yet that it is the holder when its death is to be noticed: better nobody than the wrong one.
            self.holder.store(0, Ordering::Relaxed);
        }
        self.mutex.unlock()?;
        self.head.changed();
        Ok(())
    }

    /// Who has it, as far as that is known.
    fn holders(&self) -> Option<Vec<Mortal>> {
        let holder = self.holder.load(Ordering::Relaxed);
        (holder != 0).then(|| vec![Mortal::Thread(Thread(holder))])
    }

    /// Says that what the lock protects is whole again; the calling thread holds it.
    pub fn repair(&self) {
        self.mutex.repair();
    }
}

impl SharedMutexGuard {
    /// Whether the former holder died while it held the lock.
    pub fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// Says that what the lock protects is whole again. Without it the lock is poisoned when this guard goes.
    pub fn repair(&self) {
        self.mutex.repair();
    }
}

impl Drop for SharedMutexGuard {
    fn drop(&mut self) {
        // In a forked copy the thread that has the lock is the parent's.
        let _ = self.mutex.release();
    }
}

/// Tries without sleeping.
struct Held(SharedMutex);

impl Attempt for Held {
    type Output = bool;

    fn head(&self) -> &Head {
        &self.0.head
    }

    fn attempt(&mut self, _check: bool) -> Result<Option<bool>> {
        match self.0.acquire(Some(Duration::ZERO)) {
            Ok(owner_died) => Ok(Some(owner_died)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn holders(&self) -> Option<Vec<Mortal>> {
        self.0.holders()
    }
}

struct Wanted(SharedMutex);

impl Attempt for Wanted {
    type Output = SharedMutexGuard;

    fn head(&self) -> &Head {
        &self.0.head
    }

    fn attempt(&mut self, _check: bool) -> Result<Option<SharedMutexGuard>> {
        match self.0.try_lock() {
            Ok(guard) => Ok(Some(guard)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn holders(&self) -> Option<Vec<Mortal>> {
        self.0.holders()
    }
}
