//! Numbers that many processes count in and anybody reads: a table of named counters. They survive the death of whoever counts.

use super::layout::fields;
use super::lock::{Head, How, Shape};
use super::memory::SharedMemory;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::robust::{Locked, ROBUST, RobustMutex};
use crate::sys::shared::Placed;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

fields! {
    /// A table of counters: the head, the mutex under which names are given, then the slots.
    COUNTERS_FIELDS, "counters":
    C_CAPACITY = 24, 4, "capacity";
    C_MUTEX = 64, ROBUST, "mutex";
    C_SLOTS = 128, 64, "slots";
}

fields! {
    /// One slot of the table, 64 bytes: a name is valid once `state` is 2.
    SLOT_FIELDS, "counter":
    C_VALUE = 0, 8, "value";
    C_STATE = 8, 4, "state";
    C_NAME = 16, NAME, "name";
}

const SLOT: usize = 64;
/// Longest name of a counter, in bytes.
const NAME: usize = 48;
const READY: u32 = 2;
const NOUN: &str = "counters";
/// Most slots of a table, so that no size overflows.
const MOST: u32 = 1 << 20;

/// A table of named counters at an offset of a [`SharedMemory`]. Any process adds a name once and counts without a lock; what a process counted
/// stays when it dies.
///
/// A table for n names takes [`size`](Counters::size)`(n)` bytes at a multiple of 64; each counter has a cache line of its own. Values are
/// signed, so that a counter may also be a level. Clones are views of the same table.
///
/// # Drop
/// Only the view goes.
///
/// # Example
/// ```
/// use procs::{Counters, SharedMemory};
/// let memory = SharedMemory::new(4096)?;
/// let table = Counters::create(&memory, 0, 10)?;
/// table.counter("requests")?.add(2);
/// assert_eq!(table.list()?, [("requests".to_owned(), 2)]);
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Counters {
    head: Head,
    mutex: RobustMutex,
    capacity: u32,
}

/// One number of a [`Counters`] table.
#[derive(Clone)]
pub struct Counter {
    value: Placed<AtomicU64>,
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.value()).finish()
    }
}

impl Counter {
    /// Adds, or subtracts what is negative; gives the value before. Wraps around.
    pub fn add(&self, amount: i64) -> i64 {
        self.value.fetch_add(amount as u64, Ordering::Relaxed) as i64
    }

