//! Sleeping on a word of memory until somebody changes it. Shared futexes: the word may lie in memory of several processes.

use crate::deadline::Deadline;
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
        Some(libc::EINTR) => Waited::Woken,
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
