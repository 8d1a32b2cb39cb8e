//! What a hostile or careless process does with memory descriptors.

#![allow(unsafe_code, reason = "the harness's place for calls on memory that nix leaves unsafe")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// An anonymous file of `len` bytes with these seals.
pub fn memfd(len: i64, seals: i32) -> OwnedFd {
    // SAFETY: the name is a C string of static lifetime.
    let raw = unsafe { libc::memfd_create(c"stranger".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    assert!(raw >= 0, "memfd_create: {}", io::Error::last_os_error());
    // SAFETY: just made by the kernel.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: takes no pointers.
    assert_eq!(unsafe { libc::ftruncate(raw, len) }, 0, "ftruncate: {}", io::Error::last_os_error());
    // SAFETY: takes no pointers.
    assert_eq!(unsafe { libc::fcntl(raw, libc::F_ADD_SEALS, seals) }, 0, "seals: {}", io::Error::last_os_error());
    fd
}

fn outcome(result: i32) -> Result<(), i32> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

/// Sets the size; the errno when refused.
pub fn set_size(fd: BorrowedFd<'_>, len: i64) -> Result<(), i32> {
    // SAFETY: takes no pointers.
    outcome(unsafe { libc::ftruncate(fd.as_raw_fd(), len) })
}

/// Takes the memory out of a range, which keeps its size; the errno when refused.
pub fn punch_hole(fd: BorrowedFd<'_>, offset: i64, len: i64) -> Result<(), i32> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: takes no pointers.
    outcome(unsafe { libc::fallocate(fd.as_raw_fd(), mode, offset, len) })
}

/// Writes one byte through the descriptor; the errno when refused.
pub fn write_at(fd: BorrowedFd<'_>, offset: i64) -> Result<(), i32> {
    let byte = 1u8;
    // SAFETY: one byte is read from a live u8.
    let written = unsafe { libc::pwrite(fd.as_raw_fd(), (&raw const byte).cast(), 1, offset) };
    outcome(if written == 1 { 0 } else { -1 })
}

/// Maps the first page shared and writable; the errno when refused.
pub fn map_writable(fd: BorrowedFd<'_>) -> Result<(), i32> {
    map(fd, libc::PROT_READ | libc::PROT_WRITE).map(drop)
}

/// Maps the first page shared and readable, then asks for writing; the errno when refused.
pub fn make_writable(fd: BorrowedFd<'_>) -> Result<(), i32> {
    let page = map(fd, libc::PROT_READ)?;
    // SAFETY: the page was just mapped and nothing refers to it.
    outcome(unsafe { libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_WRITE) })
}

/// A page that is never unmapped: the caller is a process that ends soon.
fn map(fd: BorrowedFd<'_>, protection: i32) -> Result<*mut libc::c_void, i32> {
    // SAFETY: at an address that the kernel chooses, so no existing memory is touched.
    let page = unsafe { libc::mmap(ptr::null_mut(), 4096, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
    if page == libc::MAP_FAILED { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { Ok(page) }
}

/// Sets soft and hard limit of a resource of this process.
pub fn limit(resource: u32, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the struct lives across the call.
    let result = unsafe { libc::setrlimit(resource, &limit) };
    assert_eq!(result, 0, "setrlimit: {}", io::Error::last_os_error());
}
