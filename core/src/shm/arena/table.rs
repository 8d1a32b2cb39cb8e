//! The part of an arena's segment that several processes change: seats, block descriptors, and the hint which blocks were given back.

use crate::error::{Error, ErrorKind, Result};
use crate::shm::layout::{self, Field, HEADER, Kind, fields};
use crate::shm::segment::{Options, Segment};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The unit of allocation in bytes, on every machine.
pub(super) const PAGE: usize = 4096;
/// Processes beside the creator that can hold blocks of one arena.
pub(crate) const SEATS: usize = 64;
/// Counts of seats in one word.
const IN_WORD: usize = 8;
/// The most references to one block that one process can be lent at the same time.
const MOST: u64 = 255;
/// A seat that is kept for a process which has not opened the arena yet.
pub(super) const RESERVED: u64 = u64::MAX;
/// Most pages of a segment, so that no sum below overflows.
const MOST_PAGES: u64 = 1 << 30;

fields! {
    /// The head of an arena's segment, at byte 64 of the file, followed by one bit for each page (blocks that were given back), the
    /// descriptors and the pages.
    ARENA_FIELDS, "arena":
    A_NUMBER = 0, 4, "number";
    A_RETURNED = 4, 4, "returned";
    A_PAGES = 8, 8, "pages";
    A_BITS = 16, 8, "bits";
    A_TABLE = 24, 8, "table";
    A_BLOCKS = 32, 8, "blocks";
    A_SEATS = 64, 8 * SEATS, "seats";
}

/// Bytes of the head.
const HEAD: usize = 576;
const _: () = assert!(A_SEATS + 8 * SEATS == HEAD);

fields! {
    /// The descriptor of a block, one for each page; the one of a block's first page is used.
    BLOCK_FIELDS, "block":
    B_HOLDERS = 0, SEATS, "holders";
    B_PAGES = 64, 4, "pages";
    B_SERIAL = 68, 4, "serial";
    B_LEN = 72, 8, "len";
}

/// Bytes of a descriptor.
const DESCRIPTOR: usize = 128;

/// Where the parts of a segment are, in bytes from the start of the file. A function of the number of pages alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) pages: u32,
    bits: usize,
    table: usize,
    pub(super) blocks: usize,
    end: usize,
}

impl Plan {
    pub(super) fn new(pages: u64) -> Option<Plan> {
        if pages == 0 || pages > MOST_PAGES {
            return None;
        }
        let count = pages as usize;
        let bits = HEADER + HEAD;
        let table = bits + (count.div_ceil(64) * 8).next_multiple_of(64);
        let blocks = (table + count * DESCRIPTOR).next_multiple_of(PAGE);
        Some(Plan { pages: pages as u32, bits, table, blocks, end: blocks + count * PAGE })
    }

    /// The place of a page.
    pub(super) fn page(&self, index: u32) -> usize {
        self.blocks + index as usize * PAGE
    }

    /// The page that starts at this byte.
    pub(super) fn index_of(&self, offset: u64) -> Option<u32> {
        let inside = offset.checked_sub(self.blocks as u64)?;
        let index = u32::try_from(inside / PAGE as u64).ok()?;
        (inside.is_multiple_of(PAGE as u64) && index < self.pages).then_some(index)
    }
}

/// What a descriptor says, each field read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) pages: u32,
    pub(super) serial: u32,
    pub(super) len: u64,
}

/// A mapped segment of an arena.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) segment: Segment,
    pub(super) plan: Plan,
    pub(super) number: u32,
}

