//! Memory for large outputs: an anonymous mapping that grows without copying, and a small pool of mappings whose pages are already there.
//!
//! Touching memory for the first time costs more than moving bytes through a pipe, so a mapping that is no longer used is kept warm for the
//! next large output. The pool holds at most [`POOL_BYTES`] and [`POOL_ENTRIES`]; its pages are marked free (MADV_FREE), so that the kernel
//! takes them back under memory pressure without asking.

use super::{check_size, retry};
use parking_lot::Mutex;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// Upper bound of the memory kept warm, in bytes: two outputs of the default limit.
pub(crate) const POOL_BYTES: usize = 128 << 20;
/// Upper bound of the number of mappings kept warm.
pub(crate) const POOL_ENTRIES: usize = 8;
/// Size of a fresh mapping: only address space, and large enough that the kernel aligns it for huge pages.
const FIRST_CAPACITY: usize = 4 << 20;

static POOL: Mutex<Vec<Mapping>> = Mutex::new(Vec::new());

/// An anonymous private mapping, owned. `touched` bytes from its start have been written at some time, so their pages exist.
struct Mapping {
    base: NonNull<u8>,
    capacity: usize,
    touched: usize,
}

// SAFETY: `base` points to a private mapping that only this value refers to; nothing in it is tied to a thread.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference the mapping is only read.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn fresh(capacity: usize) -> io::Result<Mapping> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), capacity, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Mapping { base, capacity, touched: 0 })
    }

    fn grow(&mut self, capacity: usize) -> io::Result<()> {
        // SAFETY: base and capacity are those of a mapping made by mmap or mremap that this value owns alone; a move updates `base` below.
        let base = unsafe { libc::mremap(self.base.as_ptr().cast(), self.capacity, capacity, libc::MREMAP_MAYMOVE) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        self.base = NonNull::new(base.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        self.capacity = capacity;
        Ok(())
    }

    /// Gives advice about the bytes from `from` to `to`. A refusal changes nothing that matters.
    fn advise(&self, from: usize, to: usize, advice: libc::c_int) {
        if from < to && to <= self.capacity {
            // SAFETY: `from` lies within the mapping by the check above.
            let start = unsafe { self.base.as_ptr().add(from) };
            // SAFETY: the range lies within the mapping; the advice given here only drops or regroups pages whose content is no longer used.
            unsafe { libc::madvise(start.cast(), to - from, advice) };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and capacity are those of a mapping that this value owns alone.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.capacity) };
    }
}

/// The warmest mapping of the pool. Gives up rather than waits: after a fork the lock may be held by a thread that is not there.
fn take() -> Option<Mapping> {
    let mut pool = POOL.try_lock()?;
    let warmest = (0..pool.len()).max_by_key(|&index| pool[index].touched)?;
    Some(pool.swap_remove(warmest))
}

/// Keeps a mapping for the next large output, unless the pool is full.
fn give_back(mapping: Mapping) {
    mapping.advise(0, mapping.touched, libc::MADV_FREE);
    if let Some(mut pool) = POOL.try_lock() {
        let held: usize = pool.iter().map(|mapping| mapping.touched).sum();
        if pool.len() < POOL_ENTRIES && held.saturating_add(mapping.touched) <= POOL_BYTES {
            pool.push(mapping);
        }
    }
}

/// A growing byte buffer for large outputs: grows without copying, is not zeroed twice, and goes back to the pool when dropped.
pub(crate) struct GrowBuffer {
    mapping: Option<Mapping>,
    len: usize,
}

impl GrowBuffer {
    /// An empty buffer on a warm mapping if there is one, else on a fresh one made by the first write.
    pub(crate) fn new() -> GrowBuffer {
        let mapping = take();
        if let Some(mapping) = &mapping {
            // For the whole mapping: advice for a part would split it, and a split mapping cannot be grown.
            mapping.advise(0, mapping.capacity, libc::MADV_HUGEPAGE);
        }
        GrowBuffer { mapping, len: 0 }
    }

    /// The bytes held.
    pub(crate) fn as_slice(&self) -> &[u8] {
        match &self.mapping {
            // SAFETY: the first `len` bytes were written by read(2) or by a copy and nobody writes to them while `self` is borrowed.
            Some(mapping) => unsafe { std::slice::from_raw_parts(mapping.base.as_ptr(), self.len) },
            None => &[],
        }
    }

    /// The bytes held, to change.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.mapping {
            // SAFETY: the first `len` bytes are initialised (see `as_slice`), and the exclusive borrow of `self` covers its own mapping.
            Some(mapping) => unsafe { std::slice::from_raw_parts_mut(mapping.base.as_ptr(), self.len) },
            None => &mut [],
        }
    }

    /// Makes room for `more` bytes after the held ones and gives the pointer to it.
    fn reserve(&mut self, more: usize) -> io::Result<*mut u8> {
        let needed = self.len.checked_add(more).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        let mapping = match &mut self.mapping {
            Some(mapping) => mapping,
            empty => empty.insert(Mapping::fresh(FIRST_CAPACITY.max(needed.next_power_of_two()))?),
        };
        if needed > mapping.capacity {
            mapping.grow(needed.max(mapping.capacity.saturating_mul(2)))?;
        }
        // SAFETY: `len` lies within the capacity that was just ensured.
        Ok(unsafe { mapping.base.as_ptr().add(self.len) })
    }

    fn advance(&mut self, count: usize) {
        self.len += count;
        if let Some(mapping) = &mut self.mapping {
            mapping.touched = mapping.touched.max(self.len);
        }
    }

    /// Appends at most `max` bytes read from a descriptor; 0 at end of file.
    pub(crate) fn read_from(&mut self, fd: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
        let room = self.reserve(max)?;
        // SAFETY: `room` has `max` writable bytes of this buffer's own mapping.
        let count = retry(|| check_size(unsafe { libc::read(fd.as_raw_fd(), room.cast(), max) }))?;
        self.advance(count);
        Ok(count)
    }

    /// Appends a copy of `bytes`.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = self.reserve(bytes.len())?;
        // SAFETY: `room` has that many writable bytes in a mapping of our own, which a borrowed slice cannot overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len()) };
        self.advance(bytes.len());
        Ok(())
    }

    /// Forgets everything after the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forgets the first `count` bytes and moves the others to the start.
    pub(crate) fn discard_front(&mut self, count: usize) {
        let count = count.min(self.len);
        if let Some(mapping) = &self.mapping {
            let base = mapping.base.as_ptr();
            // SAFETY: `count` is at most `len`, so it lies within the mapping.
            let from = unsafe { base.add(count) };
            // SAFETY: both ranges lie within the held bytes; `copy` allows them to overlap.
            unsafe { std::ptr::copy(from, base, self.len - count) };
        }
        self.len -= count;
    }

    /// Drops the pages of a recycled mapping that this output did not need, so that a result holds what it shows.
    pub(crate) fn trim(&mut self) {
        // The largest page size in use on Linux, so that the advice is aligned everywhere.
        const ALIGN: usize = 64 << 10;
        let end = self.len.next_multiple_of(ALIGN);
        if let Some(mapping) = &mut self.mapping
            && mapping.touched > end.saturating_add(self.len / 32)
        {
            mapping.advise(end, mapping.touched, libc::MADV_DONTNEED);
            mapping.touched = end.min(mapping.capacity);
        }
    }
}

impl Drop for GrowBuffer {
    fn drop(&mut self) {
        if let Some(mapping) = self.mapping.take() {
            give_back(mapping);
        }
    }
}

#[cfg(test)]
mod tests;
