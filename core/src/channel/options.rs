//! What a channel allows and how it waits.

use super::codec::CodecSet;
use super::handoff::Wire;
use crate::shm::Spin;
use std::time::Duration;

/// More than what a processor keeps to itself, so that the other one finds the bytes in the cache that both share and not in its neighbour's
/// own, which takes three times as long; and less than the arena's first segment.
const HIGH_WATER: usize = 3 << 20;

/// How a channel is made or opened. Both ends have their own.
///
/// ```
/// use procs::{Channel, ChannelOptions, Spin};
/// let (a, b) = Channel::pair_with(&ChannelOptions { spin: Spin::Off, ..ChannelOptions::default() })?;
/// a.send_bytes(b"hello")?;
/// assert_eq!(b.recv()?.body, *b"hello");
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChannelOptions {
    /// Bytes of body and buffers of one message that this end takes. Default: 1 GiB.
    pub max_message: u64,
    /// Bytes of received messages that this end keeps while nobody asks for them, and bytes of shared memory for large messages that the
    /// other end has not given back. Default: 256 MiB.
    pub max_queued_bytes: usize,
    /// Bytes of large messages that may be on their way before a sender waits; one always may. Small ones wait for room in the ring.
    /// Default: 3 MiB.
    pub high_water: usize,
    /// Whether to look again before sleeping. Default: adaptive.
    pub spin: Spin,
    /// Bytes of the ring of each direction, rounded up to a power of two between 4 KiB and 1 GiB; 0 is no ring: everything goes through the
    /// socket. Counts when the pair is made. Default: 1 MiB.
    pub ring_bytes: usize,
    /// Codecs that this end takes. Default: raw and JSON.
    pub codecs: CodecSet,
    /// Descriptors that this end takes with one message, at most 253. Default: 253.
    pub max_fds: u16,
    /// How long the rest of a message may take to come once it has begun. Default: for ever.
    pub frame_timeout: Option<Duration>,
    /// What a child that is started with this channel speaks. Default: by its program.
    pub wire: Wire,
}

impl Default for ChannelOptions {
    fn default() -> ChannelOptions {
        ChannelOptions {
            max_message: 1 << 30,
            max_queued_bytes: 256 << 20,
            high_water: HIGH_WATER,
            spin: Spin::Adaptive,
            ring_bytes: 1 << 20,
            codecs: CodecSet::default(),
            max_fds: 253,
            frame_timeout: None,
            wire: Wire::Auto,
        }
    }
}
