//! The struct in which C says how a channel is made.

use crate::choices::{find, whole_timeout};
use crate::guard::guard;
use crate::ptr::{self, Operation, Sized8, init_options};
use crate::status::{invalid, procs_status};
use procs::{ChannelOptions, CodecSet, Result, Spin, Wire};
use std::ffi::c_int;
use std::time::Duration;

/// What is spoken on a channel to a child: the values of `procs_channel_options.wire`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_wire {
    /// Node's for a program called `node` or a `.js`, `.mjs` or `.cjs` file, which `node` runs then; native for everything else.
    PROCS_WIRE_AUTO = 0,
    /// For programs that use libprocs, in any language.
    PROCS_WIRE_NATIVE = 1,
    /// What Node speaks with its own children: `process.send` and `'message'`. JSON bodies.
    PROCS_WIRE_NODE = 2,
}

/// How a channel is made or opened; `procs_channel_options_init` writes the defaults. Each end has its own.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_channel_options {
    /// `sizeof(procs_channel_options)`, set by `procs_channel_options_init`.
    pub size: usize,
    /// Bytes of body and buffers of one message that this end takes. Default: 1 GiB.
    pub max_message: u64,
    /// Bytes that may wait: received and not asked for, or lent and not given back. Default: 256 MiB.
    pub max_queued_bytes: u64,
    /// Bytes of large messages that may be on their way before a sender waits. Default: 3 MiB.
    pub high_water: u64,
    /// Bytes of the ring of each direction, rounded up to a power of two, 4 KiB to 1 GiB; 0: everything goes through the socket. Default: 1 MiB.
    pub ring_bytes: u64,
    /// How long to look again before sleeping, in microseconds: -1: as it pays (default); 0: never; else always this long.
    pub spin_us: i64,
    /// How long the rest of a message may take to come once it has begun; -1: for ever (default).
    pub frame_timeout_ms: i64,
    /// Codecs that this end takes: the sum of `1 << PROCS_CODEC_...`. Default: raw and JSON.
    pub codecs: u32,
    /// Descriptors that this end takes with one message, at most 253. Default: 253.
    pub max_fds: u32,
    /// One of `procs_wire`; counts when a child is started with the channel. Default: PROCS_WIRE_AUTO.
    pub wire: c_int,
    /// 0.
    pub reserved: c_int,
}

// SAFETY: integers only; `tests/c/abi.c` asserts that there is no padding.
unsafe impl Sized8 for procs_channel_options {
    const NAME: &'static str = "procs_channel_options";
}

const WIRES: &[Wire] = &[Wire::Auto, Wire::Native, Wire::Node];

fn defaults() -> procs_channel_options {
    let core = ChannelOptions::default();
    procs_channel_options {
        size: size_of::<procs_channel_options>(),
        max_message: core.max_message,
        max_queued_bytes: core.max_queued_bytes as u64,
        high_water: core.high_water as u64,
        ring_bytes: core.ring_bytes as u64,
        spin_us: -1,
        frame_timeout_ms: -1,
        codecs: core.codecs.bits(),
        max_fds: core.max_fds.into(),
        wire: procs_wire::PROCS_WIRE_AUTO as c_int,
        reserved: 0,
    }
}

/// Writes the defaults. `size` is `sizeof(procs_channel_options)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_channel_options_init(options: *mut procs_channel_options, size: usize) -> procs_status {
    let operation = "procs_channel_options_init";
    guard(operation, || init_options(operation, options, size, &defaults()))
}

/// The options of a call; NULL is the defaults.
pub(crate) fn read(operation: Operation, options: *const procs_channel_options) -> Result<ChannelOptions> {
    if options.is_null() {
        return Ok(ChannelOptions::default());
    }
    let options = ptr::read_options(operation, options, &defaults())?;
    let refuse = |name: &str, value: i128, expected: &str| invalid(operation, format!("out of range ({name} = {value}, expected {expected})"));
    let bytes = |name: &str, value: u64| usize::try_from(value).map_err(|_| refuse(name, value.into(), "what memory can hold"));
    let unknown = options.codecs & !0b1111;
    if options.codecs == 0 || unknown != 0 {
        return Err(refuse("codecs", options.codecs.into(), "a sum of 1 << PROCS_CODEC_ values"));
    }
    let max_fds =
        u16::try_from(options.max_fds).ok().filter(|fds| *fds <= 253).ok_or_else(|| refuse("max_fds", options.max_fds.into(), "0 to 253"))?;
    Ok(ChannelOptions {
        max_message: options.max_message,
        max_queued_bytes: bytes("max_queued_bytes", options.max_queued_bytes)?,
        high_water: bytes("high_water", options.high_water)?,
        spin: match u64::try_from(options.spin_us) {
            Ok(0) => Spin::Off,
            Ok(micros) => Spin::Always(Duration::from_micros(micros)),
            Err(_) if options.spin_us == -1 => Spin::Adaptive,
            Err(_) => return Err(refuse("spin_us", options.spin_us.into(), "-1 or more")),
        },
        ring_bytes: bytes("ring_bytes", options.ring_bytes)?,
        codecs: CodecSet::from_bits(options.codecs),
        max_fds,
        frame_timeout: if options.frame_timeout_ms == -1 {
            None
        } else {
            Some(whole_timeout(operation, "frame_timeout_ms", options.frame_timeout_ms)?)
        },
        wire: find(operation, "wire", options.wire, WIRES)?,
    })
}
