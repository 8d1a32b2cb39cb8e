//! Rows of words in shared memory: who holds something of a lock. What they mean is decided in `shm/lock/holders.rs`.

use super::shared::SharedMapping;
use crate::error::Result;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// One row, 16 bytes.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) owner: AtomicU64,
    pub(crate) count: AtomicU32,
    pub(crate) tag: AtomicU32,
}

/// Bytes of a row.
pub(crate) const SLOT: usize = 16;
const _: () = assert!(size_of::<Slot>() == SLOT && align_of::<Slot>() == 8);

/// Rows at a checked place of a mapping that they keep alive.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    first: *const Slot,
    count: usize,
    _map: Arc<SharedMapping>,
}

// SAFETY: `first` points into the mapping that the value keeps; atomics may be used from any thread.
unsafe impl Send for Slots {}
// SAFETY: a shared reference gives out atomics only; the pointer itself never changes.
unsafe impl Sync for Slots {}

impl Slots {
    /// `count` rows from `offset` on; refused as in [`SharedMapping::u64_at`].
    pub(crate) fn new(map: &Arc<SharedMapping>, offset: usize, count: usize) -> Result<Slots> {
        let first = map.place_of(offset, count * SLOT)?;
        Ok(Slots { first: first.cast(), count, _map: Arc::clone(map) })
    }
}

impl Deref for Slots {
    type Target = [Slot];

    fn deref(&self) -> &[Slot] {
        // SAFETY: inside the mapping, writable and aligned (checked in `new`), which stays mapped while `_map` lives; rows of atomics are valid
        // for any bits, and others use them atomically by the layout.
        unsafe { std::slice::from_raw_parts(self.first, self.count) }
    }
}
