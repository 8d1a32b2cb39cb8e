//! What a child writes: captured, limited, passed on, streamed, and joined into pipelines.
//!
//! ```text
//!  input --> Feeder --> [child] --> Intake --> Sinks --> Store (limit) --> Bytes
//!                          |                        \--> descriptor, file, function
//!                        pidfd ---> Drain (one poll loop: deadline, cancel, stop) --> Output
//! ```
//! `Drain` is used blocking by [`Command::output`](crate::Command::output) and [`Capture`], and as a future by [`OutputFuture`].
//! May use: spawn, io, error, deadline.

mod bytes;
mod chunks;
mod collector;
mod drain;
mod ending;
mod feed;
mod future;
mod intake;
mod lines;
mod many;
mod output;
mod pipeline;
mod run;
mod sink;
mod splitter;
mod stages;
mod start;
mod store;
mod stream;

#[cfg(test)]
mod tests;

pub use bytes::Bytes;
pub use chunks::Chunks;
pub use collector::Collector;
pub use future::OutputFuture;
pub use lines::Lines;
pub use many::run_many;
pub use output::{Output, StreamReport};
pub use pipeline::{Pipeline, PipelineChild, stop_all};
pub use run::Capture;
pub use stages::{PipelineOutput, StageResult};
pub use stream::{ChunkStream, LineStream};
