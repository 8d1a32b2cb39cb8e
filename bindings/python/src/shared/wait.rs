//! A wait of the core that an event loop polls when its descriptor says so.

use crate::aio::{Bell, Hub};
use crate::error::{IntoPy, guard, raise};
use procs::{Deadline, Error, ErrorKind};
use pyo3::prelude::*;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future whose wish must not be uttered twice; a signal handler that raises withdraws it.
pub(super) fn block_on<T: Send>(py: Python<'_>, future: impl Future<Output = procs::Result<T>> + Send) -> PyResult<T> {
    match block_on_until(py, Deadline::NEVER, future)? {
        Some(result) => result.or_raise(py),
        None => Err(raise(py, &Error::new(ErrorKind::Timeout, "wait", "the time is over"))),
    }
}

/// As [`block_on`], `None` when the deadline passed; the future is then dropped.
pub(crate) fn block_on_until<T: Send>(py: Python<'_>, deadline: Deadline, future: impl Future<Output = T> + Send) -> PyResult<Option<T>> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        let polled = py.detach(|| {
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_pending() {
                let slice = Duration::from_millis(50);
                std::thread::park_timeout(deadline.remaining().map_or(slice, |left| left.min(slice)));
            }
            polled
        });
        match polled {
            Poll::Ready(result) => return Ok(Some(result)),
            Poll::Pending if deadline.passed() => return Ok(None),
            Poll::Pending => py.check_signals()?,
        }
    }
}

type Wish = Pin<Box<dyn Future<Output = procs::Result<bool>> + Send>>;

/// A wait under way; `procs.aio` polls it when the hub names its number. Dropping it withdraws the wish.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct AsyncWait {
    future: Mutex<Option<Wish>>,
    bell: Arc<Bell>,
    waker: Waker,
}

impl AsyncWait {
    pub(crate) fn new(hub: &Hub, number: u64, future: impl Future<Output = procs::Result<bool>> + Send + 'static) -> AsyncWait {
        let bell = hub.bell(number);
        AsyncWait { future: Mutex::new(Some(Box::pin(future))), waker: Waker::from(Arc::clone(&bell)), bell }
    }
}

#[pymethods]
impl AsyncWait {
    /// The result once there is one.
    pub(crate) fn poll(&self, py: Python<'_>) -> PyResult<Option<bool>> {
        guard(py, || {
            let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(future) = slot.as_mut() else {
                return Err(raise(py, &Error::new(ErrorKind::Cancelled, "wait", "it was withdrawn")));
            };
            match future.as_mut().poll(&mut Context::from_waker(&self.waker)) {
                Poll::Ready(result) => {
                    *slot = None;
                    result.or_raise(py).map(Some)
                }
                Poll::Pending => Ok(None),
            }
        })
    }

    /// Withdraws the wish.
    pub(crate) fn cancel(&self) {
        let withdrawn = self.future.lock().unwrap_or_else(PoisonError::into_inner).take();
        if withdrawn.is_some() {
            self.bell.ring();
        }
    }
}
