//! State that only the holder of an inner robust mutex changes, with a table of the processes that hold something.
//!
//! Every change is one store, or is ordered so that a process which is killed between two stores leaves a state that is right for the living:
//! so whoever finds the inner mutex abandoned just goes on.

use super::{BODY, Head, How, Shape};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::layout::fields;
use crate::shm::memory::SharedMemory;
use crate::sys::alive::Owner;
use crate::sys::robust::{Locked, ROBUST, RobustMutex};
use crate::sys::shared::Placed;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

fields! {
    /// What rwlock, semaphore and barrier have in common.
    GUARDED_FIELDS, "guarded":
    G_MUTEX = 64, ROBUST, "mutex";
    G_HOLDERS = 128, HOLDERS * HOLDER, "holders";
}

fields! {
    /// One process that holds something.
    HOLDER_FIELDS, "holder":
    R_OWNER = 0, 8, "owner";
    R_COUNT = 8, 4, "count";
    R_TAG = 12, 4, "tag";
}

const HOLDER: usize = 16;
/// Processes that can hold something of one lock at a time.
pub(super) const HOLDERS: usize = 56;
/// Bytes of a lock with a table.
pub(super) const SIZE: usize = 1024;
const _: () = assert!(G_HOLDERS + HOLDERS * HOLDER == SIZE && BODY < G_MUTEX);

#[derive(Clone, Debug)]
struct Entry {
    owner: Placed<AtomicU64>,
    count: Placed<AtomicU32>,
    tag: Placed<AtomicU32>,
}

/// A lock with a table of holders.
#[derive(Clone, Debug)]
pub(super) struct Guarded {
    pub(super) head: Head,
    mutex: RobustMutex,
    entries: std::sync::Arc<[Entry]>,
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
        let entry = |index: usize| {
            let at = G_HOLDERS + index * HOLDER;
            Ok(Entry { owner: head.u64_at(at + R_OWNER)?, count: head.u32_at(at + R_COUNT)?, tag: head.u32_at(at + R_TAG)? })
        };
        let entries: Result<Vec<Entry>> = (0..HOLDERS).map(entry).collect();
        Ok(Guarded { entries: entries?.into(), mutex, head })
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

    /// Adds 1 to what this process holds, under `tag`; false when the table is full.
    pub(super) fn add(&self, tag: u32) -> bool {
        let own = Owner::current().0;
        let used = |entry: &&Entry| entry.count.load(Ordering::Relaxed) > 0;
        let mine = |entry: &&Entry| used(entry) && entry.owner.load(Ordering::Relaxed) == own && entry.tag.load(Ordering::Relaxed) == tag;
        if let Some(entry) = self.entries.iter().find(mine) {
            let count = entry.count.load(Ordering::Relaxed);
            entry.count.store(count.saturating_add(1), Ordering::SeqCst);
            return true;
        }
        // The count comes last: until then the entry is free.
        let Some(entry) = self.entries.iter().find(|entry| !used(entry)) else { return false };
        entry.owner.store(own, Ordering::SeqCst);
        entry.tag.store(tag, Ordering::SeqCst);
        entry.count.store(1, Ordering::SeqCst);
        true
    }

    /// Subtracts 1 from what this process holds under `tag`; false when it holds nothing.
    pub(super) fn subtract(&self, tag: u32) -> bool {
        let own = Owner::current().0;
        let mine = |entry: &&Entry| {
            entry.count.load(Ordering::Relaxed) > 0 && entry.owner.load(Ordering::Relaxed) == own && entry.tag.load(Ordering::Relaxed) == tag
        };
        let Some(entry) = self.entries.iter().find(mine) else { return false };
        entry.count.store(entry.count.load(Ordering::Relaxed) - 1, Ordering::SeqCst);
        true
    }

    /// What is held by all under `tag`.
    pub(super) fn held(&self, tag: u32) -> u64 {
        let counted = self.entries.iter().filter(|entry| entry.tag.load(Ordering::Relaxed) == tag);
        counted.map(|entry| u64::from(entry.count.load(Ordering::Relaxed))).sum()
    }

    /// Forgets what dead processes hold; how much that was under `tag`.
    pub(super) fn bury(&self, tag: u32) -> u64 {
        let mut freed = 0;
        for entry in self.entries.iter() {
            let count = entry.count.load(Ordering::Relaxed);
            if count > 0 && Owner(entry.owner.load(Ordering::Relaxed)).is_dead() {
                if entry.tag.load(Ordering::Relaxed) == tag {
                    freed += u64::from(count);
                }
                entry.count.store(0, Ordering::SeqCst);
            }
        }
        freed
    }

    /// Frees the entries of other tags.
    pub(super) fn keep_only(&self, tag: u32) {
        for entry in self.entries.iter() {
            if entry.tag.load(Ordering::Relaxed) != tag {
                entry.count.store(0, Ordering::SeqCst);
            }
        }
    }
}
