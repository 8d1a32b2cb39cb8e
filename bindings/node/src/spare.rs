//! Memory of large messages that nobody has any more, for the next ones: the first touch of fresh memory is most of what a large message costs.

use procs::Room;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// From this size on, received bytes go to memory that is used again.
pub(crate) const REUSE_FROM: usize = 256 << 10;
/// The largest piece of memory that is kept, and all that is, in each environment.
const KEEP_EACH: usize = 16 << 20;
const KEEP_ALL: usize = 128 << 20;

/// What an environment keeps. Its texts give back from any thread: newer runtimes (Node 26) end them where they sweep.
pub(crate) struct Home {
    /// The warmest last.
    spare: Mutex<Vec<Room>>,
    thread: ThreadId,
    /// Bytes of texts that are gone, of which the collector has not been told.
    untold: AtomicUsize,
}

thread_local! {
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

    fn take(&self, len: usize) -> Option<Room> {
        let fits = |spare: &Room| spare.capacity() >= len && spare.capacity() / 4 <= len;
        let mut all = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rposition(fits).map(|at| all.remove(at))
    }

    /// Keeps memory for later, if it is not too much.
    pub(crate) fn keep(&self, room: Room) {
        let mut all = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = all.iter().map(Room::capacity).sum();
        if room.capacity() <= KEEP_EACH && kept + room.capacity() <= KEEP_ALL {
            all.push(room);
        }
    }
}

/// Memory of so many bytes, which was used before if there is such; `None` where the system has none.
pub(crate) fn room_for(len: usize) -> Option<Room> {
    let mut room = home().take(len).or_else(|| {
        let mut rooms = Room::new(len).ok()?;
        let room = rooms.pop();
        rooms.into_iter().for_each(keep);
        room
    })?;
    room.resize(len);
    Some(room)
}

/// Keeps memory for later messages of this environment. Where the thread is ending nothing is kept.
pub(crate) fn keep(room: Room) {
    let _ = HOME.try_with(|home| home.keep(room));
}
