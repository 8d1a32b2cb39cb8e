//! Bytes in shared memory as buffers of Python: what came with a message, and blocks of an arena.
//!
//! With unsafe code, because the buffer protocol hands out addresses.

#![allow(unsafe_code)]

use crate::arguments;
use crate::error::{IntoPy, guard};
use crate::memory::to_bytes;
use procs::{BlockPlace, Seat};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ffi::c_int;
use std::sync::Arc;

/// The bytes of a buffer whose bytes lie one after the other.
pub(crate) fn bytes_in(view: &PyUntypedBuffer) -> Option<&[u8]> {
    let address = view.buf_ptr().cast::<u8>();
    if !view.is_c_contiguous() || address.is_null() {
        return None;
    }
    // SAFETY: the exporter keeps `len_bytes` bytes at this address while `view` lives, and the callers hold the GIL meanwhile, so that no
    // Python code changes them.
    Some(unsafe { std::slice::from_raw_parts(address, view.len_bytes()) })
}

/// Copies bytes into a writable buffer whose bytes lie one after the other; false when they do not fit.
pub(crate) fn copy_into(room: &PyUntypedBuffer, offset: usize, bytes: &[u8]) -> bool {
    let fits = offset.checked_add(bytes.len()).is_some_and(|end| end <= room.len_bytes());
    if fits && !bytes.is_empty() && !room.readonly() && room.is_c_contiguous() {
        let place = room.buf_ptr().cast::<u8>().wrapping_add(offset);
        // SAFETY: the exporter keeps `len_bytes` writable bytes at the buffer's address while `room` lives, the end was compared with them, and
        // the callers hold the GIL, so that no Python code looks at them meanwhile. `bytes` belong to a message and are read-only to Python.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
    }
    fits
}

/// A new memoryview of an object that has the buffer protocol.
pub(super) fn view_of<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: `object` is a live object.
    let view = unsafe { ffi::PyMemoryView_FromObject(object.as_ptr()) };
    // SAFETY: the call returned a new reference, or null with an exception.
    unsafe { Bound::from_owned_ptr_or_err(object.py(), view) }
}

/// Fills the interpreter's description of memory that belongs to `owner`.
///
/// # Safety
/// `view` is null or a structure to fill; the `len` bytes at `start` are mapped while `owner` lives.
pub(super) unsafe fn lend(
    owner: &Bound<'_, PyAny>,
    view: *mut ffi::Py_buffer,
    flags: c_int,
    (start, len): (*mut u8, usize),
    read_only: bool,
) -> PyResult<()> {
    if view.is_null() {
        return Err(PyBufferError::new_err("view is null"));
    }
    let len = ffi::Py_ssize_t::try_from(len).map_err(|_| PyBufferError::new_err("too large for a buffer"))?;
    // SAFETY: the caller vouches for both; the view keeps a reference to `owner`.
    match unsafe { ffi::PyBuffer_FillInfo(view, owner.as_ptr(), start.cast(), len, c_int::from(read_only), flags) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(owner.py())),
    }
}

/// Bytes that came with a message, in place: a read-only buffer that keeps what it shows.
#[pyclass(frozen, weakref, module = "procs", name = "Buffer")]
pub(crate) struct Buffer(procs::Buffer);

impl Buffer {
    pub(crate) fn new(buffer: procs::Buffer) -> Buffer {
        Buffer(buffer)
    }
}

#[pymethods]
impl Buffer {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        to_bytes(py, &self.0)
    }

    /// Whether the bytes lie in the sender's memory, which can use it again when this and its views are gone.
    #[getter]
    fn shared(&self) -> bool {
        self.0.is_shared()
    }

    fn __repr__(&self) -> String {
        format!("<procs.Buffer size={}>", self.0.len())
    }

    /// Lends the bytes, read-only.
    ///
    /// # Safety
    /// Called by the interpreter: `view` is null or points to a `Py_buffer` to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let bytes: &[u8] = &slf.get().0;
        // SAFETY: the address of the bytes does not change while the object lives; they are lent read-only.
        unsafe { lend(slf.as_any(), view, flags, (bytes.as_ptr().cast_mut(), bytes.len()), true) }
    }
}

/// A block of an arena, or of a channel's; see `procs/__init__.pyi`.
#[pyclass(frozen, weakref, module = "procs", name = "Block")]
pub(crate) struct Block(Arc<procs::Block>);

impl Block {
    pub(crate) fn new(core: Arc<procs::Block>) -> Block {
        Block(core)
    }
}

/// What `BlockPlace` of `procs._records` is made of.
pub(super) fn place_of<'py>(py: Python<'py>, place: BlockPlace) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("procs._records")?.getattr("BlockPlace")?;
    class.call1((place.segment, place.serial, place.offset, place.len))
}

#[pymethods]
impl Block {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Bytes that it has.
    #[getter]
    fn size(&self) -> usize {
        self.0.len()
    }

    /// Bytes from the start of the segment's file.
    #[getter]
    fn offset(&self) -> usize {
        self.0.offset()
    }

    /// Whether new views of it can be written to: this process allocated it, and no other has it now.
    #[getter]
    fn writable(&self) -> bool {
        self.0.is_writable()
    }

    /// Where it is, for a message to a process that attaches it.
    #[getter]
    fn place<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        place_of(py, self.0.place())
    }

    /// A new view of the whole block.
    #[getter]
    fn buf<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view_of(slf.as_any())
    }

    /// Adds a reference for the process with this seat, which must attach the place once.
    fn lend<'py>(&self, py: Python<'py>, #[pyo3(from_py_with = arguments::seat)] seat: u32) -> PyResult<Bound<'py, PyAny>> {
        guard(py, || place_of(py, self.0.lend(Seat::from_number(seat)).or_raise(py)?))
    }

    /// Takes back one reference whose message was not sent.
    fn unlend(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::seat)] seat: u32) -> PyResult<()> {
        guard(py, || self.0.unlend(Seat::from_number(seat)).or_raise(py))
    }

    fn __repr__(&self) -> String {
        format!("<procs.Block size={} {}>", self.0.len(), if self.0.is_writable() { "writable" } else { "read-only" })
    }

    /// Lends the block.
    ///
    /// # Safety
    /// Called by the interpreter: `view` is null or points to a `Py_buffer` to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let core = &slf.get().0;
        // SAFETY: the block's memory stays mapped and its own while the object lives.
        unsafe { lend(slf.as_any(), view, flags, (core.as_ptr(), core.len()), !core.is_writable()) }
    }
}
