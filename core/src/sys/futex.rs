//! Sleeping on a word of memory until somebody changes it. Shared futexes: the word may lie in memory of several processes.

use crate::deadline::{Deadline, note_interrupt};
use std::io;
use std::ptr;
use std::sync::atomic::AtomicU32;

/// How a wait ended. Every way may also be by chance: look at the word again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Somebody called [`wake`], or a signal came.
    Woken,
    /// The deadline passed.
    TimedOut,
    /// The word was not the expected one: nobody slept.
    Changed,
}

/// Sleeps while `word` is `expected`.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Deadline) -> Waited {
    let timeout = match deadline.remaining() {
        Some(left) if left.is_zero() => return Waited::TimedOut,
        left => left.map(super::poll::timespec),
    };
    let timeout_ptr = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word is live for the call; the kernel only reads it. The timeout is null or lives across the call.
    let result = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, timeout_ptr) };
    if result == 0 {
        return Waited::Woken;
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => Waited::TimedOut,
        Some(libc::EINTR) => {
            note_interrupt();
            Waited::Woken
        }
        // EAGAIN: another value. Anything else cannot happen with a live, aligned word; the caller looks again either way.
        _ => Waited::Changed,
    }
}

/// Wakes up to `count` sleepers of `word`; gives how many there were.
pub(crate) fn wake(word: &AtomicU32, count: i32) -> usize {
    // SAFETY: FUTEX_WAKE uses the address as a key only.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
    usize::try_from(woken).unwrap_or(0)
}

/// The most words that [`wait_any`] takes. Source: FUTEX_WAITV_MAX of linux/futex.h.
pub(crate) const MOST_WORDS: usize = 128;

/// One entry of futex_waitv(2).
#[repr(C)]
struct WaitEntry {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// Words of four bytes, shared between processes. Source: FUTEX2_SIZE_U32 of linux/futex.h.
const FOUR_BYTES: u32 = 2;

/// Sleeps while every word is what it is expected to be, up to [`MOST_WORDS`] of them; `None` where the kernel cannot (before 5.16).
pub(crate) fn wait_any(words: &[(&AtomicU32, u32)], deadline: Deadline) -> Option<Waited> {
    let entry =
        |(word, value): &(&AtomicU32, u32)| WaitEntry { value: u64::from(*value), address: word.as_ptr() as u64, flags: FOUR_BYTES, reserved: 0 };
    let entries: Vec<WaitEntry> = words.iter().take(MOST_WORDS).map(entry).collect();
    let until = match deadline.remaining() {
        Some(left) if left.is_zero() => return Some(Waited::TimedOut),
        left => left.map(super::robust::monotonic_after),
    };
    let until_ptr = until.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the entries name live words and live across the call, as does the time.
    let result = unsafe { libc::syscall(libc::SYS_futex_waitv, entries.as_ptr(), entries.len() as u32, 0u32, until_ptr, libc::CLOCK_MONOTONIC) };
    if result >= 0 {
        return Some(Waited::Woken);
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => Some(Waited::TimedOut),
        Some(libc::EINTR) => Some(Waited::Woken),
        Some(libc::EAGAIN) => Some(Waited::Changed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    #[test]
    fn a_changed_word_does_not_sleep_and_a_deadline_ends_the_sleep() {
        let word = AtomicU32::new(7);
        assert_eq!(wait(&word, 6, Deadline::NEVER), Waited::Changed);
        assert_eq!(wait(&word, 7, Deadline::after(Duration::ZERO)), Waited::TimedOut);
        assert_eq!(wait(&word, 7, Deadline::after(Duration::from_millis(2))), Waited::TimedOut);
        assert_eq!(wake(&word, i32::MAX), 0);
    }

    #[test]
    fn a_sleeper_is_woken() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::Acquire) == 0 {
                    wait(&word, 0, Deadline::NEVER);
                }
            });
            word.store(1, Ordering::Release);
            wake(&word, i32::MAX);
        });
    }
}
