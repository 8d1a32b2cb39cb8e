//! Shared memory: a buffer of Python over a segment of the core.
//!
//! With unsafe code, because the buffer protocol hands out the address of the mapping.

#![allow(unsafe_code)]

use super::cell::{Cell, Number};
use super::{locks, table};
use crate::convert;
use crate::error::{IntoPy, guard};
use procs::{SharedMemory as Core, SharedMemoryOptions};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Makes, opens, or whichever is needed.
macro_rules! placed {
    ($kind:ident, $create:expr, $memory:expr, $offset:expr $(; $more:expr)?) => {
        match $create {
            Some(true) => procs::$kind::create($memory, $offset $(, $more)?),
            Some(false) => procs::$kind::open($memory, $offset),
            None => procs::$kind::open_or_create($memory, $offset $(, $more)?),
        }
    };
}

/// The memory while it is open, and how many views of it exist. A closed one lives on until the last view is released.
struct Held {
    core: Option<Core>,
    closed: bool,
    views: usize,
}

/// Memory that several processes map, without a name; see `procs/__init__.pyi`.
#[pyclass(frozen, weakref, module = "procs", name = "SharedMemory")]
pub(crate) struct SharedMemory(Mutex<Held>);

impl SharedMemory {
    fn new_with(core: Core) -> SharedMemory {
        SharedMemory(Mutex::new(Held { core: Some(core), closed: false, views: 0 }))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The memory; an exception once it was closed.
    pub(crate) fn open(&self, py: Python<'_>) -> PyResult<Core> {
        let held = self.held();
        match &held.core {
            Some(core) if !held.closed => Ok(core.clone()),
            _ => Err(crate::error::raise(py, &procs::Error::new(procs::ErrorKind::InvalidState, "memory", "it was closed"))),
        }
    }
}

#[pymethods]
impl SharedMemory {
    #[new]
    #[pyo3(signature = (size, *, read_only = false, prefault = false, huge_pages = false))]
    fn new(py: Python<'_>, size: usize, read_only: bool, prefault: bool, huge_pages: bool) -> PyResult<SharedMemory> {
        guard(py, || {
            let options: SharedMemoryOptions = Core::options().read_only(read_only).prefault(prefault).huge_pages(huge_pages);
            py.detach(|| options.create(size)).or_raise(py).map(SharedMemory::new_with)
        })
    }

    /// Opens the memory behind a descriptor, which stays open and the caller's.
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: RawFd) -> PyResult<SharedMemory> {
        guard(py, || {
            let own = procs::duplicate_fd(fd).or_raise(py)?;
            Core::from_fd(own).or_raise(py).map(SharedMemory::new_with)
        })
    }

