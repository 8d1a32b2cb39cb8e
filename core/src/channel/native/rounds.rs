//! Waits that end every so often, so that an interpreter can look after its signal handlers, without a timer each.
//!
//! To arm a timer and take it back costs a side of a round trip 0.3 µs of 3. So the reactor goes rounds while somebody sleeps, and ends the
//! sleep that it finds; rounds that find nobody for a while are the last.

use super::line::{Line, RingLine};
use crate::deadline::{Deadline, ROUND, interrupted};
use crate::error::Result;
use crate::io::reactor::{Watch, watch_time};
use crate::shm::ring::FUTEX_DATA;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Instant;

/// So many rounds that found nobody asleep are the last: each start wakes the reactor.
const LAST: u32 = 10;

/// The rounds of one end.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// Somebody sleeps whom a round is to wake. He has the receiver's lock, so that there is only one.
    asleep: AtomicBool,
    going: AtomicBool,
    /// The last sleep was a long one: the next has a timer, so that two threads need not wake up for one that waits for hours.
    long: AtomicBool,
    /// Counts the sleeps that were ended.
    number: AtomicU32,
    /// Rounds without anybody asleep, one after the other.
    idle: AtomicU32,
    watch: Mutex<Option<Watch>>,
}

impl Rounds {
    /// The last round was the last.
    pub(super) fn stop(&self) {
        let watch = self.watch.lock().take();
        drop(watch);
    }
}

impl Line {
    /// Sleeps for data as [`Line::sleep`] does, but at most until the next round or signal handler. False when one of these, and not data or the
    /// deadline, may be why it ended.
    pub(super) fn sleep_a_round(self: &Arc<Line>, ring: &RingLine, deadline: Deadline, mut ready: impl FnMut() -> bool) -> bool {
        let rounds = &self.rounds;
        if rounds.long.load(Ordering::Relaxed) {
            self.sleep(ring, FUTEX_DATA, deadline.min(Deadline::after(ROUND)), &mut ready);
            let came = ready();
            rounds.long.store(!came, Ordering::Relaxed);
            return came;
        }
        let number = rounds.number.load(Ordering::Relaxed);
        // Before the look at `going`, as whoever ends the rounds looks for sleepers after he has said so: one of the two sees the other.
        rounds.asleep.store(true, Ordering::SeqCst);
        let going = rounds.going.load(Ordering::SeqCst) || self.start_rounds().is_ok();
        let until = if going { deadline } else { deadline.min(Deadline::after(ROUND)) };
        let ended = || rounds.number.load(Ordering::Relaxed) != number;
        self.sleep(ring, FUTEX_DATA, until, || ready() || ended());
        rounds.asleep.store(false, Ordering::Relaxed);
        rounds.long.store(ended(), Ordering::Relaxed);
        going && !ended() && !interrupted()
    }

    #[cold]
    fn start_rounds(self: &Arc<Line>) -> Result<()> {
        if self.rounds.going.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.rounds.idle.store(0, Ordering::Relaxed);
        let begun = self.plan_round();
        if begun.is_err() {
            self.rounds.going.store(false, Ordering::SeqCst);
        }
        begun
    }

    fn plan_round(self: &Arc<Line>) -> Result<()> {
        let waker = Waker::from(Arc::new(Round(Arc::downgrade(self))));
        let watch = watch_time(Instant::now() + ROUND, &waker)?;
        let spent = self.rounds.watch.lock().replace(watch);
        drop(spent);
        Ok(())
    }

    fn go_round(self: &Arc<Line>) {
        let rounds = &self.rounds;
        if self.is_shut() {
            return;
        }
        if rounds.asleep.load(Ordering::SeqCst) {
            rounds.idle.store(0, Ordering::Relaxed);
            rounds.number.fetch_add(1, Ordering::Relaxed);
            self.wake_reader();
        } else if rounds.idle.fetch_add(1, Ordering::Relaxed) >= LAST {
            rounds.going.store(false, Ordering::SeqCst);
            if !rounds.asleep.load(Ordering::SeqCst) || rounds.going.swap(true, Ordering::SeqCst) {
                return;
            }
        }
        if self.plan_round().is_err() {
            // Who sleeps on is woken by what he waits for; the next one tries again.
            rounds.going.store(false, Ordering::SeqCst);
        }
    }
}

/// Woken by the reactor when it is time for a round.
struct Round(Weak<Line>);

impl Wake for Round {
    fn wake(self: Arc<Self>) {
        if let Some(line) = self.0.upgrade() {
            line.go_round();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::channel::native::pair::{open, pair};
    use crate::channel::options::ChannelOptions;
    use crate::deadline::{Deadline, ROUND, interruptible};
    use crate::shm::Spin;
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};

    #[test]
    fn a_sleep_ends_with_the_round_and_rounds_end_without_sleepers() {
        let options = ChannelOptions { spin: Spin::Off, ..ChannelOptions::default() };
        let (here, there) = pair(&options).expect("a pair");
        let (here, there) = (open(here, &options).expect("an end"), open(there, &options).expect("an end"));
        let mut body = Vec::new();
        let look = |body: &mut Vec<u8>| {
            let begun = Instant::now();
            let found = interruptible(|| here.seek_plain(body, Some(Deadline::after(Duration::from_secs(60)))));
            assert!(begun.elapsed() < Duration::from_secs(30), "no round came");
            found.expect("the other side is there")
        };
        for _ in 0..2 {
            let before = here.line.rounds.number.load(Ordering::SeqCst);
            assert!(look(&mut body).is_none(), "nothing was sent");
            assert!(here.line.rounds.number.load(Ordering::SeqCst) > before, "a timer ended the first sleep");
            let limit = Instant::now() + Duration::from_secs(60);
            while here.line.rounds.going.load(Ordering::SeqCst) {
                assert!(Instant::now() < limit, "the rounds go on for nobody");
                assert!(look(&mut body).is_none(), "nothing was sent");
            }
            while here.line.rounds.long.load(Ordering::SeqCst) {
                assert!(Instant::now() < limit, "data during a sleep is not noted");
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        assert!(there.recv(Some(Deadline::after(ROUND / 4))).is_err(), "nothing was sent");
                        there.send_bytes(b"kept", Some(Deadline::NEVER)).expect("sent");
                    });
                    while look(&mut body).is_none() {}
                });
                assert_eq!(std::mem::take(&mut body), b"kept");
            }
        }
    }
}
