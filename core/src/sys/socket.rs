//! Sockets between parent and child.

use super::{check, retry};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A connected pair of stream sockets, both blocking, both close-on-exec, both above 2.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    retry(|| check(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) }))?;
    // SAFETY: the kernel has just created the first descriptor.
    let a = unsafe { OwnedFd::from_raw_fd(ends[0]) };
    // SAFETY: the kernel has just created the second descriptor.
    let b = unsafe { OwnedFd::from_raw_fd(ends[1]) };
    Ok((super::fd::above_stdio(a)?, super::fd::above_stdio(b)?))
}

/// Ends both directions, also for copies of the descriptor in other processes; what was sent before can still be read.
pub(crate) fn shutdown_both(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: shutdown takes no pointers.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_RDWR) }).map(drop)
}

/// Ends one's own direction: the peer reads what was sent and then the end; what it sends can still be read.
pub(crate) fn shutdown_write(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: shutdown takes no pointers.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_WR) }).map(drop)
}
