//! Memory of large messages that nobody has any more, for the next ones: the first touch of fresh memory is most of what a large message costs.

use std::cell::RefCell;

/// From this size on, received bytes go to memory that is used again.
pub(crate) const REUSE_FROM: usize = 256 << 10;
/// The largest piece of memory that is kept, and all that is, in each environment.
const KEEP_EACH: usize = 16 << 20;
const KEEP_ALL: usize = 64 << 20;

thread_local! {
    /// What is kept, the warmest last; the thread is one environment's.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty vector with room for so many bytes, of memory that was used before if there is such.
pub(crate) fn room_for(len: usize) -> Vec<u8> {
    let fits = |spare: &Vec<u8>| spare.capacity() >= len && spare.capacity() / 4 <= len;
    let spare = SPARE.with_borrow_mut(|all| all.iter().rposition(fits).map(|at| all.remove(at)));
    spare.unwrap_or_else(|| Vec::with_capacity(len.next_power_of_two()))
}

/// Keeps memory for later, if it is not too much.
pub(crate) fn keep(mut bytes: Vec<u8>) {
    bytes.clear();
    // Where the thread is ending nothing is kept.
    let _ = SPARE.try_with(|all| {
        let mut all = all.borrow_mut();
        let kept: usize = all.iter().map(Vec::capacity).sum();
        if bytes.capacity() <= KEEP_EACH && kept + bytes.capacity() <= KEEP_ALL {
            all.push(bytes);
        }
    });
}
