//! An arena of one's own, for processes that agree on seats and places themselves. Channels have theirs.

use super::block::Block;
use crate::arguments;
use crate::error::{IntoPy, guard, raise};
use procs::{Arena as Core, BlockPlace, Error, ErrorKind, Seat};
use pyo3::prelude::*;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::Arc;

/// Blocks that one process allocates and lends to others; see `procs/__init__.pyi`.
#[pyclass(frozen, weakref, module = "procs", name = "Arena")]
pub(crate) struct Arena(Core);

#[pymethods]
impl Arena {
    #[new]
    #[pyo3(signature = (size, *, max_bytes = 1 << 30, prefault = false, huge_pages = false))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::size)] size: usize,
        #[pyo3(from_py_with = arguments::max_bytes)] max_bytes: usize,
        #[pyo3(from_py_with = arguments::prefault)] prefault: bool,
        #[pyo3(from_py_with = arguments::huge_pages)] huge_pages: bool,
    ) -> PyResult<Arena> {
        guard(py, || {
            let options = Core::options(size).max_bytes(max_bytes.max(size)).prefault(prefault).huge_pages(huge_pages);
            py.detach(|| options.create()).or_raise(py).map(Arena)
        })
    }

    /// Opens an arena at the seat that its maker kept. The descriptor of its segment 0 stays open and the caller's.
    #[staticmethod]
    fn open(py: Python<'_>, #[pyo3(from_py_with = arguments::fd)] fd: RawFd, #[pyo3(from_py_with = arguments::seat)] seat: u32) -> PyResult<Arena> {
        guard(py, || {
            let own = procs::duplicate_fd(fd).or_raise(py)?;
            Core::open(own, Seat::from_number(seat)).or_raise(py).map(Arena)
        })
    }

    /// Keeps a seat for another process: its number, which that process needs.
    fn seat(&self, py: Python<'_>) -> PyResult<u32> {
        guard(py, || self.0.seat().or_raise(py).map(Seat::number))
    }

    /// A block of that many bytes; they are what their last user left.
    fn alloc(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::size)] size: usize) -> PyResult<Block> {
        guard(py, || Ok(Block::new(Arc::new(self.0.alloc(size).or_raise(py)?))))
    }

    /// The block at a place that `lend` gave, in the process that it was lent to.
    fn attach(&self, py: Python<'_>, place: &Bound<'_, PyAny>) -> PyResult<Block> {
        guard(py, || {
            let wrong = |_| {
                let detail = format!("a place is four numbers: segment, serial, offset and length (place = {place})");
                raise(py, &Error::new(ErrorKind::InvalidArgument, "arena.attach", detail))
            };
            let [segment, serial, offset, len]: [u64; 4] = place.extract().map_err(wrong)?;
            let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
            let place = BlockPlace { segment: narrow(segment), serial: narrow(serial), offset, len };
            Ok(Block::new(Arc::new(self.0.attach(place).or_raise(py)?)))
        })
    }

    /// Files that its memory has, at least one.
    #[getter]
    fn segments(&self) -> usize {
        self.0.segments()
    }

    /// A new descriptor of a segment, which is the caller's to close.
    #[pyo3(signature = (segment = 0))]
    fn segment_fd(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::segment)] segment: usize) -> PyResult<RawFd> {
        guard(py, || self.0.segment_fd(segment).or_raise(py).map(IntoRawFd::into_raw_fd))
    }

    /// Adds the next segment in a process that opened the arena. The descriptor stays open and the caller's.
    fn add_segment(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::fd)] fd: RawFd) -> PyResult<()> {
        guard(py, || self.0.add_segment(procs::duplicate_fd(fd).or_raise(py)?).or_raise(py))
    }

    /// The seats that are taken, with the process that has each; `None` until it came.
    fn owners(&self, py: Python<'_>) -> PyResult<Vec<(u32, Option<u32>)>> {
        guard(py, || Ok(self.0.owners().or_raise(py)?.into_iter().map(|(seat, pid)| (seat.number(), pid)).collect()))
    }

    /// Takes back what dead processes held, and their seats: how many blocks they had.
    fn reclaim_dead(&self, py: Python<'_>) -> PyResult<usize> {
        guard(py, || self.0.reclaim_dead().or_raise(py))
    }

    /// Takes back what a seat holds, and the seat: how many blocks it had.
    fn reclaim(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::seat)] seat: u32) -> PyResult<usize> {
        guard(py, || self.0.reclaim(Seat::from_number(seat)).or_raise(py))
    }

    /// Bytes of blocks that are in use here or lent, in whole pages.
    #[getter]
    fn used_bytes(&self, py: Python<'_>) -> PyResult<usize> {
        guard(py, || self.0.used_bytes().or_raise(py))
    }
}
