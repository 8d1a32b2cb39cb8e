//! The blocks that large streams are read into, and which of them are free again.

use crate::hub::Hub;
use crate::memory::{chunk_of, whole_of};
use napi::Env;
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use procs::ReadMemory;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Size of a block.
const BLOCK: usize = 256 << 10;
/// Blocks of an environment: 32 MiB. Who keeps more than that gets the runtime's own memory, as every stream of the runtime does.
const COUNT: usize = 128;
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

    /// The range of a chunk, which uses its block from now on. None for what is no chunk.
    fn lend(&self, index: usize, offset: usize, len: usize) -> Option<usize> {
        let users = self.users.get(index).filter(|users| users.get() > 0)?;
        offset.checked_add(len).filter(|end| len > 0 && *end <= BLOCK)?;
        users.set(users.get() + 1);
        Some(index * BLOCK + offset)
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
    /// The memory of all blocks, 256 KiB each; null where the runtime forbids that.
    #[napi]
    pub fn block_memory(&self, env: Env) -> napi::Result<Option<Buffer>> {
        whole_of(&env, self.blocks()?)
    }

    /// The number of a block to read into, until `block_done`; -1 when all are in use.
    #[napi]
    pub fn block_take(&self) -> napi::Result<i32> {
        Ok(self.blocks()?.take().map_or(-1, |index| index as i32))
    }

    /// What was read into a block as a Buffer of its own, which uses the block until it is collected.
    #[napi]
    pub fn block_chunk(&self, env: Env, index: u32, offset: u32, len: u32) -> napi::Result<Buffer> {
        let blocks = self.blocks()?;
        let (index, len) = (index as usize, len as usize);
        let start = blocks.lend(index, offset as usize, len).ok_or_else(|| napi::Error::from_reason("stream: no such chunk"))?;
        chunk_of(&env, blocks, index, start..start + len)
    }

    /// Nothing more is read into a block.
    #[napi]
    pub fn block_done(&self, index: u32) -> napi::Result<()> {
        self.blocks()?.give_back(index as usize);
        Ok(())
    }

    /// How many blocks are free.
    #[napi]
    pub fn blocks_free(&self) -> napi::Result<u32> {
        Ok(self.blocks()?.free.borrow().len() as u32)
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
