//! Node's own channel, so that an unmodified Node program can be child or parent: `docs/wire.md`, section "Node's wire".
//!
//! `line` cuts bytes into messages, `json` looks them over, `handle` knows Node's reserved messages, `outgoing` wraps a user's, `state` puts them
//! together without waiting, `endpoint` waits, `watch` wakes, `last` writes
//! what is left when the process ends, `raw` is for those who read reserved messages themselves.

mod endpoint;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod handle;
mod json;
mod last;
mod line;
mod outgoing;
mod raw;
mod state;
mod watch;

#[cfg(test)]
mod tests;

pub(crate) use endpoint::{NodeEndpoint, NodeOptions};
pub(crate) use line::Framing;
#[cfg(test)]
use outgoing::Handles;
pub use raw::NodeLink;
pub use state::Frames as LinkFrames;
