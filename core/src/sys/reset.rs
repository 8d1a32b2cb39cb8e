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

/// All others that have a disposition.
const OTHERS: Mask = !(USUAL | bit(libc::SIGKILL) | bit(libc::SIGSTOP));

/// How long the probe of the other signals stays good. 56 probes cost 8 µs, a tenth of a whole spawn: a burst of spawns shares one.
const PROBE_NANOS: u64 = 1_000_000;

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
    static IGNORED: AtomicU64 = AtomicU64::new(0);
    static PROBED_AT: AtomicU64 = AtomicU64::new(0);
    static STARTED_AT: AtomicU64 = AtomicU64::new(0);
    let now = monotonic_nanos() + PROBE_NANOS;
    // Another thread may have probed later than `now`.
    let is_over = |at: u64| now.saturating_sub(at) >= PROBE_NANOS;
    let is_single = is_over(STARTED_AT.swap(now, Ordering::AcqRel));
    if is_over(PROBED_AT.load(Ordering::Acquire)) {
        if is_single && !parent_waits {
            return OTHERS;
        }
        let signals = (1..=64).filter(|signal| OTHERS & bit(*signal) != 0);
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
