//! Memory that several processes map: anonymous files with seals, and the mapping of one.

use super::pace::Pace;
use super::{check, fd, retry};
use crate::error::{Error, ErrorKind, Result};
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Forbids the size to change and the seals to be lifted. Source: memfd_create(2), fcntl(2).
pub(crate) const SIZE_SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
/// Forbids new writable mappings; those that exist stay writable.
pub(crate) const READ_ONLY_SEAL: i32 = libc::F_SEAL_FUTURE_WRITE;

const MFD_NOEXEC_SEAL: u32 = 8;
const MADV_POPULATE_READ: i32 = 22;
const MADV_POPULATE_WRITE: i32 = 23;

/// The size of a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf takes no pointers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// A new anonymous file that can be sealed and, where the kernel knows that, never executed; close-on-exec and above 2.
pub(crate) fn memfd() -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let create = |flags: u32| {
        // SAFETY: the name is a C string of static lifetime.
        retry(|| check(unsafe { libc::memfd_create(c"procs".as_ptr(), flags) }))
    };
    let raw = match create(flags | MFD_NOEXEC_SEAL) {
        // Before Linux 6.3.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => create(flags)?,
        result => result?,
    };
    // SAFETY: the kernel has just created the descriptor.
    fd::above_stdio(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Gives the file `len` bytes of real memory, all zero: what is missing is missing now and not at the first access.
pub(crate) fn allocate(fd: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    let len = libc::off_t::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: takes no pointers.
    retry(|| check(unsafe { libc::fallocate(fd.as_raw_fd(), 0, 0, len) })).map(drop)
}

/// Adds seals to the file.
pub(crate) fn add_seals(fd: BorrowedFd<'_>, seals: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) }).map(drop)
}

/// The seals of the file; EINVAL for what cannot have any.
pub(crate) fn seals(fd: BorrowedFd<'_>) -> io::Result<i32> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) })
}

/// The size of a regular file; EBADF for anything else.
pub(crate) fn file_size(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `stat` has room for the struct.
    check(unsafe { libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) })?;
    // SAFETY: zeroed at first and filled by the kernel; every bit pattern is valid.
    let stat = unsafe { stat.assume_init() };
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    Ok(stat.st_size.max(0) as u64)
}

/// Whether the descriptor may be written through.
pub(crate) fn is_writable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(fd::status_flags(fd.as_raw_fd())? & libc::O_ACCMODE == libc::O_RDWR)
}

