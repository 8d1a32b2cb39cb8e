//! The one thread that waits: descriptors and points in time, for whoever left a waker.
//!
//! Started on first use, started anew in a forked copy of the host. It only calls wakers; it takes no lock while it does, and it blocks
//! every signal so that no handler of the host ever runs on it.

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::sys::fork::{self, PerProcess};
use crate::sys::poll::{Epoll, EventFd, Ready, Wanted};
use crate::sys::signal;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

/// What a watch on a descriptor waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
    /// Only that the other side is gone.
    HangUp,
}

/// A one-shot watch; the waker is woken once, then the watch is spent. Dropping it cancels. It must go before its descriptor is closed.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    id: u64,
    on: On,
}

#[derive(Clone, Copy, Debug)]
enum On {
    Fd(RawFd),
    Time(Instant),
}

struct Entry {
    id: u64,
    interest: Interest,
    waker: Waker,
}

/// The watches on one descriptor.
struct Watched {
    /// Differs when the descriptor was closed and its number given to another file in between.
    round: u32,
    entries: Vec<Entry>,
}

#[derive(Default)]
struct Table {
    next_id: u64,
    next_round: u32,
    fds: HashMap<RawFd, Watched>,
    timers: BTreeMap<(Instant, u64), Waker>,
}

struct Shared {
    generation: u64,
    epoll: Epoll,
    wake: EventFd,
    table: Mutex<Table>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reactor")
    }
}

static REACTOR: PerProcess<Mutex<Option<Arc<Shared>>>> = PerProcess::new();

fn reactor() -> Result<Arc<Shared>> {
    let generation = fork::generation();
    let mut slot = REACTOR.get().lock();
    if let Some(shared) = slot.as_ref() {
        return Ok(Arc::clone(shared));
    }
    let failed = |error: std::io::Error| Error::from_io("reactor", &error, "cannot start the waiting thread");
    let epoll = Epoll::new().map_err(failed)?;
    let wake = EventFd::new("reactor")?;
    epoll.add(wake.as_fd().as_raw_fd(), 0, Wanted { read: true, write: false }).map_err(failed)?;
    let shared = Arc::new(Shared { generation, epoll, wake, table: Mutex::default() });
    let run = Arc::clone(&shared);
    let builder = std::thread::Builder::new().name("procs-reactor".into()).stack_size(256 << 10);
    builder.spawn(move || run.run()).map_err(failed)?;
    *slot = Some(Arc::clone(&shared));
    Ok(shared)
}

/// Wakes `waker` once `fd` is ready, hung up or in error.
pub(crate) fn watch_fd(fd: BorrowedFd<'_>, interest: Interest, waker: &Waker) -> Result<Watch> {
    let shared = reactor()?;
    let raw = fd.as_raw_fd();
    let mut table = shared.table.lock();
    let id = table.take_id();
    let watched = table.watched(raw);
    watched.entries.push(Entry { id, interest, waker: waker.clone() });
    let (first, round, wanted) = (watched.entries.len() == 1, watched.round, wanted(&watched.entries));
    let result = if first { shared.epoll.add(raw, round, wanted) } else { shared.epoll.modify(raw, round, wanted) };
    if let Err(error) = result {
        table.forget_fd(raw, id);
        drop(table);
        if error.raw_os_error() == Some(libc::EPERM) {
            // A regular file is always ready; epoll refuses it.
            waker.wake_by_ref();
        } else {
            return Err(Error::from_io("reactor", &error, format!("cannot wait for descriptor {raw}")));
        }
    } else {
        drop(table);
    }
    Ok(Watch { shared, id, on: On::Fd(raw) })
}

/// Wakes `waker` once `at` has passed.
pub(crate) fn watch_time(at: Instant, waker: &Waker) -> Result<Watch> {
    let shared = reactor()?;
    let mut table = shared.table.lock();
    let id = table.take_id();
    let first = table.timers.keys().next().is_none_or(|(earliest, _)| at < *earliest);
    table.timers.insert((at, id), waker.clone());
    drop(table);
    if first {
        shared.wake.signal();
    }
    Ok(Watch { shared, id, on: On::Time(at) })
}

