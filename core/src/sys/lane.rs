//! The words and bytes of a ring in memory that two processes map. What they mean is decided in `shm/ring.rs`.

use super::pace::Pace;
use super::shared::SharedMapping;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// What one side of a channel says to the other: three pairs of cache lines, so that no word that changes often lies beside one that is
/// read often. The processor fetches lines in pairs.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct SideWords {
    /// Bytes this side has published in the ring that it writes.
    pub(crate) tail: AtomicU64,
    _tail_line: [u64; 15],
    /// Bytes this side has taken from the ring that it reads.
    pub(crate) head: AtomicU64,
    _head_line: [u64; 15],
    /// How this side wants to be woken; set by this side, cleared by the other.
    pub(crate) waiting: AtomicU32,
    /// Not 0: this side writes and reads no more.
    pub(crate) closed: AtomicU32,
    /// The processor this side ran on last.
    pub(crate) cpu: AtomicU32,
    _waiting_line: [u32; 29],
}

/// Bytes of [`SideWords`].
pub(crate) const SIDE_BYTES: usize = 384;
const _: () = assert!(size_of::<SideWords>() == SIDE_BYTES && align_of::<SideWords>() == 128);

/// Whoever keeps a mapping; it must be the same mapping as long as it lives.
pub(crate) trait Keeper: Send + Sync + std::fmt::Debug {
    /// The mapping.
    fn mapping(&self) -> &SharedMapping;
}

/// One direction: who writes, who reads, and the bytes between them.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    writer: NonNull<SideWords>,
    reader: NonNull<SideWords>,
    data: NonNull<u8>,
    mask: u64,
    keeper: Arc<dyn Keeper>,
}

// SAFETY: the pointers lead into the mapping, which is Send and Sync and lives as long as this value; the words are atomics, and who may
// touch which bytes is the protocol of the two sides, checked by bounds here whatever the other side does.
unsafe impl Send for Lane {}
// SAFETY: a shared reference gives out atomics and copies. Bytes are put by the one `RingWriter` of a direction and taken by its one `RingReader`, each
// of which its channel keeps under a lock, so that in this process no two threads copy to or from the same bytes at once; the two halves keep apart
// by head and tail. What the other process writes meanwhile is copied as raw memory and believed by nobody.
unsafe impl Sync for Lane {}

/// Where the parts of a lane lie in the mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LanePlace {
    pub(crate) writer: usize,
    pub(crate) reader: usize,
    pub(crate) data: usize,
    /// A power of two.
    pub(crate) capacity: usize,
}

impl Lane {
    /// `None` when the place is not inside the mapping, not aligned, or the capacity is no power of two; the mapping must be writable.
    pub(crate) fn new(keeper: &Arc<dyn Keeper>, place: LanePlace) -> Option<Lane> {
        let mapping = keeper.mapping();
        let fits = |offset: usize, len: usize| offset.checked_add(len).is_some_and(|end| end <= mapping.len());
        let aligned = |offset: usize| offset.is_multiple_of(align_of::<SideWords>());
        let words_ok = [place.writer, place.reader].iter().all(|at| fits(*at, SIDE_BYTES) && aligned(*at));
        if !words_ok || !place.capacity.is_power_of_two() || !fits(place.data, place.capacity) {
            return None;
        }
        // SAFETY: inside the mapping (checked), whose start is that of a page.
        let at = |offset: usize| NonNull::new(unsafe { mapping.base().add(offset) });
        Some(Lane {
            writer: at(place.writer)?.cast(),
            reader: at(place.reader)?.cast(),
            data: at(place.data)?,
            mask: place.capacity as u64 - 1,
            keeper: Arc::clone(keeper),
        })
    }

    /// The words of the side that writes.
    #[inline]
    pub(crate) fn writer(&self) -> &SideWords {
        // SAFETY: inside the mapping and aligned (checked in `new`); atomics and padding, valid for any bits.
        unsafe { self.writer.as_ref() }
    }

    /// The words of the side that reads.
    #[inline]
    pub(crate) fn reader(&self) -> &SideWords {
        // SAFETY: inside the mapping and aligned (checked in `new`); atomics and padding, valid for any bits.
        unsafe { self.reader.as_ref() }
    }

    /// Bytes the ring holds.
    #[inline]
    pub(crate) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// Where the byte number `at` lies, and how many bytes follow before the end of the ring.
    #[inline]
    fn locate(&self, at: u64) -> (*mut u8, usize) {
        let offset = at & self.mask;
        // SAFETY: the mask keeps the offset below the capacity, which lies inside the mapping (checked in `new`).
        let start = unsafe { self.data.as_ptr().add(offset as usize) };
        (start, (self.mask + 1 - offset) as usize)
    }

    /// Copies `bytes`, at most the capacity, to the place of byte number `at`.
    #[inline]
    pub(crate) fn put(&self, at: u64, bytes: &[u8]) {
        assert!(bytes.len() as u64 <= self.capacity());
        let (start, until_end) = self.locate(at);
        // In one piece nearly always: then a length that the compiler knows is a few moves and no call.
        if bytes.len() <= until_end {
            if bytes.len() >= Pace::LEAST {
                // SAFETY: the bytes fit before the end of the ring, whose raw bytes a slice of our own never overlaps.
                return unsafe { self.keeper.mapping().pace().copy(bytes.as_ptr(), start, bytes.len()) };
            }
            // SAFETY: the bytes fit before the end of the ring; a slice of our own never overlaps the mapping's raw bytes.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) };
        } else {
            self.put_around(start, bytes.split_at(until_end));
        }
    }

