//! State that only the holder of an inner robust mutex changes, with a table of the processes that hold something.
//!
//! Every change is one store, or is ordered so that a process which is killed between two stores leaves a state that is right for the living:
//! so whoever finds the inner mutex abandoned just goes on.

use super::deaths::Mortal;
use super::{BODY, Head, How, Shape};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::layout::fields;
use crate::shm::memory::SharedMemory;
use crate::sys::alive::Owner;
use crate::sys::robust::{Locked, ROBUST, RobustMutex};
use crate::sys::shared::Placed;
use crate::sys::slots::{SLOT, Slot, Slots};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fields! {
    /// What rwlock, semaphore and barrier have in common.
    GUARDED_FIELDS, "guarded":
    G_USED = 56, 4, "used";
    G_MUTEX = 64, ROBUST, "mutex";
    G_HOLDERS = 128, HOLDERS * HOLDER, "holders";
}

fields! {
    /// One process that holds something.
    HOLDER_FIELDS, "holder":
    _R_OWNER = 0, 8, "owner";
    _R_COUNT = 8, 4, "count";
    _R_TAG = 12, 4, "tag";
}

const HOLDER: usize = SLOT;
/// Processes that can hold something of one lock at a time.
pub(super) const HOLDERS: usize = 248;
/// Bytes of a lock with a table: the smallest page.
pub(super) const SIZE: usize = 4096;
const _: () = assert!(G_HOLDERS + HOLDERS * HOLDER == SIZE && BODY < G_USED);

/// A lock with a table of holders.
#[derive(Clone, Debug)]
pub(super) struct Guarded {
    pub(super) head: Head,
    mutex: RobustMutex,
    /// Entries from this one on are free.
    used: Placed<AtomicU32>,
    entries: Slots,
}

impl Guarded {
    pub(super) fn place(
        place: (&SharedMemory, usize),
        (magic, noun): ([u8; 4], &'static str),
        how: How,
        start: impl Fn(&Head) -> Result<()>,
    ) -> Result<Guarded> {
        let shape = Shape { magic, size: SIZE, noun };
        let failed = |error: std::io::Error| Error::from_io(noun, &error, "cannot make a robust mutex");
        let start = |head: &Head| {
            RobustMutex::new(&head.map, head.at + G_MUTEX)?.init().map_err(failed)?;
            start(head)
        };
        let head = Head::place(place, shape, how, start)?;
        let mutex = RobustMutex::new(&head.map, head.at + G_MUTEX)?;
        let entries = Slots::new(&head.map, head.at + G_HOLDERS, HOLDERS)?;
        Ok(Guarded { used: head.u32_at(G_USED)?, entries, mutex, head })
    }

    /// The entries that may be in use.
    fn entries(&self) -> &[Slot] {
        &self.entries[..HOLDERS.min(self.used.load(Ordering::Relaxed) as usize)]
    }

    /// Shortens what is looked at by the free entries at its end.
    fn trim(&self) {
        let entries = self.entries();
        let used = entries.iter().rposition(|entry| entry.count.load(Ordering::Relaxed) > 0).map_or(0, |last| last + 1);
        if used < entries.len() {
            self.used.store(used as u32, Ordering::SeqCst);
        }
    }

    /// Runs `change` while no other process does. The inner mutex is held for less than a microsecond, so it is waited for.
    pub(super) fn with<T>(&self, change: impl FnOnce() -> T) -> Result<T> {
        if self.mutex.lock(Deadline::NEVER)? == Locked::OwnerDied {
            self.mutex.repair();
        }
        let result = change();
        self.mutex.unlock()?;
        Ok(result)
    }

    /// As [`Guarded::with`] for whoever must not sleep: `None` when another process stays inside (it was stopped there).
    pub(super) fn try_with<T>(&self, change: impl FnOnce() -> T) -> Result<Option<T>> {
        match self.mutex.lock(Deadline::after(Duration::from_micros(200))) {
            Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::WouldBlock) => return Ok(None),
            Err(error) => return Err(error),
            Ok(Locked::OwnerDied) => self.mutex.repair(),
            Ok(Locked::Clean) => {}
        }
        let result = change();
        self.mutex.unlock()?;
        Ok(Some(result))
    }

