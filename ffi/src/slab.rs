//! Where everything lives that C holds a handle to.
//!
//! A handle is not an address: it is the number of a slot, the slot's generation and a tag of the type, packed into a pointer-sized value.
//! It is looked up and never dereferenced, so a freed handle, a handle of another type, or any number at all is an error and not a crash.
//! A call works on an `Arc` taken from the slot: freeing the handle meanwhile on another thread only removes the slot's own reference.
//!
//! ```text
//! 63            32 31          12 11      4 3      0
//! +---------------+--------------+---------+--------+
//! |  generation   |     slot     |   tag   |  1011  |
//! +---------------+--------------+---------+--------+
//! ```
//! The low bits make it odd, so that no aligned address is ever taken for a handle.

use crate::status::invalid;
use procs::{Error, ErrorKind, Result};
use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

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

#[derive(Default)]
struct Slot(Mutex<Entry>);

#[derive(Default)]
struct Entry {
    generation: u32,
    value: Option<Arc<dyn Any + Send + Sync>>,
}

struct Slab {
    chunks: [OnceLock<Box<[Slot]>>; CHUNKS],
    free: Mutex<Free>,
}

/// Slots to hand out. The oldest freed one goes first, so that a generation is used up as late as possible.
struct Free {
    used: usize,
    returned: VecDeque<usize>,
}

static SLAB: Slab = Slab { chunks: [const { OnceLock::new() }; CHUNKS], free: Mutex::new(Free { used: 0, returned: VecDeque::new() }) };

/// A panic while a lock is held leaves plain data behind that is whole at every step, so poison is ignored.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn slot(index: usize) -> Option<&'static Slot> {
    SLAB.chunks.get(index / CHUNK)?.get()?.get(index % CHUNK)
}

fn free_index() -> Option<usize> {
    let mut free = lock(&SLAB.free);
    if let Some(index) = free.returned.pop_front() {
        return Some(index);
    }
    let index = free.used;
    SLAB.chunks.get(index / CHUNK)?.get_or_init(|| (0..CHUNK).map(|_| Slot::default()).collect());
    free.used += 1;
    Some(index)
}

/// Puts a value into a slot and returns its handle.
pub(crate) fn insert<T: Object>(value: T) -> Result<*mut T::Handle> {
    let full = || Error::new(ErrorKind::Exhausted, T::NOUN, format!("too many handles (limit = {})", CHUNK * CHUNKS));
    let index = free_index().ok_or_else(full)?;
    let mut entry = lock(&slot(index).ok_or_else(full)?.0);
    entry.generation = if entry.generation == 0 { first_generation() } else { entry.generation.wrapping_add(1).max(1) };
    entry.value = Some(Arc::new(value));
    Ok(std::ptr::without_provenance_mut(pack::<T>(index, entry.generation)))
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
fn unpack<T: Object>(handle: *const T::Handle) -> Option<(&'static Slot, usize, u32)> {
    let bits = handle.addr();
    if bits & 0xfff != T::TAG << 4 | MARK {
        return None;
    }
    let index = bits >> 12 & 0xf_ffff;
    Some((slot(index)?, index, (bits >> 32) as u32))
}

fn stale<T: Object>(operation: &'static str, handle: *const T::Handle) -> Error {
    let noun = T::NOUN;
    if handle.is_null() {
        return invalid(operation, format!("no handle ({noun} = NULL)"));
    }
    invalid(operation, format!("not a live handle, freed or of another type ({noun} = {:#x})", handle.addr()))
}

/// The object of a handle.
pub(crate) fn get<T: Object>(operation: &'static str, handle: *const T::Handle) -> Result<Arc<T>> {
    let found = unpack::<T>(handle).and_then(|(slot, _, generation)| {
        let entry = lock(&slot.0);
        if entry.generation != generation { None } else { entry.value.clone() }
    });
    found.and_then(|value| value.downcast::<T>().ok()).ok_or_else(|| stale::<T>(operation, handle))
}

/// Makes a handle invalid and returns its object; `None` for NULL, which is always fine to free.
pub(crate) fn remove<T: Object>(operation: &'static str, handle: *mut T::Handle) -> Result<Option<Arc<T>>> {
    if handle.is_null() {
        return Ok(None);
    }
    let (slot, index, generation) = unpack::<T>(handle).ok_or_else(|| stale::<T>(operation, handle))?;
    let mut entry = lock(&slot.0);
    if entry.generation != generation || !entry.value.as_ref().is_some_and(|value| (**value).is::<T>()) {
        drop(entry);
        return Err(stale::<T>(operation, handle));
    }
    let value = entry.value.take();
    drop(entry);
    lock(&SLAB.free).returned.push_back(index);
    Ok(value.and_then(|value| value.downcast::<T>().ok()))
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
