//! Locks in shared memory: mutex, rwlock, semaphore.

use crate::choices::timeout;
use crate::guard::guard;
use crate::memory::{choose, procs_shm};
use crate::memory_pending::{hand_out, procs_shm_pending};
use crate::ptr::{Operation, Out, set_optional};
use crate::slab::{self, Object, Ref};
use crate::status::procs_status;
use procs::{Result, SharedMutex, SharedRwLock, SharedSemaphore};
use std::ffi::c_int;
use std::time::Duration;

/// A lock that one thread of one process holds at a time; when its holder is killed the next one gets it and is told. 128 bytes at a multiple of 64.
///
/// Locks are for processes that trust one another and have the same pid namespace.
pub struct procs_shm_mutex {
    _opaque: [u8; 0],
}

struct MutexObject(SharedMutex);

impl Object for MutexObject {
    type Handle = procs_shm_mutex;
    const TAG: usize = 21;
    const NOUN: &'static str = "shm_mutex";
}

fn mutex(operation: Operation, handle: *const procs_shm_mutex) -> Result<Ref<MutexObject>> {
    slab::get(operation, handle)
}

/// Opens or makes a mutex at `offset`; `how` is PROCS_SHM_OPEN_OR_CREATE, _CREATE or _OPEN. Owned: free it with `procs_shm_mutex_free`.
///
/// Errors: PROCS_E_INVALID_ARGUMENT when it does not fit there, PROCS_E_PROTOCOL when there is none or something else.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_mutex_new(shm: *const procs_shm, offset: usize, how: c_int, mutex: *mut *mut procs_shm_mutex) -> procs_status {
    let operation = "procs_shm_mutex_new";
    guard(operation, || {
        let out = Out::new(operation, "mutex", mutex)?;
        let memory = &crate::memory::shm(operation, shm)?.0;
        let ways = (|| SharedMutex::open_or_create(memory, offset), || SharedMutex::create(memory, offset), || SharedMutex::open(memory, offset));
        out.set(slab::insert(MutexObject(choose(operation, how, ways)?))?);
        Ok(())
    })
}

/// Takes the lock for the calling thread, waiting up to `timeout_ms` (-1: as long as it takes, 0: not at all). The same thread gives it back.
///
/// `*owner_died`, unless NULL, is 1 when the former holder died while it had the lock, and you have it now: what it protects may be half changed.
/// Make it whole and call `procs_shm_mutex_repair` before the unlock; without that the lock is lost for everybody.
///
/// Errors: PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0; PROCS_E_OWNER_DIED when it was lost that way; PROCS_E_INVALID_STATE when this
/// thread has it already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_mutex_lock(mutex: *const procs_shm_mutex, timeout_ms: i64, owner_died: *mut c_int) -> procs_status {
    let operation = "procs_shm_mutex_lock";
    guard(operation, || {
        let object = self::mutex(operation, mutex)?;
        let out = if owner_died.is_null() { None } else { Some(Out::new(operation, "owner_died", owner_died)?) };
        let died = object.0.acquire(timeout(operation, "timeout_ms", timeout_ms)?)?;
        if let Some(out) = out {
            out.set(died.into());
        }
        Ok(())
    })
}

/// Takes the lock in an event loop: see `procs_shm_pending`. Its value is `owner_died`; the thread that finishes it has the lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_mutex_lock_start(
    mutex: *const procs_shm_mutex,
    timeout_ms: i64,
    pending: *mut *mut procs_shm_pending,
) -> procs_status {
    let operation = "procs_shm_mutex_lock_start";
    guard(operation, || {
        let object = self::mutex(operation, mutex)?;
        let future = object.0.acquire_async(timeout(operation, "timeout_ms", timeout_ms)?);
        hand_out(operation, pending, async move { future.await.map(c_int::from) })
    })
}

/// Gives the lock back.
///
/// Errors: PROCS_E_INVALID_STATE when this thread has not got it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_mutex_unlock(mutex: *const procs_shm_mutex) -> procs_status {
    guard("procs_shm_mutex_unlock", || self::mutex("procs_shm_mutex_unlock", mutex)?.0.release())
}

/// Says that what the lock protects is whole again after `owner_died`; this thread has the lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_mutex_repair(mutex: *const procs_shm_mutex) -> procs_status {
    guard("procs_shm_mutex_repair", || {
        self::mutex("procs_shm_mutex_repair", mutex)?.0.repair();
        Ok(())
    })
}

/// Frees the handle; the lock stays in the memory, held if it is held. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_mutex_free(mutex: *mut procs_shm_mutex) -> procs_status {
    guard("procs_shm_mutex_free", || slab::remove::<MutexObject>("procs_shm_mutex_free", mutex).map(drop))
}

