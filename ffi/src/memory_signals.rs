//! Signals in shared memory: event, barrier, once.

use crate::choices::timeout;
use crate::guard::{guard, guard_value};
use crate::memory::{choose, procs_shm};
use crate::memory_pending::{hand_out, procs_shm_pending};
use crate::ptr::{Operation, Out, set_optional};
use crate::slab::{self, Object, Ref};
use crate::status::procs_status;
use procs::{Error, ErrorKind, OnceEnd, Result, SharedBarrier, SharedEvent, SharedOnce};
use std::ffi::c_int;
use std::time::Duration;

fn limit(operation: Operation, timeout_ms: i64) -> Result<Duration> {
    Ok(timeout(operation, "timeout_ms", timeout_ms)?.unwrap_or(Duration::MAX))
}

/// A flag that processes wait for; it stays set until it is cleared. 64 bytes at a multiple of 64.
pub struct procs_shm_event {
    _opaque: [u8; 0],
}

struct EventObject(SharedEvent);

impl Object for EventObject {
    type Handle = procs_shm_event;
    const TAG: usize = 24;
    const NOUN: &'static str = "shm_event";
}

fn event(operation: Operation, handle: *const procs_shm_event) -> Result<Ref<EventObject>> {
    slab::get(operation, handle)
}

/// Opens or makes an event at `offset`, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_event_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_event_new(shm: *const procs_shm, offset: usize, how: c_int, event: *mut *mut procs_shm_event) -> procs_status {
    let operation = "procs_shm_event_new";
    guard(operation, || {
        let out = Out::new(operation, "event", event)?;
        let memory = &crate::memory::shm(operation, shm)?.0;
        let ways = (|| SharedEvent::open_or_create(memory, offset), || SharedEvent::create(memory, offset), || SharedEvent::open(memory, offset));
        out.set(slab::insert(EventObject(choose(operation, how, ways)?))?);
        Ok(())
    })
}

/// Sets it and wakes everybody who waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_event_set(event: *const procs_shm_event) -> procs_status {
    guard("procs_shm_event_set", || {
        self::event("procs_shm_event_set", event)?.0.set();
        Ok(())
    })
}

/// Clears it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_event_clear(event: *const procs_shm_event) -> procs_status {
    guard("procs_shm_event_clear", || {
        self::event("procs_shm_event_clear", event)?.0.clear();
        Ok(())
    })
}

/// 1 when it is set, else 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_event_is_set(event: *const procs_shm_event) -> c_int {
    guard_value("procs_shm_event_is_set", 0, || Ok(self::event("procs_shm_event_is_set", event)?.0.is_set().into()))
}

/// Waits until it is set, up to `timeout_ms` (-1: as long as it takes).
///
/// Errors: PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_event_wait(event: *const procs_shm_event, timeout_ms: i64) -> procs_status {
    let operation = "procs_shm_event_wait";
    guard(operation, || self::event(operation, event)?.0.wait_timeout(limit(operation, timeout_ms)?))
}

/// Waits in an event loop: see `procs_shm_pending`. Its value is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_event_wait_start(
    event: *const procs_shm_event,
    timeout_ms: i64,
    pending: *mut *mut procs_shm_pending,
) -> procs_status {
    let operation = "procs_shm_event_wait_start";
    guard(operation, || {
        let future = self::event(operation, event)?.0.wait_async(timeout(operation, "timeout_ms", timeout_ms)?);
        hand_out(operation, pending, async move { future.await.map(|()| 0) })
    })
}

/// Frees the handle; the event stays in the memory. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_event_free(event: *mut procs_shm_event) -> procs_status {
    guard("procs_shm_event_free", || slab::remove::<EventObject>("procs_shm_event_free", event).map(drop))
}

/// A point that a number of threads or processes reach before any of them goes on; used again for the next round. 4096 bytes at a multiple of 64.
pub struct procs_shm_barrier {
    _opaque: [u8; 0],
}

struct BarrierObject(SharedBarrier);

impl Object for BarrierObject {
    type Handle = procs_shm_barrier;
    const TAG: usize = 25;
    const NOUN: &'static str = "shm_barrier";
}

fn barrier(operation: Operation, handle: *const procs_shm_barrier) -> Result<Ref<BarrierObject>> {
    slab::get(operation, handle)
}

/// Opens a barrier at `offset`, or makes it for `parties` (at least 1), as `procs_shm_mutex_new`. Owned: free it with `procs_shm_barrier_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_barrier_new(
    shm: *const procs_shm,
    offset: usize,
    how: c_int,
    parties: u32,
    barrier: *mut *mut procs_shm_barrier,
) -> procs_status {
    let operation = "procs_shm_barrier_new";
    guard(operation, || {
        let out = Out::new(operation, "barrier", barrier)?;
        let memory = &crate::memory::shm(operation, shm)?.0;
        let ways = (
            || SharedBarrier::open_or_create(memory, offset, parties),
            || SharedBarrier::create(memory, offset, parties),
            || SharedBarrier::open(memory, offset),
        );
        out.set(slab::insert(BarrierObject(choose(operation, how, ways)?))?);
        Ok(())
    })
}

