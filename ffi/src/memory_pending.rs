//! A lock that an event loop waits for.

use crate::bell::Bell;
use crate::guard::{guard, guard_value};
use crate::ptr::{Operation, Out};
use crate::slab::{self, Object, lock};
use crate::status::procs_status;
use procs::{Error, ErrorKind, Result};
use std::ffi::c_int;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// Something wanted of a lock in shared memory, started with one of the `_start` functions, for an event loop that must not block: poll its descriptor
/// for reading, then call `procs_shm_pending_finish` until it is not PROCS_E_WOULD_BLOCK. Freeing it before withdraws the wish.
pub struct procs_shm_pending {
    _opaque: [u8; 0],
}

type Wish = Pin<Box<dyn Future<Output = Result<c_int>> + Send>>;

struct PendingObject {
    bell: Arc<Bell>,
    wish: Mutex<Option<Wish>>,
}

impl Object for PendingObject {
    type Handle = procs_shm_pending;
    const TAG: usize = 29;
    const NOUN: &'static str = "shm_pending";
}

/// Puts a wish behind a handle.
pub(crate) fn hand_out(
    operation: Operation,
    pending: *mut *mut procs_shm_pending,
    wish: impl Future<Output = Result<c_int>> + Send + 'static,
) -> Result<()> {
    let out = Out::new(operation, "pending", pending)?;
    out.set(slab::insert(PendingObject { bell: Bell::new(operation)?, wish: Mutex::new(Some(Box::pin(wish))) })?);
    Ok(())
}

/// The descriptor to poll for reading; readable at first. -1 for NULL. Borrowed: valid until the handle is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_pending_fd(pending: *const procs_shm_pending) -> c_int {
    guard_value("procs_shm_pending_fd", -1, || Ok(slab::get::<PendingObject>("procs_shm_pending_fd", pending)?.bell.fd()))
}

/// Takes what was wanted if it is there; `*value`, unless NULL, is what the `_start` function says. It is taken once; free the handle then.
///
/// Errors: PROCS_E_WOULD_BLOCK when it is not there yet, PROCS_E_TIMEOUT when the time that was given is over, PROCS_E_INVALID_STATE when it was
/// taken before, and those of the lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_pending_finish(pending: *const procs_shm_pending, value: *mut c_int) -> procs_status {
    let operation = "procs_shm_pending_finish";
    guard(operation, || {
        let object = slab::get::<PendingObject>(operation, pending)?;
        let out = if value.is_null() { None } else { Some(Out::new(operation, "value", value)?) };
        let mut slot = lock(&object.wish);
        let wish = slot.as_mut().ok_or_else(|| Error::new(ErrorKind::InvalidState, operation, "it was taken before"))?;
        object.bell.silence();
        let found = match wish.as_mut().poll(&mut Context::from_waker(&object.bell.waker())) {
            Poll::Pending => return Err(Error::new(ErrorKind::WouldBlock, operation, "others have it")),
            Poll::Ready(found) => found,
        };
        *slot = None;
        let found = found?;
        if let Some(out) = out {
            out.set(found);
        }
        Ok(())
    })
}

/// Frees the handle; withdraws the wish if it was not taken. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_pending_free(pending: *mut procs_shm_pending) -> procs_status {
    guard("procs_shm_pending_free", || slab::remove::<PendingObject>("procs_shm_pending_free", pending).map(drop))
}
