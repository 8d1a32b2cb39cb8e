//! Memory that processes share, and what lives in it.

mod cell;
mod locks;
mod memory;
mod table;
pub(crate) mod wait;

pub(crate) use cell::Cell;
pub(crate) use locks::{Barrier, Event, Mutex, Once, RwLock, Semaphore};
pub(crate) use memory::{Buffer, SharedMemory, memory_layout};
pub(crate) use table::{Counter, Counters, Histogram};
pub(crate) use wait::AsyncWait;
