//! Blocks of shared memory that one process fills and lends to others, without a copy and without a message when they are given back.
//!
//! One process allocates: the one that made the arena. What is free is known to it alone, in its own memory, so neither a peer that is killed
//! nor one that writes nonsense can spoil the allocator, and there is no lock to inherit. The others hold blocks: each has a seat, and each
//! block has a count for every seat. Lending, giving back and taking back from the dead are single atomic changes of it.

mod block;
mod part;
mod space;
mod table;
#[cfg(test)]
mod tests;

use super::layout::{self, Kind};
use super::segment::{Options, Segment};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::alive::Owner;
use crate::sys::fork;
use parking_lot::Mutex;
use part::{Live, Part};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use table::{PAGE, RESERVED, SEATS, Table};

pub use block::{Block, BlockPlace};
pub(super) use table::rows;

/// How an [`Arena`] is made.
#[derive(Clone, Copy, Debug)]
#[must_use = "options do nothing until `create` is called"]
pub struct ArenaOptions {
    segment: usize,
    most: usize,
    memory: Options,
}

impl ArenaOptions {
    /// The most that all segments together may hold, in bytes (default 1 GiB).
    pub fn max_bytes(mut self, bytes: usize) -> ArenaOptions {
        self.most = bytes;
        self
    }

    /// Fills the page tables when a segment is made (default: off).
    pub fn prefault(mut self, prefault: bool) -> ArenaOptions {
        self.memory.prefault = prefault;
        self
    }

    /// Asks for huge pages (default: off).
    pub fn huge_pages(mut self, huge_pages: bool) -> ArenaOptions {
        self.memory.huge_pages = huge_pages;
        self
    }

    /// Makes the arena.
    ///
    /// # Errors
    /// As [`Arena::new`].
    pub fn create(self) -> Result<Arena> {
        let first = Part::new(Table::create(0, self.segment, self.memory)?);
        Ok(Arena::from_parts(first, None, self))
    }
}

/// The place of one process among those that may hold blocks of an arena: a number from 0 to 63, told to that process beside the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seat(u32);

impl Seat {
    /// The seat with this number, as another process named it.
    pub fn from_number(number: u32) -> Seat {
        Seat(number)
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self.0
    }

    fn index(self) -> Result<usize> {
        match self.0 as usize {
            index if index < SEATS => Ok(index),
            index => Err(Error::invalid("arena", format!("no such seat (seat = {index}, expected less than {SEATS})"))),
        }
    }
}

/// Blocks of shared memory, allocated by the process that made the arena and lent to up to 64 others.
///
/// The creator [allocates](Arena::alloc) a block, fills it and [lends](Block::lend) it; what [`lend`](Block::lend) returns travels in a
/// message, and the other process [attaches](Arena::attach) it. The memory is used again once every process has dropped the block, or has
/// died: [`reclaim_dead`](Arena::reclaim_dead). Blocks start at multiples of 4096 bytes and take whole pages of 4096 bytes. When a segment is
/// full another one is made, up to [`max_bytes`](ArenaOptions::max_bytes); its descriptor must be sent to the others
/// ([`segment_fd`](Arena::segment_fd), [`add_segment`](Arena::add_segment)).
///
/// # Drop
/// The last of arena and blocks unmaps the memory in this process.
///
/// # Example
/// ```
/// use procs::Arena;
/// let arena = Arena::new(1 << 20)?;
/// let seat = arena.seat()?;
/// let mut block = arena.alloc(100_000)?;
/// block.write(0, b"hello")?;
/// let place = block.lend(seat)?;
/// drop(block); // the other one holds it now
///
/// // What the other process does with the descriptor, the seat's number and the place:
/// let theirs = Arena::open(arena.segment_fd(0)?, seat)?;
/// assert_eq!(theirs.attach(place)?.read(0, 5)?, b"hello");
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Arena(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    generation: u64,
    /// `None` for the creator.
    seat: Option<usize>,
    options: ArenaOptions,
    parts: Mutex<Vec<Part>>,
}

fn invalid_state(detail: &str) -> Error {
    Error::new(ErrorKind::InvalidState, "arena", detail)
}

impl Arena {
    /// Makes an arena whose first segment holds `bytes` bytes of blocks, rounded up to pages of 4096.
    ///
    /// # Errors
    /// - `Exhausted`: the machine has not that much memory left, or the process no descriptor.
    /// - `TooLarge`: more than a segment can have (4 TiB).
    /// - `InvalidArgument`: `bytes` is 0.
    pub fn new(bytes: usize) -> Result<Arena> {
        Arena::options(bytes).create()
    }

    /// Starts a description of the arena to make.
    pub fn options(bytes: usize) -> ArenaOptions {
        ArenaOptions { segment: bytes, most: 1 << 30, memory: Options::default() }
    }

    fn from_parts(first: Part, seat: Option<usize>, options: ArenaOptions) -> Arena {
        Arena(Arc::new(Shared { generation: fork::generation(), seat, options, parts: Mutex::new(vec![first]) }))
    }

