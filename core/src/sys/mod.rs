//! Every system call and every unsafe block of libprocs.
//!
//! Rules of this folder: a function takes borrowed descriptors and plain values, returns owned descriptors or plain values, does one thing,
//! and is named after the call or the guarantee. No policy: what to do about a failure is decided above. Every descriptor is close-on-exec
//! from birth. `child.rs` is special: what it calls runs between clone and exec.

#![allow(unsafe_code)]

pub(crate) mod alive;
pub(crate) mod blocks;
pub(crate) mod cgroup;
pub(crate) mod child;
pub(crate) mod clone;
pub(crate) mod cpu;
pub(crate) mod environ;
pub(crate) mod exclusive;
pub(crate) mod exec;
pub(crate) mod exit;
pub(crate) mod fd;
pub(crate) mod file_state;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod hints;
pub(crate) mod inherit;
pub(crate) mod lane;
pub(crate) mod launch;
pub(crate) mod limits;
mod mapping;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod pace;
pub(crate) mod poll;
mod raw;
pub(crate) mod reset;
pub(crate) mod robust;
pub(crate) mod scan;
pub(crate) mod setup;
pub(crate) mod shared;
pub(crate) mod signal;
pub(crate) mod slots;
pub(crate) mod socket;
pub(crate) mod tree;
pub(crate) mod wait;

use std::io;

/// Turns the -1 convention of libc into a result.
fn check(value: libc::c_int) -> io::Result<libc::c_int> {
    if value == -1 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// As [`check`] for calls that return a size.
fn check_size(value: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| io::Error::last_os_error())
}

/// Repeats a call while a signal interrupts it.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Writes a byte that a test's model checker guards.
#[cfg(test)]
pub(crate) fn test_cell_write(cell: *mut u8, byte: u8) {
    // SAFETY: the checker hands out the pointer of a live cell and fails the test when two threads use it at once.
    unsafe { *cell = byte };
}

/// Reads a byte that a test's model checker guards.
#[cfg(test)]
pub(crate) fn test_cell_read(cell: *const u8) -> u8 {
    // SAFETY: the checker hands out the pointer of a live cell and fails the test when another thread writes it meanwhile.
    unsafe { *cell }
}
