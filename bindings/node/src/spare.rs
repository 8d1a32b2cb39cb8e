//! Memory of large messages that nobody has any more, for the next ones: the first touch of fresh memory is most of what a large message costs.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// From this size on, received bytes go to memory that is used again.
pub(crate) const REUSE_FROM: usize = 256 << 10;
/// The largest piece of memory that is kept, and all that is, in each environment.
const KEEP_EACH: usize = 16 << 20;
const KEEP_ALL: usize = 128 << 20;
/// The largest message whose memory is brought near before it is there, as the caches keep no more; and how much at a time: some 2 µs.
const NEAR_AT_MOST: usize = 2 << 20;
const NEAR_AT_ONCE: usize = 64 << 10;

/// What an environment keeps. Its texts give back from any thread: newer runtimes (Node 26) end them where they sweep.
pub(crate) struct Home {
    /// The warmest last.
    spare: Mutex<Vec<Vec<u8>>>,
    thread: ThreadId,
    /// Bytes of texts that are gone, of which the collector has not been told.
    untold: AtomicUsize,
}

thread_local! {
    /// Bytes of the last message, and how many of the next one's memory have been brought near.
    static NEXT: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    /// The thread is one environment's.
    static HOME: Arc<Home> = Arc::new(Home { spare: Mutex::default(), thread: thread::current().id(), untold: AtomicUsize::new(0) });
}

/// That of this thread's environment.
pub(crate) fn home() -> Arc<Home> {
    HOME.with(Arc::clone)
}

impl Home {
    /// Whether this is the thread of the environment.
    pub(crate) fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }

    /// Notes for [`Home::told`] that a text of so many bytes is gone.
    pub(crate) fn note(&self, len: usize) {
        self.untold.fetch_add(len, Ordering::Relaxed);
    }

    /// What has been noted since the last time.
    pub(crate) fn told(&self) -> usize {
        self.untold.swap(0, Ordering::Relaxed)
    }

    fn take(&self, len: usize) -> Option<Vec<u8>> {
        let mut all = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        place_of(len, &all).map(|at| all.remove(at))
    }

    /// Brings a part of what [`Home::take`] would give near.
    fn bring_near(&self, len: usize, part: Range<usize>) {
        let mut all = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = place_of(len, &all) {
            procs::bring_near(&all[at].spare_capacity_mut()[part]);
        }
    }

    /// Keeps memory for later, if it is not too much.
    pub(crate) fn keep(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        let mut all = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = all.iter().map(Vec::capacity).sum();
        if bytes.capacity() <= KEEP_EACH && kept + bytes.capacity() <= KEEP_ALL {
            all.push(bytes);
        }
    }
}

/// Where the memory is that so many bytes go to.
fn place_of(len: usize, all: &[Vec<u8>]) -> Option<usize> {
    all.iter().rposition(|spare| spare.capacity() >= len && spare.capacity() / 4 <= len)
}

/// Brings some more of the memory near that the next message goes to if it is as large as the last one; false when all of it is. What texts leave
/// comes back in heaps that no cache has kept: half of what receiving one costs is to fetch that, and there is time while the other side answers.
pub(crate) fn bring_next_near() -> bool {
    let (len, from) = NEXT.get();
    if from == len || len > NEAR_AT_MOST {
        return false;
    }
    let to = (from + NEAR_AT_ONCE).min(len);
    home().bring_near(len, from..to);
    NEXT.set((len, to));
    true
}

/// An empty vector with room for so many bytes, of memory that was used before if there is such; `None` where the system has none.
pub(crate) fn room_for(len: usize) -> Option<Vec<u8>> {
    NEXT.set((len, 0));
    home().take(len).or_else(|| {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len.checked_next_power_of_two()?).ok()?;
        Some(bytes)
    })
}

/// Keeps memory for later messages of this environment. Where the thread is ending nothing is kept.
pub(crate) fn keep(bytes: Vec<u8>) {
    let _ = HOME.try_with(|home| home.keep(bytes));
}
