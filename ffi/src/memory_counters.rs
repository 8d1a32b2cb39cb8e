//! Counters and histograms in shared memory.

use crate::guard::{guard, guard_value};
use crate::memory::{choose, procs_shm};
use crate::ptr::{Operation, Out, OutStruct, Sized8, array_mut, set_optional, text};
use crate::slab::{self, Object, Ref};
use crate::status::{invalid, procs_status};
use procs::{Counter, Counters, Error, ErrorKind, Histogram, Result};
use std::ffi::{c_char, c_int};

/// A table of named counters that any process counts in without a lock; what a process counted stays when it dies. A table for n names takes
/// 128 + 64 n bytes at a multiple of 64.
pub struct procs_shm_counters {
    _opaque: [u8; 0],
}

struct CountersObject(Counters);

impl Object for CountersObject {
    type Handle = procs_shm_counters;
    const TAG: usize = 27;
    const NOUN: &'static str = "shm_counters";
}

fn counters(operation: Operation, handle: *const procs_shm_counters) -> Result<Ref<CountersObject>> {
    slab::get(operation, handle)
}

/// Bytes of a name with its NUL.
pub const PROCS_SHM_COUNTER_NAME: usize = 49;

/// Opens a table at `offset`, or makes it for `capacity` names, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_counters_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_counters_new(
    shm: *const procs_shm,
    offset: usize,
    how: c_int,
    capacity: u32,
    counters: *mut *mut procs_shm_counters,
) -> procs_status {
    let operation = "procs_shm_counters_new";
    guard(operation, || {
        let out = Out::new(operation, "counters", counters)?;
        let memory = &crate::memory::shm(operation, shm)?.0;
        let ways =
            (|| Counters::open_or_create(memory, offset, capacity), || Counters::create(memory, offset, capacity), || Counters::open(memory, offset));
        out.set(slab::insert(CountersObject(choose(operation, how, ways)?))?);
        Ok(())
    })
}

/// The name and value of the entry with this number, from 0, in the order in which names were added; `name` has room for PROCS_SHM_COUNTER_NAME bytes.
///
/// Errors: PROCS_E_NOT_FOUND beyond the last one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_counters_entry(
    counters: *const procs_shm_counters,
    index: usize,
    name: *mut c_char,
    value: *mut i64,
) -> procs_status {
    let operation = "procs_shm_counters_entry";
    guard(operation, || {
        let object = self::counters(operation, counters)?;
        let room = array_mut(operation, "name", name.cast::<u8>(), PROCS_SHM_COUNTER_NAME)?;
        let out = Out::new(operation, "value", value)?;
        let list = object.0.list()?;
        let missing = || Error::new(ErrorKind::NotFound, operation, format!("no more entries (index = {index})"));
        let (found, number) = list.get(index).ok_or_else(missing)?;
        // A name has at most 48 bytes, unless another process wrote nonsense that grew when it was made readable.
        let len = found.len().min(room.len() - 1);
        room.fill(0);
        room[..len].copy_from_slice(&found.as_bytes()[..len]);
        out.set(*number);
        Ok(())
    })
}

/// Frees the handle; the table stays in the memory. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_counters_free(counters: *mut procs_shm_counters) -> procs_status {
    guard("procs_shm_counters_free", || slab::remove::<CountersObject>("procs_shm_counters_free", counters).map(drop))
}

/// One number of a table.
pub struct procs_shm_counter {
    _opaque: [u8; 0],
}

struct CounterObject(Counter);

impl Object for CounterObject {
    type Handle = procs_shm_counter;
    const TAG: usize = 28;
    const NOUN: &'static str = "shm_counter";
}

/// The counter of this name, 1 to 48 bytes of UTF-8; added with the value 0 if there is none. Owned: free it with `procs_shm_counter_free`.
///
/// Errors: PROCS_E_EXHAUSTED when the table is full.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_counter_new(
    counters: *const procs_shm_counters,
    name: *const c_char,
    counter: *mut *mut procs_shm_counter,
) -> procs_status {
    let operation = "procs_shm_counter_new";
    guard(operation, || {
        let object = self::counters(operation, counters)?;
        let out = Out::new(operation, "counter", counter)?;
        let name = text(operation, "name", name)?;
        let name = name.to_str().ok_or_else(|| invalid(operation, format!("not UTF-8 (name = {name:?})")))?;
        out.set(slab::insert(CounterObject(object.0.counter(name)?))?);
        Ok(())
    })
}

