//! Locks in shared memory.

use super::segment::Memory;
use super::wait::{LockWait, timeout};
use super::{placed, size};
use crate::error::{Failure, guard};
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use procs::{OnceEnd, SharedBarrier, SharedEvent, SharedMutex, SharedOnce, SharedRwLock, SharedSemaphore};

/// A lock that one thread holds.
#[napi]
pub struct Mutex {
    core: SharedMutex,
}

/// Places a mutex.
#[napi]
pub fn place_mutex(memory: &Memory, offset: f64, how: u32) -> Either<Mutex, Failure> {
    guard(|| Ok(Mutex { core: placed!(SharedMutex, how, memory.open()?, size(offset, "offset")?)? }))
}

#[napi]
impl Mutex {
    /// Takes it; whether the former holder died.
    #[napi]
    pub fn acquire(&self, ms: f64) -> Either<bool, Failure> {
        guard(|| self.core.acquire(timeout(ms)))
    }

    /// As `acquire`, without blocking.
    #[napi]
    pub fn acquire_later(&self, ms: f64) -> LockWait {
        LockWait::new(self.core.acquire_async(timeout(ms)))
    }

    /// Gives it back.
    #[napi]
    pub fn release(&self) -> Either<bool, Failure> {
        guard(|| self.core.release().map(|()| true))
    }

    /// Says that what it protects is whole again.
    #[napi]
    pub fn repair(&self) {
        self.core.repair();
    }
}

/// A lock for many readers or one writer.
#[napi]
pub struct RwLock {
    core: SharedRwLock,
}

/// Places a readers-writer lock.
#[napi]
pub fn place_rw_lock(memory: &Memory, offset: f64, how: u32) -> Either<RwLock, Failure> {
    guard(|| Ok(RwLock { core: placed!(SharedRwLock, how, memory.open()?, size(offset, "offset")?)? }))
}

fn written(held: procs::SharedWriteGuard) -> bool {
    let died = held.owner_died();
    held.leave();
    died
}

#[napi]
impl RwLock {
    /// Takes it for reading.
    #[napi]
    pub fn read(&self, ms: f64) -> Either<bool, Failure> {
        guard(|| {
            let held = match timeout(ms) {
                Some(limit) => self.core.read_timeout(limit),
                None => self.core.read(),
            };
            held.map(|held| {
                held.leave();
                false
            })
        })
    }

    /// Takes it for writing; whether the former writer died.
    #[napi]
    pub fn write(&self, ms: f64) -> Either<bool, Failure> {
        guard(|| {
            let held = match timeout(ms) {
                Some(limit) => self.core.write_timeout(limit),
                None => self.core.write(),
            };
            held.map(written)
        })
    }

    /// As `read`, without blocking.
    #[napi]
    pub fn read_later(&self, ms: f64) -> LockWait {
        let future = self.core.read_async(timeout(ms));
        LockWait::new(async move {
            future.await?.leave();
            Ok(false)
        })
    }

    /// As `write`, without blocking.
    #[napi]
    pub fn write_later(&self, ms: f64) -> LockWait {
        let future = self.core.write_async(timeout(ms));
        LockWait::new(async move { future.await.map(written) })
    }

    /// Gives one reading back.
    #[napi]
    pub fn release_read(&self) -> Either<bool, Failure> {
        guard(|| self.core.release_read().map(|()| true))
    }

    /// Gives the writing back.
    #[napi]
    pub fn release_write(&self) -> Either<bool, Failure> {
        guard(|| self.core.release_write().map(|()| true))
    }

    /// Says that what it protects is whole again.
    #[napi]
    pub fn repair(&self) {
        self.core.repair();
    }
}

/// So many permits.
#[napi]
pub struct Semaphore {
    core: SharedSemaphore,
}

/// Places a semaphore.
#[napi]
pub fn place_semaphore(memory: &Memory, offset: f64, how: u32, permits: u32) -> Either<Semaphore, Failure> {
    guard(|| Ok(Semaphore { core: placed!(SharedSemaphore, how, memory.open()?, size(offset, "offset")?; permits)? }))
}

#[napi]
impl Semaphore {
    /// Takes one; waits so many milliseconds.
    #[napi]
    pub fn acquire(&self, ms: f64) -> Either<bool, Failure> {
        guard(|| {
            let permit = match timeout(ms) {
                Some(limit) => self.core.acquire_timeout(limit),
                None => self.core.acquire(),
            };
            permit.map(|permit| {
                permit.leave();
                false
            })
        })
    }