/// A lock that many readers or one writer hold, across processes. Readers that die are forgotten, a writer that dies is noticed. 4096 bytes at a
/// multiple of 64; at most 248 processes read at a time. It belongs to the process, not to the thread.
pub struct procs_shm_rwlock {
    _opaque: [u8; 0],
}

struct RwLockObject(SharedRwLock);

impl Object for RwLockObject {
    type Handle = procs_shm_rwlock;
    const TAG: usize = 22;
    const NOUN: &'static str = "shm_rwlock";
}

fn rwlock(operation: Operation, handle: *const procs_shm_rwlock) -> Result<Ref<RwLockObject>> {
    slab::get(operation, handle)
}

/// Opens or makes a rwlock at `offset`, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_rwlock_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_rwlock_new(shm: *const procs_shm, offset: usize, how: c_int, rwlock: *mut *mut procs_shm_rwlock) -> procs_status {
    let operation = "procs_shm_rwlock_new";
    guard(operation, || {
        let out = Out::new(operation, "rwlock", rwlock)?;
        let memory = &crate::memory::shm(operation, shm)?.0;
        let ways = (|| SharedRwLock::open_or_create(memory, offset), || SharedRwLock::create(memory, offset), || SharedRwLock::open(memory, offset));
        out.set(slab::insert(RwLockObject(choose(operation, how, ways)?))?);
        Ok(())
    })
}

fn limit(operation: Operation, timeout_ms: i64) -> Result<Duration> {
    Ok(timeout(operation, "timeout_ms", timeout_ms)?.unwrap_or(Duration::MAX))
}

/// Takes it for reading, waiting up to `timeout_ms` (-1: as long as it takes). A thread that reads must not ask to read again.
///
/// Errors: PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0; PROCS_E_OWNER_DIED when a writer died and nobody has repaired.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_rwlock_read(rwlock: *const procs_shm_rwlock, timeout_ms: i64) -> procs_status {
    let operation = "procs_shm_rwlock_read";
    guard(operation, || {
        self::rwlock(operation, rwlock)?.0.read_timeout(limit(operation, timeout_ms)?)?.leave();
        Ok(())
    })
}

/// Takes it for reading in an event loop: see `procs_shm_pending`. Its value is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_rwlock_read_start(
    rwlock: *const procs_shm_rwlock,
    timeout_ms: i64,
    pending: *mut *mut procs_shm_pending,
) -> procs_status {
    let operation = "procs_shm_rwlock_read_start";
    guard(operation, || {
        let object = self::rwlock(operation, rwlock)?;
        let future = object.0.read_async(timeout(operation, "timeout_ms", timeout_ms)?);
        hand_out(operation, pending, async move { future.await.map(|guard| (guard.leave(), 0).1) })
    })
}

/// Takes it for writing, as `procs_shm_mutex_lock`: `*owner_died`, unless NULL, is 1 when the former writer died while it wrote.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_rwlock_write(rwlock: *const procs_shm_rwlock, timeout_ms: i64, owner_died: *mut c_int) -> procs_status {
    let operation = "procs_shm_rwlock_write";
    guard(operation, || {
        let object = self::rwlock(operation, rwlock)?;
        let guard = object.0.write_timeout(limit(operation, timeout_ms)?)?;
        // Before it is kept: a wrong pointer gives the lock back.
        set_optional(operation, "owner_died", owner_died, guard.owner_died().into())?;
        guard.leave();
        Ok(())
    })
}

/// Takes it for writing in an event loop: see `procs_shm_pending`. Its value is `owner_died`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_rwlock_write_start(
    rwlock: *const procs_shm_rwlock,
    timeout_ms: i64,
    pending: *mut *mut procs_shm_pending,
) -> procs_status {
    let operation = "procs_shm_rwlock_write_start";
    guard(operation, || {
        let object = self::rwlock(operation, rwlock)?;
        let future = object.0.write_async(timeout(operation, "timeout_ms", timeout_ms)?);
        hand_out(operation, pending, async move {
            let guard = future.await?;
            let died = guard.owner_died();
            guard.leave();
            Ok(died.into())
        })
    })
}

/// Gives one reading of this process back.
///
/// Errors: PROCS_E_INVALID_STATE when it does not read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_rwlock_unlock_read(rwlock: *const procs_shm_rwlock) -> procs_status {
    guard("procs_shm_rwlock_unlock_read", || self::rwlock("procs_shm_rwlock_unlock_read", rwlock)?.0.release_read())
}

/// Gives the writing of this process back; loses the lock for everybody when the former writer died and nothing was repaired.
///
/// Errors: PROCS_E_INVALID_STATE when it does not write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_rwlock_unlock_write(rwlock: *const procs_shm_rwlock) -> procs_status {
    guard("procs_shm_rwlock_unlock_write", || self::rwlock("procs_shm_rwlock_unlock_write", rwlock)?.0.release_write())
}

