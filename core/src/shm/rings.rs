//! The memory of a channel: two rings, one each way, in one sealed segment. `docs/memory.md` has the same offsets.

use super::layout::{self, HEADER, Kind, fields};
use super::ring::{RingReader, RingWriter};
use super::segment::{Options, Segment};
use crate::error::Result;
use crate::sys::lane::{Keeper, Lane, LanePlace, SIDE_BYTES};
use crate::sys::shared::SharedMapping;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

fields! {
    /// The words before the rings.
    RINGS_FIELDS, "rings":
    R_CAPACITY = 64, 8, "capacity";
    R_SIDE0 = 128, 384, "side0";
    R_SIDE1 = 512, 384, "side1";
}

fields! {
    /// What a side says to the other.
    SIDE_FIELDS, "side":
    _S_TAIL = 0, 8, "tail";
    _S_HEAD = 128, 8, "head";
    _S_WAITING = 256, 4, "waiting";
    _S_CLOSED = 260, 4, "closed";
    _S_CPU = 264, 4, "cpu";
}

/// Where the bytes of the ring that side 0 writes start; those of the other follow them.
const DATA: usize = 4096;
/// Bytes of the smallest and largest ring.
const LEAST: usize = 4096;
const MOST: usize = 1 << 30;

/// Which side of the channel: side 0 wrote the rings' header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Zero,
    One,
}

/// Both rings.
#[derive(Clone, Debug)]
pub(crate) struct Rings {
    segment: Arc<Segment>,
    capacity: usize,
}

impl Keeper for Segment {
    fn mapping(&self) -> &SharedMapping {
        self.map()
    }
}

impl Rings {
    /// Makes rings that hold at least `capacity` bytes each: a power of two between 4 KiB and 1 GiB.
    pub(crate) fn create(capacity: usize) -> Result<Rings> {
        let capacity = capacity.clamp(LEAST, MOST).next_power_of_two();
        let options = Options { prefault: true, ..Options::default() };
        let segment = Segment::create(Kind::Ring, (DATA + 2 * capacity - HEADER) as u64, options)?;
        segment.map().write(R_CAPACITY, &(capacity as u64).to_le_bytes())?;
        Ok(Rings { segment: Arc::new(segment), capacity })
    }

    /// Maps rings that another process made.
    pub(crate) fn open(fd: OwnedFd) -> Result<Rings> {
        let segment = Segment::open(fd, Kind::Ring)?;
        let found = segment.map().load_u64(R_CAPACITY)?;
        let size = segment.map().len();
        let fits = |capacity: usize| capacity.is_power_of_two() && (LEAST..=MOST).contains(&capacity) && size - DATA.min(size) >= 2 * capacity;
        let capacity = usize::try_from(found).ok().filter(|capacity| fits(*capacity) && !segment.is_read_only());
        let capacity = capacity.ok_or_else(|| layout::refused(format!("the rings do not fit their memory (capacity = {found}, size = {size})")))?;
        Ok(Rings { segment: Arc::new(segment), capacity })
    }

    /// Bytes that each ring holds.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The ends of one side. Only once for a side: two writers of one ring would overwrite each other.
    pub(crate) fn ends(&self, side: Side) -> Result<(RingWriter<Lane>, RingReader<Lane>)> {
        let (mine, other) = match side {
            Side::Zero => (R_SIDE0, R_SIDE1),
            Side::One => (R_SIDE1, R_SIDE0),
        };
        let data = |writer: usize| if writer == R_SIDE0 { DATA } else { DATA + self.capacity };
        let out = LanePlace { writer: mine, reader: other, data: data(mine), capacity: self.capacity };
        let into = LanePlace { writer: other, reader: mine, data: data(other), capacity: self.capacity };
        Ok((RingWriter::new(self.lane(out)?), RingReader::new(self.lane(into)?)))
    }

    fn lane(&self, place: LanePlace) -> Result<Lane> {
        let keeper: Arc<dyn Keeper> = self.segment.clone();
        Lane::new(&keeper, place).ok_or_else(|| layout::refused("the rings do not fit their memory"))
    }

    /// Keeps them out of forked copies of this process.
    pub(crate) fn keep_out_of_forks(&self) {
        // Where the kernel refuses, the stamp of the channel still stops a forked copy.
        let _ = self.segment.map().dont_fork();
    }
}

const _: () = assert!(R_SIDE0 + SIDE_BYTES <= R_SIDE1 && R_SIDE1 + SIDE_BYTES <= DATA);

impl AsFd for Rings {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.segment.as_fd()
    }
}
