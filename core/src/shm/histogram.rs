//! How values are distributed that many processes record and anybody reads.

use super::layout::fields;
use super::lock::{Head, How, Shape};
use super::memory::SharedMemory;
use crate::error::Result;
use crate::sys::shared::SharedMapping;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fields! {
    /// A histogram. `low` is the complement of the smallest value, so that 0 means none.
    HISTOGRAM_FIELDS, "histogram":
    T_SUM = 64, 8, "sum";
    T_LOW = 72, 8, "low";
    T_HIGH = 80, 8, "high";
    T_BUCKETS = 128, 8 * BUCKETS, "buckets";
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
    HISTOGRAM_FIELDS.iter().copied()
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
