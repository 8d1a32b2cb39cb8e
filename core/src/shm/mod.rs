//! Memory that processes share, without names: sealed segments, rings, arenas, locks and counters in them.
//!
//! ```text
//!   SharedMemory ── a user's bytes: cells, locks, counters at offsets ─┐
//!   Arena ───────── blocks that one process lends to others ───────────┼─ segment: memfd + seals + header + mapping
//!   ring ────────── the bytes of a channel ────────────────────────────┘
//! ```
//! A segment has no name; it is handed over as a descriptor and lives while somebody has it. What another process may write is read by copy or
//! by atomics. May use: `sys`, `io`.

mod arena;
mod cell;
mod counters;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod histogram;
mod layout;
mod lock;
mod memory;
pub(crate) mod ring;
pub(crate) mod rings;
mod segment;

pub use arena::{Arena, ArenaOptions, Block, BlockPlace, Seat};
pub use cell::{AtomicCell, Number};
pub use counters::{Counter, Counters};
pub use histogram::{Histogram, HistogramSnapshot};
pub use layout::{Field, memory_layout};
pub use lock::{
    LockFuture, OnceEnd, OnceTurn, SemaphorePermit, SharedBarrier, SharedEvent, SharedMutex, SharedMutexGuard, SharedOnce, SharedReadGuard,
    SharedRwLock, SharedSemaphore, SharedWriteGuard,
};
pub use memory::{SharedMemory, SharedMemoryOptions};
pub use ring::spin::Spin;
