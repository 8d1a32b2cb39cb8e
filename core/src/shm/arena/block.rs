//! One block of an arena, as this process has it.

use super::table::Table;
use super::{Seat, Shared, invalid_state};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::fork;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Where a lent block is: what travels in a message. Four numbers, 24 bytes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockPlace {
    /// The number of the segment, from 0.
    pub segment: u32,
    /// Which use of the pages is meant; a block that was freed and allocated again has another one.
    pub serial: u32,
    /// Bytes from the start of the segment's file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// A block of an [`Arena`](super::Arena).
///
/// The creator writes it until it lends it; from then on, and in every other process, it can only be read. Who lent it gave it up by
/// agreement: nothing but that agreement keeps a hostile process from writing to it, so what comes from a stranger is read with
/// [`read`](Block::read) before it is checked.
///
/// # Drop
/// Gives this process' reference back: one atomic change, no message. In a forked copy nothing happens: the parent holds the reference.
#[derive(Debug)]
pub struct Block {
    arena: Arc<Shared>,
    table: Arc<Table>,
    index: u32,
    serial: u32,
    len: usize,
}

impl Block {
    pub(super) fn new(arena: &Arc<Shared>, table: &Arc<Table>, (index, serial): (u32, u32), len: usize) -> Block {
        Block { arena: Arc::clone(arena), table: Arc::clone(table), index, serial, len }
    }

    /// Length in bytes, at least 1 in the process that allocated it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes from the start of the segment's file, a multiple of 4096.
    pub fn offset(&self) -> usize {
        self.table.plan.page(self.index)
    }

    /// Whether it is a block of this arena, in the process that made it.
    pub(crate) fn is_of(&self, arena: &super::Arena) -> bool {
        Arc::ptr_eq(&self.arena, &arena.0)
    }

    /// Whether this process may write to it: it allocated the block, and no other process that lives has it now. What the dead held is taken
    /// back first.
    pub fn is_writable(&self) -> bool {
        if self.arena.seat.is_some() || self.arena.generation != fork::generation() {
            return false;
        }
        let free = || self.table.is_held(self.index).is_ok_and(|held| !held);
        free() || super::Arena(Arc::clone(&self.arena)).reclaim_dead().is_ok_and(|blocks| blocks > 0) && free()
    }

    /// Another handle of this process to the first `len` bytes of the block, which is given back when the last of them is dropped. For bindings
    /// whose users keep a block that they send.
    ///
    /// # Errors
    /// - `InvalidArgument`: more than the block has.
    /// - `WouldBlock`: this process has 255 handles to a block of another one.
    /// - `InvalidState`: forked.
    pub fn share(&self, len: usize) -> Result<Block> {
        self.inside(0, len)?;
        if self.arena.generation != fork::generation() {
            return Err(invalid_state("forked: the block belongs to the parent process"));
        }
        let mut parts = self.arena.parts.lock();
        if let Some(seat) = self.arena.seat {
            self.table.lend(self.index, seat)?;
        }
        if let Some(live) = parts.get_mut(self.table.number as usize).and_then(|part| part.live.get_mut(&self.index)) {
            live.own += 1;
        }
        Ok(Block::new(&self.arena, &self.table, (self.index, self.serial), len))
    }

    /// Where it is.
    pub fn place(&self) -> BlockPlace {
        BlockPlace { segment: self.table.number, serial: self.serial, offset: self.offset() as u64, len: self.len as u64 }
    }

    /// The address of its first byte, for bindings that lend it as a buffer. Valid while the block lives.
    pub fn as_ptr(&self) -> *mut u8 {
        self.table.segment.map().base().wrapping_add(self.offset())
    }

    /// Whether stores into it are dear, for they take it from a processor that is far, so that a copy by [`write`](Block::write) of bytes that are made
    /// elsewhere is the faster; for bindings that write to [`as_ptr`](Block::as_ptr).
    pub fn is_far(&self) -> bool {
        self.table.segment.map().pace().goes_past()
    }

    /// Notes how long it took to write `len` bytes by [`as_ptr`](Block::as_ptr), of which [`is_far`](Block::is_far) is known.
    pub fn note_writing(&self, len: usize, time: Duration) {
        self.table.segment.map().pace().note(len, time);
    }

    fn inside(&self, offset: usize, len: usize) -> Result<usize> {
        if len > self.len || offset > self.len - len {
            let detail = format!("outside the block (offset = {offset}, length = {len}, expected an end of at most {})", self.len);
            return Err(Error::invalid("arena", detail));
        }
        Ok(self.offset() + offset)
    }

    /// Copies bytes in.
    ///
    /// # Errors
    /// - `InvalidArgument`: the range is not inside.
    /// - `InvalidState`: it was lent, or this process did not allocate it, or forked.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        let place = self.inside(offset, bytes.len())?;
        if self.arena.seat.is_some() || self.arena.generation != fork::generation() {
            return Err(invalid_state("only the process that allocated the block writes to it"));
        }
        if self.table.is_held(self.index)? {
            return Err(invalid_state("the block was lent: another process is reading it"));
        }
        self.table.segment.map().write(place, bytes)
    }

    /// Copies `len` bytes out.
    ///
    /// # Errors
    /// - `InvalidArgument`: the range is not inside.
    pub fn read(&self, offset: usize, len: usize) -> Result<Vec<u8>> {
        self.inside(offset, len)?;
        let mut bytes = vec![0; len];
        self.read_into(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies bytes out until `out` is full.
    ///
    /// # Errors
    /// - `InvalidArgument`: the range is not inside.
    pub fn read_into(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        self.table.segment.map().read(self.inside(offset, out.len())?, out)
    }

    /// Its bytes in place. Only for what comes from a process that keeps to the agreement: see the type.
    ///
    /// # Errors
    /// None in practice: the memory is mapped.
    pub fn as_slice(&self) -> Result<&[u8]> {
        self.table.segment.map().lent(self.offset(), self.len)
    }

    /// Adds a reference for the process with this seat; what it returns goes into the message to that process, which must
    /// [attach](super::Arena::attach) it exactly once. The block stays this process' too until it drops it.
    ///
    /// # Errors
    /// - `InvalidArgument`: no such seat, or nobody [kept](super::Arena::seat) it.
    /// - `WouldBlock`: that process was lent this block 255 times and has not given one back.
    /// - `InvalidState`: this process did not allocate it, or forked.
    pub fn lend(&self, seat: Seat) -> Result<BlockPlace> {
        if self.arena.generation != fork::generation() {
            return Err(invalid_state("forked: the block belongs to the parent process"));
        }
        // Another process that lent on what it was lent could do so behind the back of the one that looks whether the block is free.
        if self.arena.seat.is_some() {
            return Err(invalid_state("only the process that allocated the block lends it"));
        }
        let index = seat.index()?;
        let parts = self.arena.parts.lock();
        if parts[0].table.seat(index)?.load(Ordering::Acquire) == 0 {
            return Err(Error::invalid("arena", format!("nobody kept the seat (seat = {index})")));
        }
        self.table.lend(self.index, index)?;
        Ok(self.place())
    }

    /// Takes back one reference that was lent but whose message was not sent.
    ///
    /// # Errors
    /// - `InvalidArgument`: no such seat, or it has no reference.
    pub fn unlend(&self, seat: Seat) -> Result<()> {
        let index = seat.index()?;
        if self.arena.generation != fork::generation() || self.table.held_by(self.index, index)? == 0 {
            return Err(Error::new(ErrorKind::InvalidArgument, "arena", format!("the block is not lent to this seat (seat = {index})")));
        }
        self.table.release(self.index, index)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.arena.generation != fork::generation() {
            return;
        }
        let mut parts = self.arena.parts.lock();
        let Some(part) = parts.get_mut(self.table.number as usize) else { return };
        if let Some(seat) = self.arena.seat {
            // Under the lock and before the own count, so that `attach` never counts a reference that is on its way out.
            let _ = self.table.release(self.index, seat);
        }
        let Some(live) = part.live.get_mut(&self.index) else { return };
        live.own -= 1;
        if live.own > 0 {
            return;
        }
        match self.arena.seat {
            Some(_) => drop(part.live.remove(&self.index)),
            None => drop(part.settle(self.index)),
        }
    }
}
