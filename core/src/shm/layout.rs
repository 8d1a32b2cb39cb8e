//! The bytes of a shared segment: header, version, offsets. Pure arithmetic, no memory is touched here.
//!
//! `docs/memory.md` is the same as a table. All numbers are little-endian; every structure starts on a cache line of 64 bytes.

use crate::error::{Error, ErrorKind, Result};

/// The size of the header at the start of every segment, in bytes.
pub(crate) const HEADER: usize = 64;
/// The first eight bytes of every segment.
pub(crate) const MAGIC: [u8; 8] = *b"PROCSSHM";
/// The version of this layout. Another one is refused.
pub(crate) const VERSION: u32 = 1;

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// Memory of a user.
    Memory = 1,
    /// A segment of an arena.
    Arena = 2,
    /// The rings of a channel.
    Ring = 3,
}

/// One field of a structure in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Structure and field, such as `"header.version"`.
    pub name: &'static str,
    /// Bytes from the start of the structure.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

/// Declares the fields of one structure: constants for the code, rows for the table that four languages compare.
macro_rules! fields {
    ($(#[$doc:meta])* $table:ident, $structure:literal: $($name:ident = $offset:literal, $size:expr, $text:literal;)*) => {
        $(pub(crate) const $name: usize = $offset;)*
        $(#[$doc])*
        pub(crate) const $table: &[$crate::shm::layout::Field] = &[$($crate::shm::layout::Field { name: concat!($structure, ".", $text), offset: $offset, size: $size },)*];
        // Fields follow one another without overlap, aligned to their size up to eight bytes.
        const _: () = {
            let mut index = 0;
            let mut end = 0;
            while index < $table.len() {
                let field = $table[index];
                let align = if field.size >= 8 { 8 } else { field.size };
                assert!(field.offset >= end && field.offset % align == 0);
                end = field.offset + field.size;
                index += 1;
            }
        };
    };
}
pub(crate) use fields;

fields! {
    /// The header of every segment.
    HEADER_FIELDS, "header":
    H_MAGIC = 0, 8, "magic";
    H_VERSION = 8, 4, "version";
    H_KIND = 12, 4, "kind";
    H_SIZE = 16, 8, "size";
    H_LEN = 24, 8, "len";
    H_DATA = 32, 8, "data";
    H_FLAGS = 40, 4, "flags";
}

/// Every field of every structure in shared memory, in the order of `docs/memory.md`: what four languages compare.
///
/// # Example
/// ```
/// let version = procs::memory_layout().into_iter().find(|field| field.name == "header.version").expect("it has one");
/// assert_eq!((version.offset, version.size), (8, 4));
/// ```
pub fn memory_layout() -> Vec<Field> {
    use super::rings::{RINGS_FIELDS, SIDE_FIELDS};
    let fixed = HEADER_FIELDS.iter().chain(RINGS_FIELDS).chain(SIDE_FIELDS).copied();
    fixed.chain(super::arena::rows()).chain(super::lock::rows()).chain(super::counters::rows()).chain(super::histogram::rows()).collect()
}

/// Set when only the creator can write.
pub(crate) const FLAG_READ_ONLY: u32 = 1;

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Size of the file in bytes.
    pub(crate) size: u64,
    /// Bytes from `data` that the kind uses.
    pub(crate) len: u64,
    /// Where they start.
    pub(crate) data: u64,
    pub(crate) flags: u32,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[H_MAGIC..H_MAGIC + 8].copy_from_slice(&MAGIC);
        bytes[H_VERSION..H_VERSION + 4].copy_from_slice(&VERSION.to_le_bytes());
        bytes[H_KIND..H_KIND + 4].copy_from_slice(&(self.kind as u32).to_le_bytes());
        bytes[H_SIZE..H_SIZE + 8].copy_from_slice(&self.size.to_le_bytes());
        bytes[H_LEN..H_LEN + 8].copy_from_slice(&self.len.to_le_bytes());
        bytes[H_DATA..H_DATA + 8].copy_from_slice(&self.data.to_le_bytes());
        bytes[H_FLAGS..H_FLAGS + 4].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    /// Takes a header apart that another process wrote. `size` is the true size of the file. Nothing in the result needs another check.
    pub(crate) fn parse(bytes: &[u8; HEADER], size: u64, kind: Kind) -> Result<Header> {
        let four = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        if bytes[H_MAGIC..H_MAGIC + 8] != MAGIC {
            return Err(refused("the memory does not start with the magic number of libprocs"));
        }
        if four(H_VERSION) != VERSION {
            return Err(refused(format!("the memory has another layout (version = {}, expected {VERSION})", four(H_VERSION))));
        }
        if four(H_KIND) != kind as u32 {
            return Err(refused(format!("the memory is of another kind (kind = {}, expected {} for {kind:?})", four(H_KIND), kind as u32)));
        }
        let header = Header { kind, size: eight(H_SIZE), len: eight(H_LEN), data: eight(H_DATA), flags: four(H_FLAGS) };
        if header.size != size || size < HEADER as u64 {
            return Err(refused(format!("the header names another size (size = {}, the file has {size})", header.size)));
        }
        // By subtraction: the sum of two numbers of a stranger may overflow.
        if header.data < HEADER as u64 || !header.data.is_multiple_of(64) || header.data > size || header.len > size - header.data {
            let range = format!("data = {}, len = {}, size = {size}", header.data, header.len);
            return Err(refused(format!("the header names a range outside the file ({range})")));
        }
        if header.flags & !FLAG_READ_ONLY != 0 || bytes[H_FLAGS + 4..].iter().any(|byte| *byte != 0) {
            return Err(refused(format!("the header has bits that this version does not know (flags = {:#x})", header.flags)));
        }
        Ok(header)
    }
}

pub(crate) fn refused(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Protocol, "memory", detail)
}

