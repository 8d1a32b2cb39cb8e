//! The readers-writer lock in shared memory, whose two sides are locks of their own to Python.

use super::locks::{Home, Reduced, limit, wait};
use super::wait::AsyncWait;
use crate::aio::Hub;
use crate::arguments;
use crate::error::{IntoPy, guard};
use crate::timeout::Limit;
use procs::{SharedReadGuard, SharedRwLock};
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The lock, and whether the writer before the last one here died with it.
#[derive(Clone)]
struct Lock {
    core: SharedRwLock,
    owner_died: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Read,
    Write,
}

impl Lock {
    /// Takes a side; whether a writer died with the lock, which only writers are told.
    fn take(&self, side: Side, limit: Duration) -> procs::Result<bool> {
        match side {
            Side::Read => self.core.read_timeout(limit).map(SharedReadGuard::leave).map(|()| false),
            Side::Write => self.core.write_timeout(limit).map(|held| {
                let died = held.owner_died();
                held.leave();
                died
            }),
        }
    }

    fn acquire(&self, py: Python<'_>, side: Side, timeout: Option<Limit>) -> PyResult<bool> {
        guard(py, || {
            let died = wait(py, timeout, |slice| self.take(side, slice))?;
            if side == Side::Write {
                self.owner_died.store(died == Some(true), Ordering::Relaxed);
            }
            Ok(died.is_some())
        })
    }

    fn release(&self, py: Python<'_>, side: Side) -> PyResult<()> {
        guard(py, || match side {
            Side::Read => self.core.release_read().or_raise(py),
            Side::Write => self.core.release_write().or_raise(py),
        })
    }

    fn acquire_async(&self, hub: &Hub, number: u64, side: Side, limit: Option<Limit>) -> PyResult<AsyncWait> {
        let limit = limit.map(Limit::duration);
        let lock = self.clone();
        match side {
            Side::Read => {
                let future = lock.core.read_async(limit);
                Ok(AsyncWait::new(hub, number, async move { future.await.map(SharedReadGuard::leave).map(|()| true) }))
            }
            Side::Write => {
                let future = lock.core.write_async(limit);
                Ok(AsyncWait::new(hub, number, async move {
                    let held = future.await?;
                    lock.owner_died.store(held.owner_died(), Ordering::Relaxed);
                    held.leave();
                    Ok(true)
                }))
            }
        }
    }
}

/// A lock that many hold for reading or one for writing.
#[pyclass(frozen, module = "procs", name = "SharedRwLock")]
pub(crate) struct RwLock {
    lock: Lock,
    home: Home,
}

impl RwLock {
    pub(super) fn new(core: SharedRwLock, home: Home) -> RwLock {
        RwLock { lock: Lock { core, owner_died: Arc::default() }, home }
    }
}

#[pymethods]
impl RwLock {
    /// Bytes of memory that it takes.
    #[classattr]
    const SIZE: usize = SharedRwLock::SIZE;

    /// The side for reading, as a lock.
    #[getter]
    fn read(&self) -> RwLockSide {
        RwLockSide { lock: self.lock.clone(), side: Side::Read }
    }

    /// The side for writing, as a lock.
    #[getter]
    fn write(&self) -> RwLockSide {
        RwLockSide { lock: self.lock.clone(), side: Side::Write }
    }

    /// Waits until nobody writes, at most `timeout` seconds (None for ever): whether it is held now.
    #[pyo3(signature = (timeout = None))]
    fn acquire_read(&self, py: Python<'_>, timeout: Option<Limit>) -> PyResult<bool> {
        self.lock.acquire(py, Side::Read, timeout)
    }

    /// Waits until nobody else has it, at most `timeout` seconds (None for ever): whether it is held now.
    #[pyo3(signature = (timeout = None))]
    fn acquire_write(&self, py: Python<'_>, timeout: Option<Limit>) -> PyResult<bool> {
        self.lock.acquire(py, Side::Write, timeout)
    }

    /// Gives a hold for reading back.
    fn release_read(&self, py: Python<'_>) -> PyResult<()> {
        self.lock.release(py, Side::Read)
    }

    /// Gives the hold for writing back.
    fn release_write(&self, py: Python<'_>) -> PyResult<()> {
        self.lock.release(py, Side::Write)
    }

    /// Whether the writer before the last `acquire_write` died with the lock.
    #[getter]
    fn owner_died(&self) -> bool {
        self.lock.owner_died.load(Ordering::Relaxed)
    }

    /// Says that what the lock protects is whole again.
    fn repair(&self) {
        self.lock.core.repair();
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        self.home.reduce(py, "rwlock")
    }
}

/// One side of a readers-writer lock.
#[pyclass(frozen, module = "procs", name = "SharedRwLockSide")]
pub(crate) struct RwLockSide {
    lock: Lock,
    side: Side,
}

#[pymethods]
impl RwLockSide {
    /// Waits for this side, at most `timeout` seconds (None for ever), not at all unless `blocking`: whether it is held now.
    #[pyo3(signature = (blocking = true, timeout = None))]
    fn acquire(&self, py: Python<'_>, #[pyo3(from_py_with = arguments::truth)] blocking: bool, timeout: Option<Limit>) -> PyResult<bool> {
        self.lock.acquire(py, self.side, limit(blocking, timeout))
    }

    /// Gives this side back.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.lock.release(py, self.side)
    }

    fn _wait_async(&self, hub: &Hub, number: u64, limit: Option<Limit>) -> PyResult<AsyncWait> {
        self.lock.acquire_async(hub, number, self.side, limit)
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().acquire(slf.py(), true, None)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyAny>) -> PyResult<()> {
        self.release(py)
    }
}
