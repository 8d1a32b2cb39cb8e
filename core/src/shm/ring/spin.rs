//! Whether it pays to look again and again before sleeping, learned from what happened last.
//!
//! A wake-up between processors costs some 20 µs, a hot ring 0.14 µs; but a side that spins for a peer that waits for this very processor
//! costs it a whole time slice. So a side spins only for a peer last seen on another processor, for a time that grows by a little with
//! every success and halves with every failure; after a large body for about as long as copies of one take. Before it sleeps, an event loop
//! gives way once to a peer on its own processor, as long as that pays.

use crate::sys::cpu;
use std::time::{Duration, Instant};

/// Longest spin: about what sleeping and being woken costs.
pub(crate) const CAP: Duration = Duration::from_micros(50);
/// What a body of so many bytes lets the next spin be longer: the peer copies it out, and copies one in for an answer, before it wakes anybody.
const BYTES_PER_MICROSECOND: usize = 8 << 10;
/// Bytes beyond which it becomes no longer.
const LARGEST: usize = 2 << 20;
/// Shortest spin before the first look at a clock, in looks.
const FIRST_LOOKS: u32 = 8;
/// Looks between two looks at the clock, which takes as long as some of them.
const LOOKS: u32 = 16;
/// What a success adds, at least: a spin that succeeded late makes the next one twice as long as it took.
const STEP: Duration = Duration::from_nanos(800);
/// A pause in the loop that is longer than this was not ours: somebody else needed the processor.
const PREEMPTED: Duration = Duration::from_micros(15);
/// A pause shorter than this was not a time slice of somebody who competes for the processor.
const BRIEF: Duration = Duration::from_micros(500);
/// After this many sleeps without a spin one is tried again; doubles with every failure.
const FIRST_RETRY: u32 = 32;
const LAST_RETRY: u32 = 4096;
/// The longest such pause where the peer's processor is not known: a peer that was interrupted looks like one that waits for this processor,
/// and one spin among so many sleeps costs little.
const LAST_BLIND: u32 = 128;

/// A peer that was given way to and took longer than this was not alone in waiting for the processor.
const LONG: Duration = Duration::from_micros(100);

/// How long a waiting side may look again before it sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// By experience: successes lengthen, failures halve, never above about 50 µs, after a large message 300 µs; only for a peer last seen on
    /// another processor.
    #[default]
    Adaptive,
    /// Never: sleep at once.
    Off,
    /// Always up to this time, whatever the processors and experience.
    Always(Duration),
}

/// The experience of one waiting side.
#[derive(Debug)]
pub(crate) struct Spinner {
    mode: Spin,
    budget: Duration,
    /// The longest spin that comes next.
    cap: Duration,
    /// Sleeps left until a long spin is tried again, and how many it will be after the next failure.
    until_retry: u32,
    retry: u32,
    /// The same for giving way; 0 while that pays.
    until_way: u32,
    retry_way: u32,
}

/// The outcome of a spin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// After this time, as far as it was measured.
    Ready(Duration),
    Spent,
    /// Somebody else had the processor for so long, as far as it was measured.
    Preempted(Duration),
}

impl Default for Spinner {
    /// One that never spins.
    fn default() -> Spinner {
        Spinner { mode: Spin::Off, budget: Duration::ZERO, cap: CAP, until_retry: 0, retry: 0, until_way: 0, retry_way: 0 }
    }
}

impl Spinner {
    pub(crate) fn new(mode: Spin) -> Spinner {
        Spinner { mode, budget: CAP, cap: CAP, until_retry: FIRST_RETRY, retry: FIRST_RETRY, until_way: 0, retry_way: FIRST_RETRY }
    }

    /// Notes a body of so many bytes: what is waited for next may be as large and take as long.
    pub(crate) fn expect(&mut self, len: usize) {
        self.cap = CAP + Duration::from_micros((len.min(LARGEST) / BYTES_PER_MICROSECOND) as u64);
    }

    /// Looks until `ready` or the budget is spent; whether it became ready. `rest` is how many pauses lie between two looks.
    pub(crate) fn wait(&mut self, peer_cpu: impl Fn() -> u32, rest: u32, mut ready: impl FnMut() -> bool) -> bool {
        let budget = match self.mode {
            Spin::Off => return false,
            Spin::Always(cap) => return matches!(spin(cap, rest, || true, &mut ready), Ended::Ready(_)),
            Spin::Adaptive => self.next_budget(),
        };
        if budget.is_zero() {
            return false;
        }
        let apart = || {
            let peer = peer_cpu();
            peer != cpu::UNKNOWN && peer != cpu::current()
        };
        if !apart() {
            return false;
        }
        let ended = spin(budget, rest, apart, &mut ready);
        self.learn(ended);
        matches!(ended, Ended::Ready(_))
    }

