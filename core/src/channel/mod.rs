//! Messages, buffers and descriptors between two processes.

#[allow(dead_code)]
mod call;
mod codec;
#[allow(dead_code)] // until the endpoint uses all of it
mod control;
#[allow(dead_code)]
mod frame;
#[allow(dead_code)]
mod handle;
#[allow(dead_code)]
mod handoff;
mod message;
#[allow(dead_code)]
mod parser;
#[allow(dead_code)]
mod peer;

pub use call::RemoteFailure;
pub use codec::{Codec, CodecSet, JsonLimits};
pub use handle::HandleKind;
pub use handoff::Wire;
pub use message::{Buffer, Message};
