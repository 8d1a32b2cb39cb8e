//! Memory for reading streams in a binding whose collector says late what is free again: a few huge pages that are used over and over.
//!
//! A reader that hands out what it reads needs other memory for the next read. Where that is dozens of MiB of small pages, finding the pages takes
//! longer than moving the bytes: half of the processor time was measured in a guest.

use std::io;
use std::ptr::NonNull;

/// A huge page, on the systems where this is tuned; elsewhere only a size.
const HUGE: usize = 2 << 20;

/// Memory of a whole number of huge pages, zeroed, that is there when it is touched; unmapped when dropped.
#[derive(Debug)]
pub struct ReadMemory {
    base: NonNull<u8>,
    len: usize,
}

impl ReadMemory {
    /// The parts that can be released, in bytes.
    pub const PART: usize = HUGE;

    /// Addresses for `parts` parts.
    ///
    /// # Errors
    /// The system has none.
    pub fn new(parts: usize) -> io::Result<ReadMemory> {
        let no_memory = || io::Error::from_raw_os_error(libc::ENOMEM);
        let len = parts.checked_mul(HUGE).filter(|len| *len > 0).ok_or_else(no_memory)?;
        let whole = len.checked_add(HUGE).ok_or_else(no_memory)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), whole, protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapped = mapped.cast::<u8>();
        let before = mapped.addr().next_multiple_of(HUGE) - mapped.addr();
        let start = mapped.wrapping_add(before);
        for (from, surplus) in [(mapped, before), (start.wrapping_add(len), HUGE - before)] {
            if surplus > 0 {
                // SAFETY: the range lies within the mapping above, outside of what is kept of it.
                unsafe { libc::munmap(from.cast(), surplus) };
            }
        }
        // SAFETY: the range is what was kept of the mapping; a refusal changes nothing that matters.
        unsafe { libc::madvise(start.cast(), len, libc::MADV_HUGEPAGE) };
        NonNull::new(start).map(|base| ReadMemory { base, len }).ok_or_else(no_memory)
    }

    /// Where it begins. Its bytes are initialised; who reads and writes which of them is the caller's business.
    pub fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Its size in bytes.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Gives the pages of a part back to the system; its bytes are zero afterwards. A part that does not exist is none.
    pub fn release(&self, part: usize) {
        let Some(offset) = part.checked_mul(HUGE).filter(|offset| *offset < self.len) else { return };
        let start = self.base.as_ptr().wrapping_add(offset);
        // SAFETY: the range is one whole part of this value's own mapping. Private anonymous memory reads as zero afterwards, so it stays initialised.
        unsafe { libc::madvise(start.cast(), HUGE, libc::MADV_DONTNEED) };
    }
}

impl Drop for ReadMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_aligned_and_zero_again_when_released() {
        let memory = ReadMemory::new(2).expect("addresses");
        assert_eq!((memory.as_ptr().addr() % HUGE, memory.len()), (0, 2 * HUGE));
        for offset in [0, HUGE, 2 * HUGE - 1] {
            // SAFETY: the offset lies within the memory.
            unsafe { memory.as_ptr().wrapping_add(offset).write(7) };
        }
        memory.release(1);
        memory.release(2); // none
        // SAFETY: the offsets lie within the memory, whose bytes are initialised: written above, or zero.
        let bytes = [0, HUGE, 2 * HUGE - 1].map(|offset| unsafe { memory.as_ptr().wrapping_add(offset).read() });
        assert_eq!(bytes, [7, 0, 0]);
        assert!(ReadMemory::new(0).is_err());
        assert!(ReadMemory::new(usize::MAX / HUGE).is_err());
    }
}
