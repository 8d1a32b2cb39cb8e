//! How long this machine lets a thread wait that could run: what a test of promptness has to forgive.

use super::watchdog::limit;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a watching thread looks at the clock.
const TICK: Duration = Duration::from_millis(5);
/// So many threads and processes have to run one after the other until a death is noticed: who dies, who is told, who waits.
const IN_A_ROW: u64 = 4;
/// Seconds within which an end is noticed even where a thread was stopped in the middle.
const AT_LAST: u64 = 20;

/// Watches the machine for as long as it lives, by a thread on each processor that sleeps for 5 ms at a time.
pub struct Stalls {
    worst: Arc<AtomicU64>,
    watchers: Vec<(Sender<()>, JoinHandle<()>)>,
    noticed: Mutex<Noticed>,
}

#[derive(Default)]
struct Noticed {
    rounds: usize,
    late: Vec<Duration>,
}

impl Stalls {
    /// Begins to watch.
    pub fn watch() -> Stalls {
        let worst = Arc::new(AtomicU64::new(0));
        let allowed = sched_getaffinity(Pid::from_raw(0)).expect("the processors of this thread");
        let processors = (0..CpuSet::count()).filter(|number| allowed.is_set(*number).unwrap_or(false));
        let watchers = processors.map(|number| watcher(number, &worst)).collect();
        Stalls { worst, watchers, noticed: Mutex::default() }
    }

    /// Within what time the end of a process must be noticed: 200 ms (times `PROCS_TEST_SLOW`), three times that on a machine with more to
    /// do than it has processors, and what those in a row were made to wait for a processor.
    pub fn notice_limit(&self) -> Duration {
        super::notice_limit() + Duration::from_micros(self.worst.load(Ordering::Relaxed) * IN_A_ROW)
    }

    /// Whether the end of a process, noticed so late, was noticed in time.
    pub fn is_prompt(&self, late: Duration) -> bool {
        if late >= super::notice_limit() {
            // A watcher on the processor that stood still may come to the clock after the one who is late.
            std::thread::sleep(TICK * 2);
        }
        late < self.notice_limit()
    }

    /// Takes down how late an end was noticed in one round of many. More than one in ten, beyond two, must not be late, none by 20 s (times
    /// `PROCS_TEST_SLOW`): a machine that stops one thread for a while explains single ones.
    pub fn note(&self, what: &str, late: Duration) {
        assert!(late < limit(AT_LAST), "{what}: noticed after {late:?}");
        let is_prompt = self.is_prompt(late);
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        noticed.rounds += 1;
        if !is_prompt {
            noticed.late.push(late);
        }
        let allowed = 2 + noticed.rounds / 10;
        assert!(noticed.late.len() <= allowed, "{what}: of {} rounds these were noticed late: {:?}", noticed.rounds, noticed.late);
    }
}

/// A thread on this processor that keeps the worst wait there was.
fn watcher(processor: usize, worst: &Arc<AtomicU64>) -> (Sender<()>, JoinHandle<()>) {
    let (end, ended) = channel();
    let seen = Arc::clone(worst);
    let body = move || {
        let mut only = CpuSet::new();
        let _ = only.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
        let mut before = Instant::now();
        while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            let now = Instant::now();
            let late = (now - before).saturating_sub(TICK);
            seen.fetch_max(late.as_micros() as u64, Ordering::Relaxed);
            before = now;
        }
    };
    let thread = std::thread::Builder::new().name("procs-stalls".to_owned()).spawn(body).expect("a thread that watches the machine");
    (end, thread)
}

impl Drop for Stalls {
    fn drop(&mut self) {
        for (end, thread) in self.watchers.drain(..) {
            drop(end);
            let _ = thread.join();
        }
    }
}
