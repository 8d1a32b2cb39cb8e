//! Arenas: blocks of shared memory that are lent without a copy.

use crate::guard::{guard, guard_value};
use crate::ptr::{Operation, Out, duplicate_fd, set_optional};
use crate::slab::{self, Object, Ref};
use crate::status::procs_status;
use procs::{Arena, Block, BlockPlace, Result, Seat};
use std::ffi::{c_int, c_void};
use std::os::fd::IntoRawFd;

/// Blocks of shared memory: allocated by the process that made the arena, lent to up to 64 others, used again once all have freed them or died.
///
///     maker:  procs_shm_arena_new, _seat, _alloc; fill procs_shm_block_data; _lend; send the place; _free the block
///     other:  procs_shm_arena_open with the descriptor and the seat; _attach the place; read procs_shm_block_data; _free the block
pub struct procs_shm_arena {
    _opaque: [u8; 0],
}

struct ArenaObject(Arena);

impl Object for ArenaObject {
    type Handle = procs_shm_arena;
    const TAG: usize = 31;
    const NOUN: &'static str = "shm_arena";
}

fn arena(operation: Operation, handle: *const procs_shm_arena) -> Result<Ref<ArenaObject>> {
    slab::get(operation, handle)
}

/// Where a lent block is: 24 bytes to send to the other process as they are.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_shm_place {
    /// Number of the segment.
    pub segment: u32,
    /// Which use of its pages.
    pub serial: u32,
    /// Bytes from the start of the segment's file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Makes an arena with room for `len` bytes of blocks, which grows by further segments up to `max_len` (0: 1 GiB). Owned: free it with
/// `procs_shm_arena_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_new(len: usize, max_len: usize, arena: *mut *mut procs_shm_arena) -> procs_status {
    let operation = "procs_shm_arena_new";
    guard(operation, || {
        let out = Out::new(operation, "arena", arena)?;
        let options = Arena::options(len);
        let options = if max_len == 0 { options } else { options.max_bytes(max_len) };
        out.set(slab::insert(ArenaObject(options.create()?))?);
        Ok(())
    })
}

/// Opens an arena by the descriptor of its segment 0, which is duplicated, at the seat that its maker kept. Owned: free it with
/// `procs_shm_arena_free`.
///
/// Errors: PROCS_E_INVALID_STATE when the seat is not for this process, PROCS_E_PROTOCOL or PROCS_E_PERMISSION_DENIED when it is no arena.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_open(fd: c_int, seat: u32, arena: *mut *mut procs_shm_arena) -> procs_status {
    let operation = "procs_shm_arena_open";
    guard(operation, || {
        let out = Out::new(operation, "arena", arena)?;
        let opened = Arena::open(duplicate_fd(operation, fd)?, Seat::from_number(seat))?;
        out.set(slab::insert(ArenaObject(opened))?);
        Ok(())
    })
}

/// Keeps a seat for another process; tell it the number beside the descriptor.
///
/// Errors: PROCS_E_EXHAUSTED when all 8 are taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_seat(arena: *const procs_shm_arena, seat: *mut u32) -> procs_status {
    let operation = "procs_shm_arena_seat";
    guard(operation, || {
        let object = self::arena(operation, arena)?;
        let out = Out::new(operation, "seat", seat)?;
        out.set(object.0.seat()?.number());
        Ok(())
    })
}

/// A new descriptor of a segment (from 0), close-on-exec, to give to another process. Owned: close it.
///
/// Errors: PROCS_E_INVALID_ARGUMENT when there is no such segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_segment_fd(arena: *const procs_shm_arena, segment: usize, fd: *mut c_int) -> procs_status {
    let operation = "procs_shm_arena_segment_fd";
    guard(operation, || {
        let object = self::arena(operation, arena)?;
        let out = Out::new(operation, "fd", fd)?;
        out.set(object.0.segment_fd(segment)?.into_raw_fd());
        Ok(())
    })
}

/// Segments so far; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_segments(arena: *const procs_shm_arena) -> usize {
    guard_value("procs_shm_arena_segments", 0, || Ok(self::arena("procs_shm_arena_segments", arena)?.0.segments()))
}

/// Adds the next segment of an arena that was opened, by its descriptor, which is duplicated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_add_segment(arena: *const procs_shm_arena, fd: c_int) -> procs_status {
    let operation = "procs_shm_arena_add_segment";
    guard(operation, || self::arena(operation, arena)?.0.add_segment(duplicate_fd(operation, fd)?))
}

/// Takes back what dead processes held, and their seats; `*blocks`, unless NULL, is how many blocks they had. Only the maker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_reclaim_dead(arena: *const procs_shm_arena, blocks: *mut usize) -> procs_status {
    let operation = "procs_shm_arena_reclaim_dead";
    guard(operation, || {
        let found = self::arena(operation, arena)?.0.reclaim_dead()?;
        set_optional(operation, "blocks", blocks, found)
    })
}