    /// As `acquire`, without blocking.
    #[napi]
    pub fn acquire_later(&self, ms: f64) -> LockWait {
        let future = self.core.acquire_async(timeout(ms));
        LockWait::new(async move {
            future.await?.leave();
            Ok(false)
        })
    }

    /// Gives one permit back, or adds one when this process holds none.
    #[napi]
    pub fn release(&self) -> Either<bool, Failure> {
        guard(|| self.core.give_back(1).map(|()| true))
    }

    /// Permits that are free now.
    #[napi]
    pub fn available(&self) -> Either<f64, Failure> {
        guard(|| self.core.available().map(|free| free as f64))
    }
}

/// Something that has happened or not.
#[napi]
pub struct Event {
    core: SharedEvent,
}

/// Places an event.
#[napi]
pub fn place_event(memory: &Memory, offset: f64, how: u32) -> Either<Event, Failure> {
    guard(|| Ok(Event { core: placed!(SharedEvent, how, memory.open()?, size(offset, "offset")?)? }))
}

#[napi]
impl Event {
    /// Sets it.
    #[napi]
    pub fn set(&self) {
        self.core.set();
    }

    /// Clears it.
    #[napi]
    pub fn clear(&self) {
        self.core.clear();
    }

    /// Whether it is set.
    #[napi]
    pub fn is_set(&self) -> bool {
        self.core.is_set()
    }

    /// Waits so many milliseconds.
    #[napi]
    pub fn wait(&self, ms: f64) -> Either<bool, Failure> {
        guard(|| {
            let done = match timeout(ms) {
                Some(limit) => self.core.wait_timeout(limit),
                None => self.core.wait(),
            };
            done.map(|()| true)
        })
    }

    /// As `wait`, without blocking.
    #[napi]
    pub fn wait_later(&self, ms: f64) -> LockWait {
        let future = self.core.wait_async(timeout(ms));
        LockWait::new(async move { future.await.map(|()| true) })
    }
}

/// A place where so many wait for one another.
#[napi]
pub struct Barrier {
    core: SharedBarrier,
}

/// Places a barrier.
#[napi]
pub fn place_barrier(memory: &Memory, offset: f64, how: u32, parties: u32) -> Either<Barrier, Failure> {
    guard(|| Ok(Barrier { core: placed!(SharedBarrier, how, memory.open()?, size(offset, "offset")?; parties)? }))
}

#[napi]
impl Barrier {
    /// How many wait for one another.
    #[napi(getter)]
    pub fn parties(&self) -> u32 {
        self.core.parties()
    }

    /// Waits so many milliseconds.
    #[napi]
    pub fn wait(&self, ms: f64) -> Either<bool, Failure> {
        guard(|| match timeout(ms) {
            Some(limit) => self.core.wait_timeout(limit),
            None => self.core.wait(),
        })
    }

    /// As `wait`, without blocking.
    #[napi]
    pub fn wait_later(&self, ms: f64) -> LockWait {
        LockWait::new(self.core.wait_async(timeout(ms)))
    }
}

/// Work that is done once.
#[napi]
pub struct Once {
    core: SharedOnce,
}

/// Places it.
#[napi]
pub fn place_once(memory: &Memory, offset: f64, how: u32) -> Either<Once, Failure> {
    guard(|| Ok(Once { core: placed!(SharedOnce, how, memory.open()?, size(offset, "offset")?)? }))
}

#[napi]
impl Once {
    /// Whether the work is done.
    #[napi(getter)]
    pub fn done(&self) -> bool {
        self.core.is_done()
    }

    /// Whether the work is the caller's to do.
    #[napi]
    pub fn begin(&self, ms: f64) -> Either<bool, Failure> {
        guard(|| {
            let turn = match timeout(ms) {
                Some(limit) => self.core.begin_timeout(limit),
                None => self.core.begin(),
            };
            turn.map(|turn| turn.map(procs::OnceTurn::leave).is_some())
        })
    }

    /// As `begin`, without blocking.
    #[napi]
    pub fn begin_later(&self, ms: f64) -> LockWait {
        let future = self.core.begin_async(timeout(ms));
        LockWait::new(async move { future.await.map(|turn| turn.map(procs::OnceTurn::leave).is_some()) })
    }

    /// Ends the turn.
    #[napi]
    pub fn finish(&self, failed: bool) -> bool {
        self.core.finish(if failed { OnceEnd::Failed } else { OnceEnd::Done })
    }
}
