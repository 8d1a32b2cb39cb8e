//! The one place with `unsafe`: objects that are filled before anybody else knows them, `bytes` of a child's output and lists of its lines.

#![allow(unsafe_code)]

use procs::LargeRoom;
use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest object that was filled so far: so much memory the process has had before.
static WARM: AtomicUsize = AtomicUsize::new(0);

type Resize = unsafe extern "C" fn(*mut *mut ffi::PyObject, ffi::Py_ssize_t) -> c_int;

/// `_PyBytes_Resize` of the running interpreter. Every CPython exports it, but the stable ABI does not promise it: hence asked for by name.
static RESIZE: LazyLock<Option<Resize>> = LazyLock::new(|| {
    let found = procs::exported_symbol(c"_PyBytes_Resize")?;
    // SAFETY: CPython's bytesobject.h declares it with this signature from 3.0 to 3.14.
    Some(unsafe { std::mem::transmute::<NonNull<c_void>, Resize>(found) })
});

/// A `bytes` object under construction. It grows by `realloc`, which moves page tables and not bytes once it is large, and is handed over as
/// it is: the output is never there twice.
pub(crate) struct GrowingBytes {
    /// The only reference to the object; null once it was handed over.
    object: *mut ffi::PyObject,
    len: usize,
    capacity: usize,
}

// SAFETY: nobody but this value knows the object, so that its bytes may be written from any thread; its reference count is only touched
// with the interpreter attached (`grow`, `finish`, `drop`).
unsafe impl Send for GrowingBytes {}

impl GrowingBytes {
    /// An empty object with room for `capacity` bytes, whose pages are touched only as they are filled.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn new(py: Python<'_>, capacity: usize) -> PyResult<GrowingBytes> {
        // SAFETY: the interpreter is attached; with a null pointer the bytes are left uninitialised, and only written ones are ever read.
        let object = unsafe { ffi::PyBytes_FromStringAndSize(std::ptr::null(), signed(capacity)) };
        if object.is_null() {
            return Err(PyErr::fetch(py));
        }
        let made = GrowingBytes { object, len: 0, capacity };
        made.advise();
        Ok(made)
    }

    /// Appends what there is room for and returns how many bytes that were. Needs no interpreter.
    pub(crate) fn fill(&mut self, block: &[u8]) -> usize {
        let count = block.len().min(self.capacity - self.len);
        // SAFETY: `object` is a live bytes object (see `new` and `grow`).
        let start = unsafe { ffi::PyBytes_AsString(self.object) };
        // SAFETY: `len + count` is at most the object's size.
        let room = unsafe { start.add(self.len) };
        // SAFETY: `room` has `count` writable bytes in an object that nobody else knows, so that `block` cannot overlap it.
        unsafe { std::ptr::copy_nonoverlapping(block.as_ptr(), room.cast(), count) };
        self.len += count;
        count
    }

    /// Reads once from a descriptor into the room that is left, at most `max` bytes; 0 at end of file. Needs no interpreter.
    pub(crate) fn read_from(&mut self, fd: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
        let room = max.min(self.capacity - self.len);
        // SAFETY: `object` is a live bytes object (see `new` and `grow`).
        let start = unsafe { ffi::PyBytes_AsString(self.object) };
        // SAFETY: `len + room` is at most the object's size.
        let start = unsafe { start.add(self.len) };
        // SAFETY: these bytes belong to an object that nobody else knows, and nobody says that they were written.
        let memory = unsafe { std::slice::from_raw_parts_mut(start.cast::<MaybeUninit<u8>>(), room) };
        let count = procs::read_uninit(fd, memory)?;
        self.len += count;
        Ok(count)
    }

    /// Makes the object larger or smaller.
    ///
    /// # Errors
    /// `MemoryError`; the bytes are lost then.
    fn resize(&mut self, py: Python<'_>, capacity: usize) -> PyResult<()> {
        let Some(resize) = *RESIZE else { return self.replace(py, capacity) };
        // SAFETY: the interpreter is attached and `object` is ours alone; on failure the call frees it and sets the pointer to null.
        let failed = unsafe { resize(&mut self.object, signed(capacity)) } != 0;
        if failed {
            (self.len, self.capacity) = (0, 0);
            return Err(PyErr::fetch(py));
        }
        self.capacity = capacity;
        self.len = self.len.min(capacity);
        Ok(())
    }

    /// Asks for huge pages where as much memory was in use before, and for plain ones beyond that: a guest's fresh memory is filled page by
    /// page more cheaply, and what was given back a moment ago is not fresh. Only a hint: it changes no content.
    fn advise(&self) {
        // SAFETY: `object` is a live bytes object.
        let start = unsafe { ffi::PyBytes_AsString(self.object) };
        // SAFETY: its `capacity` bytes exist, and nobody says that they were written.
        let memory = unsafe { std::slice::from_raw_parts(start.cast::<MaybeUninit<u8>>(), self.capacity) };
        procs::advise_huge_pages(memory, self.capacity / 2 <= WARM.load(Ordering::Relaxed));
    }

    /// What was written so far.
    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.object.is_null() {
            return &[];
        }
        // SAFETY: `object` is a live bytes object.
        let start = unsafe { ffi::PyBytes_AsString(self.object) };
        // SAFETY: its first `len` bytes were written, and only through `&mut self`.
        unsafe { std::slice::from_raw_parts(start.cast(), self.len) }
    }

    /// Another object with the same content, for an interpreter that cannot resize one.
    fn replace(&mut self, py: Python<'_>, capacity: usize) -> PyResult<()> {
        let mut other = GrowingBytes::new(py, capacity)?;
        other.fill(self.as_slice());
        *self = other;
        Ok(())
    }

    /// Makes room for `capacity` bytes in all.
    ///
    /// # Errors
    /// `MemoryError`; the bytes are lost then.
    pub(crate) fn grow(&mut self, py: Python<'_>, capacity: usize) -> PyResult<()> {
        self.resize(py, capacity)?;
        self.advise();
        Ok(())
    }

    /// The room that there is and was, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The room that is left, in bytes.
    pub(crate) fn room(&self) -> usize {
        self.capacity - self.len
    }

    /// The object, exactly as large as what was written.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn finish(mut self, py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
        let len = self.len;
        WARM.fetch_max(len, Ordering::Relaxed);
        self.resize(py, len)?;
        let object = std::mem::replace(&mut self.object, std::ptr::null_mut());
        // SAFETY: `object` is a live object whose only reference changes hands here.
        let object = unsafe { Bound::from_owned_ptr(py, object) };
        Ok(object.cast_into::<PyBytes>()?)
    }
}

