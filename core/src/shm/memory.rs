//! Memory that processes share by descriptor.

use super::cell::{self, AtomicCell, Number};
use super::layout::Kind;
use super::segment::{Options, Segment};
use crate::error::{Error, Result};
use crate::sys::shared::SharedMapping;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Memory that several processes map, without a name: it lives as long as a descriptor or a mapping of it does, and the kernel counts.
///
/// It is handed over as a descriptor ([`Command::fd`](crate::Command::fd), a message of a channel) and opened with
/// [`from_fd`](SharedMemory::from_fd). Its size is fixed and sealed, so no peer can shorten it under a reader; more memory is another one.
/// All bytes are zero at first, and all of them are there: creation fails if they are not. Offsets count from 0; offset 0 is aligned to 64
/// bytes. Clones share one mapping. After a `fork` of the host parent and child go on sharing it.
///
/// Other processes may write at any time: bytes are copied in and out, and what is used by several at once belongs into [`AtomicCell`]s or
/// under a lock ([`SharedMutex`](crate::SharedMutex) and its relatives), all of which live at offsets of the memory.
///
/// # Drop
/// The last clone closes its descriptor and unmaps it; cells, locks and guards that are still there keep it mapped.
///
/// # Example
/// ```
/// use procs::SharedMemory;
/// let memory = SharedMemory::new(4096)?;
/// memory.write(100, b"hello")?;
///
/// // What another process does with the descriptor that it got:
/// let same = SharedMemory::from_fd(memory.try_clone_fd()?)?;
/// assert_eq!(same.read(100, 5)?, b"hello");
/// assert_eq!(same.len(), 4096);
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedMemory(Arc<Segment>);

/// How a [`SharedMemory`] is made; nothing is set at first.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "options do nothing until `create` is called"]
pub struct SharedMemoryOptions(Options);

impl SharedMemoryOptions {
    /// Lets only this process write (default: everybody who has the descriptor). The kernel refuses writable mappings from then on, also
    /// to those who open the descriptor anew.
    pub fn read_only(mut self, read_only: bool) -> SharedMemoryOptions {
        self.0.read_only = read_only;
        self
    }

    /// Fills the page tables at creation, about 0.5 µs a page, so that no later access of this process faults (default: off).
    pub fn prefault(mut self, prefault: bool) -> SharedMemoryOptions {
        self.0.prefault = prefault;
        self
    }

    /// Asks for huge pages (default: off). Where the system does not give them, ordinary pages serve:
    /// [`has_huge_pages`](SharedMemory::has_huge_pages) tells.
    pub fn huge_pages(mut self, huge_pages: bool) -> SharedMemoryOptions {
        self.0.huge_pages = huge_pages;
        self
    }

    /// Makes memory of `len` bytes.
    ///
    /// # Errors
    /// As [`SharedMemory::new`].
    pub fn create(self, len: usize) -> Result<SharedMemory> {
        Segment::create(Kind::Memory, len as u64, self.0).map(|segment| SharedMemory(Arc::new(segment)))
    }
}

impl SharedMemory {
    /// Makes memory of `len` bytes, at least 1, all zero.
    ///
    /// # Errors
    /// - `Exhausted`: the machine has not that much memory left, or the process no descriptor or address space.
    /// - `TooLarge`: more than a file can have, or over the process' limit for files.
    /// - `InvalidArgument`: `len` is 0.
    /// - `PermissionDenied`: the system forbids anonymous files.
    pub fn new(len: usize) -> Result<SharedMemory> {
        SharedMemory::options().create(len)
    }

    /// Starts a description of the memory to make.
    pub fn options() -> SharedMemoryOptions {
        SharedMemoryOptions::default()
    }

    /// Opens memory that came as a descriptor, from whomever; takes the descriptor.
    ///
    /// # Errors
    /// - `PermissionDenied`: not sealed memory: its owner could shorten it and kill this process with SIGBUS.
    /// - `Protocol`: sealed, but not made by a libprocs of this layout.
    /// - `Exhausted`: no address space is left.
    pub fn from_fd(fd: impl Into<OwnedFd>) -> Result<SharedMemory> {
        Segment::open(fd.into(), Kind::Memory).map(|segment| SharedMemory(Arc::new(segment)))
    }

