//! What the tests of faults in channels have in common.

use procs::{Channel, ChannelOptions, ErrorKind, Message, Spin};
use procs_tests::Test;

pub(crate) fn options(spin: Spin, ring_bytes: usize) -> ChannelOptions {
    ChannelOptions { spin, ring_bytes, ..ChannelOptions::default() }
}

/// Asks without waiting until there is an answer.
pub(crate) fn outcome(t: &Test, channel: &Channel) -> procs::Result<Message> {
    let mut found = None;
    t.wait_until("an answer", || {
        found = Some(channel.try_recv()).filter(|result| !matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock));
        found.is_some()
    });
    found.expect("an answer")
}
