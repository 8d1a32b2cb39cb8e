//! A ring of bytes in shared memory, one writer and one reader in different processes, and the protocol by which either sleeps.
//!
//! Head and tail count bytes and never go back. Each side keeps its own index for itself and publishes it; the other's is read once, checked
//! by subtraction, and copied out bytes are what is parsed: whatever the other process writes there, nothing outside the ring is touched.
//!
//! Sleeping: a side sets a bit of its `waiting` word, passes a full barrier and looks again before it sleeps; the other side publishes,
//! passes a full barrier and looks at that word. One of the two sees the other, so no wake-up is lost, and nobody calls the kernel for a
//! side that is awake. The code is generic over the words so that a model checker runs these very lines (`ring/model.rs`).

#[cfg(test)]
mod model;
pub(crate) mod spin;
#[cfg(test)]
mod tests;

use crate::error::{Error, ErrorKind};
use crate::sys::lane::Lane;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A thread of this side sleeps on the word until bytes come.
pub(crate) const FUTEX_DATA: u32 = 1;
/// A thread of this side sleeps on the word until there is room.
pub(crate) const FUTEX_ROOM: u32 = 2;
/// This side wants its bell rung when bytes come.
pub(crate) const BELL_DATA: u32 = 4;
/// This side wants its bell rung when there is room.
pub(crate) const BELL_ROOM: u32 = 8;
/// A hint, which nobody is woken by: this side waits in a receive that copies out what comes, so that a large body may come in pieces.
pub(crate) const COPIES: u32 = 16;
/// Every way of waiting for bytes.
pub(crate) const DATA: u32 = FUTEX_DATA | BELL_DATA;
/// Every way of waiting for room.
pub(crate) const ROOM: u32 = FUTEX_ROOM | BELL_ROOM;

/// A count of bytes that the other side may change at any time.
pub(crate) trait Index {
    /// What the other side has published, and everything it did before.
    fn load(&self) -> u64;
    /// Publishes everything done before, then passes a full barrier.
    fn publish(&self, value: u64);
}

/// A word of bits or a flag.
pub(crate) trait Word {
    /// The value; ordered after a full barrier of this thread.
    fn load(&self) -> u32;
    /// Sets bits, passes a full barrier, gives the value after.
    fn set(&self, bits: u32) -> u32;
    /// Clears bits, gives the value before.
    fn clear(&self, bits: u32) -> u32;
}

impl Index for AtomicU64 {
    #[inline]
    fn load(&self) -> u64 {
        // Sequential, because it is the second half of "set the bit, look again"; costs nothing more on x86-64.
        AtomicU64::load(self, Ordering::SeqCst)
    }

    #[inline]
    fn publish(&self, value: u64) {
        // A swap is store and full barrier in one instruction, at half the price of a store and a fence.
        self.swap(value, Ordering::SeqCst);
    }
}

impl Word for AtomicU32 {
    #[inline]
    fn load(&self) -> u32 {
        AtomicU32::load(self, Ordering::SeqCst)
    }

    #[inline]
    fn set(&self, bits: u32) -> u32 {
        self.fetch_or(bits, Ordering::SeqCst) | bits
    }

    #[inline]
    fn clear(&self, bits: u32) -> u32 {
        self.fetch_and(!bits, Ordering::SeqCst)
    }
}

/// The memory of one direction.
pub(crate) trait Memory {
    /// Its counts.
    type Index: Index;
    /// Its words.
    type Word: Word;
    /// Published by the writer.
    fn tail(&self) -> &Self::Index;
    /// Published by the reader.
    fn head(&self) -> &Self::Index;
    /// How the writer wants to be woken.
    fn writer_waiting(&self) -> &Self::Word;
    /// How the reader wants to be woken.
    fn reader_waiting(&self) -> &Self::Word;
    /// Bytes it holds.
    fn capacity(&self) -> u64;
    /// Copies in at byte number `at`.
    fn put(&self, at: u64, bytes: &[u8]);
    /// Copies out from byte number `at`.
    fn get(&self, at: u64, out: &mut [u8]);
    /// As `get`, for memory that nothing was written to; all of it is.
    fn get_fresh(&self, at: u64, out: &mut [MaybeUninit<u8>]);
    /// Appends `len` bytes from byte number `at`.
    fn append(&self, at: u64, len: usize, out: &mut Vec<u8>);

