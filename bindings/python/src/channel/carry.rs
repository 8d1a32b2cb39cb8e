//! Bytes of Python objects as parts of messages: in place when they lie in a block of the channel, else copied once.

use super::Channel;
use crate::convert;
use crate::memory::to_vec;
use crate::shared::{Block, bytes_in};
use procs::Buffer;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Bytes from which a copy is made right in the memory that is shared with the other side.
const SHARED_FROM: usize = 64 << 10;

/// The blocks of a channel that Python code has, by address: what is built in one is known again however it is wrapped.
#[derive(Default)]
pub(super) struct Blocks(Mutex<BTreeMap<usize, Weak<procs::Block>>>);

impl Blocks {
    fn add(&self, block: &Arc<procs::Block>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, block| block.strong_count() > 0);
        known.insert(block.as_ptr().addr(), Arc::downgrade(block));
    }

    /// The block that begins with these bytes and has all of them.
    fn find(&self, bytes: &[u8]) -> Option<Arc<procs::Block>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&bytes.as_ptr().addr())?.upgrade().filter(|block| !bytes.is_empty() && bytes.len() <= block.len())
    }
}

impl Channel {
    /// A block of the memory that is shared with the other side.
    pub(super) fn new_block(&self, size: usize) -> procs::Result<Block> {
        let block = Arc::new(self.core.alloc(size)?);
        self.blocks.add(&block);
        Ok(Block::new(block))
    }

    /// What a bytes-like object holds now, to be sent: the argument of that name.
    pub(crate) fn carry(&self, name: &str, data: &Bound<'_, PyAny>) -> PyResult<Buffer> {
        if let Ok(bytes) = data.cast::<PyBytes>() {
            return self.copy(bytes.as_bytes());
        }
        if let Ok(view) = PyUntypedBuffer::get(data)
            && let Some(bytes) = bytes_in(&view)
        {
            let shared = self.blocks.find(bytes).and_then(|block| block.share(bytes.len()).ok());
            return shared.map_or_else(|| self.copy(bytes), |block| Ok(Buffer::from(block)));
        }
        Ok(Buffer::from(convert::bytes_like(name, data)?))
    }

    /// A copy, for large bytes where the other side reads them.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn copy(&self, bytes: &[u8]) -> PyResult<Buffer> {
        if bytes.len() > SHARED_FROM
            && let Ok(mut block) = self.core.alloc(bytes.len())
            && block.write(0, bytes).is_ok()
        {
            return Ok(Buffer::from(block));
        }
        to_vec(bytes).map(Buffer::from)
    }
}