    /// Bytes that can be used.
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.open(py)?.len())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.size(py)
    }

    /// Whether others can only read it; the creator of such memory writes nevertheless.
    #[getter]
    fn read_only(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.open(py)?.is_read_only())
    }

    /// Whether this process can write to it.
    #[getter]
    fn writable(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.open(py)?.is_writable())
    }

    /// Whether the system agreed to huge pages.
    #[getter]
    fn huge_pages(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.open(py)?.has_huge_pages())
    }

    #[getter]
    fn closed(&self) -> bool {
        self.held().closed
    }

    /// A new view of the whole memory.
    #[getter]
    fn buf<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().open(py)?;
        // SAFETY: `slf` is a live object that implements the buffer protocol.
        let view = unsafe { ffi::PyMemoryView_FromObject(slf.as_ptr()) };
        // SAFETY: the call returned a new reference, or null with an exception.
        unsafe { Bound::from_owned_ptr_or_err(py, view) }
    }

    /// The descriptor of the memory, to pass on; it belongs to this object.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.open(py)?.as_fd().as_raw_fd())
    }

    /// Copies bytes out.
    #[pyo3(signature = (offset = 0, size = None))]
    fn read<'py>(&self, py: Python<'py>, offset: usize, size: Option<usize>) -> PyResult<Bound<'py, PyBytes>> {
        guard(py, || {
            let core = self.open(py)?;
            let size = size.unwrap_or_else(|| core.len().saturating_sub(offset));
            // Checked before anything that large is allocated.
            core.read_into(offset.saturating_add(size), &mut []).or_raise(py)?;
            PyBytes::new_with(py, size, |out| core.read_into(offset, out).or_raise(py))
        })
    }

    /// Copies bytes in.
    fn write(&self, py: Python<'_>, offset: usize, data: &Bound<'_, PyAny>) -> PyResult<()> {
        guard(py, || {
            let core = self.open(py)?;
            if let Ok(bytes) = data.cast::<PyBytes>() {
                return core.write(offset, bytes.as_bytes()).or_raise(py);
            }
            match PyBuffer::<u8>::get(data) {
                Ok(buffer) if buffer.is_c_contiguous() => {
                    // SAFETY: the exporter keeps `len_bytes` bytes at this address while `buffer` lives, and the GIL is held, so that no
                    // Python code changes them during the copy.
                    let bytes = unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), buffer.len_bytes()) };
                    core.write(offset, bytes).or_raise(py)
                }
                _ => core.write(offset, &convert::bytes_like(data)?).or_raise(py),
            }
        })
    }

    /// Sets a range to one byte.
    #[pyo3(signature = (offset = 0, size = None, byte = 0))]
    fn fill(&self, py: Python<'_>, offset: usize, size: Option<usize>, byte: u8) -> PyResult<()> {
        guard(py, || {
            let core = self.open(py)?;
            let size = size.unwrap_or_else(|| core.len().saturating_sub(offset));
            core.fill(offset, size, byte).or_raise(py)
        })
    }

    /// The number at an offset: "u32", "i32", "u64" or "i64".
    #[pyo3(signature = (offset, kind = "u64"))]
    fn cell(&self, py: Python<'_>, offset: usize, kind: &str) -> PyResult<Cell> {
        guard(py, || {
            let core = self.open(py)?;
            Ok(Cell::new(match kind {
                "u32" => Number::U32(core.cell_u32(offset).or_raise(py)?),
                "i32" => Number::I32(core.cell_i32(offset).or_raise(py)?),
                "u64" => Number::U64(core.cell_u64(offset).or_raise(py)?),
                "i64" => Number::I64(core.cell_i64(offset).or_raise(py)?),
                _ => {
                    let detail = format!("no such number (kind = {kind:?}, expected u32, i32, u64 or i64)");
                    return Err(crate::error::raise(py, &procs::Error::new(procs::ErrorKind::InvalidArgument, "memory.cell", detail)));
                }
            }))
        })
    }

    /// The mutex at an offset; `create`: true makes it, false opens it, `None` does what is needed.
    #[pyo3(signature = (offset, create = None))]
    fn mutex(&self, py: Python<'_>, offset: usize, create: Option<bool>) -> PyResult<locks::Mutex> {
        guard(py, || {
            let memory = self.open(py)?;
            let core = placed!(SharedMutex, create, &memory, offset).or_raise(py)?;
            Ok(locks::Mutex { core, owner_died: Arc::default() })
        })
    }

    /// The readers-writer lock at an offset.
    #[pyo3(signature = (offset, create = None))]
    fn rwlock(&self, py: Python<'_>, offset: usize, create: Option<bool>) -> PyResult<locks::RwLock> {
        guard(py, || {
            let memory = self.open(py)?;
            let core = placed!(SharedRwLock, create, &memory, offset).or_raise(py)?;
            Ok(locks::RwLock { core, owner_died: Arc::default() })
        })
    }

    /// The semaphore at an offset; `value` counts when it is made.
    #[pyo3(signature = (offset, value = 1, create = None))]
    fn semaphore(&self, py: Python<'_>, offset: usize, value: u32, create: Option<bool>) -> PyResult<locks::Semaphore> {
        guard(py, || placed!(SharedSemaphore, create, &self.open(py)?, offset; value).or_raise(py).map(locks::Semaphore))
    }

    /// The event at an offset.
    #[pyo3(signature = (offset, create = None))]
    fn event(&self, py: Python<'_>, offset: usize, create: Option<bool>) -> PyResult<locks::Event> {
        guard(py, || placed!(SharedEvent, create, &self.open(py)?, offset).or_raise(py).map(locks::Event))
    }

    /// The barrier at an offset; `parties` counts when it is made.
    #[pyo3(signature = (offset, parties = 2, create = None))]
    fn barrier(&self, py: Python<'_>, offset: usize, parties: u32, create: Option<bool>) -> PyResult<locks::Barrier> {
        guard(py, || placed!(SharedBarrier, create, &self.open(py)?, offset; parties).or_raise(py).map(locks::Barrier))
    }

    /// The work that is done once at an offset.
    #[pyo3(signature = (offset, create = None))]
    fn once(&self, py: Python<'_>, offset: usize, create: Option<bool>) -> PyResult<locks::Once> {
        guard(py, || placed!(SharedOnce, create, &self.open(py)?, offset).or_raise(py).map(locks::Once))
    }

    /// The table of counters at an offset; `capacity` counts when it is made.
    #[pyo3(signature = (offset, capacity = 32, create = None))]
    fn counters(&self, py: Python<'_>, offset: usize, capacity: u32, create: Option<bool>) -> PyResult<table::Counters> {
        guard(py, || placed!(Counters, create, &self.open(py)?, offset; capacity).or_raise(py).map(table::Counters))
    }

    /// The histogram at an offset.
    #[pyo3(signature = (offset, create = None))]
    fn histogram(&self, py: Python<'_>, offset: usize, create: Option<bool>) -> PyResult<table::Histogram> {
        guard(py, || placed!(Histogram, create, &self.open(py)?, offset).or_raise(py).map(table::Histogram))
    }

    /// Gives the memory up. Views that exist stay valid; the mapping goes with the last of them.
    fn close(&self) {
        let mut held = self.held();
        held.closed = true;
        if held.views == 0 {
            held.core = None;
        }
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().open(slf.py())?;
        Ok(slf)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyAny>) {
        self.close();
    }

    fn __repr__(&self) -> String {
        match &self.held().core {
            Some(core) => format!("<procs.SharedMemory size={} fd={}>", core.len(), core.as_fd().as_raw_fd()),
            None => "<procs.SharedMemory closed>".to_owned(),
        }
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("cannot pickle SharedMemory: pass its descriptor on (fileno() with pass_fds, or fds= of a channel's message)"))
    }

    /// Lends the memory: every view counts, so that the mapping stays while one lives.
    ///
    /// # Safety
    /// Called by the interpreter: `view` is null or points to a `Py_buffer` to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("view is null"));
        }
        let core = slf.get().open(slf.py())?;
        let len = ffi::Py_ssize_t::try_from(core.len()).map_err(|_| PyBufferError::new_err("too large for a buffer"))?;
        let read_only = c_int::from(!core.is_writable());
        // SAFETY: `view` is the interpreter's structure. The address is that of a mapping of `len` bytes, which stays until the last view is
        // released: `views` is counted below, the view holds a reference to `slf`, and `close` spares the mapping while it is not 0.
        let filled = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), core.as_ptr().cast(), len, read_only, flags) };
        if filled != 0 {
            return Err(PyErr::fetch(slf.py()));
        }
        slf.get().held().views += 1;
        Ok(())
    }

    /// # Safety
    /// Called by the interpreter, once for each buffer that was filled.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        let mut held = self.held();
        held.views = held.views.saturating_sub(1);
        if held.closed && held.views == 0 {
            held.core = None;
        }
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

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0)
    }

    fn __repr__(&self) -> String {
        format!("<procs.Buffer size={}>", self.0.len())
    }

    /// Lends the bytes, read-only.
    ///
    /// # Safety
    /// Called by the interpreter: `view` is null or points to a `Py_buffer` to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("view is null"));
        }
        let bytes: &[u8] = &slf.get().0;
        let len = ffi::Py_ssize_t::try_from(bytes.len()).map_err(|_| PyBufferError::new_err("too large for a buffer"))?;
        // SAFETY: `view` is the interpreter's structure. The address of the bytes does not change while the object lives, which the view's
        // reference to `slf` ensures; they are lent read-only.
        match unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), bytes.as_ptr().cast_mut().cast(), len, 1, flags) } {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}

/// Every field of the layout of shared memory: name, offset and size in bytes.
#[pyfunction]
pub(crate) fn memory_layout() -> Vec<(&'static str, usize, usize)> {
    procs::memory_layout().iter().map(|field| (field.name, field.offset, field.size)).collect()
}
