//! Bytes and descriptors over a Unix socket, and what a received descriptor is.

use super::{check, check_size, retry};
use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Descriptors in one message: the limit of the kernel. Source: SCM_MAX_FD of unix(7).
pub(crate) const MAX_FDS: usize = 253;

/// Room for one control message with [`MAX_FDS`] descriptors, aligned as a header demands: 16 bytes of header and 4 for each, rounded up.
const CONTROL_WORDS: usize = 129;
type Control = [MaybeUninit<u64>; CONTROL_WORDS];

const _: () = assert!(CONTROL_WORDS * 8 >= 16 + MAX_FDS * mem::size_of::<RawFd>());

/// What one receive brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes; 0 at the end of the stream.
    pub(crate) len: usize,
    /// Whether descriptors that belong to these bytes could not be installed (limit of descriptors, room). Those that came are closed.
    pub(crate) lost_fds: bool,
}

fn size_of_control(fds: usize) -> u32 {
    let bytes = u32::try_from(fds * mem::size_of::<RawFd>()).unwrap_or(u32::MAX);
    // SAFETY: arithmetic only.
    unsafe { libc::CMSG_SPACE(bytes) }
}

/// A header without name, over these buffers.
fn header(parts: *mut libc::iovec, count: usize, control: &mut Control, control_len: usize) -> libc::msghdr {
    // SAFETY: all zero is a valid msghdr: null pointers and no lengths.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = parts;
    header.msg_iovlen = count as _;
    if control_len > 0 {
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control_len as _;
    }
    header
}

/// Sends bytes, and descriptors with the first of them, at most once and without waiting; never raises SIGPIPE. Returns how many bytes went:
/// if any did, all descriptors did. `ErrorKind::WouldBlock` when the socket is full, ETOOMANYREFS when this user has too many descriptors on
/// the way.
pub(crate) fn send(fd: BorrowedFd<'_>, parts: &[IoSlice<'_>], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if fds.len() > MAX_FDS || (!fds.is_empty() && parts.iter().all(|part| part.is_empty())) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    if fds.is_empty()
        && let Some(sent) = send_small(fd, parts)
    {
        return sent;
    }
    let mut control: Control = [MaybeUninit::uninit(); CONTROL_WORDS];
    let control_len = if fds.is_empty() { 0 } else { size_of_control(fds.len()) as usize };
    // An IoSlice has the layout of an iovec, and sending does not write to it.
    let message = header(parts.as_ptr().cast_mut().cast(), parts.len().min(1024), &mut control, control_len);
    if !fds.is_empty() {
        control[..control_len / 8].fill(MaybeUninit::new(0));
        // SAFETY: `message` names the control buffer, whose length has room for one header.
        let first = unsafe { libc::CMSG_FIRSTHDR(&message) };
        let bytes = u32::try_from(mem::size_of_val(fds)).unwrap_or(u32::MAX);
        // SAFETY: arithmetic only.
        let len = unsafe { libc::CMSG_LEN(bytes) };
        let head = libc::cmsghdr { cmsg_len: len as _, cmsg_level: libc::SOL_SOCKET, cmsg_type: libc::SCM_RIGHTS };
        // SAFETY: `first` is the start of the control buffer, which is aligned and long enough for a header.
        unsafe { first.write(head) };
        // SAFETY: the control buffer was sized for this header and these descriptors.
        let data = unsafe { libc::CMSG_DATA(first) }.cast::<RawFd>();
        // SAFETY: a borrowed descriptor has the layout of its number, and the control buffer was sized for this many.
        unsafe { ptr::copy_nonoverlapping(fds.as_ptr().cast::<RawFd>(), data, fds.len()) };
    }
    // SAFETY: `message` names buffers that live until the call returns; the kernel only reads them.
    retry(|| check_size(unsafe { libc::sendmsg(fd.as_raw_fd(), &message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) }))
}

/// Bytes that are put together before they are sent: the copy costs less than a header with its vector.
const SMALL: usize = 512;

/// Sends a few bytes alone; `None` when they are not few.
fn send_small(fd: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
    if parts.iter().any(|part| part.len() > SMALL) {
        return None;
    }
    let mut bytes = [0_u8; SMALL];
    let mut len = 0;
    for part in parts {
        bytes.get_mut(len..len + part.len())?.copy_from_slice(part);
        len += part.len();
    }
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the buffer has at least `len` bytes and lives until the call returns; the kernel only reads it.
    Some(retry(|| check_size(unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), len, flags) })))
}

/// Receives into `buf` without waiting and appends the descriptors that came with the bytes, close-on-exec and above 2.
///
/// A receive ends with the bytes of the first send that had descriptors, so those of two sends never mix. Bytes sent before it may join.
pub(crate) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<Received> {
    let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    recv_part(fd, &mut part, fds)
}

/// As [`recv`], appending at most `max` bytes to `vec` without zeroing first. Grows by what is at hand, never by what a peer announced.
pub(crate) fn recv_vec(fd: BorrowedFd<'_>, vec: &mut Vec<u8>, max: usize, fds: &mut Vec<OwnedFd>) -> io::Result<Received> {
    if vec.capacity() == vec.len() {
        vec.try_reserve(max.min(vec.len().max(8 << 10))).map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
    }
    let spare = vec.spare_capacity_mut();
    let mut part = libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: spare.len().min(max) };
    let received = recv_part(fd, &mut part, fds)?;
    let len = vec.len() + received.len;
    // SAFETY: the kernel has just initialised this many bytes of the spare capacity.
    unsafe { vec.set_len(len) };
    Ok(received)
}

