//! Stopping a wait or a run from another thread.

use crate::error::Result;
use crate::sys::poll::EventFd;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Stops every run it was given to. Clones share one state; cancelling is permanent and idempotent.
#[derive(Clone, Debug)]
pub struct CancelHandle {
    event: Arc<EventFd>,
}

impl CancelHandle {
    /// Makes a handle.
    ///
    /// # Errors
    /// `Exhausted` when no descriptor is free.
    pub fn new() -> Result<CancelHandle> {
        Ok(CancelHandle { event: Arc::new(EventFd::new("cancel")?) })
    }

    /// Cancels. From any thread, any number of times.
    pub fn cancel(&self) {
        self.event.signal();
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.event.is_set()
    }
}

impl AsFd for CancelHandle {
    /// Readable once cancelled.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