/// Takes back what a seat holds, and the seat: its process is gone or never came. `*blocks`, unless NULL, is how many blocks it had. Only the maker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_reclaim(arena: *const procs_shm_arena, seat: u32, blocks: *mut usize) -> procs_status {
    let operation = "procs_shm_arena_reclaim";
    guard(operation, || {
        let found = self::arena(operation, arena)?.0.reclaim(Seat::from_number(seat))?;
        set_optional(operation, "blocks", blocks, found)
    })
}

/// Bytes of blocks that this process has or has lent, in whole pages. Only the maker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_used(arena: *const procs_shm_arena, bytes: *mut usize) -> procs_status {
    let operation = "procs_shm_arena_used";
    guard(operation, || {
        let object = self::arena(operation, arena)?;
        let out = Out::new(operation, "bytes", bytes)?;
        out.set(object.0.used_bytes()?);
        Ok(())
    })
}

/// Frees the handle; the memory lives while blocks or other processes have it. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_free(arena: *mut procs_shm_arena) -> procs_status {
    guard("procs_shm_arena_free", || slab::remove::<ArenaObject>("procs_shm_arena_free", arena).map(drop))
}

/// One block of an arena, as this process has it.
pub struct procs_shm_block {
    _opaque: [u8; 0],
}

pub(crate) struct BlockObject(pub(crate) Block);

impl Object for BlockObject {
    type Handle = procs_shm_block;
    const TAG: usize = 32;
    const NOUN: &'static str = "shm_block";
}

pub(crate) fn block(operation: Operation, handle: *const procs_shm_block) -> Result<Ref<BlockObject>> {
    slab::get(operation, handle)
}

/// Allocates a block of `len` bytes; they are what their last user left. Owned: free it with `procs_shm_block_free`. Only the maker.
///
/// Errors: PROCS_E_EXHAUSTED when there is no room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_alloc(arena: *const procs_shm_arena, len: usize, block: *mut *mut procs_shm_block) -> procs_status {
    let operation = "procs_shm_arena_alloc";
    guard(operation, || {
        let object = self::arena(operation, arena)?;
        let out = Out::new(operation, "block", block)?;
        out.set(slab::insert(BlockObject(object.0.alloc(len)?))?);
        Ok(())
    })
}

/// Takes a block that was lent to this process; `place` may come from a stranger. Owned: free it with `procs_shm_block_free`.
///
/// Errors: PROCS_E_PROTOCOL when there is no such block or it was not lent to this process, PROCS_E_INVALID_STATE when its segment is not there yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_arena_attach(
    arena: *const procs_shm_arena,
    place: *const procs_shm_place,
    block: *mut *mut procs_shm_block,
) -> procs_status {
    let operation = "procs_shm_arena_attach";
    guard(operation, || {
        let object = self::arena(operation, arena)?;
        let place = crate::ptr::array(operation, "place", place, 1)?[0];
        let out = Out::new(operation, "block", block)?;
        let place = BlockPlace { segment: place.segment, serial: place.serial, offset: place.offset, len: place.len };
        out.set(slab::insert(BlockObject(object.0.attach(place)?))?);
        Ok(())
    })
}

/// Adds a reference for the process with this seat and says where the block is. Write to it no more. That process must attach it exactly once.
///
/// Errors: PROCS_E_INVALID_ARGUMENT for a seat that nobody kept, PROCS_E_INVALID_STATE when this process did not allocate the block,
/// PROCS_E_WOULD_BLOCK when that process has 255 references to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_block_lend(block: *const procs_shm_block, seat: u32, place: *mut procs_shm_place) -> procs_status {
    let operation = "procs_shm_block_lend";
    guard(operation, || {
        let object = self::block(operation, block)?;
        let out = Out::new(operation, "place", place)?;
        let found = object.0.lend(Seat::from_number(seat))?;
        out.set(procs_shm_place { segment: found.segment, serial: found.serial, offset: found.offset, len: found.len });
        Ok(())
    })
}

/// Takes back one reference whose place was not sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_block_unlend(block: *const procs_shm_block, seat: u32) -> procs_status {
    guard("procs_shm_block_unlend", || self::block("procs_shm_block_unlend", block)?.0.unlend(Seat::from_number(seat)))
}

/// Its bytes, aligned to 4096; NULL for NULL. Borrowed: valid until the block is freed. Write to them before it is lent, and only in the maker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_block_data(block: *const procs_shm_block) -> *mut c_void {
    guard_value("procs_shm_block_data", std::ptr::null_mut(), || Ok(self::block("procs_shm_block_data", block)?.0.as_ptr().cast()))
}

/// Its length in bytes; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_block_len(block: *const procs_shm_block) -> usize {
    guard_value("procs_shm_block_len", 0, || Ok(self::block("procs_shm_block_len", block)?.0.len()))
}

/// Gives this process' reference back: one atomic change, no message. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_shm_block_free(block: *mut procs_shm_block) -> procs_status {
    guard("procs_shm_block_free", || slab::remove::<BlockObject>("procs_shm_block_free", block).map(drop))
}
