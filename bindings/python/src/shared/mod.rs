//! Memory that processes share, and what lives in it.

mod arena;
mod block;
mod cell;
mod locks;
mod memory;
mod rwlock;
mod table;
pub(crate) mod travel;
pub(crate) mod wait;

pub(crate) use arena::Arena;
pub(crate) use block::{Block, Buffer, bytes_in, copy_into};
pub(crate) use cell::Cell;
pub(crate) use locks::{Barrier, Event, Mutex, Once, Semaphore};
pub(crate) use memory::{SharedMemory, memory_layout};
pub(crate) use rwlock::{RwLock, RwLockSide};
pub(crate) use table::{Counter, Counters, Histogram};
pub(crate) use travel::unpack_memory;
pub(crate) use wait::AsyncWait;
