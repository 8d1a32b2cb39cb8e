//! Messages, buffers and descriptors between two processes.
//!
//! ```text
//!   Channel, Request, futures ── what users see
//!          link ──────────────── which wire it is
//!       native   node ────────── the two wires: frames through shared memory or a socket; Node's lines of JSON
//!  frame, parser, control, call  what the native wire carries, as pure data and states (docs/wire.md)
//! ```
//! `ends`, `handoff` and `peer` say how an end comes to a process and what becomes of the one at the other end. May use: `sys`, `io`, `shm`.

mod call;
#[allow(clippy::module_inception, reason = "`Channel` is what the folder is about")]
mod channel;
mod codec;
mod control;
mod ends;
mod event_loop;
mod frame;
mod futures;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod handle;
pub(crate) mod handoff;
mod link;
mod message;
mod native;
mod node;
mod options;
mod parser;
pub(crate) mod peer;
mod request;
mod request_async;
mod starved;
mod unsent;

pub use call::RemoteFailure;
pub use channel::{Channel, ChannelStats};
pub use codec::{Codec, CodecSet, JsonLimits};
pub use futures::{RecvFuture, SendFuture};
pub use handle::HandleKind;
pub use handoff::Wire;
pub use message::{Buffer, LargeRoom, Message, Received, ReceivedSlice};
pub use node::{LinkFrames, NodeLink};
pub use options::ChannelOptions;
pub use request::{CallStream, Request};
pub use request_async::{BeginCallFuture, CallFuture};
pub use unsent::SendError;