    /// Whether the next [`wait`](Spinner::wait) would look again and again.
    pub(crate) fn is_keen(&self, peer_cpu: u32) -> bool {
        match self.mode {
            Spin::Off => false,
            Spin::Always(_) => true,
            Spin::Adaptive => (!self.budget.is_zero() || self.until_retry <= 1) && peer_cpu != cpu::UNKNOWN && peer_cpu != cpu::current(),
        }
    }

    /// As [`wait`](Spinner::wait) for a peer whose processor is not known: only where this thread has more than one to run on, and what came
    /// while somebody else had this one is no success.
    pub(crate) fn wait_blind(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        let budget = match self.mode {
            Spin::Off => return false,
            Spin::Always(cap) => return matches!(spin(cap, 0, || true, &mut ready), Ended::Ready(_)),
            Spin::Adaptive => self.next_budget(),
        };
        if budget.is_zero() || cpu::allowed() < 2 {
            return false;
        }
        let start = Instant::now();
        let ended = spin(budget, 0, || true, &mut ready);
        match ended {
            Ended::Ready(after) if start.elapsed() > after + PREEMPTED => self.learn(Ended::Preempted(Duration::MAX)),
            ended => self.learn(ended),
        }
        (self.retry, self.until_retry) = (self.retry.min(LAST_BLIND), self.until_retry.min(LAST_BLIND));
        matches!(ended, Ended::Ready(_))
    }

    /// Lets a peer that was last seen on this processor run before this side goes to sleep, where experience says that it answers at once: each
    /// side then costs one change of threads, not a wake-up and a sleep. Whether it became ready.
    pub(crate) fn give_way(&mut self, peer_cpu: impl Fn() -> u32, mut ready: impl FnMut() -> bool) -> bool {
        if self.mode != Spin::Adaptive || peer_cpu() != cpu::current() {
            return false;
        }
        self.until_way = self.until_way.saturating_sub(1);
        if self.until_way > 0 {
            return false;
        }
        let start = Instant::now();
        cpu::give_way();
        let (is_ready, alone) = (ready(), start.elapsed() < LONG);
        if is_ready && alone {
            self.retry_way = FIRST_RETRY;
        } else {
            // Where others want the processor, too, each attempt costs a time slice.
            self.until_way = self.retry_way;
            self.retry_way = (self.retry_way * if alone { 2 } else { 8 }).min(LAST_RETRY);
        }
        is_ready
    }

    fn next_budget(&mut self) -> Duration {
        if self.budget.is_zero() {
            self.until_retry = self.until_retry.saturating_sub(1);
            if self.until_retry > 0 {
                return Duration::ZERO;
            }
            return self.cap;
        }
        if self.cap > CAP { self.cap } else { self.budget.min(CAP) }
    }

    fn learn(&mut self, ended: Ended) {
        let cap = std::mem::replace(&mut self.cap, CAP);
        match ended {
            Ended::Ready(after) => {
                self.budget = (self.budget + STEP).max(after * 2).min(cap);
                self.retry = FIRST_RETRY;
            }
            Ended::Spent | Ended::Preempted(_) => {
                // Beside large bodies there are threads that look after memory, again and again; they say nothing of the peer.
                let brief = matches!(ended, Ended::Preempted(pause) if cap > CAP && pause < BRIEF);
                self.budget = if ended == Ended::Spent || brief { self.budget / 2 } else { Duration::ZERO };
                if self.budget < STEP {
                    self.budget = Duration::ZERO;
                    self.until_retry = self.retry;
                    self.retry = (self.retry * 2).min(LAST_RETRY);
                }
            }
        }
    }
}

fn spin(budget: Duration, rest: u32, apart: impl Fn() -> bool, ready: &mut impl FnMut() -> bool) -> Ended {
    for _ in 0..FIRST_LOOKS {
        if pause_and_look(rest, ready) {
            return Ended::Ready(Duration::ZERO);
        }
    }
    let start = Instant::now();
    let mut last = start;
    loop {
        for _ in 0..LOOKS {
            if pause_and_look(rest, ready) {
                return Ended::Ready(last - start);
            }
        }
        let now = Instant::now();
        if now - last > PREEMPTED || !apart() {
            return Ended::Preempted(if now - last > PREEMPTED { now - last } else { Duration::MAX });
        }
        if now - start >= budget {
            return Ended::Spent;
        }
        last = now;
    }
}

