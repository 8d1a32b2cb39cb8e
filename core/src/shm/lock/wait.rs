//! Waiting for a lock: by sleeping, or as a future that needs no runtime and blocks nobody.

use super::deaths::{Deaths, Mortal};
use super::watcher::{self, Registration};
use super::{Head, LONG_SLICE, SLICE};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::futex::{self, Waited};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

/// One way to want something of a lock.
pub(super) trait Attempt {
    type Output;
    /// How long a waiter sleeps at most before it looks after the living; `None` where nobody's death matters.
    const SLICE: Option<Duration> = Some(SLICE);

    fn head(&self) -> &Head;

    /// Tries once, without sleeping; `check` also takes back what dead processes hold.
    fn attempt(&mut self, check: bool) -> Result<Option<Self::Output>>;

    /// Those whose death would let this one go on, after an attempt that failed; `None` when others may follow without a change of the lock's
    /// sequence.
    fn holders(&self) -> Option<Vec<Mortal>> {
        None
    }

    /// Withdraws what the attempts left behind.
    fn give_up(&mut self) {}
}

/// Counts as a waiter, so that whoever changes something wakes.
struct Waiter {
    head: Head,
    /// Made for waits that last.
    deaths: Option<Deaths>,
}

impl Waiter {
    fn new(head: &Head) -> Waiter {
        head.waiters.fetch_add(1, Ordering::SeqCst);
        Waiter { head: head.clone(), deaths: None }
    }

    /// Until when to sleep. Most waits are shorter than a slice: the holders are watched only from the second one on.
    fn next_look<A: Attempt>(&mut self, wanted: &A, deadline: Deadline, first: bool) -> Deadline {
        let Some(slice) = A::SLICE else { return deadline };
        let told = !first && wanted.holders().is_some_and(|holders| self.deaths.get_or_insert_with(|| Deaths::new(&self.head)).watch(&holders));
        deadline.min(Deadline::after(if told { LONG_SLICE } else { slice }))
    }

    /// Whether a holder has died since the last call.
    fn heard_of_death(&mut self) -> bool {
        self.deaths.as_mut().is_some_and(Deaths::happened)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.head.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}

fn late(noun: &'static str) -> Error {
    Error::new(ErrorKind::Timeout, noun, "the deadline passed while others had it")
}

/// Sleeps until an attempt succeeds or the deadline passes. `Deadline::after` zero is a try.
pub(super) fn block_on<A: Attempt>(mut wanted: A, deadline: Deadline, noun: &'static str) -> Result<A::Output> {
    if let Some(done) = wanted.attempt(false)? {
        return Ok(done);
    }
    if deadline.remaining() == Some(Duration::ZERO) {
        let last = wanted.attempt(true);
        if !matches!(last, Ok(Some(_))) {
            wanted.give_up();
        }
        return last?.ok_or_else(|| Error::new(ErrorKind::WouldBlock, noun, "others have it"));
    }
    let mut waiter = Waiter::new(wanted.head());
    let (mut check, mut first) = (true, true);
    loop {
        let expected = waiter.head.sequence.load(Ordering::SeqCst);
        match wanted.attempt(check) {
            Ok(Some(done)) => return Ok(done),
            Ok(None) if !deadline.passed() => {}
            other => {
                wanted.give_up();
                return other?.ok_or_else(|| late(noun));
            }
        }
        let until = waiter.next_look(&wanted, deadline, first);
        let late = futex::wait(&waiter.head.sequence, expected, until) == Waited::TimedOut;
        first &= !late;
        check = waiter.heard_of_death() || late;
    }
}

/// Resolves to what was wanted of a lock. Needs no runtime: one thread of the library sleeps for all of them. It never blocks whoever polls it;
/// dropping it withdraws the wish.
#[must_use = "a future does nothing unless awaited"]
pub struct LockFuture<T>(Pin<Box<dyn Future<Output = Result<T>> + Send>>);

impl<T> fmt::Debug for LockFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockFuture")
    }
}

impl<T> Future for LockFuture<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        self.0.as_mut().poll(cx)
    }
}

struct Wish<A: Attempt> {
    wanted: A,
    deadline: Deadline,
    noun: &'static str,
    waiter: Option<Waiter>,
    registration: Option<Registration>,
    finished: bool,
}

impl<A: Attempt> Drop for Wish<A> {
    fn drop(&mut self) {
        if !self.finished {
            self.wanted.give_up();
        }
    }
}

impl<A: Attempt + Unpin> Future for Wish<A> {
    type Output = Result<A::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.registration = None;
        // Whatever woke it: a look after the living costs little beside a wake-up.
        let check = this.waiter.is_some();
        let waiter = this.waiter.get_or_insert_with(|| Waiter::new(this.wanted.head()));
        waiter.heard_of_death();
        let expected = waiter.head.sequence.load(Ordering::SeqCst);
        let result = match this.wanted.attempt(check) {
            Ok(None) if this.deadline.passed() => Err(late(this.noun)),
            Ok(None) => {
                let until = waiter.next_look(&this.wanted, this.deadline, !check);
                match watcher::register(&waiter.head.sequence, expected, until, cx.waker()) {
                    Ok(registration) => {
                        this.registration = Some(registration);
                        return Poll::Pending;
                    }
                    Err(error) => Err(error),
                }
            }
            Ok(Some(done)) => Ok(done),
            Err(error) => Err(error),
        };
        if result.is_err() {
            this.wanted.give_up();
        }
        this.finished = true;
        this.waiter = None;
        Poll::Ready(result)
    }
}

/// The same as a future.
pub(super) fn future<A>(wanted: A, deadline: Deadline, noun: &'static str) -> LockFuture<A::Output>
where
    A: Attempt + Unpin + Send + 'static,
{
    LockFuture(Box::pin(Wish { wanted, deadline, noun, waiter: None, registration: None, finished: false }))
}