    /// What this process holds under `tag`.
    fn mine(&self, tag: u32) -> Option<&Slot> {
        let own = Owner::current().0;
        let mine = |entry: &&Slot| {
            entry.count.load(Ordering::Relaxed) > 0 && entry.owner.load(Ordering::Relaxed) == own && entry.tag.load(Ordering::Relaxed) == tag
        };
        self.entries().iter().find(mine)
    }

    /// A free entry, one that was in use before if there is one.
    fn free_entry(&self) -> Option<&Slot> {
        let used = self.entries().len();
        if let Some(free) = self.entries().iter().find(|entry| entry.count.load(Ordering::Relaxed) == 0) {
            return Some(free);
        }
        let next = self.entries.get(used)?;
        // It is free whatever was left there: who is killed after the next store leaves it so.
        next.count.store(0, Ordering::SeqCst);
        self.used.store(used as u32 + 1, Ordering::SeqCst);
        Some(next)
    }

    /// Adds 1 to what this process holds, under `tag`; false when the table is full.
    pub(super) fn add(&self, tag: u32) -> bool {
        if let Some(entry) = self.mine(tag) {
            let count = entry.count.load(Ordering::Relaxed);
            entry.count.store(count.saturating_add(1), Ordering::SeqCst);
            return true;
        }
        let Some(entry) = self.free_entry() else { return false };
        // The count comes last: until then the entry is free.
        entry.owner.store(Owner::current().0, Ordering::SeqCst);
        entry.tag.store(tag, Ordering::SeqCst);
        entry.count.store(1, Ordering::SeqCst);
        true
    }

    /// Subtracts 1 from what this process holds under `tag`; false when it holds nothing.
    pub(super) fn subtract(&self, tag: u32) -> bool {
        let Some(entry) = self.mine(tag) else { return false };
        let left = entry.count.load(Ordering::Relaxed) - 1;
        entry.count.store(left, Ordering::SeqCst);
        if left == 0 {
            self.trim();
        }
        true
    }

    /// How much this process holds under `tag`.
    pub(super) fn held_here(&self, tag: u32) -> u32 {
        self.mine(tag).map_or(0, |entry| entry.count.load(Ordering::Relaxed))
    }

    /// What is held by all under `tag`.
    pub(super) fn held(&self, tag: u32) -> u64 {
        let counted = self.entries().iter().filter(|entry| entry.tag.load(Ordering::Relaxed) == tag);
        counted.map(|entry| u64::from(entry.count.load(Ordering::Relaxed))).sum()
    }

    /// Who holds something under `tag`.
    pub(super) fn owners(&self, tag: u32) -> Vec<Mortal> {
        let holds = |entry: &&Slot| entry.count.load(Ordering::Relaxed) > 0 && entry.tag.load(Ordering::Relaxed) == tag;
        self.entries().iter().filter(holds).map(|entry| Mortal::Process(Owner(entry.owner.load(Ordering::Relaxed)))).collect()
    }

    /// Forgets what dead processes hold; how much that was under `tag`.
    pub(super) fn bury(&self, tag: u32) -> u64 {
        let mut freed = 0;
        for entry in self.entries() {
            let count = entry.count.load(Ordering::Relaxed);
            if count > 0 && Owner(entry.owner.load(Ordering::Relaxed)).is_dead() {
                if entry.tag.load(Ordering::Relaxed) == tag {
                    freed += u64::from(count);
                }
                entry.count.store(0, Ordering::SeqCst);
            }
        }
        self.trim();
        freed
    }

    /// Frees the entries of other tags.
    pub(super) fn keep_only(&self, tag: u32) {
        for entry in self.entries() {
            if entry.tag.load(Ordering::Relaxed) != tag {
                entry.count.store(0, Ordering::SeqCst);
            }
        }
        self.trim();
    }
}