impl Table {
    pub(super) fn create(number: u32, bytes: usize, options: Options) -> Result<Table> {
        if bytes == 0 {
            return Err(Error::invalid("arena", "an arena of nothing (bytes = 0, expected at least 1)"));
        }
        let pages = (bytes as u64).div_ceil(PAGE as u64);
        let too_large = || Error::new(ErrorKind::TooLarge, "arena", format!("too large for a segment (size = {bytes})"));
        let plan = Plan::new(pages).ok_or_else(too_large)?;
        let segment = Segment::create(Kind::Arena, (plan.end - HEADER) as u64, options)?;
        let map = segment.map();
        map.write(HEADER + A_NUMBER, &number.to_le_bytes())?;
        for (at, value) in [(A_PAGES, pages), (A_BITS, plan.bits as u64), (A_TABLE, plan.table as u64), (A_BLOCKS, plan.blocks as u64)] {
            map.write(HEADER + at, &value.to_le_bytes())?;
        }
        Ok(Table { segment, plan, number })
    }

    pub(super) fn open(segment: Segment, number: u32) -> Result<Table> {
        if segment.map().is_read_only() {
            return Err(Error::new(ErrorKind::PermissionDenied, "arena", "the segment can be read only"));
        }
        if segment.data() != HEADER || segment.len() < HEAD {
            return Err(layout::refused(format!("the segment has no room for an arena (data = {}, len = {})", segment.data(), segment.len())));
        }
        let map = segment.map();
        let pages = map.load_u64(HEADER + A_PAGES)?;
        let wrong = |what: &str| layout::refused(format!("the arena names {what} that do not fit (pages = {pages}, len = {})", segment.len()));
        let plan = Plan::new(pages).ok_or_else(|| wrong("pages"))?;
        if plan.end != segment.len() + HEADER {
            return Err(wrong("pages"));
        }
        for (at, value) in [(A_BITS, plan.bits), (A_TABLE, plan.table), (A_BLOCKS, plan.blocks)] {
            if map.load_u64(HEADER + at)? != value as u64 {
                return Err(wrong("offsets"));
            }
        }
        let found = map.load_u32(HEADER + A_NUMBER)?;
        if found != number {
            return Err(layout::refused(format!("not the next segment of the arena (number = {found}, expected {number})")));
        }
        Ok(Table { segment, plan, number })
    }

    pub(super) fn seat(&self, seat: usize) -> Result<&AtomicU64> {
        self.segment.map().u64_at(HEADER + A_SEATS + seat % SEATS * 8)
    }

    pub(super) fn descriptor(&self, index: u32) -> usize {
        self.plan.table + index as usize * DESCRIPTOR
    }

    /// The word with the count of a seat, and by how many bits to shift.
    fn holders(&self, index: u32, seat: usize) -> Result<(&AtomicU64, usize)> {
        let at = self.descriptor(index) + B_HOLDERS + seat / IN_WORD * 8;
        Ok((self.segment.map().u64_at(at)?, seat % IN_WORD * 8))
    }

    fn returned(&self) -> Result<&AtomicU32> {
        self.segment.map().u32_at(HEADER + A_RETURNED)
    }

    /// How often a block was given back by the last of eight seats, modulo 2³²; a change means that [`Table::take_returned`] may find something.
    pub(super) fn returns(&self) -> Result<u32> {
        Ok(self.returned()?.load(Ordering::Acquire))
    }

    pub(super) fn describe(&self, index: u32) -> Result<Descriptor> {
        let map = self.segment.map();
        let at = self.descriptor(index);
        Ok(Descriptor { pages: map.load_u32(at + B_PAGES)?, serial: map.load_u32(at + B_SERIAL)?, len: map.load_u64(at + B_LEN)? })
    }

    /// Describes a block that nobody else knows yet; gives its serial number.
    pub(super) fn begin(&self, index: u32, pages: u32, len: u64) -> Result<u32> {
        let map = self.segment.map();
        let at = self.descriptor(index);
        let serial = map.u32_at(at + B_SERIAL)?.load(Ordering::Relaxed).wrapping_add(1);
        for word in 0..SEATS / IN_WORD {
            map.u64_at(at + B_HOLDERS + word * 8)?.store(0, Ordering::Relaxed);
        }
        map.u32_at(at + B_PAGES)?.store(pages, Ordering::Relaxed);
        map.u64_at(at + B_LEN)?.store(len, Ordering::Relaxed);
        map.u32_at(at + B_SERIAL)?.store(serial, Ordering::Release);
        Ok(serial)
    }