/// Arrives and waits for the others, up to `timeout_ms` (-1: as long as it takes); `*leader`, unless NULL, is 1 for one of them.
///
/// Errors: PROCS_E_OWNER_DIED when a process died that had arrived; PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0: the arrival was
/// taken back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_barrier_wait(barrier: *const procs_shm_barrier, timeout_ms: i64, leader: *mut c_int) -> procs_status {
    let operation = "procs_shm_barrier_wait";
    guard(operation, || {
        let first = self::barrier(operation, barrier)?.0.wait_timeout(limit(operation, timeout_ms)?)?;
        set_optional(operation, "leader", leader, first.into())
    })
}

/// Arrives in an event loop: see `procs_shm_pending`. Its value is `leader`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_barrier_wait_start(
    barrier: *const procs_shm_barrier,
    timeout_ms: i64,
    pending: *mut *mut procs_shm_pending,
) -> procs_status {
    let operation = "procs_shm_barrier_wait_start";
    guard(operation, || {
        let future = self::barrier(operation, barrier)?.0.wait_async(timeout(operation, "timeout_ms", timeout_ms)?);
        hand_out(operation, pending, async move { future.await.map(c_int::from) })
    })
}

/// Frees the handle; the barrier stays in the memory. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_barrier_free(barrier: *mut procs_shm_barrier) -> procs_status {
    guard("procs_shm_barrier_free", || slab::remove::<BarrierObject>("procs_shm_barrier_free", barrier).map(drop))
}

/// A step that exactly one of all threads and processes completes; the others wait for it. 64 bytes at a multiple of 64.
pub struct procs_shm_once {
    _opaque: [u8; 0],
}

struct OnceObject(SharedOnce);

impl Object for OnceObject {
    type Handle = procs_shm_once;
    const TAG: usize = 26;
    const NOUN: &'static str = "shm_once";
}

fn once(operation: Operation, handle: *const procs_shm_once) -> Result<Ref<OnceObject>> {
    slab::get(operation, handle)
}

/// Opens or makes a step at `offset`, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_once_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_once_new(shm: *const procs_shm, offset: usize, how: c_int, once: *mut *mut procs_shm_once) -> procs_status {
    let operation = "procs_shm_once_new";
    guard(operation, || {
        let out = Out::new(operation, "once", once)?;
        let memory = &crate::memory::shm(operation, shm)?.0;
        let ways = (|| SharedOnce::open_or_create(memory, offset), || SharedOnce::create(memory, offset), || SharedOnce::open(memory, offset));
        out.set(slab::insert(OnceObject(choose(operation, how, ways)?))?);
        Ok(())
    })
}

/// Takes the turn, or waits for the one who has it, up to `timeout_ms` (-1: as long as it takes). `*turn` is 1 when the work is yours, 2
/// when a process died at it before: do it, then call `procs_shm_once_done` or `procs_shm_once_fail`; 0 when it is done. If the process that has the turn dies, the next one gets it.
///
/// Errors: PROCS_E_TIMEOUT, or PROCS_E_WOULD_BLOCK for a timeout of 0, when somebody else is still at it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_once_begin(once: *const procs_shm_once, timeout_ms: i64, turn: *mut c_int) -> procs_status {
    let operation = "procs_shm_once_begin";
    guard(operation, || {
        let object = self::once(operation, once)?;
        let out = Out::new(operation, "turn", turn)?;
        let mine = object.0.begin_timeout(limit(operation, timeout_ms)?)?;
        out.set(mine.as_ref().map_or(0, |mine| 1 + c_int::from(mine.owner_died())));
        if let Some(mine) = mine {
            mine.leave();
        }
        Ok(())
    })
}

fn end(operation: Operation, once: *const procs_shm_once, how: OnceEnd) -> Result<()> {
    if self::once(operation, once)?.0.finish(how) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidState, operation, "this process has not got the turn"))
}

/// Says that the work is done, for ever.
///
/// Errors: PROCS_E_INVALID_STATE when this process has not got the turn.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_once_done(once: *const procs_shm_once) -> procs_status {
    guard("procs_shm_once_done", || end("procs_shm_once_done", once, OnceEnd::Done))
}

/// Gives the turn to the next one.
///
/// Errors: PROCS_E_INVALID_STATE when this process has not got the turn.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_once_fail(once: *const procs_shm_once) -> procs_status {
    guard("procs_shm_once_fail", || end("procs_shm_once_fail", once, OnceEnd::Failed))
}

/// 1 when the work is done, else 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_once_is_done(once: *const procs_shm_once) -> c_int {
    guard_value("procs_shm_once_is_done", 0, || Ok(self::once("procs_shm_once_is_done", once)?.0.is_done().into()))
}

/// Frees the handle; the step stays in the memory. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_once_free(once: *mut procs_shm_once) -> procs_status {
    guard("procs_shm_once_free", || slab::remove::<OnceObject>("procs_shm_once_free", once).map(drop))
}
