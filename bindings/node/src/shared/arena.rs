//! Arenas and their blocks.

use super::size;
use crate::error::{Failure, guard};
use crate::memory::to_segment_buffer;
use napi::Env;
use napi::bindgen_prelude::{Buffer, Either, ObjectFinalize, Uint8Array};
use napi_derive::napi;
use procs::{Arena, Block, BlockPlace, Error, ErrorKind, Result, Seat};
use std::os::fd::IntoRawFd;

/// An arena, made here or opened.
#[napi]
pub struct ArenaCore {
    core: Arena,
}

/// A block, as this process has it. The collector is told of its bytes: it would see a few words else, and let blocks lie for long.
#[napi(custom_finalize)]
pub struct ArenaBlock {
    core: Option<Block>,
}

impl ArenaBlock {
    fn new(env: &Env, core: Block) -> ArenaBlock {
        tell_collector(env, core.len() as i64);
        ArenaBlock { core: Some(core) }
    }

    fn give_back(&mut self, env: &Env) {
        if let Some(block) = self.core.take() {
            tell_collector(env, -(block.len() as i64));
        }
    }
}

fn tell_collector(env: &Env, bytes: i64) {
    // It is a hint.
    let _ = env.adjust_external_memory(bytes);
}

impl ObjectFinalize for ArenaBlock {
    fn finalize(mut self, env: Env) -> napi::Result<()> {
        self.give_back(&env);
        Ok(())
    }
}

/// Makes an arena.
#[napi]
pub fn create_arena(bytes: f64, max_bytes: f64, prefault: bool, huge_pages: bool) -> Either<ArenaCore, Failure> {
    guard(|| {
        let options = Arena::options(size(bytes, "size")?).max_bytes(size(max_bytes, "maxBytes")?);
        Ok(ArenaCore { core: options.prefault(prefault).huge_pages(huge_pages).create()? })
    })
}

/// Opens an arena by the descriptor of its first segment, which stays open and the caller's.
#[napi]
pub fn open_arena(fd: i32, seat: u32) -> Either<ArenaCore, Failure> {
    guard(|| Ok(ArenaCore { core: Arena::open(procs::duplicate_fd(fd)?, Seat::from_number(seat))? }))
}

#[napi]
impl ArenaCore {
    /// Keeps a seat.
    #[napi]
    pub fn seat(&self) -> Either<u32, Failure> {
        guard(|| Ok(self.core.seat()?.number()))
    }

    /// Allocates a block.
    #[napi]
    pub fn alloc(&self, env: Env, len: f64) -> Either<ArenaBlock, Failure> {
        guard(|| Ok(ArenaBlock::new(&env, self.core.alloc(size(len, "length")?)?)))
    }

    /// Takes a block that was lent to this process.
    #[napi]
    pub fn attach(&self, env: Env, segment: u32, serial: u32, offset: f64, len: f64) -> Either<ArenaBlock, Failure> {
        guard(|| {
            let place = BlockPlace { segment, serial, offset: size(offset, "offset")? as u64, len: size(len, "length")? as u64 };
            Ok(ArenaBlock::new(&env, self.core.attach(place)?))
        })
    }

    /// Segments so far.
    #[napi(getter)]
    pub fn segments(&self) -> u32 {
        self.core.segments() as u32
    }

    /// A descriptor of a segment, which is the caller's.
    #[napi]
    pub fn segment_fd(&self, segment: u32) -> Either<i32, Failure> {
        guard(|| Ok(self.core.segment_fd(segment as usize)?.into_raw_fd()))
    }

    /// Adds the next segment by a descriptor, which stays open and the caller's.
    #[napi]
    pub fn add_segment(&self, fd: i32) -> Either<bool, Failure> {
        guard(|| self.core.add_segment(procs::duplicate_fd(fd)?).map(|()| true))
    }

    /// The whole of a segment as a Buffer over the mapping, null where the runtime forbids foreign memory. Once for each segment.
    #[napi]
    pub fn segment_buffer(&self, env: Env, block: &ArenaBlock) -> napi::Result<Option<Buffer>> {
        match &block.core {
            Some(block) => to_segment_buffer(&env, &self.core, block),
            None => Ok(None),
        }
    }

    /// Seats and the processes that opened the arena with them: a number and a process id, 0 for none, for each.
    #[napi]
    pub fn owners(&self) -> Either<Vec<u32>, Failure> {
        guard(|| Ok(self.core.owners()?.into_iter().flat_map(|(seat, pid)| [seat.number(), pid.unwrap_or(0)]).collect()))
    }

    /// Takes back what dead processes held.
    #[napi]
    pub fn reclaim_dead(&self) -> Either<u32, Failure> {
        guard(|| Ok(self.core.reclaim_dead()? as u32))
    }

    /// Takes back everything of a seat.
    #[napi]
    pub fn reclaim(&self, seat: u32) -> Either<u32, Failure> {
        guard(|| Ok(self.core.reclaim(Seat::from_number(seat))? as u32))
    }

    /// Bytes of blocks in use.
    #[napi]
    pub fn used_bytes(&self) -> Either<f64, Failure> {
        guard(|| Ok(self.core.used_bytes()? as f64))
    }
}

impl ArenaBlock {
    fn block(&self) -> Result<&Block> {
        self.core.as_ref().ok_or_else(|| Error::new(ErrorKind::InvalidState, "arena", "the block was released"))
    }
}

#[napi]
impl ArenaBlock {
    /// Segment, serial, offset and length.
    #[napi]
    pub fn place(&self) -> Either<Vec<f64>, Failure> {
        guard(|| {
            let place = self.block()?.place();
            Ok(vec![f64::from(place.segment), f64::from(place.serial), place.offset as f64, place.len as f64])
        })
    }

    /// Lends it to a seat.
    #[napi]
    pub fn lend(&self, seat: u32) -> Either<bool, Failure> {
        guard(|| self.block()?.lend(Seat::from_number(seat)).map(|_| true))
    }

    /// Takes back one loan whose message was not sent.
    #[napi]
    pub fn unlend(&self, seat: u32) -> Either<bool, Failure> {
        guard(|| self.block()?.unlend(Seat::from_number(seat)).map(|()| true))
    }

    /// Copies bytes out.
    #[napi]
    pub fn read(&self, offset: f64, len: f64) -> Either<Buffer, Failure> {
        guard(|| Ok(self.block()?.read(size(offset, "offset")?, size(len, "length")?)?.into()))
    }

    /// Copies bytes in.
    #[napi]
    pub fn write(&mut self, offset: f64, bytes: Uint8Array) -> Either<bool, Failure> {
        guard(|| {
            self.block()?;
            let Some(block) = self.core.as_mut() else { return Ok(false) };
            block.write(size(offset, "offset")?, &bytes).map(|()| true)
        })
    }

    /// Gives this process' reference back.
    #[napi]
    pub fn release(&mut self, env: Env) {
        self.give_back(&env);
    }
}
