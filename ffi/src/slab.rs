//! Where everything lives that C holds a handle to.
//!
//! A handle is not an address: it is the number of a slot, the slot's generation and a tag of the type, packed into a pointer-sized value.
//! It is looked up and never dereferenced, so a freed handle, a handle of another type, or any number at all is an error and not a crash.
//! A call holds its object by a [`Ref`], a read lock of the slot that nobody ever waits for: freeing the handle meanwhile only marks the
//! slot, and whoever lets go last drops the object. Finding one costs two atomic additions.
//!
//! ```text
//! 63            32 31          12 11      4 3      0
//! +---------------+--------------+---------+--------+
//! |  generation   |     slot     |   tag   |  1011  |
//! +---------------+--------------+---------+--------+
//! ```
//! The low bits make it odd, so that no aligned address is ever taken for a handle.

use crate::ptr::Noted;
use crate::status::invalid;
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use procs::{Error, ErrorKind, PerProcess, Result, fence_after_unlock};
use std::any::Any;
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

const _: () = assert!(usize::BITS == 64, "handles need 64-bit pointers");

const MARK: usize = 0b1011;
const CHUNK: usize = 256;
const CHUNKS: usize = 4096;

/// A type that C holds handles to.
pub(crate) trait Object: Any + Send + Sync {
    /// The opaque type of the C side.
    type Handle;
    /// A number of its own, 1 to 255.
    const TAG: usize;
    /// The noun, for messages.
    const NOUN: &'static str;
}

/// Alone on its cache line, so that threads with handles of their own do not wait for each other.
#[derive(Default)]
#[repr(align(64))]
struct Slot {
    /// The generation, shifted by one; the lowest bit is set when it was freed.
    life: AtomicU64,
    value: RwLock<Option<Noted>>,
}

const FREED: u64 = 1;
const _: () = assert!(size_of::<Slot>() == 64, "a slot is one cache line");

struct Slab {
    chunks: [OnceLock<Box<[Slot]>>; CHUNKS],
    /// Slots that were handed out at some time.
    used: AtomicUsize,
}

static SLAB: Slab = Slab { chunks: [const { OnceLock::new() }; CHUNKS], used: AtomicUsize::new(0) };

/// Freed slots. The oldest goes first, so that a generation is used up as late as possible. A forked copy begins without any: another thread may have
/// held the lock when it was made.
static RETURNED: PerProcess<Mutex<VecDeque<usize>>> = PerProcess::new();

/// A panic while a lock is held leaves plain data behind that is whole at every step, so poison is ignored.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[inline]
fn slot(index: usize) -> Option<&'static Slot> {
    SLAB.chunks.get(index / CHUNK)?.get()?.get(index % CHUNK)
}

fn free_index() -> Option<usize> {
    if let Some(index) = lock(RETURNED.get()).pop_front() {
        return Some(index);
    }
    let index = SLAB.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| (used < CHUNK * CHUNKS).then_some(used + 1)).ok()?;
    let chunk = SLAB.chunks.get(index / CHUNK)?;
    if chunk.get().is_none() {
        // Made first: a fork finds it set or not set. If two threads come at once, one of the two is dropped.
        let _ = chunk.set((0..CHUNK).map(|_| Slot::default()).collect());
    }
    Some(index)
}

/// Puts a value into a slot and returns its handle.
pub(crate) fn insert<T: Object>(value: T) -> Result<*mut T::Handle> {
    let full = || Error::new(ErrorKind::Exhausted, T::NOUN, format!("too many handles (limit = {})", CHUNK * CHUNKS));
    let index = free_index().ok_or_else(full)?;
    let slot = slot(index).ok_or_else(full)?;
    // Waits for calls with an old handle only, which let go at once.
    let mut place = slot.value.write();
    let last = (slot.life.load(Ordering::Relaxed) >> 1) as u32;
    let generation = if last == 0 { first_generation() } else { last.wrapping_add(1).max(1) };
    *place = Some(Noted::new(value));
    slot.life.store(u64::from(generation) << 1, Ordering::SeqCst);
    Ok(std::ptr::without_provenance_mut(pack::<T>(index, generation)))
}

/// An object that a call is using: it lives as long as this, freed or not.
pub(crate) struct Ref<T: Object> {
    value: MappedRwLockReadGuard<'static, T>,
    /// Dropped after the lock.
    last: LetGo,
}

