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

/// How long the probe of the other signals stays good. 56 probes cost 8 µs, a tenth of a whole spawn: a burst of spawns shares one.
const PROBE_NANOS: u64 = 1_000_000;

pub(super) fn reset_mask(reset: ResetSignals) -> Mask {
    match reset {
        ResetSignals::None => 0,
        ResetSignals::Python => bit(libc::SIGPIPE) | bit(libc::SIGXFSZ),
        ResetSignals::All => USUAL | others_ignored(),
    }
}

/// The other signals that the host ignores.
fn others_ignored() -> Mask {
    static IGNORED: AtomicU64 = AtomicU64::new(0);
    static PROBED_AT: AtomicU64 = AtomicU64::new(0);
    let now = monotonic_nanos() + PROBE_NANOS;
    // Another thread may have probed later than `now`.
    if now.saturating_sub(PROBED_AT.load(Ordering::Acquire)) >= PROBE_NANOS {
        let signals = (1..=64).filter(|signal| USUAL & bit(*signal) == 0 && *signal != libc::SIGKILL && *signal != libc::SIGSTOP);
        IGNORED.store(signal::probe_ignored(signals), Ordering::Release);
        PROBED_AT.store(now, Ordering::Release);
    }
    IGNORED.load(Ordering::Acquire)
}

/// The monotonic clock in nanoseconds: a plain number, which an `Instant` does not give.
fn monotonic_nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` has room for the result; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}