/// Adds, or subtracts what is negative; `*before`, unless NULL, is what it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_counter_add(counter: *const procs_shm_counter, amount: i64, before: *mut i64) -> procs_status {
    let operation = "procs_shm_counter_add";
    guard(operation, || {
        let object = slab::get::<CounterObject>(operation, counter)?;
        set_optional(operation, "before", before, object.0.add(amount))
    })
}

/// Sets the value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_counter_set(counter: *const procs_shm_counter, value: i64) -> procs_status {
    guard("procs_shm_counter_set", || {
        slab::get::<CounterObject>("procs_shm_counter_set", counter)?.0.set(value);
        Ok(())
    })
}

/// The value now; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_counter_value(counter: *const procs_shm_counter) -> i64 {
    guard_value("procs_shm_counter_value", 0, || Ok(slab::get::<CounterObject>("procs_shm_counter_value", counter)?.0.value()))
}

/// Frees the handle; the number stays in the memory. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_counter_free(counter: *mut procs_shm_counter) -> procs_status {
    guard("procs_shm_counter_free", || slab::remove::<CounterObject>("procs_shm_counter_free", counter).map(drop))
}

/// How values are distributed; any process records without a lock. 4096 bytes at a multiple of 64; a quantile is at most 1/8 too large.
pub struct procs_shm_histogram {
    _opaque: [u8; 0],
}

struct HistogramObject(Histogram);

impl Object for HistogramObject {
    type Handle = procs_shm_histogram;
    const TAG: usize = 30;
    const NOUN: &'static str = "shm_histogram";
}

/// Opens or makes a histogram at `offset`, as `procs_shm_mutex_new`. Owned: free it with `procs_shm_histogram_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_histogram_new(
    shm: *const procs_shm,
    offset: usize,
    how: c_int,
    histogram: *mut *mut procs_shm_histogram,
) -> procs_status {
    let operation = "procs_shm_histogram_new";
    guard(operation, || {
        let out = Out::new(operation, "histogram", histogram)?;
        let memory = &crate::memory::shm(operation, shm)?.0;
        let ways = (|| Histogram::open_or_create(memory, offset), || Histogram::create(memory, offset), || Histogram::open(memory, offset));
        out.set(slab::insert(HistogramObject(choose(operation, how, ways)?))?);
        Ok(())
    })
}

fn histogram(operation: Operation, handle: *const procs_shm_histogram) -> Result<Ref<HistogramObject>> {
    slab::get(operation, handle)
}

/// Adds a value, in whatever unit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_histogram_record(histogram: *const procs_shm_histogram, value: u64) -> procs_status {
    guard("procs_shm_histogram_record", || {
        self::histogram("procs_shm_histogram_record", histogram)?.0.record(value);
        Ok(())
    })
}

/// What a histogram holds. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_shm_summary {
    /// Size of this struct, set by you.
    pub size: usize,
    /// Values recorded.
    pub count: u64,
    /// Their sum; wraps around.
    pub sum: u64,
    /// The smallest; 0 when there is none.
    pub min: u64,
    /// The largest; 0 when there is none.
    pub max: u64,
    /// Half of them are not larger.
    pub p50: u64,
    /// 90 of 100 are not larger.
    pub p90: u64,
    /// 99 of 100 are not larger.
    pub p99: u64,
    /// 999 of 1000 are not larger.
    pub p999: u64,
}

// SAFETY: repr(C), fields of eight bytes, size first, no padding, any bits are a value.
unsafe impl Sized8 for procs_shm_summary {
    const NAME: &'static str = "procs_shm_summary";
}

/// What it holds now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_histogram_summary(histogram: *const procs_shm_histogram, summary: *mut procs_shm_summary) -> procs_status {
    let operation = "procs_shm_histogram_summary";
    guard(operation, || {
        let object = self::histogram(operation, histogram)?;
        let out = OutStruct::new(operation, summary)?;
        let seen = object.0.snapshot();
        out.set(procs_shm_summary {
            size: 0,
            count: seen.count(),
            sum: seen.sum(),
            min: seen.min(),
            max: seen.max(),
            p50: seen.quantile(0.5),
            p90: seen.quantile(0.9),
            p99: seen.quantile(0.99),
            p999: seen.quantile(0.999),
        });
        Ok(())
    })
}

/// Frees the handle; the histogram stays in the memory. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_histogram_free(histogram: *mut procs_shm_histogram) -> procs_status {
    guard("procs_shm_histogram_free", || slab::remove::<HistogramObject>("procs_shm_histogram_free", histogram).map(drop))
}