    /// As `put`, for four little-endian words.
    #[inline]
    fn put_words(&self, at: u64, words: [u64; 4]) {
        self.put(at, words.map(u64::to_le_bytes).as_flattened());
    }

    /// As `get`, for four little-endian words.
    #[inline]
    fn get_words(&self, at: u64) -> [u64; 4] {
        let mut words = [[0; 8]; 4];
        self.get(at, words.as_flattened_mut());
        words.map(u64::from_le_bytes)
    }
}

impl Memory for Lane {
    type Index = AtomicU64;
    type Word = AtomicU32;

    #[inline]
    fn tail(&self) -> &AtomicU64 {
        &self.writer().tail
    }

    #[inline]
    fn head(&self) -> &AtomicU64 {
        &self.reader().head
    }

    #[inline]
    fn writer_waiting(&self) -> &AtomicU32 {
        &self.writer().waiting
    }

    #[inline]
    fn reader_waiting(&self) -> &AtomicU32 {
        &self.reader().waiting
    }

    #[inline]
    fn capacity(&self) -> u64 {
        Lane::capacity(self)
    }

    #[inline]
    fn put(&self, at: u64, bytes: &[u8]) {
        Lane::put(self, at, bytes);
    }

    #[inline]
    fn get(&self, at: u64, out: &mut [u8]) {
        Lane::get(self, at, out);
    }

    fn get_fresh(&self, at: u64, out: &mut [MaybeUninit<u8>]) {
        Lane::get_fresh(self, at, out);
    }

    #[inline]
    fn append(&self, at: u64, len: usize, out: &mut Vec<u8>) {
        Lane::append(self, at, len, out);
    }

    #[inline]
    fn put_words(&self, at: u64, words: [u64; 4]) {
        Lane::put_words(self, at, words);
    }

    #[inline]
    fn get_words(&self, at: u64) -> [u64; 4] {
        Lane::get_words(self, at)
    }
}

/// The other side's index cannot be: it lies, or its memory was overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;

impl From<Corrupt> for Error {
    fn from(_: Corrupt) -> Error {
        Error::new(ErrorKind::Protocol, "channel", "the other side's place in the shared ring is impossible: its memory is corrupt")
    }
}

