//! Single numbers in shared memory.

use super::memory::SharedMemory;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::futex::{self, Waited};
use crate::sys::shared::{Placed, SharedMapping};
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

mod sealed {
    /// Not implementable outside: the layout knows these numbers only.
    pub trait Bits: Copy {
        const SIZE: usize;
        fn to_bits(self) -> u64;
        fn from_bits(bits: u64) -> Self;
    }
}
use sealed::Bits;

/// A number that an [`AtomicCell`] can hold: `u32`, `i32`, `u64`, `i64`.
pub trait Number: Bits + fmt::Debug + PartialEq + Send + Sync + 'static {}

macro_rules! number {
    ($type:ty, $unsigned:ty) => {
        impl Bits for $type {
            const SIZE: usize = size_of::<$type>();
            fn to_bits(self) -> u64 {
                u64::from(self as $unsigned)
            }
            fn from_bits(bits: u64) -> $type {
                bits as $type
            }
        }
        impl Number for $type {}
    };
}

number!(u32, u32);
number!(i32, u32);
number!(u64, u64);
number!(i64, u64);

/// Which of the two depends on the type of the cell alone.
#[derive(Clone)]
enum Word {
    Four(Placed<AtomicU32>),
    Eight(Placed<AtomicU64>),
}

pub(super) fn load_at<T: Number>(map: &SharedMapping, offset: usize) -> Result<T> {
    let bits = if T::SIZE == 4 { u64::from(map.load_u32(offset)?) } else { map.load_u64(offset)? };
    Ok(T::from_bits(bits))
}

/// A number at a fixed offset of a [`SharedMemory`] that all processes read and change atomically, in one total order.
///
/// Arithmetic wraps around. A process that is killed leaves the value as it was before or after a change, never between.
///
/// # Drop
/// Only the view goes. It keeps the memory mapped while it lives.
///
/// # Example
/// ```
/// use procs::SharedMemory;
/// let memory = SharedMemory::new(64)?;
/// let hits = memory.cell_u64(8)?;
/// assert_eq!(hits.fetch_add(3), 0);
/// assert_eq!(memory.cell_u64(8)?.load(), 3);
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Clone)]
pub struct AtomicCell<T: Number> {
    word: Word,
    number: PhantomData<T>,
}

impl<T: Number> fmt::Debug for AtomicCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtomicCell").field(&self.load()).finish()
    }
}

/// The same expression on both kinds of word.
macro_rules! on_word {
    ($cell:expr, $word:ident => $body:expr) => {
        T::from_bits(match &$cell.word {
            Word::Four($word) => u64::from($body),
            Word::Eight($word) => $body,
        })
    };
}

impl<T: Number> AtomicCell<T> {
    pub(super) fn new(memory: &SharedMemory, offset: usize) -> Result<AtomicCell<T>> {
        let place = memory.inside(offset, T::SIZE)?;
        let word = match T::SIZE {
            4 => Word::Four(Placed::new32(memory.map(), place)?),
            _ => Word::Eight(Placed::new64(memory.map(), place)?),
        };
        Ok(AtomicCell { word, number: PhantomData })
    }

    /// The value now.
    pub fn load(&self) -> T {
        on_word!(self, word => word.load(Ordering::SeqCst))
    }

    /// Sets the value.
    pub fn store(&self, value: T) {
        self.swap(value);
    }

    /// Sets the value and gives the one before.
    pub fn swap(&self, value: T) -> T {
        on_word!(self, word => word.swap(value.to_bits() as _, Ordering::SeqCst))
    }

    /// Sets the value to `new` if it is `current`; gives the value before.
    ///
    /// # Errors
    /// The value, when it is not `current`.
    pub fn compare_exchange(&self, current: T, new: T) -> std::result::Result<T, T> {
        let (from, to) = (current.to_bits(), new.to_bits());
        let result = match &self.word {
            Word::Four(word) => {
                let result = word.compare_exchange(from as u32, to as u32, Ordering::SeqCst, Ordering::SeqCst);
                result.map(u64::from).map_err(u64::from)
            }
            Word::Eight(word) => word.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst),
        };
        result.map(T::from_bits).map_err(T::from_bits)
    }

    /// Adds and gives the value before.
    pub fn fetch_add(&self, value: T) -> T {
        on_word!(self, word => word.fetch_add(value.to_bits() as _, Ordering::SeqCst))
    }

    /// Subtracts and gives the value before.
    pub fn fetch_sub(&self, value: T) -> T {
        on_word!(self, word => word.fetch_sub(value.to_bits() as _, Ordering::SeqCst))
    }

    /// Sets the value to what `change` makes of it, calling it again whenever another process was faster; gives the value before.
    pub fn fetch_update(&self, mut change: impl FnMut(T) -> T) -> T {
        let mut current = self.load();
        loop {
            match self.compare_exchange(current, change(current)) {
                Ok(before) => return before,
                Err(other) => current = other,
            }
        }
    }
}

/// Waiting is for numbers of four bytes: the kernel compares four.
macro_rules! waiting {
    ($type:ty) => {
        impl AtomicCell<$type> {
            /// Sleeps while the value is `expected`; returns as soon as it is another one and [`notify`](Self::notify) told so.
            ///
            /// # Errors
            /// - `Timeout`: it still is `expected` after `timeout`.
            pub fn wait(&self, expected: $type, timeout: Duration) -> Result<()> {
                let deadline = Deadline::after(timeout);
                let Word::Four(word) = &self.word else { return Ok(()) };
                while self.load() == expected {
                    if futex::wait(word, expected as u32, deadline) == Waited::TimedOut && self.load() == expected {
                        let detail = format!("still the same (value = {expected}, timeout = {timeout:?})");
                        return Err(Error::new(ErrorKind::Timeout, "cell", detail));
                    }
                }
                Ok(())
            }

            /// Wakes up to `count` sleepers, in whatever process; gives how many there were.
            pub fn notify(&self, count: usize) -> usize {
                let Word::Four(word) = &self.word else { return 0 };
                futex::wake(word, i32::try_from(count).unwrap_or(i32::MAX))
            }
        }
    };
}

waiting!(u32);
waiting!(i32);