    /// As [`Lane::put`] for four words in little-endian order, straight from registers: a processor waits when it reads in one piece what it
    /// has just written in several.
    #[inline]
    pub(crate) fn put_words(&self, at: u64, [a, b, c, d]: [u64; 4]) {
        let (start, until_end) = self.locate(at);
        if until_end < 32 {
            return self.put_words_around(at, [a, b, c, d]);
        }
        for (index, word) in [a, b, c, d].into_iter().enumerate() {
            // SAFETY: four words fit before the end of the ring.
            let place = unsafe { start.cast::<u64>().add(index) };
            // SAFETY: eight bytes of the four words that fit before the end of the ring; they need not be aligned.
            unsafe { place.write_unaligned(word.to_le()) };
        }
    }

    #[cold]
    fn put_words_around(&self, at: u64, words: [u64; 4]) {
        self.put(at, words.map(u64::to_le_bytes).as_flattened());
    }

    /// Four words in little-endian order from the place of byte number `at`.
    #[inline]
    pub(crate) fn get_words(&self, at: u64) -> [u64; 4] {
        let (start, until_end) = self.locate(at);
        if until_end < 32 {
            return self.get_words_around(at);
        }
        // SAFETY: four words lie before the end of the ring; they need not be aligned and may have any value.
        unsafe { start.cast::<[u64; 4]>().read_unaligned() }.map(u64::from_le)
    }

    #[cold]
    fn get_words_around(&self, at: u64) -> [u64; 4] {
        let mut words = [[0; 8]; 4];
        self.get(at, words.as_flattened_mut());
        words.map(u64::from_le_bytes)
    }

    /// Copies to both sides of the end of the ring: to `start`, which is that far before it, and to the beginning.
    #[cold]
    fn put_around(&self, start: *mut u8, (first, rest): (&[u8], &[u8])) {
        // SAFETY: as in `put`; exactly so many bytes fit before the end.
        unsafe { ptr::copy_nonoverlapping(first.as_ptr(), start, first.len()) };
        // SAFETY: what is left is shorter than the capacity (asserted in `put`) and goes to the start of the ring.
        unsafe { ptr::copy_nonoverlapping(rest.as_ptr(), self.data.as_ptr(), rest.len()) };
    }

    /// Copies from the place of byte number `at` into `out`, at most the capacity.
    #[inline]
    pub(crate) fn get(&self, at: u64, out: &mut [u8]) {
        assert!(out.len() as u64 <= self.capacity());
        // SAFETY: the slice is ours to write for its whole length.
        unsafe { self.copy_out(at, out.as_mut_ptr(), out.len()) };
    }

    /// As [`Lane::get`], for memory that nothing was written to.
    pub(crate) fn get_fresh(&self, at: u64, out: &mut [MaybeUninit<u8>]) {
        assert!(out.len() as u64 <= self.capacity());
        // SAFETY: the slice is ours to write for its whole length.
        unsafe { self.copy_out(at, out.as_mut_ptr().cast(), out.len()) };
    }

    /// Appends `len` bytes, at most the capacity, from the place of byte number `at`, without zeroing first.
    #[inline]
    pub(crate) fn append(&self, at: u64, len: usize, out: &mut Vec<u8>) {
        assert!(len as u64 <= self.capacity());
        out.reserve(len);
        // SAFETY: `reserve` made room for `len` bytes after the vector's length.
        unsafe { self.copy_out(at, out.spare_capacity_mut().as_mut_ptr().cast(), len) };
        // SAFETY: the bytes up to the new length have just been written, within capacity.
        unsafe { out.set_len(out.len() + len) };
    }

    /// # Safety
    /// `out` must be valid for writes of `len` bytes, and `len` at most the capacity.
    #[inline]
    unsafe fn copy_out(&self, at: u64, out: *mut u8, len: usize) {
        let (start, until_end) = self.locate(at);
        if len <= until_end {
            // SAFETY: the bytes lie before the end of the ring; `out` is valid for `len` bytes (promised by the caller).
            unsafe { ptr::copy_nonoverlapping(start, out, len) };
        } else {
            // SAFETY: promised by the caller; less than `len` bytes lie before the end.
            unsafe { self.copy_around((start, until_end), out, len) };
        }
    }

    /// Copies from both sides of the end of the ring: `first` bytes before it, from `start`, the rest from the beginning.
    ///
    /// # Safety
    /// As for `copy_out`, and `first` bytes, fewer than `len`, follow `start` before the end of the ring.
    #[cold]
    unsafe fn copy_around(&self, (start, first): (*mut u8, usize), out: *mut u8, len: usize) {
        // SAFETY: `first` bytes lie before the end of the ring; `out` is valid for `len` bytes (promised by the caller).
        unsafe { ptr::copy_nonoverlapping(start, out, first) };
        // SAFETY: `first` is less than `len`, for which `out` is valid.
        let rest = unsafe { out.add(first) };
        // SAFETY: what is left is shorter than the capacity and comes from the start of the ring.
        unsafe { ptr::copy_nonoverlapping(self.data.as_ptr(), rest, len - first) };
    }
}
