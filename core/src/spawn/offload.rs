//! Permanent spawner threads.
//!
//! They never end, because a parent-death signal fires when the *thread* that made the child ends. One that hangs in an exec on a dead disk
//! stays there, and the next job gets another.

use crate::error::{Error, Result};
use crate::sys::fork::PerProcess;
use crate::sys::signal;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Job = Box<dyn FnOnce() + Send>;

/// More than this many at once wait in the queue.
const MAX_THREADS: usize = 64;

struct Spawners {
    queue: Sender<Job>,
    jobs: Receiver<Job>,
    idle: Arc<AtomicUsize>,
    threads: usize,
}

static SPAWNERS: PerProcess<Mutex<Option<Spawners>>> = PerProcess::new();

thread_local! {
    static ON_SPAWNER: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is a spawner thread: it starts what it is given itself, because if all of them waited for another there would be none.
pub(super) fn on_spawner() -> bool {
    ON_SPAWNER.get()
}

/// Runs `job` on a spawner thread; its result arrives at the receiver.
pub(crate) fn run_on_spawner<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<Receiver<T>> {
    let (done, result) = bounded(1);
    submit(Box::new(move || {
        let _ = done.send(job());
    }))?;
    Ok(result)
}

/// Runs `job` on a thread of its own that ends with it: for waits that must not hold up starts.
pub(crate) fn run_aside(name: &str, job: impl FnOnce() + Send + 'static) -> Result<()> {
    let builder = std::thread::Builder::new().name(name.into()).stack_size(256 << 10);
    let started = builder.spawn(move || {
        signal::block_all_on_this_thread();
        job();
    });
    started.map(drop).map_err(|error| Error::from_io("stop", &error, "cannot start a thread"))
}

fn submit(job: Job) -> Result<()> {
    let mut slot = SPAWNERS.get().lock();
    let spawners = slot.get_or_insert_with(|| {
        let (queue, jobs) = unbounded();
        Spawners { queue, jobs, idle: Arc::default(), threads: 0 }
    });
    if spawners.queue.len() >= spawners.idle.load(Ordering::Acquire) && spawners.threads < MAX_THREADS {
        spawners.add_thread()?;
    }
    // The receiver is kept beside the sender, so this cannot fail.
    let _ = spawners.queue.send(job);
    Ok(())
}

impl Spawners {
    fn add_thread(&mut self) -> Result<()> {
        let jobs = self.jobs.clone();
        let idle = Arc::clone(&self.idle);
        idle.fetch_add(1, Ordering::AcqRel);
        let builder = std::thread::Builder::new().name("procs-spawner".into()).stack_size(256 << 10);
        let started = builder.spawn(move || {
            signal::block_all_on_this_thread();
            ON_SPAWNER.set(true);
            while let Ok(job) = jobs.recv() {
                idle.fetch_sub(1, Ordering::AcqRel);
                // A waker is user code. The thread must not end: its children may be bound to it.
                let _ = catch_unwind(AssertUnwindSafe(job));
                idle.fetch_add(1, Ordering::AcqRel);
            }
        });
        match started {
            Ok(_) => self.threads += 1,
            Err(error) => {
                self.idle.fetch_sub(1, Ordering::AcqRel);
                // With a thread already there the job only waits longer.
                if self.threads == 0 {
                    return Err(Error::from_io("spawn", &error, "cannot start a spawner thread"));
                }
            }
        }
        Ok(())
    }
}