impl<T: Object> Deref for Ref<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Buries the object of a freed slot once the lock is given up.
struct LetGo {
    slot: &'static Slot,
    index: usize,
}

impl Drop for LetGo {
    #[inline]
    fn drop(&mut self) {
        // Unlocking comes before the look at the mark, as marking comes before the unlocking of whoever frees: one of the two sees the other.
        fence_after_unlock();
        if self.slot.life.load(Ordering::SeqCst) & FREED != 0 {
            self.bury();
        }
    }
}

impl LetGo {
    /// Drops the object and hands the slot back, unless somebody else is using it, who will.
    #[cold]
    fn bury(&self) {
        let Some(mut place) = self.slot.value.try_write() else { return };
        if self.slot.life.load(Ordering::SeqCst) & FREED == 0 {
            return;
        }
        let value = place.take();
        drop(place);
        if value.is_some() {
            // The slot first, so that it is not lost if dropping panics.
            lock(RETURNED.get()).push_back(self.index);
        }
        drop(value);
    }
}

/// Where the generations of a slot begin: elsewhere in each copy of the library that a process holds, so that a handle of another copy is stale.
fn first_generation() -> u32 {
    // The page of this copy's table, spread over all bits. Source: Fibonacci hashing.
    (((&raw const SLAB).addr() >> 12) as u32).wrapping_mul(0x9e37_79b1).max(1)
}

fn pack<T: Object>(index: usize, generation: u32) -> usize {
    (generation as usize) << 32 | index << 12 | T::TAG << 4 | MARK
}

/// The slot of a handle and the generation that it was made in.
#[inline]
fn unpack<T: Object>(handle: *const T::Handle) -> Option<(&'static Slot, usize, u32)> {
    let bits = handle.addr();
    if bits & 0xfff != T::TAG << 4 | MARK {
        return None;
    }
    let index = bits >> 12 & 0xf_ffff;
    Some((slot(index)?, index, (bits >> 32) as u32))
}

#[cold]
fn stale<T: Object>(operation: &'static str, handle: *const T::Handle) -> Error {
    let noun = T::NOUN;
    if handle.is_null() {
        return invalid(operation, format!("no handle ({noun} = NULL)"));
    }
    invalid(operation, format!("not a live handle, freed or of another type ({noun} = {:#x})", handle.addr()))
}

#[inline(always)]
fn find<T: Object>(handle: *const T::Handle) -> Option<Ref<T>> {
    let (slot, index, generation) = unpack::<T>(handle)?;
    let last = LetGo { slot, index };
    // Refused only while the slot is filled or emptied: then no handle to it is live.
    let place = slot.value.try_read()?;
    if slot.life.load(Ordering::SeqCst) != u64::from(generation) << 1 {
        drop(place);
        return None;
    }
    match RwLockReadGuard::try_map(place, |value| value.as_ref().and_then(Noted::get::<T>)) {
        Ok(value) => Some(Ref { value, last }),
        Err(place) => {
            drop(place);
            None
        }
    }
}

/// The object of a handle. Made part of each caller: to hand over a [`Ref`] through memory takes longer than to find it.
#[inline(always)]
pub(crate) fn get<T: Object>(operation: &'static str, handle: *const T::Handle) -> Result<Ref<T>> {
    find::<T>(handle).ok_or_else(|| stale::<T>(operation, handle))
}

