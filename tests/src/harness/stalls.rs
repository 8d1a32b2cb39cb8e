//! How long this machine lets a thread wait that could run: what a test of promptness has to forgive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the watching thread looks at the clock.
const TICK: Duration = Duration::from_millis(5);
/// So many threads and processes have to run one after the other until a death is noticed: who dies, who is told, who waits.
const IN_A_ROW: u64 = 4;

/// Watches the machine for as long as it lives, by a thread that sleeps for 5 ms at a time.
pub struct Stalls {
    worst: Arc<AtomicU64>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stalls {
    /// Begins to watch.
    pub fn watch() -> Stalls {
        let worst = Arc::new(AtomicU64::new(0));
        let (end, ended) = channel();
        let seen = worst.clone();
        let body = move || {
            let mut before = Instant::now();
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let now = Instant::now();
                let late = (now - before).saturating_sub(TICK);
                seen.fetch_max(late.as_micros() as u64, Ordering::Relaxed);
                before = now;
            }
        };
        let thread = std::thread::Builder::new().name("procs-stalls".to_owned()).spawn(body).expect("a thread that watches the machine");
        Stalls { worst, end: Some(end), thread: Some(thread) }
    }

    /// Within what time the end of a process must be noticed: 200 ms (times `PROCS_TEST_SLOW`), three times that on a machine with more to
    /// do than it has processors, and what those in a row were made to wait for a processor.
    pub fn notice_limit(&self) -> Duration {
        super::notice_limit() + Duration::from_micros(self.worst.load(Ordering::Relaxed) * IN_A_ROW)
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
