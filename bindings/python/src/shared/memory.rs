//! Shared memory: a buffer of Python over a segment of the core.
//!
//! With unsafe code, because the buffer protocol hands out the address of the mapping.

#![allow(unsafe_code)]

use super::block::{bytes_in, lend, view_of};
use super::cell::{Cell, Number};
use super::locks::Home;
use super::{locks, rwlock, table, travel};
use crate::arguments;
use crate::convert;
use crate::error::{IntoPy, guard};
use procs::{SharedMemory as Core, SharedMemoryOptions};
use pyo3::buffer::PyUntypedBuffer;
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
    pub(super) fn new_with(core: Core) -> SharedMemory {
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

/// Makes or opens what lives in the memory.
fn place<T>(slf: &Bound<'_, SharedMemory>, make: impl FnOnce(&Core) -> procs::Result<T>) -> PyResult<T> {
    let py = slf.py();
    guard(py, || make(&slf.get().open(py)?).or_raise(py))
}

fn home(slf: &Bound<'_, SharedMemory>, offset: usize) -> Home {
    Home { memory: slf.clone().unbind(), offset }
}

#[pymethods]
impl SharedMemory {
    #[new]
    #[pyo3(signature = (size, *, create = true, read_only = false, prefault = false, huge_pages = false))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::size)] size: usize,
        #[pyo3(from_py_with = arguments::truth)] create: bool,
        #[pyo3(from_py_with = arguments::read_only)] read_only: bool,
        #[pyo3(from_py_with = arguments::prefault)] prefault: bool,
        #[pyo3(from_py_with = arguments::huge_pages)] huge_pages: bool,
    ) -> PyResult<SharedMemory> {
        guard(py, || {
            if !create {
                let detail = "memory without a name can only be made or opened by its descriptor: from_fd (create = False, expected True)";
                return Err(crate::error::raise(py, &procs::Error::new(procs::ErrorKind::InvalidArgument, "memory", detail)));
            }
            let options: SharedMemoryOptions = Core::options().read_only(read_only).prefault(prefault).huge_pages(huge_pages);
            py.detach(|| options.create(size)).or_raise(py).map(SharedMemory::new_with)
        })
    }

    /// Opens the memory behind a descriptor, which stays open and the caller's.
    #[staticmethod]
    fn from_fd(py: Python<'_>, #[pyo3(from_py_with = arguments::fd)] fd: RawFd) -> PyResult<SharedMemory> {
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

    /// Whether `close` was called; views that were made before are still good.
    #[getter]
    fn closed(&self) -> bool {
        self.held().closed
    }

    /// A new view of the whole memory.
    #[getter]
    fn buf<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().open(py)?;
        view_of(slf.as_any())
    }

    /// The descriptor of the memory, to pass on; it belongs to this object.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.open(py)?.as_fd().as_raw_fd())
    }

    /// Copies bytes out.
    #[pyo3(signature = (offset = 0, size = None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        #[pyo3(from_py_with = arguments::size_or_all)] size: Option<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        guard(py, || {
            let core = self.open(py)?;
            let size = size.unwrap_or_else(|| core.len().saturating_sub(offset));
            // Checked before anything that large is allocated.
            core.read_into(offset.saturating_add(size), &mut []).or_raise(py)?;
            PyBytes::new_with(py, size, |out| core.read_into(offset, out).or_raise(py))
        })
    }

    /// Copies bytes in.
    fn write(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::offset)] offset: usize, data: &Bound<'_, PyAny>) -> PyResult<()> {
        guard(py, || {
            let core = self.open(py)?;
            if let Ok(bytes) = data.cast::<PyBytes>() {
                return core.write(offset, bytes.as_bytes()).or_raise(py);
            }
            let view = PyUntypedBuffer::get(data).ok();
            match view.as_ref().and_then(bytes_in) {
                Some(bytes) => core.write(offset, bytes).or_raise(py),
                None => core.write(offset, &convert::bytes_like("data", data)?).or_raise(py),
            }
        })
    }

    /// Sets a range to one byte.
    #[pyo3(signature = (offset = 0, size = None, byte = 0))]
    fn fill(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        #[pyo3(from_py_with = arguments::size_or_all)] size: Option<usize>,
        #[pyo3(from_py_with = arguments::byte)] byte: u8,
    ) -> PyResult<()> {
        guard(py, || {
            let core = self.open(py)?;
            let size = size.unwrap_or_else(|| core.len().saturating_sub(offset));
            core.fill(offset, size, byte).or_raise(py)
        })
    }

    /// The number at an offset: "u32", "i32", "u64" or "i64".
    #[pyo3(signature = (offset, kind = "u64"))]
    fn cell(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        #[pyo3(from_py_with = arguments::kind)] kind: &str,
    ) -> PyResult<Cell> {
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
    fn mutex(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        #[pyo3(from_py_with = arguments::create)] create: Option<bool>,
    ) -> PyResult<locks::Mutex> {
        let core = place(slf, |memory| placed!(SharedMutex, create, memory, offset))?;
        Ok(locks::Mutex { core, owner_died: Arc::default(), home: home(slf, offset) })
    }

    /// The readers-writer lock at an offset.
    #[pyo3(signature = (offset, create = None))]
    fn rwlock(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        #[pyo3(from_py_with = arguments::create)] create: Option<bool>,
    ) -> PyResult<rwlock::RwLock> {
        let core = place(slf, |memory| placed!(SharedRwLock, create, memory, offset))?;
        Ok(rwlock::RwLock::new(core, home(slf, offset)))
    }

    /// The semaphore at an offset; `value` counts when it is made.
    #[pyo3(signature = (offset, value = 1, create = None))]
    fn semaphore(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        #[pyo3(from_py_with = arguments::permits)] value: u32,
        #[pyo3(from_py_with = arguments::create)] create: Option<bool>,
    ) -> PyResult<locks::Semaphore> {
        let core = place(slf, |memory| placed!(SharedSemaphore, create, memory, offset; value))?;
        Ok(locks::Semaphore(core, home(slf, offset)))
    }

    /// The event at an offset.
    #[pyo3(signature = (offset, create = None))]
    fn event(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        #[pyo3(from_py_with = arguments::create)] create: Option<bool>,
    ) -> PyResult<locks::Event> {
        let core = place(slf, |memory| placed!(SharedEvent, create, memory, offset))?;
        Ok(locks::Event(core, home(slf, offset)))
    }

    /// The barrier at an offset; `parties` counts when it is made.
    #[pyo3(signature = (offset, parties = 2, create = None))]
    fn barrier(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        #[pyo3(from_py_with = arguments::parties)] parties: u32,
        #[pyo3(from_py_with = arguments::create)] create: Option<bool>,
    ) -> PyResult<locks::Barrier> {
        let core = place(slf, |memory| placed!(SharedBarrier, create, memory, offset; parties))?;
        Ok(locks::Barrier(core, home(slf, offset)))
    }

    /// The work that is done once at an offset.
    #[pyo3(signature = (offset, create = None))]
    fn once(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        #[pyo3(from_py_with = arguments::create)] create: Option<bool>,
    ) -> PyResult<locks::Once> {
        let core = place(slf, |memory| placed!(SharedOnce, create, memory, offset))?;
        Ok(locks::Once(core, home(slf, offset)))
    }

    /// The table of counters at an offset; `capacity` counts when it is made.
    #[pyo3(signature = (offset, capacity = 32, create = None))]
    fn counters(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        #[pyo3(from_py_with = arguments::capacity)] capacity: u32,
        #[pyo3(from_py_with = arguments::create)] create: Option<bool>,
    ) -> PyResult<table::Counters> {
        let core = place(slf, |memory| placed!(Counters, create, memory, offset; capacity))?;
        Ok(table::Counters(core, home(slf, offset)))
    }

    /// The histogram at an offset.
    #[pyo3(signature = (offset, create = None))]
    fn histogram(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = arguments::offset)] offset: usize,
        #[pyo3(from_py_with = arguments::create)] create: Option<bool>,
    ) -> PyResult<table::Histogram> {
        let core = place(slf, |memory| placed!(Histogram, create, memory, offset))?;
        Ok(table::Histogram(core, home(slf, offset)))
    }

    /// As multiprocessing has it. Nothing has a name here: the memory goes with the last process that has it.
    #[expect(clippy::unused_self, reason = "a method to Python")]
    fn unlink(&self) {}

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

    /// For a message of a channel, or for a process that multiprocessing is just starting.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyAny>,))> {
        let core = self.open(py)?;
        let codecs = py.import("procs._codecs")?;
        match travel::pack(py, core.as_fd())? {
            Some(number) => Ok((codecs.getattr("unpack_memory")?, (number.into_pyobject(py)?.into_any(),))),
            None => Ok((codecs.getattr("open_inherited")?, (codecs.call_method1("inherited", (core.as_fd().as_raw_fd(),))?,))),
        }
    }

    /// Lends the memory: every view counts, so that the mapping stays while one lives.
    ///
    /// # Safety
    /// Called by the interpreter: `view` is null or points to a `Py_buffer` to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let core = slf.get().open(slf.py())?;
        // SAFETY: the mapping stays until the last view is released: `views` is counted below, and `close` spares it while that is not 0.
        unsafe { lend(slf.as_any(), view, flags, (core.as_ptr(), core.len()), !core.is_writable()) }?;
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

/// Every field of the layout of shared memory: name, offset and size in bytes.
#[pyfunction]
pub(crate) fn memory_layout() -> Vec<(&'static str, usize, usize)> {
    procs::memory_layout().iter().map(|field| (field.name, field.offset, field.size)).collect()
}