/// The largest file that this process may make (a larger one would raise SIGXFSZ in the host); `None` is no limit.
pub(crate) fn file_size_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` has room for the struct.
    let result = check(unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) });
    (result.is_ok() && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// What the mapping allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadWrite,
    ReadOnly,
}

/// A shared mapping of a sealed file. Other processes may change it at any moment: it is read and written by copy or through atomics.
#[derive(Debug)]
pub(crate) struct SharedMapping {
    base: *mut u8,
    len: usize,
    access: Access,
    /// References to this mapping that locks held in it keep alive.
    pins: AtomicUsize,
    pace: Pace,
}

// SAFETY: `base` is valid until the value is dropped, whatever the thread; all access is by copy or atomic.
unsafe impl Send for SharedMapping {}
// SAFETY: `&SharedMapping` gives out atomics and copies only, and `base()` and `lent()` name their conditions.
unsafe impl Sync for SharedMapping {}

impl SharedMapping {
    /// Maps the first `len` bytes. The caller has checked that the file is at least that long and cannot shrink.
    pub(crate) fn new(fd: BorrowedFd<'_>, len: usize, access: Access) -> io::Result<SharedMapping> {
        let protection = match access {
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
            Access::ReadOnly => libc::PROT_READ,
        };
        // SAFETY: a mapping at an address that the kernel chooses touches no existing memory.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(SharedMapping { base: base.cast(), len, access, pins: AtomicUsize::new(0), pace: Pace::default() })
        }
    }

    /// Bytes mapped.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether it can be read only.
    pub(crate) fn is_read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    /// The address of the first byte, for exporting a buffer; valid while `self` lives.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }

    /// How copies into it are made.
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The range as an address, if it is inside. By subtraction: `offset + len` may overflow.
    fn place(&self, offset: usize, len: usize) -> Result<*mut u8> {
        if len > self.len || offset > self.len - len {
            let detail = format!("outside the memory (offset = {offset}, length = {len}, expected an end of at most {})", self.len);
            return Err(Error::new(ErrorKind::InvalidArgument, "memory", detail));
        }
        // SAFETY: `offset <= self.len`, checked above, so the address is inside the mapping or one past it.
        Ok(unsafe { self.base.add(offset) })
    }

    fn writable(&self) -> Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Error::new(ErrorKind::PermissionDenied, "memory", "it can be read only")),
        }
    }

    /// Copies bytes out.
    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        let from = self.place(offset, out.len())?;
        // SAFETY: `place` checked the range; `out` is private memory of this process, so the two do not overlap. Bytes that another process
        // changes meanwhile arrive old or new; bytes are the only thing that is made of them.
        unsafe { ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) };
        Ok(())
    }

    /// Copies bytes in.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.writable()?;
        let to = self.place(offset, bytes.len())?;
        if bytes.len() >= Pace::LEAST && bytes.as_ptr().addr().abs_diff(to.addr()) >= bytes.len() {
            // SAFETY: `place` checked the range, the mapping is writable, and the two do not overlap: they begin at least their length apart.
            unsafe { self.pace.copy(bytes.as_ptr(), to, bytes.len()) };
        } else {
            // SAFETY: `place` checked the range and the mapping is writable. `copy` because a caller may hold `lent` bytes of this very mapping.
            unsafe { ptr::copy(bytes.as_ptr(), to, bytes.len()) };
        }
        Ok(())
    }

    /// Sets every byte of a range.
    pub(crate) fn fill(&self, offset: usize, len: usize, byte: u8) -> Result<()> {
        self.writable()?;
        let to = self.place(offset, len)?;
        // SAFETY: `place` checked the range and the mapping is writable.
        unsafe { ptr::write_bytes(to, byte, len) };
        Ok(())
    }

    /// Bytes that the other side gave up, in place. The caller makes sure that by protocol nobody writes to them while the slice lives;
    /// a peer that is not trusted is read by copy instead.
    pub(crate) fn lent(&self, offset: usize, len: usize) -> Result<&[u8]> {
        let from = self.place(offset, len)?;
        // SAFETY: `place` checked the range, the mapping outlives the borrow of `self`, and the caller vouches for the rest.
        Ok(unsafe { std::slice::from_raw_parts(from, len) })
    }

    fn aligned(&self, offset: usize, size: usize) -> Result<*mut u8> {
        if !offset.is_multiple_of(size) {
            let detail = format!("not aligned (offset = {offset}, expected a multiple of {size})");
            return Err(Error::new(ErrorKind::InvalidArgument, "memory", detail));
        }
        self.place(offset, size)
    }

    /// An atomic view of four bytes. Refused on memory that can be read only: an atomic can be written through.
    pub(crate) fn u32_at(&self, offset: usize) -> Result<&AtomicU32> {
        self.writable()?;
        let word = self.aligned(offset, 4)?;
        // SAFETY: inside the mapping and aligned (the base is a page's), checked by `aligned`; others use it atomically by the layout.
        Ok(unsafe { AtomicU32::from_ptr(word.cast()) })
    }

    /// An atomic view of eight bytes, as above.
    pub(crate) fn u64_at(&self, offset: usize) -> Result<&AtomicU64> {
        self.writable()?;
        let word = self.aligned(offset, 8)?;
        // SAFETY: as in `u32_at`.
        Ok(unsafe { AtomicU64::from_ptr(word.cast()) })
    }

    /// Reads four bytes at once; works on memory that can be read only.
    pub(crate) fn load_u32(&self, offset: usize) -> Result<u32> {
        let word = self.aligned(offset, 4)?;
        // SAFETY: as in `u32_at`; a load does not write.
        let word = unsafe { AtomicU32::from_ptr(word.cast()) };
        Ok(word.load(Ordering::SeqCst))
    }

    /// Reads eight bytes at once; works on memory that can be read only.
    pub(crate) fn load_u64(&self, offset: usize) -> Result<u64> {
        let word = self.aligned(offset, 8)?;
        // SAFETY: as in `u32_at`; a load does not write.
        let word = unsafe { AtomicU64::from_ptr(word.cast()) };
        Ok(word.load(Ordering::SeqCst))
    }

    fn advise(&self, advice: i32) -> io::Result<()> {
        // SAFETY: the range is this mapping; the advices used here do not change its contents.
        retry(|| check(unsafe { libc::madvise(self.base.cast(), self.len, advice) })).map(drop)
    }

    /// Keeps it out of forked copies of the process.
    pub(crate) fn dont_fork(&self) -> io::Result<()> {
        self.advise(libc::MADV_DONTFORK)
    }

    /// The address of an aligned place that is written to.
    pub(super) fn place_of(&self, offset: usize, len: usize) -> Result<*mut u8> {
        self.writable()?;
        self.aligned(offset, 8)?;
        self.place(offset, len)
    }

    /// Keeps it mapped until [`SharedMapping::unpin`], whatever is dropped: the list of robust mutexes of a thread points into it.
    pub(super) fn pin(self: &Arc<SharedMapping>) {
        let _ = Arc::into_raw(Arc::clone(self));
        self.pins.fetch_add(1, Ordering::AcqRel);
    }

    /// Undoes one [`SharedMapping::pin`], if there was one.
    pub(super) fn unpin(self: &Arc<SharedMapping>) {
        let had = self.pins.fetch_update(Ordering::AcqRel, Ordering::Acquire, |pins| pins.checked_sub(1));
        if had.is_ok() {
            // SAFETY: the count says that `pin` leaked a reference that nobody has taken back.
            unsafe { Arc::decrement_strong_count(Arc::as_ptr(self)) };
        }
    }

    /// Asks for huge pages; false when the kernel refuses.
    pub(crate) fn ask_huge_pages(&self) -> bool {
        self.advise(libc::MADV_HUGEPAGE).is_ok()
    }

    /// Fills the page tables now, so that no later access faults.
    pub(crate) fn prefault(&self) {
        let advice = match self.access {
            Access::ReadWrite => MADV_POPULATE_WRITE,
            Access::ReadOnly => MADV_POPULATE_READ,
        };
        if self.advise(advice).is_err() {
            // Before Linux 5.14: one access a page.
            for offset in (0..self.len).step_by(page_size()) {
                if let Ok(word) = self.u32_at(offset) {
                    word.fetch_or(0, Ordering::Relaxed);
                } else {
                    let _ = self.load_u32(offset);
                }
            }
        }
    }
}

impl Drop for SharedMapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and no reference into it outlives this value.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

/// An atomic at a checked place of a mapping that it keeps alive.
#[derive(Debug)]
pub(crate) struct Placed<A> {
    word: *const A,
    _map: Arc<SharedMapping>,
}

// SAFETY: `word` points into the mapping that the value keeps; atomics may be used from any thread.
unsafe impl<A: Sync> Send for Placed<A> {}
// SAFETY: a shared reference gives out `&A` only, which is `Sync`; the pointer itself never changes.
unsafe impl<A: Sync> Sync for Placed<A> {}

impl<A> Clone for Placed<A> {
    fn clone(&self) -> Placed<A> {
        Placed { word: self.word, _map: Arc::clone(&self._map) }
    }
}

impl Placed<AtomicU32> {
    /// The word at `offset`; refused as in [`SharedMapping::u32_at`].
    pub(crate) fn new32(map: &Arc<SharedMapping>, offset: usize) -> Result<Placed<AtomicU32>> {
        Ok(Placed { word: map.u32_at(offset)?, _map: Arc::clone(map) })
    }
}

impl Placed<AtomicU64> {
    /// The word at `offset`; refused as in [`SharedMapping::u64_at`].
    pub(crate) fn new64(map: &Arc<SharedMapping>, offset: usize) -> Result<Placed<AtomicU64>> {
        Ok(Placed { word: map.u64_at(offset)?, _map: Arc::clone(map) })
    }
}

impl<A> Deref for Placed<A> {
    type Target = A;

    fn deref(&self) -> &A {
        // SAFETY: made from a reference into the mapping, which stays mapped while `_map` lives.
        unsafe { &*self.word }
    }
}
