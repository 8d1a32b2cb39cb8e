//! Which signals a child sets to default itself: the clone clears handlers, but leaves ignored signals ignored.

use super::signal::{self, Mask};
use std::sync::atomic::{AtomicU64, Ordering};

/// Which signals the child sets to default itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetSignals {
    /// All, and the mask is emptied.
    All,
    /// None: mask and ignored signals as in the host.
    None,
    /// SIGPIPE and SIGXFSZ; the mask as in the host.
    Python,
}

const fn bit(signal: i32) -> Mask {
    1 << (signal - 1)
}

/// Signals that programs ignore and restore around a start: set to default in every child without asking. Each costs 0.15 µs.
const USUAL: Mask = bit(libc::SIGHUP) | bit(libc::SIGINT) | bit(libc::SIGQUIT) | bit(libc::SIGPIPE) | bit(libc::SIGTERM) | bit(libc::SIGCHLD);

/// Signals that the host is asked for, and what it answered last.
struct Probe {
    signals: Mask,
    /// How long an answer stays good: a burst of starts shares one.
    good_nanos: u64,
    asked_at: AtomicU64,
    ignored: AtomicU64,
}

impl Probe {
    const fn new(signals: Mask, good_nanos: u64) -> Probe {
        Probe { signals, good_nanos, asked_at: AtomicU64::new(0), ignored: AtomicU64::new(0) }
    }

    fn is_good(&self, now: u64) -> bool {
        // Another thread may have asked later than `now`.
        now.saturating_sub(self.asked_at.load(Ordering::Acquire)) < self.good_nanos
    }

    /// Which of its signals the host ignores.
    fn ignored(&self, now: u64) -> Mask {
        if !self.is_good(now) {
            self.ask(now);
        }
        self.ignored.load(Ordering::Acquire)
    }

    #[cold]
    fn ask(&self, now: u64) {
        self.ignored.store(signal::probe_ignored(self.signals), Ordering::Release);
        self.asked_at.store(now, Ordering::Release);
    }
}

/// The first of the real-time signals for the kernel.
const FIRST_REAL_TIME: i32 = 32;
const REAL_TIME_SIGNALS: Mask = !(bit(FIRST_REAL_TIME) - 1);
const STANDARD_SIGNALS: Mask = !(REAL_TIME_SIGNALS | USUAL | bit(libc::SIGKILL) | bit(libc::SIGSTOP));

/// One look at these 23 costs 5 µs, a fifteenth of a whole start.
static STANDARD: Probe = Probe::new(STANDARD_SIGNALS, 1_000_000);
/// And 7 µs at these 33, which hardly a program ignores.
static REAL_TIME: Probe = Probe::new(REAL_TIME_SIGNALS, 16_000_000);

/// With `parent_waits` what the child does costs the caller as much as what it does itself.
pub(super) fn reset_mask(reset: ResetSignals, parent_waits: bool) -> Mask {
    match reset {
        ResetSignals::None => 0,
        ResetSignals::Python => bit(libc::SIGPIPE) | bit(libc::SIGXFSZ),
        ResetSignals::All => USUAL | others_ignored(parent_waits),
    }
}

/// The other signals that the host ignores, or all of them: a caller that does not wait for a single start leaves the asking to its child, in which
/// setting a signal costs as much.
fn others_ignored(parent_waits: bool) -> Mask {
    static STARTED_AT: AtomicU64 = AtomicU64::new(0);
    // Never 0, which stands for "not yet".
    let now = monotonic_nanos() + REAL_TIME.good_nanos;
    let is_single = now.saturating_sub(STARTED_AT.swap(now, Ordering::AcqRel)) >= STANDARD.good_nanos;
    let asks_child = is_single && !parent_waits;
    let answer = |probe: &Probe| if asks_child && !probe.is_good(now) { probe.signals } else { probe.ignored(now) };
    answer(&STANDARD) | answer(&REAL_TIME)
}

/// The monotonic clock in nanoseconds: a plain number, which an `Instant` does not give.
fn monotonic_nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` has room for the result; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}
