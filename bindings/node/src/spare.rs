//! Memory of large messages that nobody has any more, for the next ones: the first touch of fresh memory is most of what a large message costs.

use procs::Room;
use std::cell::RefCell;

/// From this size on, received bytes go to memory that is used again.
pub(crate) const REUSE_FROM: usize = 256 << 10;
/// The largest piece of memory that is kept, and all that is, in each environment.
const KEEP_EACH: usize = 16 << 20;
const KEEP_ALL: usize = 128 << 20;

thread_local! {
    /// What is kept, the warmest last; the thread is one environment's.
    static SPARE: RefCell<Vec<Room>> = const { RefCell::new(Vec::new()) };
}

/// Memory of so many bytes, which was used before if there is such; `None` where the system has none.
pub(crate) fn room_for(len: usize) -> Option<Room> {
    let fits = |spare: &Room| spare.capacity() >= len && spare.capacity() / 4 <= len;
    let spare = SPARE.with_borrow_mut(|all| all.iter().rposition(fits).map(|at| all.remove(at)));
    let mut room = spare.or_else(|| {
        let mut rooms = Room::new(len).ok()?;
        let room = rooms.pop();
        rooms.into_iter().for_each(keep);
        room
    })?;
    room.resize(len);
    Some(room)
}

/// Keeps memory for later, if it is not too much.
pub(crate) fn keep(room: Room) {
    // Where the thread is ending nothing is kept.
    let _ = SPARE.try_with(|all| {
        let mut all = all.borrow_mut();
        let kept: usize = all.iter().map(Room::capacity).sum();
        if room.capacity() <= KEEP_EACH && kept + room.capacity() <= KEEP_ALL {
            all.push(room);
        }
    });
}