/// Makes a handle invalid and returns its object; `None` for NULL, which is always fine to free.
pub(crate) fn remove<T: Object>(operation: &'static str, handle: *mut T::Handle) -> Result<Option<Ref<T>>> {
    if handle.is_null() {
        return Ok(None);
    }
    let object = get::<T>(operation, handle)?;
    let life = (handle.addr() as u64 >> 32) << 1;
    match object.last.slot.life.compare_exchange(life, life | FREED, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => Ok(Some(object)),
        Err(_) => Err(stale::<T>(operation, handle)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct A(u32);
    struct B;
    enum HandleA {}
    enum HandleB {}
    impl Object for A {
        type Handle = HandleA;
        const TAG: usize = 201;
        const NOUN: &'static str = "a";
    }
    impl Object for B {
        type Handle = HandleB;
        const TAG: usize = 202;
        const NOUN: &'static str = "b";
    }

    #[test]
    fn live_handle_is_found_and_a_freed_one_is_not() {
        let handle = insert(A(7)).unwrap();
        assert_eq!(get::<A>("test", handle).unwrap().0, 7);
        assert!(remove::<A>("test", handle).unwrap().is_some());
        assert_eq!(get::<A>("test", handle).err().unwrap().kind(), ErrorKind::InvalidArgument);
        assert_eq!(remove::<A>("test", handle).err().unwrap().kind(), ErrorKind::InvalidArgument);
        assert!(remove::<A>("test", std::ptr::null_mut()).unwrap().is_none());
    }

    #[test]
    fn handle_of_another_type_is_refused_also_with_a_forged_tag() {
        let b = insert(B).unwrap();
        assert!(get::<A>("test", b.cast()).is_err());
        let forged = std::ptr::without_provenance::<HandleA>(b.addr() & !0xff0 | A::TAG << 4);
        assert!(get::<A>("test", forged).is_err());
        assert!(remove::<A>("test", forged.cast_mut()).is_err());
        assert!(remove::<B>("test", b).unwrap().is_some());
    }

    #[test]
    fn reused_slot_does_not_revive_old_handles() {
        let old: Vec<_> = (0..3 * CHUNK as u32).map(|n| insert(A(n)).unwrap()).collect();
        for &handle in &old {
            remove::<A>("test", handle).unwrap();
        }
        let new: Vec<_> = (0..3 * CHUNK as u32).map(|n| insert(A(n)).unwrap()).collect();
        assert!(old.iter().all(|&handle| get::<A>("test", handle).is_err()));
        for (n, &handle) in new.iter().enumerate() {
            assert_eq!(get::<A>("test", handle).unwrap().0, n as u32);
            remove::<A>("test", handle).unwrap();
        }
    }

    #[test]
    fn object_in_use_outlives_its_handle_and_goes_with_its_last_user() {
        struct Dropped(std::sync::Arc<()>);
        enum Handle {}
        impl Object for Dropped {
            type Handle = Handle;
            const TAG: usize = 203;
            const NOUN: &'static str = "dropped";
        }
        let alive = std::sync::Arc::new(());
        let handle = insert(Dropped(alive.clone())).unwrap();
        let (one, two) = (get::<Dropped>("test", handle).unwrap(), get::<Dropped>("test", handle).unwrap());
        drop(remove::<Dropped>("test", handle).unwrap());
        assert!(get::<Dropped>("test", handle).is_err(), "a freed handle is refused while its object is in use");
        drop(one);
        assert_eq!(std::sync::Arc::strong_count(&two.0), 2);
        drop(two);
        assert_eq!(std::sync::Arc::strong_count(&alive), 1);
    }

    #[test]
    fn every_object_is_dropped_once_whoever_lets_go_last() {
        struct Counted(std::sync::Arc<std::sync::atomic::AtomicUsize>);
        enum Handle {}
        impl Object for Counted {
            type Handle = Handle;
            const TAG: usize = 204;
            const NOUN: &'static str = "counted";
        }
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let drops = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let rounds = 20_000;
        for round in 1..=rounds {
            let handle = insert(Counted(drops.clone())).unwrap().addr();
            let at = || std::ptr::without_provenance_mut::<Handle>(handle);
            let both = std::sync::Barrier::new(2);
            let use_and_free = |twice: bool| {
                both.wait();
                let used = get::<Counted>("test", at());
                let freed = remove::<Counted>("test", at());
                drop(used);
                assert!(!twice || remove::<Counted>("test", at()).is_err());
                freed.is_ok()
            };
            let freed = std::thread::scope(|scope| {
                let other = scope.spawn(|| use_and_free(true));
                [use_and_free(false), other.join().unwrap()].iter().filter(|freed| **freed).count()
            });
            assert_eq!((freed, drops.load(Ordering::SeqCst)), (1, round));
        }
    }

    #[test]
    fn any_number_is_safe() {
        let mut state = 88_172_645_463_325_252_u64;
        for _ in 0..1_000_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            assert!(get::<A>("test", std::ptr::without_provenance(state as usize)).is_err());
        }
    }
}
