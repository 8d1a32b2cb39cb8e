//! Memory of a hostile peer: the header, and everything that is opened by it.

use super::layout::{HEADER, Header, Kind};
use super::segment::Segment;
use super::{Arena, BlockPlace, Seat, SharedMemory};
use crate::sys::shared::{self, SIZE_SEALS};
use std::os::fd::{AsFd, OwnedFd};

/// The first bytes of a file are the input; its size is a few pages.
fn sealed(bytes: &[u8], size: u64) -> Option<OwnedFd> {
    let fd = shared::memfd().ok()?;
    shared::allocate(fd.as_fd(), size).ok()?;
    let taken = bytes.len().min(usize::try_from(size).ok()?);
    crate::sys::fd::write(fd.as_fd(), &bytes[..taken]).ok()?;
    shared::add_seals(fd.as_fd(), SIZE_SEALS).ok()?;
    Some(fd)
}

/// Two bytes choose the size, the seat and a place; the rest is the start of the file.
pub(crate) fn layout(data: &[u8]) {
    let [pages, at, bytes @ ..] = data else { return };
    let size = 4096 * (1 + u64::from(*pages % 64));
    if let Some(head) = bytes.first_chunk::<HEADER>() {
        for kind in [Kind::Memory, Kind::Arena] {
            if let Ok(header) = Header::parse(head, size, kind) {
                assert!(header.data >= HEADER as u64 && header.data + header.len <= size);
            }
        }
    }
    let Some(fd) = sealed(bytes, size) else { return };
    if let Ok(copy) = fd.try_clone()
        && let Ok(memory) = SharedMemory::from_fd(copy)
    {
        let len = memory.len().min(64);
        assert!(memory.read(memory.len() - len, len).is_ok());
        assert!(memory.read(memory.len(), 1).is_err());
    }
    if let Ok(copy) = fd.try_clone()
        && let Ok(segment) = Segment::open(copy, Kind::Arena)
    {
        assert!(segment.data() + segment.len() <= size as usize);
    }
    if let Ok(arena) = Arena::open(fd, Seat::from_number(u32::from(*at % 80))) {
        for offset in [0, 64, 4096, u64::from(*at) * 64, size, u64::MAX] {
            for len in [0, 1, 4096, size, u64::MAX] {
                if let Ok(block) = arena.attach(BlockPlace { segment: 0, serial: u32::from(*at), offset, len })
                    && let Ok(bytes) = block.as_slice()
                {
                    // Reading every byte shows that they are there.
                    std::hint::black_box(bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
                    assert!(bytes.len() as u64 <= size);
                }
            }
        }
    }
}

#[cfg(test)]
mod seeds {
    use super::*;
    use crate::shm::layout::MAGIC;
    use std::io::Read;

    fn start_of(fd: OwnedFd, pages: u8, at: u8) -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd)))?;
        let mut bytes = vec![pages, at];
        file.read_to_end(&mut bytes)?;
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(end.max(2 + HEADER));
        Ok(bytes)
    }

    /// Inputs to begin with. Run with PROCS_WRITE_CORPUS=1 to write them again after a change of the layout.
    #[test]
    fn layouts_of_the_corpus_are_what_the_code_writes() -> Result<(), Box<dyn std::error::Error>> {
        let memory = SharedMemory::new(4000)?;
        let arena = Arena::new(64 << 10)?;
        let seat = arena.seat()?;
        let block = arena.alloc(5000)?;
        let place = block.lend(seat)?;
        let arena_pages = u8::try_from(shared::file_size(arena.segment_fd(0)?.as_fd())? / 4096 - 1)?;
        let whole = start_of(arena.segment_fd(0)?, arena_pages, u8::try_from(seat.number())?)?;
        let valid = start_of(memory.try_clone_fd()?, 0, 0)?;
        let changed = |at: usize, byte: u8| {
            let mut bytes = valid.clone();
            bytes[2 + at] = byte;
            bytes
        };
        let inputs = [
            ("memory", valid.clone()),
            ("memory-other-size", [&[5, 0], &valid[2..]].concat()),
            ("memory-version", changed(8, 9)),
            ("memory-length", changed(31, 0x80)),
            ("memory-start", changed(33, 0xff)),
            ("memory-flags", changed(40, 0xff)),
            ("magic", [&[0, 0], &MAGIC[..]].concat()),
            ("empty", vec![3, 3]),
        ];
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/layout");
        for (name, bytes) in inputs {
            if std::env::var_os("PROCS_WRITE_CORPUS").is_some() {
                std::fs::write(folder.join(name), &bytes)?;
            }
            assert!(std::fs::read(folder.join(name))? == bytes, "{name} is not what the code writes");
            layout(&bytes);
        }
        // Holds the process that made it, so it is not the same on every run.
        if std::env::var_os("PROCS_WRITE_CORPUS").is_some() {
            std::fs::write(folder.join("arena"), &whole)?;
        }
        layout(&whole);
        block.unlend(seat)?;
        assert_eq!(place.offset, block.place().offset);
        Ok(())
    }
}
