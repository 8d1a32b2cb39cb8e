//! Shared memory in pickled objects: the pickle has a number, the message has the descriptor.

use crate::error::{IntoPy, raise};
use crate::shared::SharedMemory;
use procs::{Error, ErrorKind};
use pyo3::prelude::*;
use std::cell::RefCell;
use std::os::fd::{BorrowedFd, OwnedFd};

thread_local! {
    /// The descriptors of the message that this thread is pickling, if it is.
    static OUTGOING: RefCell<Option<Vec<OwnedFd>>> = const { RefCell::new(None) };
    /// Those of the message that this thread is unpickling.
    static INCOMING: RefCell<Option<Vec<OwnedFd>>> = const { RefCell::new(None) };
}

/// Pickles with `dump`; gives what it gave and the descriptors that belong to it.
pub(crate) fn packing<T>(dump: impl FnOnce() -> PyResult<T>) -> PyResult<(T, Vec<OwnedFd>)> {
    let before = OUTGOING.replace(Some(Vec::new()));
    let dumped = dump();
    let fds = OUTGOING.replace(before).unwrap_or_default();
    Ok((dumped?, fds))
}

/// Unpickles with `load` what came with these descriptors, which are closed in the end.
pub(crate) fn unpacking<T>(fds: Vec<OwnedFd>, load: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    let before = INCOMING.replace(Some(fds));
    let loaded = load();
    INCOMING.set(before);
    loaded
}

/// Adds a descriptor to the message that is being pickled: its number there. None if it is not for a message.
pub(super) fn pack(py: Python<'_>, fd: BorrowedFd<'_>) -> PyResult<Option<usize>> {
    OUTGOING.with_borrow_mut(|outgoing| {
        let Some(fds) = outgoing else { return Ok(None) };
        let own = fd.try_clone_to_owned().map_err(|error| raise(py, &Error::from_io("memory", &error, "cannot duplicate its descriptor")))?;
        fds.push(own);
        Ok(Some(fds.len() - 1))
    })
}

/// The memory whose descriptor has this number in the message that is being unpickled.
#[pyfunction]
pub(crate) fn unpack_memory(py: Python<'_>, number: usize) -> PyResult<SharedMemory> {
    let own = INCOMING.with_borrow(|incoming| incoming.as_ref().and_then(|fds| fds.get(number)).map(OwnedFd::try_clone));
    let missing =
        || raise(py, &Error::new(ErrorKind::Protocol, "memory", format!("its descriptor did not come with the message (number = {number})")));
    let own = own.ok_or_else(missing)?;
    let own = own.map_err(|error| raise(py, &Error::from_io("memory", &error, "cannot duplicate its descriptor")))?;
    procs::SharedMemory::from_fd(own).or_raise(py).map(SharedMemory::new_with)
}