    /// Usable bytes.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the others can only read it. The creator can write nevertheless.
    pub fn is_read_only(&self) -> bool {
        self.0.is_read_only()
    }

    /// Whether this process can write to it.
    pub fn is_writable(&self) -> bool {
        !self.map().is_read_only()
    }

    /// Whether huge pages were asked for and the system agreed to give them when it can.
    pub fn has_huge_pages(&self) -> bool {
        self.0.has_huge_pages()
    }

    /// The offset in the mapping of a range that is inside the usable bytes.
    pub(crate) fn inside(&self, offset: usize, len: usize) -> Result<usize> {
        if len > self.len() || offset > self.len() - len {
            let detail = format!("outside the memory (offset = {offset}, length = {len}, expected an end of at most {})", self.len());
            return Err(Error::invalid("memory", detail));
        }
        Ok(self.0.data() + offset)
    }

    pub(crate) fn map(&self) -> &Arc<SharedMapping> {
        self.0.map()
    }

    /// Copies `len` bytes out.
    ///
    /// # Errors
    /// - `InvalidArgument`: the range is not inside.
    pub fn read(&self, offset: usize, len: usize) -> Result<Vec<u8>> {
        // Checked first: a wrong length must not become a large allocation.
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
        self.map().read(self.inside(offset, out.len())?, out)
    }

    /// Copies bytes in.
    ///
    /// # Errors
    /// - `InvalidArgument`: the range is not inside.
    /// - `PermissionDenied`: this process can only read it.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.map().write(self.inside(offset, bytes.len())?, bytes)
    }

    /// Sets every byte of a range to `byte`.
    ///
    /// # Errors
    /// As [`write`](SharedMemory::write).
    pub fn fill(&self, offset: usize, len: usize, byte: u8) -> Result<()> {
        self.map().fill(self.inside(offset, len)?, len, byte)
    }

    /// The number at `offset` that all processes read and change atomically; `T` is `u32`, `i32`, `u64` or `i64`.
    ///
    /// # Errors
    /// - `InvalidArgument`: not inside, or `offset` is not a multiple of the size.
    /// - `PermissionDenied`: this process can only read it: see [`load`](SharedMemory::load).
    pub fn cell<T: Number>(&self, offset: usize) -> Result<AtomicCell<T>> {
        AtomicCell::new(self, offset)
    }

    /// Reads the number at `offset` atomically; works where this process can only read.
    ///
    /// # Errors
    /// - `InvalidArgument`: not inside, or `offset` is not a multiple of the size.
    pub fn load<T: Number>(&self, offset: usize) -> Result<T> {
        cell::load_at(self.map(), self.inside(offset, size_of::<T>())?)
    }

    /// [`cell`](SharedMemory::cell) of a `u32`.
    ///
    /// # Errors
    /// As there.
    pub fn cell_u32(&self, offset: usize) -> Result<AtomicCell<u32>> {
        self.cell(offset)
    }

    /// [`cell`](SharedMemory::cell) of an `i32`.
    ///
    /// # Errors
    /// As there.
    pub fn cell_i32(&self, offset: usize) -> Result<AtomicCell<i32>> {
        self.cell(offset)
    }

    /// [`cell`](SharedMemory::cell) of a `u64`.
    ///
    /// # Errors
    /// As there.
    pub fn cell_u64(&self, offset: usize) -> Result<AtomicCell<u64>> {
        self.cell(offset)
    }

    /// [`cell`](SharedMemory::cell) of an `i64`.
    ///
    /// # Errors
    /// As there.
    pub fn cell_i64(&self, offset: usize) -> Result<AtomicCell<i64>> {
        self.cell(offset)
    }

    /// A second descriptor of the memory, to give away; close-on-exec.
    ///
    /// # Errors
    /// - `Exhausted`: the process has no descriptor left.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        self.0.duplicate_fd()
    }

    /// The address of offset 0, for bindings that lend the memory as a buffer. Valid while a clone lives; whoever reads through it sees what
    /// other processes write meanwhile, and a write is a fault where [`is_writable`](SharedMemory::is_writable) is false.
    pub fn as_ptr(&self) -> *mut u8 {
        self.map().base().wrapping_add(self.0.data())
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
