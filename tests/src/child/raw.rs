//! The only unsafe code of the helper: raw descriptors, dispositions, a process with a chosen number.

#![allow(unsafe_code, reason = "the helper's one place for system calls that nix leaves unsafe")]

use nix::sys::signal::{SigHandler, Signal};
use std::io;
use std::os::fd::BorrowedFd;

/// Writes everything to a descriptor of this process by number.
pub(crate) fn write_all(fd: i32, mut bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the number is only used inside this call; nothing in this single-threaded program closes descriptors meanwhile,
    // and a closed number gives EBADF.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    while !bytes.is_empty() {
        match nix::unistd::write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Reads once from a descriptor of this process by number; 0 is the end.
pub(crate) fn read(fd: i32, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: as in `write_all`.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    loop {
        match nix::unistd::read(fd, buffer) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return other.map_err(Into::into),
        }
    }
}

/// Closes a descriptor of this process by number.
pub(crate) fn close(fd: i32) -> io::Result<()> {
    // SAFETY: the helper owns no descriptor by value, so no owner can close the number again.
    match unsafe { libc::close(fd) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets a signal to ignored or default.
pub(crate) fn set_disposition(signal: Signal, ignore: bool) -> io::Result<()> {
    let handler = if ignore { SigHandler::SigIgn } else { SigHandler::SigDfl };
    // SAFETY: both dispositions run no code of this program.
    unsafe { nix::sys::signal::signal(signal, handler) }.map(drop).map_err(Into::into)
}

/// Sends a signal, real-time ones included, to this process.
pub(crate) fn raise(signal: i32) -> io::Result<()> {
    // SAFETY: raise takes a plain number and checks it.
    match unsafe { libc::raise(signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Forks a process with exactly this number; true in the new one. Needs CAP_CHECKPOINT_RESTORE. Source: clone(2), set_tid.
pub(crate) fn fork_with_pid(pid: i32) -> io::Result<bool> {
    let tids = [pid];
    let mut args = CloneArgs { exit_signal: libc::SIGCHLD as u64, set_tid: tids.as_ptr() as u64, set_tid_size: 1, ..CloneArgs::default() };
    // SAFETY: without CLONE_VM the new process has its own copy of this single-threaded program's memory; both structs outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        child => Ok(child == 0),
    }
}

/// `struct clone_args` of clone(2), as far as set_tid.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}
