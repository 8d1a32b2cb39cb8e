//! Something that one process does for all.

use super::deaths::Mortal;
use super::wait::{self, Attempt, LockFuture};
use super::{Head, How, Shape};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::shm::layout::fields;
use crate::shm::memory::SharedMemory;
use crate::sys::alive::Owner;
use crate::sys::fork;
use crate::sys::shared::Placed;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fields! {
    /// A once: 0, the process that is at it, or all ones when it is done.
    ONCE_FIELDS, "once":
    O_RUNNER = 24, 8, "runner";
}

const NOUN: &str = "once";
const DONE: u64 = u64::MAX;

/// A step at an offset of a [`SharedMemory`] that exactly one of all threads and processes completes; the others wait for it.
///
/// Whoever dies at it is followed by the next one, which is told ([`owner_died`](OnceTurn::owner_died)): the work may be half done. For processes
/// that trust one another and have the same pid namespace. It takes [`SIZE`](SharedOnce::SIZE) bytes at a multiple of 64. Clones are views of the
/// same step.
///
/// # Drop
/// Only the view goes.
///
/// # Example
/// ```
/// use procs::{SharedMemory, SharedOnce};
/// let memory = SharedMemory::new(4096)?;
/// let filled = SharedOnce::create(&memory, 0)?;
/// if let Some(turn) = filled.begin()? {
///     memory.write(64, b"expensive")?;
///     turn.done();
/// }
/// assert!(filled.is_done() && filled.begin()?.is_none());
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedOnce {
    head: Head,
    runner: Placed<AtomicU64>,
}

/// The right and duty to do the work of a [`SharedOnce`].
///
/// # Drop
/// Without [`done`](OnceTurn::done) the next one gets its turn. In a forked copy nothing happens: the turn is the parent's.
#[derive(Debug)]
#[must_use = "the next one gets the turn at once when it is not kept"]
pub struct OnceTurn {
    once: SharedOnce,
    generation: u64,
    owner_died: bool,
}

impl SharedOnce {
    /// Bytes that it takes.
    pub const SIZE: usize = 64;

    /// Makes a step that nobody has begun, whatever is there; nobody may be using it.
    ///
    /// # Errors
    /// - `InvalidArgument`: not inside the memory, or not at a multiple of 64.
    /// - `PermissionDenied`: this process can only read the memory.
    pub fn create(memory: &SharedMemory, offset: usize) -> Result<SharedOnce> {
        SharedOnce::place(memory, offset, How::Create)
    }

    /// Opens a step that another process made.
    ///
    /// # Errors
    /// As [`create`](SharedOnce::create), and `Protocol`: there is none.
    pub fn open(memory: &SharedMemory, offset: usize) -> Result<SharedOnce> {
        SharedOnce::place(memory, offset, How::Open)
    }

    /// Opens the step, or makes it where the bytes are still zero; many processes may do that at once.
    ///
    /// # Errors
    /// As [`create`](SharedOnce::create), and `Protocol`: there is something else.
    pub fn open_or_create(memory: &SharedMemory, offset: usize) -> Result<SharedOnce> {
        SharedOnce::place(memory, offset, How::Either)
    }

    fn place(memory: &SharedMemory, offset: usize, how: How) -> Result<SharedOnce> {
        let shape = Shape { magic: *b"PONC", size: Self::SIZE, noun: NOUN };
        let head = Head::place((memory, offset), shape, how, |_| Ok(()))?;
        Ok(SharedOnce { runner: head.u64_at(O_RUNNER)?, head })
    }

    /// Whether it is done.
    pub fn is_done(&self) -> bool {
        self.runner.load(Ordering::SeqCst) == DONE
    }

    /// Takes the turn, or waits for the one who has it; `None` when it is done.
    ///
    /// # Errors
    /// None in practice.
    pub fn begin(&self) -> Result<Option<OnceTurn>> {
        wait::block_on(Wanted(self.clone()), Deadline::NEVER, NOUN)
    }

    /// As [`begin`](SharedOnce::begin), waits at most `timeout`.
    ///
    /// # Errors
    /// - `Timeout`: somebody else is still at it (`WouldBlock` for a timeout of zero).
    pub fn begin_timeout(&self, timeout: Duration) -> Result<Option<OnceTurn>> {
        wait::block_on(Wanted(self.clone()), Deadline::after(timeout), NOUN)
    }

    /// [`begin`](SharedOnce::begin) as a future. `timeout`: `None` is never.
    ///
    /// # Errors
    /// As [`begin_timeout`](SharedOnce::begin_timeout).
    pub fn begin_async(&self, timeout: Option<Duration>) -> LockFuture<Option<OnceTurn>> {
        wait::future(Wanted(self.clone()), Deadline::from_timeout(timeout), NOUN)
    }

    /// Does `work` unless somebody has; returns when it is done. If `work` fails or panics the next one gets its turn.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn call_once(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        if let Some(turn) = self.begin()? {
            work()?;
            turn.done();
        }
        Ok(())
    }

    /// Ends the turn of this process, for bindings; the turn was [left](OnceTurn::leave). False when it has none.
    pub fn finish(&self, done: OnceEnd) -> bool {
        let after = match done {
            OnceEnd::Done => DONE,
            OnceEnd::Failed => 0,
        };
        let ended = self.runner.compare_exchange(Owner::current().0, after, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if ended {
            self.head.changed();
        }
        ended
    }
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnceEnd {
    /// Nobody needs to do it again.
    Done,
    /// The next one has to.
    Failed,
}

impl OnceTurn {
    /// Whether a process died at the work before.
    pub fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// Says that the work is done.
    pub fn done(mut self) {
        self.end(OnceEnd::Done);
    }

    /// Leaves it to [`SharedOnce::finish`], for bindings.
    pub fn leave(mut self) {
        self.generation = u64::MAX;
    }

    fn end(&mut self, how: OnceEnd) {
        if self.generation == fork::generation() {
            self.once.finish(how);
        }
        self.generation = u64::MAX;
    }
}

impl Drop for OnceTurn {
    fn drop(&mut self) {
        self.end(OnceEnd::Failed);
    }
}

struct Wanted(SharedOnce);

impl Attempt for Wanted {
    type Output = Option<OnceTurn>;

    fn head(&self) -> &Head {
        &self.0.head
    }

    fn attempt(&mut self, check: bool) -> Result<Option<Option<OnceTurn>>> {
        let runner = self.0.runner.load(Ordering::SeqCst);
        if runner == DONE {
            return Ok(Some(None));
        }
        let died = runner != 0 && check && Owner(runner).is_dead();
        if (runner == 0 || died) && self.0.runner.compare_exchange(runner, Owner::current().0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            // A repaired step stays marked until it is done, so that the one after a failed repair knows too.
            if died {
                self.0.head.state.store(1, Ordering::SeqCst);
            }
            let owner_died = self.0.head.state.load(Ordering::SeqCst) != 0;
            return Ok(Some(Some(OnceTurn { once: self.0.clone(), generation: fork::generation(), owner_died })));
        }
        Ok(None)
    }

    fn holders(&self) -> Option<Vec<Mortal>> {
        let runner = self.0.runner.load(Ordering::SeqCst);
        Some(if runner == 0 || runner == DONE { Vec::new() } else { vec![Mortal::Process(Owner(runner))] })
    }
}
