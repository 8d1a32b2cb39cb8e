//! Descriptors: pipes, duplication, flags, reading and writing.

use super::signal::WriteGuard;
use super::{check, check_size, retry};
use std::ffi::CStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Takes ownership of a descriptor that a system call just returned.
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: every caller passes a descriptor that the kernel has just created for it and that nobody else knows.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Takes ownership of a descriptor from outside.
///
/// # Safety
/// The descriptor must be open and owned by nobody else.
pub(crate) unsafe fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: passed on to the caller.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// `FromRawFd` for what is made from an `OwnedFd`.
macro_rules! from_raw_fd {
    ($($type:ty),+) => {$(
        #[allow(unsafe_code, reason = "the trait of the standard library asks for it")]
        impl std::os::fd::FromRawFd for $type {
            unsafe fn from_raw_fd(fd: std::os::fd::RawFd) -> $type {
                // SAFETY: the condition of the trait is that of `adopt`: open, and nobody else's.
                <$type>::from(unsafe { $crate::sys::fd::adopt(fd) })
            }
        }
    )+};
}
pub(crate) use from_raw_fd;

/// Moves a descriptor to 3 or higher, so that it can never stand for a standard stream of a host that closed its own.
pub(crate) fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { duplicate(fd.as_raw_fd(), 3) }
}

/// A close-on-exec copy with a number of at least `least`.
pub(crate) fn duplicate(fd: RawFd, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes no pointers here.
    retry(|| check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, least) })).map(own)
}

/// Closes a descriptor that is known by its number only. One that is not open is an error and nothing else.
pub(crate) fn close(fd: RawFd) -> io::Result<()> {
    // SAFETY: close takes no pointers. That the number is the caller's to close is the promise of `io::close_fd`.
    // It is never tried again: after an interruption the number may already be somebody else's.
    check(unsafe { libc::close(fd) }).map(drop)
}

/// A pipe: read end, write end; both blocking, both close-on-exec, both above 2.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    retry(|| check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }))?;
    let (read, write) = (own(ends[0]), own(ends[1]));
    Ok((above_stdio(read)?, above_stdio(write)?))
}

/// Opens a file, close-on-exec and above 2.
pub(crate) fn open(path: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: `path` is a valid C string for the call.
    let fd = retry(|| check(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC | libc::O_NOCTTY, mode) }))?;
    above_stdio(own(fd))
}

/// Whether the number is an open descriptor.
pub(crate) fn is_open(fd: RawFd) -> bool {
    // SAFETY: fcntl takes no pointers here.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// Whether the descriptor is close-on-exec; `None` when it is not open.
pub(crate) fn is_close_on_exec(fd: RawFd) -> Option<bool> {
    // SAFETY: fcntl takes no pointers here. Raw, because every start asks it three times.
    let flags = unsafe { super::raw::syscall(libc::SYS_fcntl, [fd as usize, libc::F_GETFD as usize, 0, 0, 0]) };
    (flags >= 0).then_some(flags & libc::FD_CLOEXEC as isize != 0)
}

/// The status flags (F_GETFL).
pub(crate) fn status_flags(fd: RawFd) -> io::Result<i32> {
    // SAFETY: fcntl takes no pointers here.
    check(unsafe { libc::fcntl(fd, libc::F_GETFL) })
}

/// Whether reads of the description never wait.
pub(crate) fn is_nonblocking(fd: BorrowedFd<'_>) -> bool {
    status_flags(fd.as_raw_fd()).is_ok_and(|flags| flags & libc::O_NONBLOCK != 0)
}

/// Sets or clears O_NONBLOCK on the description. Only for descriptions that are ours alone, and for handles on their way to Node.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let flags = status_flags(fd.as_raw_fd())?;
    let wanted = if on { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    if wanted != flags {
        // SAFETY: fcntl takes no pointers here.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, wanted) })?;
    }
    Ok(())
}

/// Clears O_NONBLOCK on a description that is shared on purpose.
pub(crate) fn make_blocking(fd: RawFd) -> io::Result<()> {
    let flags = status_flags(fd)?;
    if flags & libc::O_NONBLOCK != 0 {
        // SAFETY: fcntl takes no pointers here.
        check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK) })?;
    }
    Ok(())
}

/// Asks for a larger pipe; false when refused, which is never an error (unprivileged users have a budget).
pub(crate) fn grow_pipe(fd: BorrowedFd<'_>, bytes: usize) -> bool {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: fcntl takes no pointers here.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) != -1 }
}

/// Moves at most `max` bytes from one pipe to another; 0 at the end. Blocks while there are none, unless one of them does not block.
pub(crate) fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
    let (from, to, none) = (from.as_raw_fd(), to.as_raw_fd(), std::ptr::null_mut());
    // SAFETY: without offsets splice takes no pointers.
    retry(|| check_size(unsafe { libc::splice(from, none, to, none, max, libc::SPLICE_F_MOVE) }))
}

/// Makes every write to a pipe a packet, as a child may do with its end.
#[cfg(test)]
pub(crate) fn set_packets(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: fcntl takes no pointers here.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_DIRECT) }).map(drop)
}

/// Reads into `buf`; 0 at end of file.
pub(crate) fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of `buf`.
    retry(|| check_size(unsafe { libc::read(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) }))
}

/// Appends at most `max` bytes to `vec` without zeroing first; 0 at end of file.
pub(crate) fn read_vec(fd: BorrowedFd<'_>, vec: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    if vec.capacity() == vec.len() {
        vec.try_reserve(max.min(vec.len().max(8 << 10))).map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
    }
    let room = (vec.capacity() - vec.len()).min(max);
    let spare = vec.spare_capacity_mut();
    // SAFETY: `room` bytes of spare capacity belong to the vector and read only writes to them.
    let count = retry(|| check_size(unsafe { libc::read(fd.as_raw_fd(), spare.as_mut_ptr().cast(), room) }))?;
    let len = vec.len() + count;
    // SAFETY: the kernel has just initialised `count` bytes after the old length, within capacity.
    unsafe { vec.set_len(len) };
    Ok(count)
}

/// Writes `buf`, at most once; raises neither SIGPIPE nor SIGXFSZ in the host.
pub(crate) fn write(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    let _guard = WriteGuard::new();
    // SAFETY: the pointer and length are those of `buf`.
    retry(|| check_size(unsafe { libc::write(fd.as_raw_fd(), buf.as_ptr().cast(), buf.len()) }))
}

/// The most buffers that one call takes. Source: IOV_MAX of limits.h.
const MOST_BUFFERS: usize = 1024;

/// Reads into several buffers; 0 at end of file.
pub(crate) fn read_vectored(fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let count = bufs.len().min(MOST_BUFFERS) as libc::c_int;
    // SAFETY: an `IoSliceMut` has the layout of an iovec, and each is memory to write to, borrowed for the call.
    retry(|| check_size(unsafe { libc::readv(fd.as_raw_fd(), bufs.as_mut_ptr().cast(), count) }))
}

/// Writes several buffers, at most once; raises no signal, as [`write`].
pub(crate) fn write_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let _guard = WriteGuard::new();
    let count = bufs.len().min(MOST_BUFFERS) as libc::c_int;
    // SAFETY: an `IoSlice` has the layout of an iovec, and each is memory to read from, borrowed for the call.
    retry(|| check_size(unsafe { libc::writev(fd.as_raw_fd(), bufs.as_ptr().cast(), count) }))
}
