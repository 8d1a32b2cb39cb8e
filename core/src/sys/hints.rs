//! What a language's binding asks of the system on behalf of its runtime: reads and advice for that runtime's memory, names that it exports.

use super::{check_size, retry};
use std::ffi::{CStr, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// Large enough for the page sizes in use on x86-64; where pages are larger the advice is refused.
const PAGE: usize = 4096;

/// Bytes of a line of the caches.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Asks for huge pages, or for plain ones, where `memory` lies. Whole pages on both sides are meant: advice for a part of a mapping would
/// split it, which would keep it from growing in place. Only a hint: it changes no content, and a refusal does not matter.
pub fn advise_huge_pages(memory: &[MaybeUninit<u8>], huge: bool) {
    let advice = if huge { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
    let start = memory.as_ptr().addr() & !(PAGE - 1);
    let len = (memory.len() + PAGE).next_multiple_of(PAGE);
    // SAFETY: the advice drops nothing, whatever else lies in these pages; addresses without memory are an error that nobody needs.
    unsafe { libc::madvise(std::ptr::without_provenance_mut(start), len, advice) };
}

/// Brings memory that will soon be written into the caches of this processor, and waits for none of it. Only a hint; what is nowhere mapped stays so.
pub fn bring_near(memory: &[MaybeUninit<u8>]) {
    #[cfg(target_arch = "x86_64")]
    for line in memory.chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: changes nothing and faults at no address; every x86-64 has SSE.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    // Only x86-64 has been measured.
    #[cfg(not(target_arch = "x86_64"))]
    let _ = memory;
}

/// Reads once from a descriptor into memory that nobody has written yet; how many bytes of its start were written, 0 at end of file.
///
/// # Errors
/// The system's failure to read; `WouldBlock` from a descriptor that does not block.
pub fn read_uninit(fd: BorrowedFd<'_>, memory: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of `memory`, and read only writes to it.
    retry(|| check_size(unsafe { libc::read(fd.as_raw_fd(), memory.as_mut_ptr().cast(), memory.len()) }))
}

/// The address of a name that the program or one of its libraries exports.
pub fn exported_symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name ends with NUL; the default search order includes the program itself and everything it was linked with.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_symbol_is_found_by_its_name_only() {
        assert!(exported_symbol(c"malloc").is_some());
        assert!(exported_symbol(c"no_such_name_of_procs").is_none());
    }

    #[test]
    fn memory_that_is_brought_near_stays_as_it_is() {
        let bytes = [MaybeUninit::new(7u8); 1000];
        for len in [0, 1, 64, 65, 1000] {
            bring_near(&bytes[..len]);
        }
        // SAFETY: all of it was written above.
        assert!(bytes.iter().all(|byte| unsafe { byte.assume_init() } == 7));
    }

    #[test]
    fn a_read_writes_what_it_counts() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        std::io::Write::write_all(&mut writer, b"abc").expect("room");
        drop(writer);
        let mut room = Vec::<u8>::with_capacity(8);
        let count = read_uninit(reader.as_fd(), room.spare_capacity_mut()).expect("bytes");
        // SAFETY: so many were written.
        unsafe { room.set_len(count) };
        assert_eq!(room, b"abc");
        assert_eq!(read_uninit(reader.as_fd(), room.spare_capacity_mut()).expect("the end"), 0);
    }

    #[test]
    fn advice_changes_no_content() {
        let mut memory = vec![7_u8; 1 << 21];
        for huge in [true, false] {
            let spare = memory.len();
            memory.reserve(1);
            advise_huge_pages(memory.spare_capacity_mut(), huge);
            assert!(memory[..spare].iter().all(|byte| *byte == 7));
        }
        advise_huge_pages(&[], true);
    }
}