fn recv_part(fd: BorrowedFd<'_>, part: &mut libc::iovec, fds: &mut Vec<OwnedFd>) -> io::Result<Received> {
    let mut control: Control = [MaybeUninit::uninit(); CONTROL_WORDS];
    let mut message = header(part, 1, &mut control, CONTROL_WORDS * 8);
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: `message` names the caller's buffer and the control buffer, both alive and writable for their lengths.
    let len = retry(|| check_size(unsafe { libc::recvmsg(fd.as_raw_fd(), &mut message, flags) }))?;
    if message.msg_controllen == 0 {
        return Ok(Received { len, lost_fds: message.msg_flags & libc::MSG_CTRUNC != 0 });
    }
    // Everything is owned before anything is checked, so that no path can leak it.
    let had = fds.len();
    let came = installed(&message);
    let mut lost_fds = message.msg_flags & libc::MSG_CTRUNC != 0;
    for fd in came {
        match super::fd::above_stdio(fd) {
            Ok(fd) => fds.push(fd),
            Err(_) => lost_fds = true,
        }
    }
    if lost_fds {
        fds.truncate(had);
    }
    Ok(Received { len, lost_fds })
}

/// The descriptors that the kernel installed for this message.
fn installed(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel filled the control buffer that `message` names and set its length.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null at the end, else a header that lies within the control buffer, which is aligned and initialised so far.
    while let Some(head) = unsafe { next.as_ref() } {
        if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: arithmetic only.
            let start = unsafe { libc::CMSG_LEN(0) } as usize;
            #[allow(clippy::unnecessary_cast, reason = "the type depends on the C library")]
            let count = (head.cmsg_len as usize).saturating_sub(start) / mem::size_of::<RawFd>();
            // SAFETY: the data of this header follows it in the control buffer.
            let data = unsafe { libc::CMSG_DATA(head) }.cast::<RawFd>();
            for index in 0..count {
                // SAFETY: the kernel wrote `count` numbers here.
                let number = unsafe { data.wrapping_add(index).read_unaligned() };
                // SAFETY: the kernel has just installed this descriptor for us and nobody else knows it.
                fds.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
        // SAFETY: `next` is a header of this message.
        next = unsafe { libc::CMSG_NXTHDR(message, next) };
    }
    fds
}

/// Reads an option of a socket; `T` must be the plain structure that the option is documented with.
fn option<T: Copy>(fd: BorrowedFd<'_>, name: libc::c_int, mut value: T) -> io::Result<T> {
    let mut len = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: pointer and length are those of `value`, a plain structure of integers in every caller.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, (&raw mut value).cast(), &mut len) })?;
    Ok(value)
}

/// What a descriptor stands for, as the kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FdKind {
    /// A socket: its domain (AF_), type (SOCK_), and whether it accepts connections.
    Socket {
        domain: i32,
        kind: i32,
        listening: bool,
    },
    /// A regular file of a file system without seals.
    File,
    /// Memory: a memfd or a file in tmpfs, with its seals and its size in bytes.
    Memory {
        seals: i32,
        len: u64,
    },
    Directory,
    /// A pipe or named pipe.
    Pipe,
    /// A character or block device.
    Device,
    /// Opened with O_PATH: a place, not a file.
    Path,
    /// What has no type in the file system: eventfd, epoll, pidfd.
    Other,
}

/// Looks at a descriptor without reading, writing or waiting. Never blocks: asks the kernel's own objects only, except for O_PATH, which is
/// checked first, and files, whose file system is asked by fstat.
pub(crate) fn fd_kind(fd: BorrowedFd<'_>) -> io::Result<FdKind> {
    if super::fd::status_flags(fd.as_raw_fd())? & libc::O_PATH != 0 {
        return Ok(FdKind::Path);
    }
    let domain = match option(fd, libc::SO_DOMAIN, 0_i32) {
        Ok(domain) => domain,
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => return file_kind(fd),
        Err(error) => return Err(error),
    };
    let kind = option(fd, libc::SO_TYPE, 0_i32)?;
    let listening = option(fd, libc::SO_ACCEPTCONN, 0_i32)? != 0;
    Ok(FdKind::Socket { domain, kind, listening })
}

fn stat(fd: BorrowedFd<'_>) -> io::Result<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` has room for the structure.
    retry(|| check(unsafe { libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) }))?;
    // SAFETY: fstat succeeded, so it filled the structure.
    Ok(unsafe { stat.assume_init() })
}

/// The number of the file or socket in its file system: of two open sockets never the same.
pub(crate) fn inode(fd: BorrowedFd<'_>) -> io::Result<u64> {
    stat(fd).map(|stat| stat.st_ino)
}

fn file_kind(fd: BorrowedFd<'_>) -> io::Result<FdKind> {
    let stat = stat(fd)?;
    Ok(match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => {
            // SAFETY: fcntl takes no pointers here.
            match check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) }) {
                Ok(seals) => FdKind::Memory { seals, len: u64::try_from(stat.st_size).unwrap_or(0) },
                Err(_) => FdKind::File,
            }
        }
        libc::S_IFDIR => FdKind::Directory,
        libc::S_IFIFO => FdKind::Pipe,
        libc::S_IFCHR | libc::S_IFBLK => FdKind::Device,
        _ => FdKind::Other,
    })
}

#[cfg(test)]
mod tests;
