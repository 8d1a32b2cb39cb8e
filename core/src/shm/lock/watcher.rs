//! The one thread that sleeps on words of shared memory for all futures of this process.
//!
//! Started on first use, started anew in a forked copy of the host. It sleeps on up to 127 words at once and on one of its own, which tells it
//! that the list changed; what is beyond is looked at every [`POLL`], as is everything where the kernel cannot sleep on several words.

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::sys::fork::{self, PerProcess};
use crate::sys::futex;
use crate::sys::shared::Placed;
use crate::sys::signal;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(2);

struct Entry {
    id: u64,
    word: Placed<AtomicU32>,
    expected: u32,
    due: Deadline,
    waker: Waker,
}

#[derive(Default)]
struct Table {
    started: bool,
    next_id: u64,
    entries: Vec<Entry>,
}

#[derive(Default)]
struct Watcher {
    /// Changes with the table.
    control: AtomicU32,
    table: Mutex<Table>,
}

static WATCHER: PerProcess<Watcher> = PerProcess::new();

/// A one-shot wish to be woken; dropping it cancels.
pub(super) struct Registration {
    id: u64,
    generation: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.generation == fork::generation() {
            let watcher = WATCHER.get();
            let gone = {
                let mut table = watcher.table.lock();
                let index = table.entries.iter().position(|entry| entry.id == self.id);
                index.map(|index| table.entries.swap_remove(index))
            };
            // Not under the lock: a waker is user code. The thread lets go of the word at its next round, which comes now.
            if gone.is_some() {
                watcher.nudge();
            }
        }
    }
}

/// Wakes `waker` once `word` is not `expected` any more, or `due` has passed.
pub(super) fn register(word: &Placed<AtomicU32>, expected: u32, due: Deadline, waker: &Waker) -> Result<Registration> {
    let watcher = WATCHER.get();
    let mut table = watcher.table.lock();
    if !table.started {
        let builder = std::thread::Builder::new().name("procs-sleeper".into()).stack_size(256 << 10);
        let run = builder.spawn(move || watcher.run());
        run.map_err(|error| Error::from_io("lock", &error, "cannot start the waiting thread"))?;
        table.started = true;
    }
    table.next_id += 1;
    let id = table.next_id;
    table.entries.push(Entry { id, word: word.clone(), expected, due, waker: waker.clone() });
    drop(table);
    watcher.nudge();
    Ok(Registration { id, generation: fork::generation() })
}

impl Watcher {
    fn nudge(&self) {
        self.control.fetch_add(1, Ordering::SeqCst);
        futex::wake(&self.control, 1);
    }

    /// Takes out what is due and gives what is left to sleep on.
    fn sort(&self, due: &mut Vec<Waker>) -> (Vec<(Placed<AtomicU32>, u32)>, Deadline) {
        let mut table = self.table.lock();
        let mut words = Vec::with_capacity(table.entries.len());
        let mut next = Deadline::NEVER;
        table.entries.retain(|entry| {
            if entry.word.load(Ordering::SeqCst) != entry.expected || entry.due.passed() {
                due.push(entry.waker.clone());
                return false;
            }
            words.push((entry.word.clone(), entry.expected));
            next = next.min(entry.due);
            true
        });
        (words, next)
    }

    fn run(&self) {
        signal::block_all_on_this_thread();
        let mut due = Vec::new();
        loop {
            let control = self.control.load(Ordering::SeqCst);
            let (words, mut next) = self.sort(&mut due);
            for waker in due.drain(..) {
                // A waker is user code: its panic must not end the thread that everybody waits on.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
            if words.len() >= futex::MOST_WORDS {
                next = next.min(Deadline::after(POLL));
            }
            let mut all: Vec<(&AtomicU32, u32)> = vec![(&self.control, control)];
            all.extend(words.iter().map(|(word, expected)| (&**word, *expected)));
            if futex::wait_any(&all, next).is_none() {
                let next = if words.is_empty() { next } else { next.min(Deadline::after(POLL)) };
                futex::wait(&self.control, control, next);
            }
        }
    }
}
