//! Memory for large outputs: an anonymous mapping that grows without copying, and a small pool of mappings whose pages are already there.
//!
//! Touching memory for the first time costs more than moving bytes through a pipe, so a mapping that is no longer used is kept warm for the
//! next large output. The pool holds at most [`POOL_BYTES`] and [`POOL_ENTRIES`]; its pages are marked free (MADV_FREE), so that the kernel
//! takes them back under memory pressure without asking.

use super::{check_size, retry};
use parking_lot::Mutex;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Upper bound of the memory kept warm, in bytes: two outputs of the default limit.
pub(crate) const POOL_BYTES: usize = 128 << 20;
/// Upper bound of the number of mappings kept warm.
pub(crate) const POOL_ENTRIES: usize = 8;
/// Size of a fresh mapping: only address space, and large enough that the kernel aligns it for huge pages.
const FIRST_CAPACITY: usize = 4 << 20;

/// Where the bytes of a mapping begin: as far behind a page's start as large allocations of malloc do, so that whole pages can become theirs.
const LEAD: usize = 16;
/// Page size on the systems where pages are moved.
const PAGE: usize = 4096;

/// The largest mapping whose pages were given away: so much memory the process has had before, and it is not fresh when it comes again.
static GIVEN_AWAY: AtomicUsize = AtomicUsize::new(0);

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
        let mapping = Mapping { base, capacity, touched: 0 };
        mapping.advise_fresh();
        Ok(mapping)
    }

    /// Asks for huge pages as far as memory of this size was there before: a guest fills fresh memory more cheaply page by page.
    fn advise_fresh(&self) {
        let known = GIVEN_AWAY.load(Ordering::Relaxed);
        if known > 0 {
            let huge = self.capacity / 2 <= known;
            self.advise(0, self.capacity, if huge { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE });
        }
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

    /// The held bytes.
    fn start(&self) -> *mut u8 {
        // SAFETY: every mapping is larger than this.
        unsafe { self.base.as_ptr().add(LEAD) }
    }

    /// Makes pages of this mapping, which is given up, those of `to`; gives it back when the system does not.
    ///
    /// # Safety
    /// `from` lies in this mapping, and `to` in memory that nobody else uses; both begin a page, and `len` bytes are whole pages of both.
    unsafe fn move_pages(self, from: *mut u8, to: *mut u8, len: usize) -> std::result::Result<(), Mapping> {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the pages come from a mapping of our own, and what they take the place of is the caller's to give.
        if unsafe { libc::mremap(from.cast(), len, len, flags, to.cast::<libc::c_void>()) } == libc::MAP_FAILED {
            // Linux looks at everything before it unmaps what was there, but for small structures of its own, of which it has never run out.
            let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE);
            // SAFETY: maps only what is not mapped.
            unsafe { libc::mmap(to.cast(), len, protection, flags, -1, 0) };
            return Err(self);
        }
        let (base, capacity) = (self.base.as_ptr(), self.capacity);
        std::mem::forget(self);
        let before = from.addr() - base.addr();
        for (start, rest) in [(base, before), (from.wrapping_add(len), capacity - before - len)] {
            if rest > 0 {
                // SAFETY: what is left of the mapping, which nobody refers to any more.
                unsafe { libc::munmap(start.cast(), rest) };
            }
        }
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
            Some(mapping) => unsafe { std::slice::from_raw_parts(mapping.start(), self.len) },
            None => &[],
        }
    }

    /// The bytes held, to change.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.mapping {
            // SAFETY: the first `len` bytes are initialised (see `as_slice`), and the exclusive borrow of `self` covers its own mapping.
            Some(mapping) => unsafe { std::slice::from_raw_parts_mut(mapping.start(), self.len) },
            None => &mut [],
        }
    }

    /// Makes room for `more` bytes after the held ones and gives the pointer to it.
    fn reserve(&mut self, more: usize) -> io::Result<*mut u8> {
        let needed = self.len.checked_add(LEAD).and_then(|len| len.checked_add(more)).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        let mapping = match &mut self.mapping {
            Some(mapping) => mapping,
            empty => empty.insert(Mapping::fresh(FIRST_CAPACITY.max(needed.next_power_of_two()))?),
        };
        if needed > mapping.capacity {
            mapping.grow(needed.max(mapping.capacity.saturating_mul(2)))?;
            if mapping.touched < self.len + LEAD + PAGE {
                mapping.advise_fresh();
            }
        }
        // SAFETY: `len` lies within the capacity that was just ensured.
        Ok(unsafe { mapping.start().add(self.len) })
    }

    fn advance(&mut self, count: usize) {
        self.len += count;
        if let Some(mapping) = &mut self.mapping {
            mapping.touched = mapping.touched.max(LEAD + self.len);
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
            let base = mapping.start();
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
        let end = (LEAD + self.len).next_multiple_of(ALIGN);
        if let Some(mapping) = &mut self.mapping
            && mapping.touched > end.saturating_add(self.len / 32)
        {
            mapping.advise(end, mapping.touched, libc::MADV_DONTNEED);
            mapping.touched = end.min(mapping.capacity);
        }
    }
}

impl GrowBuffer {
    /// Brings the bytes to memory of the same length: the pages themselves where they fit, a copy where not. For private memory: shared memory would
    /// no longer be shared.
    pub(crate) fn move_to(mut self, memory: &mut [MaybeUninit<u8>]) {
        let to = memory.as_mut_ptr().cast::<u8>();
        let Some(mapping) = self.mapping.take() else { return };
        let (from, len) = (mapping.start(), self.len.min(memory.len()));
        let head = PAGE - LEAD;
        let pages = len.saturating_sub(head) / PAGE * PAGE;
        let fits = to.addr() % PAGE == LEAD && from.addr() % PAGE == LEAD && pages > 0;
        let (head, pages) = if fits { (head, pages) } else { (len, 0) };
        let tail = head + pages;
        for (start, end) in [(0, head), (tail, len)] {
            // SAFETY: both sides have `len` bytes, and they are different memory.
            unsafe { std::ptr::copy_nonoverlapping(from.wrapping_add(start), to.wrapping_add(start), end - start) };
        }
        if pages == 0 {
            give_back(mapping);
            return;
        }
        GIVEN_AWAY.fetch_max(len + LEAD, Ordering::Relaxed);
        let (from, to) = (from.wrapping_add(head), to.wrapping_add(head));
        // SAFETY: `head` ends at the end of a page on both sides, see `fits`; the memory is the caller's alone, and what lies in it gets other pages,
        // not another meaning.
        if let Err(mapping) = unsafe { mapping.move_pages(from, to, pages) } {
            // SAFETY: as for the first and the last part.
            unsafe { std::ptr::copy_nonoverlapping(from, to, pages) };
            give_back(mapping);
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