    /// Opens an arena in a process that the creator kept a seat for; takes the descriptor of its first segment.
    ///
    /// # Errors
    /// - `Protocol`: not an arena of this layout.
    /// - `PermissionDenied`: not sealed memory.
    /// - `InvalidState`: the seat was not kept, or was taken by another process.
    pub fn open(fd: impl Into<OwnedFd>, seat: Seat) -> Result<Arena> {
        let index = seat.index()?;
        let table = Table::open(Segment::open(fd.into(), Kind::Arena)?, 0)?;
        let own = Owner::current().0;
        let taken = table.seat(index)?.compare_exchange(RESERVED, own, Ordering::AcqRel, Ordering::Acquire);
        if let Err(other) = taken.or_else(|found| if found == own { Ok(found) } else { Err(found) }) {
            let why = if other == 0 { "nobody kept it" } else { "another process has it" };
            return Err(invalid_state(&format!("the seat is not for this process: {why} (seat = {index})")));
        }
        let options = ArenaOptions { segment: 0, most: 0, memory: Options::default() };
        Ok(Arena::from_parts(Part::new(table), Some(index), options))
    }

    /// Refuses work in a forked copy of the process: its parent does the book-keeping.
    fn check(&self) -> Result<()> {
        if self.0.generation == fork::generation() { Ok(()) } else { Err(invalid_state("forked: the arena belongs to the parent process")) }
    }

    fn check_creator(&self) -> Result<()> {
        self.check()?;
        if self.0.seat.is_none() { Ok(()) } else { Err(invalid_state("only the process that made the arena does this")) }
    }

    /// Keeps a seat for a process that will [open](Arena::open) the arena; blocks can be lent to it at once.
    ///
    /// # Errors
    /// - `Exhausted`: all 64 seats are taken.
    /// - `InvalidState`: not the creator.
    pub fn seat(&self) -> Result<Seat> {
        self.check_creator()?;
        let first = Arc::clone(&self.0.parts.lock()[0].table);
        for index in 0..SEATS {
            if first.seat(index)?.compare_exchange(0, RESERVED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Ok(Seat(index as u32));
            }
        }
        Err(Error::new(ErrorKind::Exhausted, "arena", format!("no seat is free (limit = {SEATS})")))
    }

    /// Allocates a block of `len` bytes. Its bytes are what their last user left.
    ///
    /// # Errors
    /// - `Exhausted`: no room, and [`max_bytes`](ArenaOptions::max_bytes) forbids another segment; blocks that others give back make room.
    /// - `InvalidArgument`: `len` is 0.
    /// - `InvalidState`: not the creator, or a forked copy of it.
    pub fn alloc(&self, len: usize) -> Result<Block> {
        self.check_creator()?;
        if len == 0 {
            return Err(Error::invalid("arena", "a block of nothing (len = 0, expected at least 1)"));
        }
        let full = || Error::new(ErrorKind::Exhausted, "arena", format!("full (len = {len}, limit = {} bytes)", self.0.options.most));
        let pages = u32::try_from(len.div_ceil(PAGE)).map_err(|_| full())?;
        let mut parts = self.0.parts.lock();
        for part in parts.iter_mut() {
            part.collect()?;
            if let Some(index) = part.space.take(pages) {
                return self.begin(part, index, (pages, len));
            }
        }
        for part in parts.iter_mut() {
            part.sweep()?;
            if let Some(index) = part.space.take(pages) {
                return self.begin(part, index, (pages, len));
            }
        }
        let used: usize = parts.iter().map(|part| part.table.plan.pages as usize * PAGE).sum();
        let bytes = self.0.options.segment.max(pages as usize * PAGE);
        if bytes > self.0.options.most.saturating_sub(used) {
            return Err(full());
        }
        let mut part = Part::new(Table::create(parts.len() as u32, bytes, self.0.options.memory)?);
        let index = part.space.take(pages).ok_or_else(full)?;
        let block = self.begin(&mut part, index, (pages, len))?;
        parts.push(part);
        Ok(block)
    }

    fn begin(&self, part: &mut Part, index: u32, (pages, len): (u32, usize)) -> Result<Block> {
        let serial = part.table.begin(index, pages, len as u64)?;
        part.live.insert(index, Live { pages, own: 1 });
        Ok(Block::new(&self.0, &part.table, (index, serial), len))
    }

