//! A point in time or never.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A point on the monotonic clock, or never. Bounds waits; the wall clock may jump without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(When);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Never,
    /// Before any look at the clock.
    Past,
    At(Instant),
}

impl Deadline {
    /// Never passes.
    pub const NEVER: Deadline = Deadline(When::Never);

    /// Has passed: to look, and not to wait. Nobody needs to read a clock for it.
    pub const PASSED: Deadline = Deadline(When::Past);

    /// Passes after `timeout` from now; a timeout too long for the clock is never.
    pub fn after(timeout: Duration) -> Deadline {
        Instant::now().checked_add(timeout).map_or(Deadline::NEVER, Deadline::at)
    }

    /// Passes after `timeout`, or never for `None`.
    #[inline]
    pub fn from_timeout(timeout: Option<Duration>) -> Deadline {
        timeout.map_or(Deadline::NEVER, Deadline::after)
    }

    /// Passes at `at`.
    pub fn at(at: Instant) -> Deadline {
        Deadline(When::At(at))
    }

    /// The point in time, unless never; now for one that has [passed](Deadline::PASSED).
    pub fn instant(self) -> Option<Instant> {
        match self.0 {
            When::Never => None,
            When::Past => Some(Instant::now()),
            When::At(at) => Some(at),
        }
    }

    /// Whether it has passed.
    #[inline]
    pub fn passed(self) -> bool {
        match self.0 {
            When::Never => false,
            When::Past => true,
            When::At(at) => Instant::now() >= at,
        }
    }

    /// The time left: `None` is never, zero when it has passed.
    pub fn remaining(self) -> Option<Duration> {
        match self.0 {
            When::Never => None,
            When::Past => Some(Duration::ZERO),
            When::At(at) => Some(at.saturating_duration_since(Instant::now())),
        }
    }

    /// At most a [`ROUND`] from now within [`interruptible`], where the caller leaves it to the wait to come back that often.
    #[inline]
    pub(crate) fn within_a_round(self) -> Deadline {
        if interrupts_awaited() { self.min(Deadline::after(ROUND)) } else { self }
    }

    /// The earlier of the two.
    #[inline]
    pub fn min(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (When::At(a), When::At(b)) => Deadline::at(a.min(b)),
            (When::Never, other) | (other, When::Never) => Deadline(other),
            (When::Past, _) | (_, When::Past) => Deadline::PASSED,
        }
    }
}

/// How long a wait that comes back by itself lets a signal wait that came just before it, or to another thread.
pub(crate) const ROUND: Duration = Duration::from_millis(50);

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

/// Whether signal handlers end the waits of the call that is under way.
pub(crate) fn interrupts_awaited() -> bool {
    INTERRUPTS.get() != Interrupts::Ignored
}

/// Whether a signal handler has ended a wait of the call that is under way.
pub(crate) fn interrupted() -> bool {
    INTERRUPTS.get() == Interrupts::Happened
}