/// Says that what the lock protects is whole again after `owner_died`; this process writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_rwlock_repair(rwlock: *const procs_shm_rwlock) -> procs_status {
    guard("procs_shm_rwlock_repair", || {
        self::rwlock("procs_shm_rwlock_repair", rwlock)?.0.repair();
        Ok(())
    })
}

/// Frees the handle; the lock stays in the memory, held if it is held. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_rwlock_free(rwlock: *mut procs_shm_rwlock) -> procs_status {
    guard("procs_shm_rwlock_free", || slab::remove::<RwLockObject>("procs_shm_rwlock_free", rwlock).map(drop))
}

/// Permits that processes take and give back, also by dying. 4096 bytes at a multiple of 64; at most 248 processes hold permits at a time.
pub struct procs_shm_semaphore {
    _opaque: [u8; 0],
}

struct SemaphoreObject(SharedSemaphore);

impl Object for SemaphoreObject {
    type Handle = procs_shm_semaphore;
    const TAG: usize = 23;
    const NOUN: &'static str = "shm_semaphore";
}

fn semaphore(operation: Operation, handle: *const procs_shm_semaphore) -> Result<Ref<SemaphoreObject>> {
    slab::get(operation, handle)
}

/// Opens a semaphore at `offset`, or makes it with `permits` permits, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_semaphore_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_semaphore_new(
    shm: *const procs_shm,
    offset: usize,
    how: c_int,
    permits: u32,
    semaphore: *mut *mut procs_shm_semaphore,
) -> procs_status {
    let operation = "procs_shm_semaphore_new";
    guard(operation, || {
        let out = Out::new(operation, "semaphore", semaphore)?;
        let memory = &crate::memory::shm(operation, shm)?.0;
        let ways = (
            || SharedSemaphore::open_or_create(memory, offset, permits),
            || SharedSemaphore::create(memory, offset, permits),
            || SharedSemaphore::open(memory, offset),
        );
        out.set(slab::insert(SemaphoreObject(choose(operation, how, ways)?))?);
        Ok(())
    })
}

/// Takes a permit, waiting up to `timeout_ms` (-1: as long as it takes). If this process dies the permit goes back.
///
/// Errors: PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_semaphore_acquire(semaphore: *const procs_shm_semaphore, timeout_ms: i64) -> procs_status {
    let operation = "procs_shm_semaphore_acquire";
    guard(operation, || {
        self::semaphore(operation, semaphore)?.0.acquire_timeout(limit(operation, timeout_ms)?)?.leave();
        Ok(())
    })
}

/// Takes a permit in an event loop: see `procs_shm_pending`. Its value is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_semaphore_acquire_start(
    semaphore: *const procs_shm_semaphore,
    timeout_ms: i64,
    pending: *mut *mut procs_shm_pending,
) -> procs_status {
    let operation = "procs_shm_semaphore_acquire_start";
    guard(operation, || {
        let object = self::semaphore(operation, semaphore)?;
        let future = object.0.acquire_async(timeout(operation, "timeout_ms", timeout_ms)?);
        hand_out(operation, pending, async move { future.await.map(|permit| (permit.leave(), 0).1) })
    })
}

/// Gives one permit of this process back; if it holds none, adds one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_semaphore_release(semaphore: *const procs_shm_semaphore) -> procs_status {
    guard("procs_shm_semaphore_release", || self::semaphore("procs_shm_semaphore_release", semaphore)?.0.give_back(1))
}

/// Adds permits that nobody took.
///
/// Errors: PROCS_E_TOO_LARGE beyond 2^32 - 1 permits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_semaphore_add(semaphore: *const procs_shm_semaphore, permits: u32) -> procs_status {
    guard("procs_shm_semaphore_add", || self::semaphore("procs_shm_semaphore_add", semaphore)?.0.release(permits))
}

/// Permits that are free now, those of dead processes included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_semaphore_available(semaphore: *const procs_shm_semaphore, permits: *mut u64) -> procs_status {
    let operation = "procs_shm_semaphore_available";
    guard(operation, || {
        let object = self::semaphore(operation, semaphore)?;
        let out = Out::new(operation, "permits", permits)?;
        out.set(object.0.available()?);
        Ok(())
    })
}

/// Frees the handle; permits that this process holds stay held. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_semaphore_free(semaphore: *mut procs_shm_semaphore) -> procs_status {
    guard("procs_shm_semaphore_free", || slab::remove::<SemaphoreObject>("procs_shm_semaphore_free", semaphore).map(drop))
}