    /// Sets the value.
    pub fn set(&self, value: i64) {
        self.value.store(value as u64, Ordering::Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> i64 {
        self.value.load(Ordering::Relaxed) as i64
    }
}

impl Counters {
    /// Bytes that a table for `capacity` names takes.
    pub const fn size(capacity: u32) -> usize {
        C_SLOTS + capacity as usize * SLOT
    }

    /// Makes an empty table for `capacity` names, 1 to 1048576, whatever is there; nobody may be using it.
    ///
    /// # Errors
    /// - `InvalidArgument`: not inside the memory, not at a multiple of 64, or a wrong capacity.
    /// - `PermissionDenied`: this process can only read the memory.
    pub fn create(memory: &SharedMemory, offset: usize, capacity: u32) -> Result<Counters> {
        Counters::place(memory, offset, (How::Create, capacity))
    }

    /// Opens a table that another process made.
    ///
    /// # Errors
    /// As [`create`](Counters::create), and `Protocol`: there is none.
    pub fn open(memory: &SharedMemory, offset: usize) -> Result<Counters> {
        Counters::place(memory, offset, (How::Open, 0))
    }

    /// Opens the table, or makes it for `capacity` names where the bytes are still zero; many processes may do that at once.
    ///
    /// # Errors
    /// As [`create`](Counters::create), and `Protocol`: there is something else.
    pub fn open_or_create(memory: &SharedMemory, offset: usize, capacity: u32) -> Result<Counters> {
        Counters::place(memory, offset, (How::Either, capacity))
    }

    fn place(memory: &SharedMemory, offset: usize, (how, capacity): (How, u32)) -> Result<Counters> {
        if how != How::Open && (capacity == 0 || capacity > MOST) {
            return Err(Error::invalid(NOUN, format!("a wrong size (capacity = {capacity}, expected 1 to {MOST})")));
        }
        let shape = Shape { magic: *b"PCNT", size: Counters::size(capacity), noun: NOUN };
        let failed = |error: std::io::Error| Error::from_io(NOUN, &error, "cannot make a robust mutex");
        let start = |head: &Head| {
            RobustMutex::new(&head.map, head.at + C_MUTEX)?.init().map_err(failed)?;
            head.u32_at(C_CAPACITY)?.store(capacity, Ordering::SeqCst);
            Ok(())
        };
        let head = Head::place((memory, offset), shape, how, start)?;
        // A table that was there may be larger or smaller than asked for; and who made it may lie.
        let capacity = head.u32_at(C_CAPACITY)?.load(Ordering::SeqCst);
        if capacity == 0 || capacity > MOST {
            return Err(super::layout::refused(format!("the table of counters has a wrong size (capacity = {capacity})")));
        }
        memory.inside(offset, Counters::size(capacity))?;
        Ok(Counters { mutex: RobustMutex::new(&head.map, head.at + C_MUTEX)?, head, capacity })
    }

    /// Names that fit.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    fn slot(&self, index: u32) -> usize {
        C_SLOTS + index as usize * SLOT
    }

    fn name(&self, index: u32) -> Result<Option<[u8; NAME]>> {
        if self.head.u32_at(self.slot(index) + C_STATE)?.load(Ordering::Acquire) != READY {
            return Ok(None);
        }
        let mut name = [0; NAME];
        self.head.map.read(self.head.at + self.slot(index) + C_NAME, &mut name)?;
        Ok(Some(name))
    }

    fn find(&self, name: &[u8; NAME]) -> Result<Option<Counter>> {
        for index in 0..self.capacity {
            if self.name(index)? == Some(*name) {
                return self.at(index).map(Some);
            }
        }
        Ok(None)
    }

    fn at(&self, index: u32) -> Result<Counter> {
        Ok(Counter { value: self.head.u64_at(self.slot(index) + C_VALUE)? })
    }

    /// The counter of this name, 1 to 48 bytes; added with the value 0 if there is none. Look it up once and keep it: this searches.
    ///
    /// # Errors
    /// - `Exhausted`: the table is full.
    /// - `InvalidArgument`: an empty or long name, or one with a NUL.
    pub fn counter(&self, name: &str) -> Result<Counter> {
        if name.is_empty() || name.len() > NAME || name.contains('\0') {
            return Err(Error::invalid(NOUN, format!("a wrong name (name = {name:?}, expected 1 to {NAME} bytes without NUL)")));
        }
        let mut padded = [0; NAME];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        if let Some(counter) = self.find(&padded)? {
            return Ok(counter);
        }
        // A process that died inside left a slot without a state, which is free.
        if self.mutex.lock(Deadline::NEVER)? == Locked::OwnerDied {
            self.mutex.repair();
        }
        let added = self.add(&padded);
        self.mutex.unlock()?;
        added
    }

    fn add(&self, name: &[u8; NAME]) -> Result<Counter> {
        if let Some(counter) = self.find(name)? {
            return Ok(counter);
        }
        for index in 0..self.capacity {
            let state = self.head.u32_at(self.slot(index) + C_STATE)?;
            if state.load(Ordering::Acquire) != READY {
                self.head.map.write(self.head.at + self.slot(index) + C_NAME, name)?;
                let counter = self.at(index)?;
                counter.set(0);
                state.store(READY, Ordering::Release);
                return Ok(counter);
            }
        }
        Err(Error::new(ErrorKind::Exhausted, NOUN, format!("the table is full (capacity = {})", self.capacity)))
    }

    /// All names with their values now, in the order in which they were added.
    ///
    /// # Errors
    /// None in practice.
    pub fn list(&self) -> Result<Vec<(String, i64)>> {
        let mut list = Vec::new();
        for index in 0..self.capacity {
            if let Some(name) = self.name(index)? {
                let len = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
                list.push((String::from_utf8_lossy(&name[..len]).into_owned(), self.at(index)?.value()));
            }
        }
        Ok(list)
    }
}

/// The rows of the layout table that belong here.
pub(super) fn rows() -> impl Iterator<Item = super::layout::Field> {
    COUNTERS_FIELDS.iter().chain(SLOT_FIELDS).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_counter_whoever_adds_it() {
        let memory = SharedMemory::new(8192).unwrap();
        let table = Counters::create(&memory, 64, 4).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let table = Counters::open(&memory, 64).unwrap();
                    for name in ["a", "b", "c", "a"] {
                        table.counter(name).unwrap().add(1);
                    }
                });
            }
        });
        let mut list = table.list().unwrap();
        list.sort();
        assert_eq!(list, [("a".to_owned(), 16), ("b".to_owned(), 8), ("c".to_owned(), 8)]);
        table.counter(&"x".repeat(NAME)).unwrap().set(-5);
        assert_eq!(table.counter("e").unwrap_err().kind(), ErrorKind::Exhausted);
        for name in ["", "a\0b", &"x".repeat(NAME + 1)] {
            assert_eq!(table.counter(name).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
        assert!(Counters::create(&memory, 0, 0).is_err() && Counters::create(&memory, 0, 200).is_err());
        memory.write(64 + C_CAPACITY, &200u32.to_le_bytes()).unwrap();
        assert!(Counters::open(&memory, 64).is_err());
    }
}
