//! The blocks that large streams are read into, and which of them are free again.

use crate::hub::Hub;
use crate::memory::{chunk_of, read_after, read_into};
use napi::Env;
use napi::bindgen_prelude::{Buffer, Uint8ArraySlice};
use napi_derive::napi;
use procs::{Flow, ReadMemory};
use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;

/// Size of a block.
const BLOCK: usize = 1 << 20;
/// Blocks of an environment: 32 MiB. Who keeps more than that gets the runtime's own memory, as every stream of the runtime does.
const COUNT: usize = 32;
/// A rest of a block smaller than this is given up.
const LEAST_ROOM: usize = 64 << 10;
/// Blocks of a part of the memory that can be released.
const A_PART: usize = ReadMemory::PART / BLOCK;
/// Parts that stay warm while nobody uses them.
const WARM_PARTS: usize = COUNT / A_PART / 2;

/// The blocks of one environment, on its thread.
pub(crate) struct Blocks {
    pub(crate) memory: ReadMemory,
    /// Free ones; the last is the warmest.
    free: RefCell<Vec<usize>>,
    /// How many use a block: its chunks, and the stream that reads into it.
    users: [Cell<u32>; COUNT],
    /// Parts whose pages are there.
    touched: RefCell<[bool; COUNT / A_PART]>,
}

impl Blocks {
    fn new() -> napi::Result<Rc<Blocks>> {
        let memory = ReadMemory::new(COUNT / A_PART);
        let memory = memory.map_err(|error| napi::Error::from_reason(format!("stream: no memory to read into ({error})")))?;
        let free = RefCell::new((0..COUNT).rev().collect());
        Ok(Rc::new(Blocks { memory, free, users: [const { Cell::new(0) }; COUNT], touched: RefCell::default() }))
    }

    fn take(&self) -> Option<usize> {
        let index = self.free.borrow_mut().pop()?;
        self.users[index].set(1);
        self.touched.borrow_mut()[index / A_PART] = true;
        Some(index)
    }

    /// One user more.
    fn lend(&self, index: usize) {
        let users = &self.users[index];
        users.set(users.get() + 1);
    }

    /// One user less.
    pub(crate) fn give_back(&self, index: usize) {
        let Some(users) = self.users.get(index).filter(|users| users.get() > 0) else { return };
        users.set(users.get() - 1);
        if users.get() == 0 {
            self.free.borrow_mut().push(index);
            self.cool(index / A_PART);
        }
    }

    /// Releases a part that nobody uses if there are others that are warm.
    fn cool(&self, part: usize) {
        let unused = |part: usize| self.users[part * A_PART..(part + 1) * A_PART].iter().all(|users| users.get() == 0);
        let mut touched = self.touched.borrow_mut();
        if unused(part) && (0..touched.len()).filter(|other| touched[*other] && unused(*other)).count() > WARM_PARTS {
            touched[part] = false;
            self.memory.release(part);
            // Its blocks are the last to be taken again.
            let mut free = self.free.borrow_mut();
            free.sort_by_key(|index| touched[index / A_PART]);
        }
    }
}

#[napi]
impl Hub {
    /// How many blocks are in use.
    #[napi]
    pub fn blocks_used(&self) -> napi::Result<u32> {
        Ok((COUNT - self.blocks()?.free.borrow().len()) as u32)
    }

    /// A reader of a large stream of this process.
    #[napi]
    pub fn read_blocks(&self, fd: i32) -> napi::Result<BlockReader> {
        Ok(BlockReader { fd, blocks: self.blocks()?.clone(), flow: RefCell::default(), block: Cell::default() })
    }
}

impl Hub {
    fn blocks(&self) -> napi::Result<&Rc<Blocks>> {
        if let Some(blocks) = self.blocks.get() {
            return Ok(blocks);
        }
        let blocks = Blocks::new()?;
        Ok(self.blocks.get_or_init(|| blocks))
    }
}

/// A block that a stream is read into, and how much of it is chunks already.
#[derive(Clone, Copy)]
struct Current {
    index: usize,
    used: usize,
}

/// Reads what follows the first bytes that the event loop has read from a stream. To be closed before the stream is.
#[napi]
pub struct BlockReader {
    fd: RawFd,
    blocks: Rc<Blocks>,
    flow: RefCell<Flow>,
    block: Cell<Option<Current>>,
}

#[napi]
impl BlockReader {
    /// The first bytes and what more is there, in a Buffer of its own, which uses its block until it is collected. Null when all blocks are in use.
    #[napi]
    pub fn read(&self, env: Env, first: Uint8ArraySlice<'_>) -> napi::Result<Option<Buffer>> {
        let current = self.block.get().filter(|current| BLOCK - current.used >= LEAST_ROOM);
        if current.is_none() {
            self.leave();
        }
        let Some(Current { index, used }) = current.or_else(|| self.blocks.take().map(|index| Current { index, used: 0 })) else { return Ok(None) };
        let room = index * BLOCK + used..(index + 1) * BLOCK;
        let len = read_after(&first, (&self.blocks, room.clone()), self.fd, &mut self.flow.borrow_mut());
        self.block.set(Some(Current { index, used: used + len }));
        self.blocks.lend(index);
        chunk_of(&env, &self.blocks, index, room.start..room.start + len).map(Some)
    }

    /// The same in memory that the caller has made; gives the length.
    #[napi]
    pub fn read_into(&self, first: Uint8ArraySlice<'_>, memory: Uint8ArraySlice<'_>) -> u32 {
        read_into(&first, memory, self.fd, &mut self.flow.borrow_mut()) as u32
    }

    /// Nothing more is read.
    #[napi]
    pub fn close(&self) {
        self.leave();
        self.flow.take();
    }

    /// Leaves the block to its chunks.
    fn leave(&self) {
        if let Some(current) = self.block.take() {
            self.blocks.give_back(current.index);
        }
    }
}
