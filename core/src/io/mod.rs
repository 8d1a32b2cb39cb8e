//! Streams over descriptors, and the one thread that waits. May use: `sys`.

mod flow;
mod pipe;
pub(crate) mod reactor;
mod ready;
pub(crate) mod transfer;

pub use flow::Flow;
pub use pipe::{PipeReader, PipeWriter, close_fd, duplicate_fd};
pub use ready::ReadySet;
