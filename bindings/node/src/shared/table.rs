//! Counters and histograms.

use super::segment::Memory;
use super::{placed, size};
use crate::error::{Failure, guard};
use napi::bindgen_prelude::Either;
use napi_derive::napi;

/// A table of named numbers.
#[napi]
pub struct CounterTable {
    core: procs::Counters,
}

/// Places a table of `capacity` numbers.
#[napi]
pub fn place_counters(memory: &Memory, offset: f64, how: u32, capacity: u32) -> Either<CounterTable, Failure> {
    guard(|| Ok(CounterTable { core: placed!(Counters, how, memory.open()?, size(offset, "offset")?; capacity)? }))
}

/// A name and its value.
#[napi(object)]
pub struct CounterValue {
    /// The name.
    pub name: String,
    /// The value.
    pub value: i64,
}

#[napi]
impl CounterTable {
    /// How many names there is room for.
    #[napi(getter)]
    pub fn capacity(&self) -> u32 {
        self.core.capacity()
    }

    /// Adds and gives the value before.
    #[napi]
    pub fn add(&self, name: String, amount: i64) -> Either<i64, Failure> {
        guard(|| Ok(self.core.counter(&name)?.add(amount)))
    }

    /// Sets it.
    #[napi]
    pub fn set(&self, name: String, value: i64) -> Either<bool, Failure> {
        guard(|| {
            self.core.counter(&name)?.set(value);
            Ok(true)
        })
    }

    /// Every name and its value.
    #[napi]
    pub fn list(&self) -> Either<Vec<CounterValue>, Failure> {
        guard(|| Ok(self.core.list()?.into_iter().map(|(name, value)| CounterValue { name, value }).collect()))
    }
}

/// How often values of which size were recorded.
#[napi]
pub struct SharedHistogram {
    core: procs::Histogram,
}

/// Places a histogram.
#[napi]
pub fn place_histogram(memory: &Memory, offset: f64, how: u32) -> Either<SharedHistogram, Failure> {
    guard(|| Ok(SharedHistogram { core: placed!(Histogram, how, memory.open()?, size(offset, "offset")?)? }))
}

#[napi]
impl SharedHistogram {
    /// Records a value.
    #[napi]
    pub fn record(&self, value: f64) -> Either<bool, Failure> {
        guard(|| {
            self.core.record(size(value, "value")? as u64);
            Ok(true)
        })
    }

    /// Count, sum, least and greatest.
    #[napi]
    pub fn figures(&self) -> Vec<f64> {
        let seen = self.core.snapshot();
        vec![seen.count() as f64, seen.sum() as f64, seen.min() as f64, seen.max() as f64]
    }

    /// A value that this part of the recorded ones does not exceed.
    #[napi]
    pub fn quantile(&self, part: f64) -> f64 {
        self.core.snapshot().quantile(part) as f64
    }
}