    /// Takes a block that was lent to this process. Everything in `place` may come from a stranger: it is checked.
    ///
    /// # Errors
    /// - `Protocol`: no such block, or not lent to this process.
    /// - `InvalidState`: the segment has not been [added](Arena::add_segment); this process made the arena; forked.
    pub fn attach(&self, place: BlockPlace) -> Result<Block> {
        self.check()?;
        let seat = self.0.seat.ok_or_else(|| invalid_state("the process that made the arena lends its blocks, it does not attach them"))?;
        let mut parts = self.0.parts.lock();
        let count = parts.len();
        let unknown = || invalid_state(&format!("the segment is not known yet (segment = {}, known = {count})", place.segment));
        let part = parts.get_mut(place.segment as usize).ok_or_else(unknown)?;
        let table = Arc::clone(&part.table);
        let wrong = |what: &str| layout::refused(format!("not a block of the arena: {what} ({place:?})"));
        let index = table.plan.index_of(place.offset).ok_or_else(|| wrong("offset"))?;
        let found = table.describe(index)?;
        if found.pages == 0 || found.pages > table.plan.pages - index {
            return Err(wrong("pages"));
        }
        if place.len > found.len || place.len > u64::from(found.pages) * PAGE as u64 || place.serial != found.serial {
            return Err(wrong("length or serial number"));
        }
        let live = part.live.entry(index).or_insert(Live { pages: found.pages, own: 0 });
        if table.held_by(index, seat)? <= u64::from(live.own) {
            if live.own == 0 {
                part.live.remove(&index);
            }
            return Err(wrong("not lent to this process"));
        }
        live.own += 1;
        Ok(Block::new(&self.0, &table, (index, place.serial), place.len as usize))
    }

    /// Segments so far.
    pub fn segments(&self) -> usize {
        self.0.parts.lock().len()
    }

    /// Bytes of the file and mapping of a segment, for bindings that lend it as a buffer; `None` when there is no such segment.
    pub fn segment_size(&self, segment: usize) -> Option<u64> {
        self.0.parts.lock().get(segment).map(|part| part.table.segment.map().len() as u64)
    }

    /// A descriptor of a segment, to give to another process.
    ///
    /// # Errors
    /// - `InvalidArgument`: no such segment.
    /// - `Exhausted`: no descriptor is left.
    pub fn segment_fd(&self, segment: usize) -> Result<OwnedFd> {
        let parts = self.0.parts.lock();
        let missing = || Error::invalid("arena", format!("no such segment (segment = {segment}, expected less than {})", parts.len()));
        parts.get(segment).ok_or_else(missing)?.table.segment.duplicate_fd()
    }

    /// Adds the next segment in a process that opened the arena; takes the descriptor.
    ///
    /// # Errors
    /// - `Protocol`: not the next segment of an arena.
    /// - `PermissionDenied`: not sealed memory.
    pub fn add_segment(&self, fd: impl Into<OwnedFd>) -> Result<()> {
        self.check()?;
        let mut parts = self.0.parts.lock();
        let number = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        parts.push(Part::new(Table::open(Segment::open(fd.into(), Kind::Arena)?, number)?));
        Ok(())
    }

    /// The seats that are taken, with the process that opened the arena; `None` until it has.
    ///
    /// # Errors
    /// None in practice: the memory is mapped.
    pub fn owners(&self) -> Result<Vec<(Seat, Option<u32>)>> {
        let first = Arc::clone(&self.0.parts.lock()[0].table);
        let mut owners = Vec::new();
        for index in 0..SEATS {
            match first.seat(index)?.load(Ordering::Acquire) {
                0 => {}
                RESERVED => owners.push((Seat(index as u32), None)),
                owner => owners.push((Seat(index as u32), Some(Owner(owner).pid()))),
            }
        }
        Ok(owners)
    }

    /// Takes back what processes held that are dead, and their seats; gives how many blocks they had.
    ///
    /// # Errors
    /// - `InvalidState`: not the creator.
    pub fn reclaim_dead(&self) -> Result<usize> {
        self.check_creator()?;
        let first = Arc::clone(&self.0.parts.lock()[0].table);
        let mut blocks = 0;
        for index in 0..SEATS {
            let owner = first.seat(index)?.load(Ordering::Acquire);
            if owner != 0 && owner != RESERVED && Owner(owner).is_dead() {
                blocks += self.reclaim(Seat(index as u32))?;
            }
        }
        Ok(blocks)
    }

    /// Takes back everything that a seat holds, and the seat: its process is dead or was never started. Gives how many blocks it had.
    ///
    /// # Errors
    /// - `InvalidState`: not the creator.
    /// - `InvalidArgument`: no such seat.
    pub fn reclaim(&self, seat: Seat) -> Result<usize> {
        self.check_creator()?;
        let index = seat.index()?;
        let mut parts = self.0.parts.lock();
        let mut blocks = 0;
        for part in parts.iter_mut() {
            for &first in part.live.keys() {
                blocks += usize::from(part.table.clear(first, index)?);
            }
            part.sweep()?;
        }
        parts[0].table.seat(index)?.store(0, Ordering::Release);
        Ok(blocks)
    }

    /// Bytes of blocks that are in use by this process or lent, in whole pages; looks for what was given back first.
    ///
    /// # Errors
    /// - `InvalidState`: not the creator.
    pub fn used_bytes(&self) -> Result<usize> {
        self.check_creator()?;
        let mut used = 0;
        for part in self.0.parts.lock().iter_mut() {
            part.sweep()?;
            used += (part.table.plan.pages - part.space.free()) as usize * PAGE;
        }
        Ok(used)
    }
}