/// Which ways of waiting a side has to be woken by; takes them out, so that each wait is answered once.
#[inline]
pub(crate) fn take<W: Word>(waiting: &W, bits: u32) -> u32 {
    if waiting.load() & bits == 0 { 0 } else { waiting.clear(bits) & bits }
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct RingWriter<M> {
    memory: M,
    /// Where the next byte goes; what lies between the published index and this is not seen by the reader.
    tail: u64,
    /// The reader's index as last looked at.
    head: u64,
}

impl<M: Memory> RingWriter<M> {
    /// The end of a ring that nothing was written to.
    pub(crate) fn new(memory: M) -> RingWriter<M> {
        RingWriter { memory, tail: 0, head: 0 }
    }

    /// The memory.
    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// Byte number of the next byte.
    pub(crate) fn tail(&self) -> u64 {
        self.tail
    }

    /// Byte number up to which the reader has said that it has read.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Whether `wanted` bytes fit; looks at the reader's index only if the last look says no.
    #[inline]
    pub(crate) fn has_room(&mut self, wanted: u64) -> Result<bool, Corrupt> {
        Ok(self.memory.capacity() - (self.tail - self.head) >= wanted || self.refresh()? >= wanted)
    }

    /// Bytes that fit, by a new look at the reader's index.
    pub(crate) fn refresh(&mut self) -> Result<u64, Corrupt> {
        let head = self.memory.head().load();
        let used = self.tail.checked_sub(head).ok_or(Corrupt)?;
        if used > self.memory.capacity() || head < self.head {
            return Err(Corrupt);
        }
        self.head = head;
        Ok(self.memory.capacity() - used)
    }

    /// Adds bytes that fit ([`RingWriter::has_room`]); the reader does not see them yet.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.memory.put(self.tail, bytes);
        self.tail += bytes.len() as u64;
    }

    /// As [`RingWriter::put`], for four little-endian words.
    #[inline]
    pub(crate) fn put_words(&mut self, words: [u64; 4]) {
        self.memory.put_words(self.tail, words);
        self.tail += size_of_val(&words) as u64;
    }

    /// Shows the reader everything put so far; gives the ways in which it waits and must be woken.
    #[inline]
    #[must_use = "a reader that waits has to be woken"]
    pub(crate) fn publish(&mut self) -> u32 {
        self.memory.tail().publish(self.tail);
        take(self.memory.reader_waiting(), DATA)
    }
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct RingReader<M> {
    memory: M,
    /// The next byte to read.
    head: u64,
    /// The index as last published.
    released: u64,
    /// The writer's index as last looked at.
    tail: u64,
}

impl<M: Memory> RingReader<M> {
    /// The end of a ring that nothing was read from.
    pub(crate) fn new(memory: M) -> RingReader<M> {
        RingReader { memory, head: 0, released: 0, tail: 0 }
    }

    /// The memory.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// Bytes that can be read as far as known; looks at the writer's index only if that is less than `wanted`.
    #[inline]
    pub(crate) fn available(&mut self, wanted: u64) -> Result<u64, Corrupt> {
        let known = self.tail - self.head;
        if known >= wanted { Ok(known) } else { self.refresh() }
    }

    /// Bytes that can be read, by a new look at the writer's index.
    #[inline]
    pub(crate) fn refresh(&mut self) -> Result<u64, Corrupt> {
        let tail = self.memory.tail().load();
        let available = tail.checked_sub(self.head).ok_or(Corrupt)?;
        if available > self.memory.capacity() || tail < self.tail {
            return Err(Corrupt);
        }
        self.tail = tail;
        Ok(available)
    }

    /// Bytes the ring holds.
    pub(crate) fn capacity(&self) -> u64 {
        self.memory.capacity()
    }

    /// Byte number of the next byte.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Bytes that can be read as far as known.
    #[inline]
    pub(crate) fn known(&self) -> u64 {
        self.tail - self.head
    }

    /// Copies the next bytes, which must be available, `skip` bytes further on, without taking them.
    #[inline]
    pub(crate) fn peek_at(&self, skip: u64, out: &mut [u8]) {
        debug_assert!(skip + out.len() as u64 <= self.tail - self.head);
        self.memory.get(self.head + skip, out);
    }

    /// Copies the next bytes, which must be available, to memory that nothing was written to, without taking them.
    pub(crate) fn peek_fresh(&self, out: &mut [MaybeUninit<u8>]) {
        debug_assert!(out.len() as u64 <= self.tail - self.head);
        self.memory.get_fresh(self.head, out);
    }

    /// The next four little-endian words, whose bytes must be available, without taking them.
    #[inline]
    pub(crate) fn peek_words(&self) -> [u64; 4] {
        debug_assert!(self.tail - self.head >= 32);
        self.memory.get_words(self.head)
    }

    /// Appends the next `len` bytes, which must be available, `skip` bytes further on; takes nothing.
    #[inline]
    pub(crate) fn append(&self, skip: u64, len: usize, out: &mut Vec<u8>) {
        debug_assert!(skip + len as u64 <= self.tail - self.head);
        self.memory.append(self.head + skip, len, out);
    }

    /// Takes `count` bytes, which must be available. Gives the writer's ways of waiting, if it is time to tell it that there is room: a
    /// writer never waits for more than half of the ring, so telling it every eighth suffices.
    #[inline]
    #[must_use = "a writer that waits has to be woken"]
    pub(crate) fn consume(&mut self, count: u64) -> u32 {
        debug_assert!(count <= self.tail - self.head);
        self.head += count;
        if self.head - self.released >= self.memory.capacity() / 8 { self.release() } else { 0 }
    }

    /// Tells the writer about all room; gives the ways in which it waits and must be woken.
    #[must_use = "a writer that waits has to be woken"]
    pub(crate) fn release(&mut self) -> u32 {
        if self.head == self.released {
            return 0;
        }
        self.released = self.head;
        self.memory.head().publish(self.head);
        take(self.memory.writer_waiting(), ROOM)
    }

    /// Whether nothing more comes, and how many bytes can be read. The end is looked for before the index: what was written before it is
    /// not lost.
    #[inline]
    pub(crate) fn look(&mut self, wanted: u64, over: impl FnOnce() -> bool) -> Result<(bool, u64), Corrupt> {
        let over = over();
        Ok((over, self.available(wanted)?))
    }
}
