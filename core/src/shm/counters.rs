//! Numbers that many processes count in and anybody reads: a table of named counters, and histograms. They survive the death of whoever counts.

use super::layout::fields;
use super::lock::{Head, How, Shape};
use super::memory::SharedMemory;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::robust::{Locked, ROBUST, RobustMutex};
use crate::sys::shared::{Placed, SharedMapping};
use std::fmt;
use std::sync::Arc;
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

fields! {
    /// A histogram. `low` is the complement of the smallest value, so that 0 means none.
    HISTOGRAM_FIELDS, "histogram":
    T_SUM = 64, 8, "sum";
    T_LOW = 72, 8, "low";
    T_HIGH = 80, 8, "high";
    T_BUCKETS = 128, 8 * BUCKETS, "buckets";
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

/// Buckets: 8 of one value each, then 8 for each power of two.
const BUCKETS: usize = 496;

/// The bucket of a value.
fn bucket(value: u64) -> usize {
    if value < 8 {
        return value as usize;
    }
    let power = 63 - value.leading_zeros() as usize;
    (power - 2) * 8 + (value >> (power - 3) & 7) as usize
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64;
    }
    let (power, part) = (bucket / 8 + 2, (bucket % 8) as u64);
    let width = 1u64 << (power - 3);
    (1u64 << power) + part * width + (width - 1)
}

/// How values are distributed, at an offset of a [`SharedMemory`]: any process records without a lock. The relative error of a quantile is at
/// most 1/8; values are any `u64`, in whatever unit.
///
/// A process that is killed while it records may have added to the buckets and not to the sum. It takes [`SIZE`](Histogram::SIZE) bytes at a
/// multiple of 64. Clones are views of the same histogram.
///
/// # Drop
/// Only the view goes.
///
/// # Example
/// ```
/// use procs::{Histogram, SharedMemory};
/// let memory = SharedMemory::new(8192)?;
/// let waits = Histogram::create(&memory, 0)?;
/// for value in 1..=100 {
///     waits.record(value);
/// }
/// let seen = waits.snapshot();
/// assert_eq!((seen.count(), seen.min(), seen.max()), (100, 1, 100));
/// assert!((50..=56).contains(&seen.quantile(0.5)));
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Histogram {
    map: Arc<SharedMapping>,
    at: usize,
}

/// What a [`Histogram`] held at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    buckets: Vec<u64>,
    sum: u64,
    low: u64,
    high: u64,
}

impl Histogram {
    /// Bytes that it takes.
    pub const SIZE: usize = 4096;

    /// Makes an empty histogram, whatever is there; nobody may be using it.
    ///
    /// # Errors
    /// - `InvalidArgument`: not inside the memory, or not at a multiple of 64.
    /// - `PermissionDenied`: this process can only read the memory.
    pub fn create(memory: &SharedMemory, offset: usize) -> Result<Histogram> {
        Histogram::place(memory, offset, How::Create)
    }

    /// Opens a histogram that another process made.
    ///
    /// # Errors
    /// As [`create`](Histogram::create), and `Protocol`: there is none.
    pub fn open(memory: &SharedMemory, offset: usize) -> Result<Histogram> {
        Histogram::place(memory, offset, How::Open)
    }

    /// Opens the histogram, or makes it where the bytes are still zero; many processes may do that at once.
    ///
    /// # Errors
    /// As [`create`](Histogram::create), and `Protocol`: there is something else.
    pub fn open_or_create(memory: &SharedMemory, offset: usize) -> Result<Histogram> {
        Histogram::place(memory, offset, How::Either)
    }

    fn place(memory: &SharedMemory, offset: usize, how: How) -> Result<Histogram> {
        let shape = Shape { magic: *b"PHST", size: Self::SIZE, noun: "histogram" };
        let head = Head::place((memory, offset), shape, how, |_| Ok(()))?;
        Ok(Histogram { map: head.map, at: head.at })
    }

    fn with(&self, offset: usize, change: impl FnOnce(&AtomicU64)) {
        // The place was checked when it was opened.
        if let Ok(word) = self.map.u64_at(self.at + offset) {
            change(word);
        }
    }

    /// Adds a value.
    pub fn record(&self, value: u64) {
        self.with(T_LOW, |low| {
            low.fetch_max(!value, Ordering::Relaxed);
        });
        self.with(T_HIGH, |high| {
            high.fetch_max(value, Ordering::Relaxed);
        });
        self.with(T_SUM, |sum| {
            sum.fetch_add(value, Ordering::Relaxed);
        });
        self.with(T_BUCKETS + bucket(value) * 8, |count| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// What it holds now; values that are recorded meanwhile may be in or not.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let load = |offset: usize| self.map.load_u64(self.at + offset).unwrap_or(0);
        let buckets = (0..BUCKETS).map(|index| load(T_BUCKETS + index * 8)).collect();
        HistogramSnapshot { buckets, sum: load(T_SUM), low: load(T_LOW), high: load(T_HIGH) }
    }
}

impl HistogramSnapshot {
    /// Values recorded.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// Their sum; wraps around.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The smallest value; 0 when there is none.
    pub fn min(&self) -> u64 {
        if self.count() == 0 { 0 } else { !self.low }
    }

    /// The largest value; 0 when there is none.
    pub fn max(&self) -> u64 {
        self.high
    }

    /// A value that at least the share `part` (0 to 1) of all values do not exceed, at most 1/8 too large; 0 when there is none.
    pub fn quantile(&self, part: f64) -> u64 {
        let count = self.count();
        let rank = (part.clamp(0.0, 1.0) * count as f64).ceil().max(1.0) as u64;
        let mut seen = 0u64;
        for (index, found) in self.buckets.iter().enumerate() {
            seen = seen.wrapping_add(*found);
            if seen >= rank && *found > 0 {
                return upper(index).min(self.high);
            }
        }
        0
    }

    /// The buckets that are not empty: the largest value of each and how many values it has.
    pub fn buckets(&self) -> Vec<(u64, u64)> {
        let used = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        used.map(|(index, count)| (upper(index), *count)).collect()
    }
}

/// The rows of the layout table that belong here.
pub(super) fn rows() -> impl Iterator<Item = super::layout::Field> {
    COUNTERS_FIELDS.iter().chain(SLOT_FIELDS).chain(HISTOGRAM_FIELDS).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_every_value_without_gap() {
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(upper(BUCKETS - 1), u64::MAX);
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(upper(index)), index);
            assert_eq!(bucket(upper(index) + 1), index + 1);
        }
        assert_eq!(T_BUCKETS + 8 * BUCKETS, Histogram::SIZE);
    }

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

    #[test]
    fn an_empty_histogram_has_no_values() {
        let memory = SharedMemory::new(8192).unwrap();
        let histogram = Histogram::open_or_create(&memory, 64).unwrap();
        let empty = histogram.snapshot();
        assert_eq!((empty.count(), empty.min(), empty.max(), empty.quantile(0.5)), (0, 0, 0, 0));
        for value in [0, u64::MAX, 1000] {
            histogram.record(value);
        }
        let seen = Histogram::open(&memory, 64).unwrap().snapshot();
        assert_eq!((seen.count(), seen.min(), seen.max()), (3, 0, u64::MAX));
        assert_eq!(seen.quantile(0.0), 0);
        assert!((1000..=1125).contains(&seen.quantile(0.5)) && seen.quantile(1.0) == u64::MAX);
        assert_eq!(seen.buckets().len(), 3);
    }
}