#[inline]
fn pause_and_look(rest: u32, ready: &mut impl FnMut() -> bool) -> bool {
    for _ in 0..=rest {
        cpu::pause();
    }
    ready()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a wait looks that finds nothing.
    fn looks(spinner: &mut Spinner) -> u32 {
        let mut count = 0;
        let found = spinner.wait_blind(|| {
            count += 1;
            false
        });
        assert!(!found);
        count
    }

    #[test]
    fn who_is_told_not_to_spin_does_not_look() {
        assert_eq!(looks(&mut Spinner::new(Spin::Off)), 0);
        assert_eq!(looks(&mut Spinner::default()), 0);
        assert!(looks(&mut Spinner::new(Spin::Always(Duration::ZERO))) > 0);
    }

    #[test]
    fn failures_end_the_spinning_and_it_is_seldom_tried_again() {
        let mut spinner = Spinner::new(Spin::Adaptive);
        let spins = (0..1000).filter(|_| looks(&mut spinner) > 0).count();
        assert!(spins < 30, "{spins} of 1000 waits");
    }

    #[test]
    fn way_is_given_to_a_peer_here_that_answers() {
        let mut spinner = Spinner::new(Spin::Adaptive);
        let mut looks = 0;
        // On a busy machine others take the processor meanwhile, and then it does not pay.
        assert!((0..1000).any(|_| spinner.give_way(cpu::current, || true)));
        for _ in 0..1000 {
            spinner.give_way(cpu::current, || {
                looks += 1;
                false
            });
        }
        assert!(looks < 30, "{looks} of 1000 waits");
        for peer in [cpu::UNKNOWN, cpu::current().wrapping_add(10_000)] {
            assert!(!Spinner::new(Spin::Adaptive).give_way(|| peer, || true));
        }
        assert!(!Spinner::new(Spin::Off).give_way(cpu::current, || true));
    }

    #[test]
    fn after_a_large_body_it_is_waited_longer_once() {
        let mut spinner = Spinner::new(Spin::Adaptive);
        spinner.expect(usize::MAX);
        assert!(spinner.next_budget() > 4 * CAP);
        spinner.learn(Ended::Ready(CAP * 4));
        assert!(spinner.budget > CAP);
        spinner.learn(Ended::Ready(Duration::ZERO));
        assert_eq!(spinner.next_budget(), CAP);
        spinner.expect(1);
        assert_eq!(spinner.next_budget(), CAP);
    }

    #[test]
    fn who_sleeps_after_large_bodies_seldom_tries_again() {
        let mut spinner = Spinner::new(Spin::Adaptive);
        let spins = (0..1000).filter(|_| {
            spinner.expect(usize::MAX);
            looks(&mut spinner) > 0
        });
        assert!(spins.count() < 30);
    }

    #[test]
    fn who_was_interrupted_briefly_after_a_large_body_tries_again_but_not_for_ever() {
        let interrupted = |large, pause, times| {
            let mut spinner = Spinner::new(Spin::Adaptive);
            for _ in 0..times {
                spinner.expect(if large { usize::MAX } else { 1 });
                spinner.learn(Ended::Preempted(pause));
            }
            !spinner.next_budget().is_zero()
        };
        assert!(interrupted(true, BRIEF / 2, 1));
        assert!(!interrupted(true, BRIEF / 2, 20));
        assert!(!interrupted(true, BRIEF, 1));
        assert!(!interrupted(false, BRIEF / 2, 1));
    }

    #[test]
    fn who_is_keen_looks_and_nobody_else_does() {
        let elsewhere = cpu::current().wrapping_add(10_000);
        for (mode, keen) in [(Spin::Off, false), (Spin::Always(CAP), true), (Spin::Adaptive, true)] {
            assert_eq!(Spinner::new(mode).is_keen(elsewhere), keen, "{mode:?}");
        }
        assert!(!Spinner::new(Spin::Adaptive).is_keen(cpu::UNKNOWN));
        let mut spinner = Spinner::new(Spin::Adaptive);
        for _ in 0..200 {
            let (keen, mut looked) = (spinner.is_keen(elsewhere), false);
            spinner.wait(
                || elsewhere,
                0,
                || {
                    looked = true;
                    false
                },
            );
            assert_eq!(looked, keen);
        }
    }

    #[test]
    fn success_keeps_it_up() {
        if cpu::allowed() < 2 {
            return;
        }
        let mut spinner = Spinner::new(Spin::Adaptive);
        let spun = (0..1000).filter(|_| spinner.wait_blind(|| true)).count();
        // Whoever is interrupted inside of one spins again after some sleeps.
        assert!(spun > 100, "{spun} of 1000 waits");
    }
}