/// A `bytes` object with a copy of these bytes.
///
/// # Errors
/// `MemoryError`, where PyO3's own way is a panic.
pub(crate) fn to_bytes<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: the interpreter is attached, and so many bytes are there to be copied.
    let object = unsafe { ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), signed(bytes.len())) };
    // SAFETY: null with an exception, or an object whose only reference this is.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
    Ok(object.cast_into::<PyBytes>()?)
}

/// The parts of a text that end before these characters, in order; between two parts a character is left out. PyO3 has no call for a part of a string,
/// and one that makes it of UTF-8 takes twice as long.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn parts<'py>(text: &Bound<'py, PyString>, ends: &[usize]) -> PyResult<Bound<'py, PyList>> {
    let py = text.py();
    // SAFETY: the interpreter is attached.
    let list = unsafe { ffi::PyList_New(signed(ends.len())) };
    // SAFETY: null with an exception, or a list whose only reference this is. Its places are empty, which it may be dropped with.
    let list = unsafe { Bound::from_owned_ptr_or_err(py, list) }?;
    let mut from = 0;
    for (index, &end) in ends.iter().enumerate() {
        // SAFETY: a string; the call checks both places.
        let part = unsafe { ffi::PyUnicode_Substring(text.as_ptr(), signed(from), signed(end)) };
        if part.is_null() {
            return Err(PyErr::fetch(py));
        }
        // SAFETY: nobody else knows the list, which has so many places; it takes over the reference.
        unsafe { ffi::PyList_SetItem(list.as_ptr(), signed(index), part) };
        from = end + 1;
    }
    Ok(list.cast_into::<PyList>()?)
}

/// These bytes in memory of their own.
///
/// # Errors
/// `MemoryError`; a plain vector ends the process.
pub(crate) fn to_vec(bytes: &[u8]) -> PyResult<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| PyMemoryError::new_err(()))?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// A `bytes` object for a large message that is copied to it while its sender is still writing. Made and filled with the interpreter attached.
pub(crate) struct MessageBytes<'py> {
    py: Python<'py>,
    bytes: Option<GrowingBytes>,
}

impl<'py> MessageBytes<'py> {
    pub(crate) fn new(py: Python<'py>) -> MessageBytes<'py> {
        MessageBytes { py, bytes: None }
    }

    /// The object, if the message came to it.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn finish(self) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.bytes.map(|bytes| bytes.finish(self.py)).transpose()
    }
}

impl LargeRoom for MessageBytes<'_> {
    fn make(&mut self, len: usize) -> bool {
        // SAFETY: the interpreter is attached; with a null pointer the bytes are left uninitialised, and only written ones are ever read.
        let object = unsafe { ffi::PyBytes_FromStringAndSize(std::ptr::null(), signed(len)) };
        if object.is_null() {
            // No memory: the message comes in another way, or says so itself.
            drop(PyErr::take(self.py));
            return false;
        }
        self.bytes = Some(GrowingBytes { object, len, capacity: len });
        true
    }

    fn room(&mut self, at: usize, count: usize) -> &mut [MaybeUninit<u8>] {
        let Some(bytes) = self.bytes.as_mut().filter(|bytes| at <= bytes.capacity && count <= bytes.capacity - at) else { return &mut [] };
        // SAFETY: `object` is a live bytes object (see `make`).
        let start = unsafe { ffi::PyBytes_AsString(bytes.object) };
        // SAFETY: inside of the object (checked above).
        let start = unsafe { start.add(at) };
        // SAFETY: these bytes belong to an object that nobody else knows, and nobody says that they were written.
        unsafe { std::slice::from_raw_parts_mut(start.cast::<MaybeUninit<u8>>(), count) }
    }

    fn give_up(&mut self, len: usize) -> Option<Vec<u8>> {
        let Some(mut bytes) = self.bytes.take() else { return Some(Vec::new()) };
        // What follows was never written.
        bytes.len = len.min(bytes.capacity);
        to_vec(bytes.as_slice()).ok()
    }
}

impl Drop for GrowingBytes {
    fn drop(&mut self) {
        if self.object.is_null() {
            return;
        }
        // Without an interpreter the program is ending and takes the memory with it.
        // SAFETY: the interpreter is attached, and this is the only reference.
        Python::try_attach(|_| unsafe { ffi::Py_DecRef(self.object) });
    }
}

/// A size as the interpreter counts; more than it can count is more than there is.
fn signed(size: usize) -> ffi::Py_ssize_t {
    ffi::Py_ssize_t::try_from(size).unwrap_or(ffi::Py_ssize_t::MAX)
}
