//! Anonymous memory for stacks and shared pages.

use std::io;
use std::ptr;

/// Anonymous memory, unmapped when dropped.
pub(super) struct Mapping {
    pub(super) start: *mut u8,
    len: usize,
}

// SAFETY: the mapping is owned by this value; nothing else knows its address.
unsafe impl Send for Mapping {}

impl Mapping {
    pub(super) fn new(len: usize, flags: i32) -> io::Result<Mapping> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: an anonymous mapping at an address the kernel chooses touches no existing memory.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, protection, libc::MAP_ANONYMOUS | flags, -1, 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Mapping { start: start.cast(), len }) }
    }

    pub(super) fn protect_start(&self, len: usize) -> io::Result<()> {
        // SAFETY: the range is the beginning of a mapping of our own in which nothing lives yet.
        super::check(unsafe { libc::mprotect(self.start.cast(), len, libc::PROT_NONE) }).map(drop)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and no reference into it outlives this value.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}
