//! How bytes are best copied into memory that another processor has just read.
//!
//! A plain store first takes its cache line from whoever has it. Between processors that share no cache this is 30 ns a line, 450 µs a MiB, ten times what
//! a store past the caches takes; where they share one, plain stores are the faster, for the reader then finds the bytes in it. Which of the two it is
//! changes while a program runs, in a guest most of all: so plain copies are timed now and then. Source: Intel's and AMD's optimization manuals, on
//! non-temporal stores.

use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What is known about copies into one memory.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Copies that are made as the last timed one said; with `PAST` that is past the caches. With none left the next is plain and timed.
    next: AtomicU32,
}

const PAST: u32 = 1 << 31;
/// Copies from one that is timed to the next.
const PLAIN: u32 = 15;
/// As `PLAIN`, where the timed one was slow: it costs as much as ten others.
const STREAMED: u32 = 63;
/// Nanoseconds for a KiB from which a plain copy is slow: 160 µs a MiB. Between processors that share a cache it is 20 to 110.
const SLOW: u128 = 160;

impl Pace {
    /// Bytes from which it matters; what is shorter stays where the reader looks first.
    pub(crate) const LEAST: usize = 8 << 10;

    /// Copies `len` bytes.
    ///
    /// # Safety
    /// As for `ptr::copy_nonoverlapping`.
    #[cold]
    pub(super) unsafe fn copy(&self, from: *const u8, to: *mut u8, len: usize) {
        // Threads that meet here make of it what one of them would have.
        let next = self.next.load(Ordering::Relaxed);
        if next & !PAST != 0 {
            self.next.store(next - 1, Ordering::Relaxed);
            if next & PAST != 0 {
                // SAFETY: promised by the caller.
                unsafe { past_caches(from, to, len) };
            } else {
                // SAFETY: promised by the caller.
                unsafe { ptr::copy_nonoverlapping(from, to, len) };
            }
            return;
        }
        let begun = Instant::now();
        // SAFETY: promised by the caller.
        unsafe { ptr::copy_nonoverlapping(from, to, len) };
        self.note(len, begun.elapsed());
    }

    /// Notes how long plain stores of `len` bytes took, and makes of it what the next ones are.
    pub(crate) fn note(&self, len: usize, time: Duration) {
        let slow = cfg!(target_arch = "x86_64") && time.as_nanos() > SLOW * (len as u128 >> 10).max(1);
        self.next.store(if slow { PAST | STREAMED } else { PLAIN }, Ordering::Relaxed);
    }

    /// Whether the next copy goes past the caches.
    pub(crate) fn goes_past(&self) -> bool {
        self.next.load(Ordering::Relaxed) > PAST
    }
}

/// Copies past the caches. Whoever reads an atomic that is stored with release after this finds the bytes.
///
/// # Safety
/// As for `ptr::copy_nonoverlapping`; every x86-64 has SSE2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
unsafe fn past_caches(from: *const u8, to: *mut u8, len: usize) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
    const LINE: usize = 64;
    let head = to.align_offset(LINE).min(len);
    let lines = (len - head) / LINE;
    let tail = len - head - lines * LINE;
    // SAFETY: the first `head` of the `len` bytes.
    unsafe { ptr::copy_nonoverlapping(from, to, head) };
    for line in 0..lines {
        for word in 0..LINE / size_of::<__m128i>() {
            let at = head + line * LINE + word * size_of::<__m128i>();
            // SAFETY: 16 bytes from `at` on lie within `len`; such a load needs no alignment.
            let value = unsafe { _mm_loadu_si128(from.wrapping_add(at).cast()) };
            // SAFETY: 16 bytes from `at` on lie within `len`, at a multiple of 16: `head` made `to` one of 64.
            unsafe { _mm_stream_si128(to.wrapping_add(at).cast(), value) };
        }
    }
    let rest = head + lines * LINE;
    // SAFETY: the last `tail` of the `len` bytes.
    unsafe { ptr::copy_nonoverlapping(from.wrapping_add(rest), to.wrapping_add(rest), tail) };
    // Such stores are not ordered with any later one by themselves.
    _mm_sfence();
}

/// Only x86-64 has been measured.
///
/// # Safety
/// As for `ptr::copy_nonoverlapping`.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn past_caches(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: promised by the caller.
    unsafe { ptr::copy_nonoverlapping(from, to, len) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_and_no_other() {
        let source: Vec<u8> = (0..20_000u32).map(|index| (index * 7 + index / 256) as u8).collect();
        for (skip, place, len) in [(0, 0, 16_384), (1, 3, 8192), (5, 64, 8191), (63, 1, 9000), (0, 17, 65), (2, 9, 10), (0, 64, 0)] {
            let mut target = vec![0xee; 20_000];
            // SAFETY: both ranges lie within their vectors, which are two.
            unsafe { past_caches(source[skip..].as_ptr(), target[place..].as_mut_ptr(), len) };
            assert_eq!(target[place..place + len], source[skip..skip + len], "{skip} {place} {len}");
            assert!(target[..place].iter().chain(&target[place + len..]).all(|byte| *byte == 0xee), "{skip} {place} {len}");
        }
    }

    #[test]
    fn a_timed_copy_says_how_the_next_ones_are_made() {
        let pace = Pace::default();
        for (time, past) in [(Duration::from_micros(1), false), (Duration::from_millis(1), cfg!(target_arch = "x86_64"))] {
            pace.note(Pace::LEAST, time);
            assert_eq!(pace.goes_past(), past, "{time:?}");
        }
        let source = vec![7u8; Pace::LEAST];
        for _ in 0..200 {
            let mut target = vec![0u8; Pace::LEAST];
            // SAFETY: two vectors of that length.
            unsafe { pace.copy(source.as_ptr(), target.as_mut_ptr(), Pace::LEAST) };
            assert_eq!(target, source);
            assert!(pace.next.load(Ordering::Relaxed) & !PAST <= STREAMED);
        }
    }
}
