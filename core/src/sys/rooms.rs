//! Memory for large messages in a binding whose collector says late what is free again: in pieces, each with one owner.
//!
//! Of small pages: those of huge ones that are not warm take milliseconds, and the first dozens of messages would each wait for one.

use super::blocks::ReadMemory;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Bytes with one owner, in memory that others have other pieces of; it is unmapped when the last of them is dropped.
#[derive(Debug)]
pub struct Room {
    memory: Arc<ReadMemory>,
    from: usize,
    capacity: usize,
    len: usize,
}

impl Room {
    /// The smallest that is made.
    const LEAST: usize = ReadMemory::PART / 4;

    /// Rooms for at least `len` bytes each, as many as share the memory; at least one. They are empty.
    ///
    /// # Errors
    /// The system has no addresses.
    pub fn new(len: usize) -> io::Result<Vec<Room>> {
        let parts = len.div_ceil(ReadMemory::PART).max(1);
        let memory = Arc::new(ReadMemory::small(parts)?);
        let capacity = if parts > 1 { memory.len() } else { len.max(Room::LEAST).next_power_of_two() };
        let rooms = (0..memory.len() / capacity).map(|index| Room { memory: memory.clone(), from: index * capacity, capacity, len: 0 });
        Ok(rooms.collect())
    }

    /// Bytes that it can have.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes it so many bytes long, of any content, or as long as it can be.
    pub fn resize(&mut self, len: usize) {
        self.len = len.min(self.capacity);
    }
}

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `new` made sure that `from` and `capacity` lie within the memory, which `memory` keeps and whose bytes are initialised, and that no
        // other room has them; so they change through a mutable reference to this one alone.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().wrapping_add(self.from), self.len) }
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the bytes of this room, which lie within the memory and which no other room has; this is the one mutable reference to it.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr().wrapping_add(self.from), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_of_one_memory_are_apart() {
        for (len, count, capacity) in
            [(0, 4, 512 << 10), (300 << 10, 4, 512 << 10), (1 << 20, 2, 1 << 20), ((1 << 20) + 1, 1, 2 << 20), (5 << 20, 1, 6 << 20)]
        {
            let mut rooms = Room::new(len).expect("addresses");
            assert_eq!((rooms.len(), rooms[0].capacity()), (count, capacity), "{len}");
            for (room, value) in rooms.iter_mut().zip(1..) {
                assert!(room.is_empty());
                room.resize(usize::MAX);
                assert_eq!(room.len(), capacity);
                room.fill(value);
            }
            let last = rooms.pop().expect("one");
            assert!(rooms.iter().zip(1..).all(|(room, value)| room.iter().all(|byte| *byte == value)));
            drop(rooms);
            assert!(last.iter().all(|byte| usize::from(*byte) == count));
        }
        assert!(Room::new(usize::MAX).is_err());
    }
}