    /// Whether another process holds the block. Only the creator lends, and it is the one that asks: a word that is 0 stays 0 meanwhile.
    pub(super) fn is_held(&self, index: u32) -> Result<bool> {
        for word in 0..SEATS / IN_WORD {
            if self.holders(index, word * IN_WORD)?.0.load(Ordering::Acquire) != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// References of a seat.
    pub(super) fn held_by(&self, index: u32, seat: usize) -> Result<u64> {
        let (word, shift) = self.holders(index, seat)?;
        Ok(word.load(Ordering::Acquire) >> shift & MOST)
    }

    /// Adds a reference for a seat. The caller holds one itself, so the block is not free meanwhile.
    pub(super) fn lend(&self, index: u32, seat: usize) -> Result<()> {
        let (word, shift) = self.holders(index, seat)?;
        let add = |holders: u64| ((holders >> shift & MOST) < MOST).then(|| holders + (1 << shift));
        match word.fetch_update(Ordering::AcqRel, Ordering::Acquire, add) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(ErrorKind::WouldBlock, "arena", format!("lent too often (seat = {seat}, limit = {MOST} references)"))),
        }
    }

    /// Takes a reference of a seat away, if it has one; the last one of a word sets the bit that the creator looks for.
    pub(super) fn release(&self, index: u32, seat: usize) -> Result<()> {
        let (word, shift) = self.holders(index, seat)?;
        let subtract = |holders: u64| (holders >> shift & MOST > 0).then(|| holders - (1 << shift));
        if let Ok(before) = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, subtract)
            && before == 1 << shift
        {
            self.segment.map().u64_at(self.plan.bits + index as usize / 64 * 8)?.fetch_or(1 << (index % 64), Ordering::AcqRel);
            self.returned()?.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Takes all references of a seat away; whether it had any.
    pub(super) fn clear(&self, index: u32, seat: usize) -> Result<bool> {
        let (word, shift) = self.holders(index, seat)?;
        let mask = MOST << shift;
        Ok(word.fetch_and(!mask, Ordering::AcqRel) & mask != 0)
    }

    /// The blocks whose bit is set, and clears the bits.
    pub(super) fn take_returned(&self, mut found: impl FnMut(u32)) -> Result<()> {
        for word in 0..self.plan.pages.div_ceil(64) {
            let bits = self.segment.map().u64_at(self.plan.bits + word as usize * 8)?;
            if bits.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut set = bits.swap(0, Ordering::AcqRel);
            while set != 0 {
                found(word * 64 + set.trailing_zeros());
                set &= set - 1;
            }
        }
        Ok(())
    }
}

/// The rows of the layout table that belong to arenas.
pub(crate) fn rows() -> impl Iterator<Item = Field> {
    ARENA_FIELDS.iter().chain(BLOCK_FIELDS).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_one_another() {
        for pages in [1, 63, 64, 65, 1000, MOST_PAGES] {
            let plan = Plan::new(pages).unwrap();
            assert_eq!(plan.bits, 640);
            assert!(plan.table >= plan.bits + pages.div_ceil(64) as usize * 8 && plan.table.is_multiple_of(64));
            assert!(plan.blocks >= plan.table + pages as usize * DESCRIPTOR && plan.blocks.is_multiple_of(PAGE));
            assert_eq!(plan.end, plan.blocks + pages as usize * PAGE);
            assert_eq!(plan.index_of(plan.page(pages as u32 - 1) as u64), Some(pages as u32 - 1));
            for wrong in [0, plan.blocks as u64 - 1, plan.blocks as u64 + 1, plan.end as u64, u64::MAX, u64::MAX - 4095] {
                assert_eq!(plan.index_of(wrong), None);
            }
        }
        assert_eq!(Plan::new(0), None);
        assert_eq!(Plan::new(MOST_PAGES + 1), None);
        assert_eq!(Plan::new(u64::MAX), None);
    }
}
