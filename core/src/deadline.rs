//! A point in time or never.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A point on the monotonic clock, or never. Bounds waits; the wall clock may jump without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Never passes.
    pub const NEVER: Deadline = Deadline(None);

    /// Passes after `timeout` from now; a timeout too long for the clock is never.
    pub fn after(timeout: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(timeout))
    }

    /// Passes after `timeout`, or never for `None`.
    #[inline]
    pub fn from_timeout(timeout: Option<Duration>) -> Deadline {
        timeout.map_or(Deadline::NEVER, Deadline::after)
    }

    /// Passes at `at`.
    pub fn at(at: Instant) -> Deadline {
        Deadline(Some(at))
    }

    /// The point in time, unless never.
    pub fn instant(self) -> Option<Instant> {
        self.0
    }

    /// Whether it has passed.
    #[inline]
    pub fn passed(self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }

    /// The time left: `None` is never, zero when it has passed.
    pub fn remaining(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// The earlier of the two.
    #[inline]
    pub fn min(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Deadline(Some(a.min(b))),
            (a, b) => Deadline(a.or(b)),
        }
    }
}

/// What signal handlers mean to the waits of a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interrupts {
    Ignored,
    Awaited,
    Happened,
}

thread_local! {
    static INTERRUPTS: Cell<Interrupts> = const { Cell::new(Interrupts::Ignored) };
}

/// Runs `body` so that a signal handler of the host that runs on this thread ends the wait it is in early: as if the deadline had passed,
/// with nothing lost, so that the wait can be repeated. Else waits go on after a handler. For interpreters, whose handlers in their own
/// language run only between calls. A signal that comes just before a wait does not end it: pass deadlines that are not too long.
///
/// ```
/// use procs::{Command, Deadline, interruptible};
/// use std::time::Duration;
/// let child = Command::new("true").spawn()?;
/// let status = loop {
///     // A signal, or 50 ms: time to look after other things.
///     let slice = Deadline::after(Duration::from_millis(50));
///     if let Some(status) = interruptible(|| child.handle().wait_deadline(slice))? {
///         break status;
///     }
/// };
/// assert!(status.success());
/// # Ok::<(), procs::Error>(())
/// ```
pub fn interruptible<T>(body: impl FnOnce() -> T) -> T {
    /// Puts back what an outer call had set, also when `body` panics.
    struct Restore(Interrupts);
    impl Drop for Restore {
        fn drop(&mut self) {
            INTERRUPTS.set(self.0);
        }
    }
    let _restore = Restore(INTERRUPTS.replace(Interrupts::Awaited));
    body()
}

/// Notes that a signal handler ran during a wait; whether the wait is to end.
pub(crate) fn note_interrupt() -> bool {
    let ends = INTERRUPTS.get() != Interrupts::Ignored;
    if ends {
        INTERRUPTS.set(Interrupts::Happened);
    }
    ends
}

/// Whether a signal handler has ended a wait of the call that is under way.
pub(crate) fn interrupted() -> bool {
    INTERRUPTS.get() == Interrupts::Happened
}
