//! Waiting for a lock: by sleeping, or as a future that needs no runtime and blocks nobody.

use super::watcher::{self, Registration};
use super::{Head, SLICE};
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

    /// Withdraws what the attempts left behind.
    fn give_up(&mut self) {}
}

/// Counts as a waiter, so that whoever changes something wakes.
struct Waiter(Head);

impl Waiter {
    fn new(head: &Head) -> Waiter {
        head.waiters.fetch_add(1, Ordering::SeqCst);
        Waiter(head.clone())
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}

fn next_look<A: Attempt>(deadline: Deadline) -> Deadline {
    A::SLICE.map_or(deadline, |slice| deadline.min(Deadline::after(slice)))
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
    let waiter = Waiter::new(wanted.head());
    let mut check = true;
    loop {
        let expected = waiter.0.sequence.load(Ordering::SeqCst);
        match wanted.attempt(check) {
            Ok(Some(done)) => return Ok(done),
            Ok(None) if !deadline.passed() => {}
            other => {
                wanted.give_up();
                return other?.ok_or_else(|| late(noun));
            }
        }
        check = futex::wait(&waiter.0.sequence, expected, next_look::<A>(deadline)) == Waited::TimedOut;
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
        let expected = waiter.0.sequence.load(Ordering::SeqCst);
        let result = match this.wanted.attempt(check) {
            Ok(None) if this.deadline.passed() => Err(late(this.noun)),
            Ok(None) => match watcher::register(&waiter.0.sequence, expected, next_look::<A>(this.deadline), cx.waker()) {
                Ok(registration) => {
                    this.registration = Some(registration);
                    return Poll::Pending;
                }
                Err(error) => Err(error),
            },
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