/// The size of a file that holds the header and `len` bytes, in whole pages; `None` when that is more than a file can have.
pub(crate) fn file_size(len: u64, page: u64) -> Option<u64> {
    let size = len.checked_add(HEADER as u64)?.checked_next_multiple_of(page)?;
    (size <= i64::MAX as u64).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header { kind: Kind::Memory, size: 8192, len: 5000, data: 64, flags: 0 }
    }

    #[test]
    fn header_survives_encoding() {
        let header = sample();
        assert_eq!(Header::parse(&header.encode(), 8192, Kind::Memory).unwrap(), header);
    }

    #[test]
    fn every_field_is_checked() {
        let with = |at: usize, bytes: &[u8]| {
            let mut header = sample().encode();
            header[at..at + bytes.len()].copy_from_slice(bytes);
            Header::parse(&header, 8192, Kind::Memory)
        };
        for (at, bytes) in [
            (H_MAGIC, &b"PROCSSHN"[..]),
            (H_VERSION, &2u32.to_le_bytes()),
            (H_VERSION, &0u32.to_le_bytes()),
            (H_KIND, &2u32.to_le_bytes()),
            (H_SIZE, &8193u64.to_le_bytes()),
            (H_SIZE, &u64::MAX.to_le_bytes()),
            (H_LEN, &(8192u64 - 63).to_le_bytes()),
            (H_LEN, &u64::MAX.to_le_bytes()),
            (H_DATA, &0u64.to_le_bytes()),
            (H_DATA, &65u64.to_le_bytes()),
            (H_DATA, &(u64::MAX - 63).to_le_bytes()),
            (H_FLAGS, &2u32.to_le_bytes()),
            (63, &[1]),
        ] {
            let error = with(at, bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "offset {at}: {error}");
        }
        assert!(with(H_LEN, &(8192u64 - 64).to_le_bytes()).is_ok());
    }

    #[test]
    fn sizes_do_not_overflow() {
        assert_eq!(file_size(1, 4096), Some(4096));
        assert_eq!(file_size(4096 - 64, 4096), Some(4096));
        assert_eq!(file_size(4096 - 63, 4096), Some(8192));
        for huge in [u64::MAX, u64::MAX - 64, 1 << 63, i64::MAX as u64] {
            assert_eq!(file_size(huge, 4096), None);
        }
    }
}
