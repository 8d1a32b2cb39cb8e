//! One sealed anonymous file with a header, mapped: what memory, arenas and rings are made of.

use super::layout::{self, FLAG_READ_ONLY, HEADER, Header, Kind};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::shared::{self, Access, READ_ONLY_SEAL, SIZE_SEALS, SharedMapping};
use crate::sys::{alive, fd};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// How a segment is made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Only this process can write.
    pub(crate) read_only: bool,
    /// Fill the page tables now.
    pub(crate) prefault: bool,
    /// Ask for huge pages.
    pub(crate) huge_pages: bool,
}

/// A mapped segment and its descriptor.
#[derive(Debug)]
pub(crate) struct Segment {
    map: Arc<SharedMapping>,
    fd: OwnedFd,
    header: Header,
    huge_pages: bool,
}

fn failed(error: &std::io::Error, detail: impl Into<String>) -> Error {
    Error::from_io("memory", error, detail)
}

impl Segment {
    /// Makes a segment with `len` usable bytes, all zero.
    pub(crate) fn create(kind: Kind, len: u64, options: Options) -> Result<Segment> {
        let size = check_size(len)?;
        let fd = shared::memfd().map_err(|error| failed(&error, "cannot make an anonymous file"))?;
        shared::allocate(fd.as_fd(), size).map_err(|error| failed(&error, format!("cannot get the memory (size = {size})")))?;
        let map = map(&fd, size, Access::ReadWrite)?;
        let flags = if options.read_only { FLAG_READ_ONLY } else { 0 };
        let header = Header { kind, size, len, data: HEADER as u64, flags };
        map.write(0, &header.encode())?;
        // The seal leaves this process' own writable mapping alone, so it comes after the mapping.
        let seals = if options.read_only { READ_ONLY_SEAL | SIZE_SEALS } else { SIZE_SEALS };
        shared::add_seals(fd.as_fd(), seals).map_err(|error| failed(&error, "cannot seal the memory"))?;
        let huge_pages = options.huge_pages && map.ask_huge_pages();
        if options.prefault {
            map.prefault();
        }
        Ok(Segment { map: Arc::new(map), fd, header, huge_pages })
    }

    /// Maps a segment that came as a descriptor, from whomever.
    pub(crate) fn open(fd: OwnedFd, kind: Kind) -> Result<Segment> {
        // Without its number: in most languages it is a copy, whose number nobody knows.
        let not_sealed =
            |what: &str| Error::new(ErrorKind::PermissionDenied, "memory", format!("the descriptor {what} (expected that of shared memory)"));
        let size = shared::file_size(fd.as_fd()).map_err(|_| not_sealed("is not memory, or closed"))?;
        let seals = shared::seals(fd.as_fd()).map_err(|_| not_sealed("is not an anonymous file, so its owner could shorten it under the reader"))?;
        if seals & SIZE_SEALS != SIZE_SEALS {
            return Err(not_sealed("has no sealed size, so its owner could shorten it under the reader"));
        }
        let writable = shared::is_writable(fd.as_fd()).map_err(|error| failed(&error, "cannot ask the descriptor"))?;
        let access = if seals & READ_ONLY_SEAL == 0 && writable { Access::ReadWrite } else { Access::ReadOnly };
        if size < HEADER as u64 {
            return Err(layout::refused(format!("the memory is too small for a header (size = {size}, expected at least {HEADER})")));
        }
        let map = map(&fd, size, access)?;
        let mut bytes = [0; HEADER];
        map.read(0, &mut bytes)?;
        let header = Header::parse(&bytes, size, kind)?;
        if header.flags & FLAG_READ_ONLY != 0 && access == Access::ReadWrite {
            return Err(layout::refused("the header says read-only, the seals do not"));
        }
        let fd = fd::above_stdio(fd).map_err(|error| failed(&error, "cannot move the descriptor"))?;
        Ok(Segment { map: Arc::new(map), fd, header, huge_pages: false })
    }

    /// The mapping, header included.
    pub(crate) fn map(&self) -> &Arc<SharedMapping> {
        &self.map
    }

    /// Usable bytes.
    pub(crate) fn len(&self) -> usize {
        // Not more than the mapping, so it fits.
        self.header.len as usize
    }

    /// Where they start in the mapping.
    pub(crate) fn data(&self) -> usize {
        self.header.data as usize
    }

    /// Whether others can only read it, or this process too.
    pub(crate) fn is_read_only(&self) -> bool {
        self.header.flags & FLAG_READ_ONLY != 0 || self.map.is_read_only()
    }

    pub(crate) fn has_huge_pages(&self) -> bool {
        self.huge_pages
    }

    /// A second descriptor of the same memory, close-on-exec and above 2.
    pub(crate) fn duplicate_fd(&self) -> Result<OwnedFd> {
        fd::duplicate(self.fd.as_raw_fd(), 3).map_err(|error| failed(&error, "cannot duplicate the descriptor"))
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn map(fd: &OwnedFd, size: u64, access: Access) -> Result<SharedMapping> {
    let len = usize::try_from(size).map_err(|_| Error::new(ErrorKind::TooLarge, "memory", format!("too large to map (size = {size})")))?;
    SharedMapping::new(fd.as_fd(), len, access).map_err(|error| failed(&error, format!("cannot map the memory (size = {size})")))
}

/// From this size on the machine is asked whether it has so much left: that takes as long as to make a small memory.
const ASK_FROM: u64 = 16 << 20;

/// The size of the file, if this machine and this process may have such a file.
fn check_size(len: u64) -> Result<u64> {
    if len == 0 {
        return Err(Error::invalid("memory", "nothing to share (len = 0, expected at least 1)"));
    }
    let size = layout::file_size(len, shared::page_size() as u64)
        .ok_or_else(|| Error::new(ErrorKind::TooLarge, "memory", format!("more than a file can have (len = {len})")))?;
    if let Some(limit) = shared::file_size_limit().filter(|limit| size > *limit) {
        return Err(Error::new(ErrorKind::TooLarge, "memory", format!("over this process' limit for files (size = {size}, limit = {limit})")));
    }
    // Without this the kernel would hand out pages until it kills somebody.
    if size >= ASK_FROM
        && let Some(available) = alive::available_memory().filter(|available| size > *available)
    {
        let detail = format!("more than this machine has left (size = {size}, available = {available})");
        return Err(Error::from_os("memory", libc::ENOMEM, detail));
    }
    Ok(size)
}
