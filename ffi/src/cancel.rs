//! Cancel handles: stopping a run from another thread.

use crate::guard::{guard, guard_value};
use crate::ptr::Out;
use crate::slab::{self, Object};
use crate::status::procs_status;
use procs::CancelHandle;
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd};

/// Stops every run it was given to, from any thread.
pub struct procs_cancel {
    _opaque: [u8; 0],
}

pub(crate) struct CancelObject(pub(crate) CancelHandle);

impl Object for CancelObject {
    type Handle = procs_cancel;
    const TAG: usize = 1;
    const NOUN: &'static str = "cancel";
}

/// Makes a cancel handle. Owned: free it with `procs_cancel_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_cancel_new(cancel: *mut *mut procs_cancel) -> procs_status {
    guard("procs_cancel_new", || {
        let out = Out::new("procs_cancel_new", "cancel", cancel)?;
        out.set(slab::insert(CancelObject(CancelHandle::new()?))?);
        Ok(())
    })
}

/// Cancels, for ever; any number of times, also while the runs go on in other threads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_cancel_now(cancel: *const procs_cancel) -> procs_status {
    guard("procs_cancel_now", || {
        slab::get::<CancelObject>("procs_cancel_now", cancel)?.0.cancel();
        Ok(())
    })
}

/// 1 when it was cancelled, else 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_cancel_is_cancelled(cancel: *const procs_cancel) -> c_int {
    guard_value("procs_cancel_is_cancelled", 0, || Ok(slab::get::<CancelObject>("procs_cancel_is_cancelled", cancel)?.0.is_cancelled().into()))
}

/// A descriptor that becomes readable when it is cancelled; -1 for NULL. Borrowed: valid until the handle is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_cancel_fd(cancel: *const procs_cancel) -> c_int {
    guard_value("procs_cancel_fd", -1, || Ok(slab::get::<CancelObject>("procs_cancel_fd", cancel)?.0.as_fd().as_raw_fd()))
}

/// Frees the handle. Runs that have it go on and can no longer be cancelled. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_cancel_free(cancel: *mut procs_cancel) -> procs_status {
    guard("procs_cancel_free", || slab::remove::<CancelObject>("procs_cancel_free", cancel).map(drop))
}
