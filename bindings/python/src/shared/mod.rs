//! Memory that processes share, and what lives in it.

mod cell;
mod memory;

pub(crate) use cell::Cell;
pub(crate) use memory::{Buffer, SharedMemory, memory_layout};
