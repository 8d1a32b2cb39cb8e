//! The channel that this process was given by whoever started it: announced by number, taken once.

use super::check;
use super::message::{FdKind, fd_kind, inode};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Why an announced descriptor was not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It was taken before.
    Taken,
    /// No such descriptor is open, or it is another one than was announced.
    Gone,
    /// It is open and no connected Unix stream socket.
    Kind,
    /// The system refused to look at it.
    System(io::Error),
}

/// Whether the channel was taken: from then on nothing about it is passed on to children.
pub(crate) fn taken() -> bool {
    TAKEN.load(Ordering::Relaxed)
}

/// Takes the announced descriptor, makes it close-on-exec, and never gives it again, nor in a forked copy. With `identity`, the descriptor
/// must be that very socket: a number alone may have been closed and used anew since it was announced.
pub(crate) fn take(number: RawFd, identity: Option<u64>) -> Result<OwnedFd, Refusal> {
    if number < 3 {
        return Err(Refusal::Gone);
    }
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(Refusal::Taken);
    }
    let result = look(number, identity);
    if result.is_err() {
        TAKEN.store(false, Ordering::Relaxed);
    }
    result?;
    // SAFETY: the number is open; the parent announced it for whoever takes it first, and the flag above lets one caller come here, once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn look(number: RawFd, identity: Option<u64>) -> Result<(), Refusal> {
    if !super::fd::is_open(number) {
        return Err(Refusal::Gone);
    }
    // SAFETY: it was just found open, and closing a descriptor that the parent announced is up to its taker, who is here.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    match fd_kind(fd).map_err(Refusal::System)? {
        FdKind::Socket { domain: libc::AF_UNIX, kind: libc::SOCK_STREAM, listening: false } => {}
        _ if identity.is_some() => return Err(Refusal::Gone),
        _ => return Err(Refusal::Kind),
    }
    if identity.is_some_and(|identity| inode(fd).ok() != Some(identity)) {
        return Err(Refusal::Gone);
    }
    close_on_exec(fd).map_err(Refusal::System)
}

/// Marks a descriptor close-on-exec.
pub(crate) fn close_on_exec(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: fcntl takes no pointers here.
    check(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) }).map(drop)
}