impl Drop for Watch {
    fn drop(&mut self) {
        // In a forked copy the epoll instance is still the parent's: hands off.
        if self.shared.generation != fork::generation() {
            return;
        }
        let mut table = self.shared.table.lock();
        match self.on {
            On::Time(at) => drop(table.timers.remove(&(at, self.id))),
            On::Fd(raw) => {
                if table.forget_fd(raw, self.id) {
                    self.shared.arm(&table, raw);
                }
            }
        }
    }
}

fn wanted(entries: &[Entry]) -> Wanted {
    Wanted {
        read: entries.iter().any(|entry| entry.interest == Interest::Read),
        write: entries.iter().any(|entry| entry.interest == Interest::Write),
    }
}

impl Table {
    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The watches on a descriptor, perhaps none yet.
    fn watched(&mut self, raw: RawFd) -> &mut Watched {
        let next_round = &mut self.next_round;
        self.fds.entry(raw).or_insert_with(|| {
            *next_round = next_round.wrapping_add(1);
            Watched { round: *next_round, entries: Vec::new() }
        })
    }

    /// Removes an entry; whether it was there.
    fn forget_fd(&mut self, raw: RawFd, id: u64) -> bool {
        let Some(Watched { entries, .. }) = self.fds.get_mut(&raw) else { return false };
        let before = entries.len();
        entries.retain(|entry| entry.id != id);
        let found = entries.len() < before;
        if entries.is_empty() {
            self.fds.remove(&raw);
        }
        found
    }

    /// Takes out the wakers of a ready descriptor. False, and nothing happens, when the event is of a file that had this number before: the
    /// table may change between the event and its turn.
    fn take_ready(&mut self, ready: Ready, out: &mut Vec<Waker>) -> bool {
        let Some(watched) = self.fds.get_mut(&ready.fd).filter(|watched| watched.round == ready.round) else { return false };
        let due = |entry: &Entry| match entry.interest {
            Interest::Read => ready.read,
            Interest::Write => ready.write,
            Interest::HangUp => ready.hang_up,
        };
        let (woken, waiting): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut watched.entries).into_iter().partition(due);
        out.extend(woken.into_iter().map(|entry| entry.waker));
        watched.entries = waiting;
        if watched.entries.is_empty() {
            self.fds.remove(&ready.fd);
        }
        true
    }

    fn take_due(&mut self, now: Instant, out: &mut Vec<Waker>) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            out.push(entry.remove());
        }
    }
}

impl Shared {
    /// Makes epoll wait for what is still wanted of a descriptor.
    fn arm(&self, table: &Table, raw: RawFd) {
        let _ = match table.fds.get(&raw) {
            Some(watched) => self.epoll.modify(raw, watched.round, wanted(&watched.entries)),
            None => self.epoll.remove(raw),
        };
    }

    fn run(&self) {
        signal::block_all_on_this_thread();
        let wake = self.wake.as_fd().as_raw_fd();
        let mut ready = Vec::new();
        let mut wakers = Vec::new();
        loop {
            let next = self.table.lock().timers.keys().next().map(|(at, _)| *at);
            let _ = self.epoll.wait(next.map_or(Deadline::NEVER, Deadline::at), &mut ready);
            let mut table = self.table.lock();
            for ready in &ready {
                if ready.fd == wake {
                    self.wake.clear();
                    let _ = self.epoll.modify(wake, 0, Wanted { read: true, write: false });
                } else if table.take_ready(*ready, &mut wakers) {
                    self.arm(&table, ready.fd);
                }
            }
            table.take_due(Instant::now(), &mut wakers);
            drop(table);
            for waker in wakers.drain(..) {
                // A waker is user code: its panic must not end the thread that everybody waits on.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
