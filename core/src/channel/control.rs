//! Payloads of the frames that are not messages: hello, error, credit, segment.

use super::codec::CodecSet;
use super::frame::Fault;
use crate::error::ErrorKind;

/// The first bytes of a hello, in every version.
pub(crate) const MAGIC: [u8; 8] = *b"procs-ch";
/// Frames of another major version cannot be read.
pub(crate) const MAJOR: u16 = 1;
/// A later minor version adds bytes to the end of the hello and nothing that this one would misread.
pub(crate) const MINOR: u16 = 0;

/// Bytes of a hello; later minor versions append.
pub(crate) const HELLO_LEN: usize = 48;
/// Descriptors with a hello that brings rings: the memory, then eventfds: the data bells of side 0 and side 1, their room bells.
pub(crate) const HELLO_FDS: u16 = 5;
/// Bytes of an error before its texts.
pub(crate) const FAILURE_LEN: usize = 12;
/// Bytes of a credit.
pub(crate) const CREDIT_LEN: usize = 4;
/// Bytes of a segment.
pub(crate) const SEGMENT_LEN: usize = 16;

/// The frames of both directions go through rings in the memory that came with this hello.
pub(crate) const HELLO_RINGS: u32 = 1;
/// The receiver of this hello is side 1 of the channel, otherwise side 0.
pub(crate) const HELLO_SIDE_ONE: u32 = 2;
const HELLO_FLAGS: u32 = HELLO_RINGS | HELLO_SIDE_ONE;

/// Where a hello holds what: name, offset, bytes.
#[cfg(test)]
pub(crate) const HELLO_LAYOUT: [(&str, usize, usize); 8] = [
    ("magic", 0, 8),
    ("major", 8, 2),
    ("minor", 10, 2),
    ("flags", 12, 4),
    ("ring_bytes", 16, 8),
    ("max_message", 24, 8),
    ("codecs", 32, 4),
    ("max_fds", 36, 4),
];
/// Where an error holds what.
#[cfg(test)]
pub(crate) const FAILURE_LAYOUT: [(&str, usize, usize); 3] = [("kind", 0, 4), ("name_length", 4, 4), ("message_length", 8, 4)];
/// Where a segment holds what.
#[cfg(test)]
pub(crate) const SEGMENT_LAYOUT: [(&str, usize, usize); 3] = [("segment", 0, 4), ("seat", 4, 4), ("size", 8, 8)];

type Checked<T> = std::result::Result<T, Fault>;

/// The first frame of each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) major: u16,
    pub(crate) minor: u16,
    pub(crate) flags: u32,
    /// Bytes of each ring; a power of 2, or 0 without rings.
    pub(crate) ring_bytes: u64,
    /// What the sender of this hello takes in one message.
    pub(crate) max_message: u64,
    pub(crate) codecs: CodecSet,
    pub(crate) max_fds: u32,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    if let Some(part) = bytes.get(at..at + N) {
        value.copy_from_slice(part);
    }
    value
}

impl Hello {
    pub(crate) fn encode(&self) -> [u8; HELLO_LEN] {
        let mut bytes = [0; HELLO_LEN];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&self.major.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.minor.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.flags.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.ring_bytes.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.max_message.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.codecs.bits().to_le_bytes());
        bytes[36..40].copy_from_slice(&self.max_fds.to_le_bytes());
        bytes
    }

    /// Reads a hello and refuses another major version, naming both.
    pub(crate) fn decode(payload: &[u8]) -> Checked<Hello> {
        if payload.len() < HELLO_LEN || payload[..8] != MAGIC {
            return Err(Fault::protocol("the peer does not speak this wire (no hello with the magic bytes procs-ch)"));
        }
        let hello = Hello {
            major: u16::from_le_bytes(array(payload, 8)),
            minor: u16::from_le_bytes(array(payload, 10)),
            flags: u32::from_le_bytes(array(payload, 12)),
            ring_bytes: u64::from_le_bytes(array(payload, 16)),
            max_message: u64::from_le_bytes(array(payload, 24)),
            codecs: CodecSet::from_bits(u32::from_le_bytes(array(payload, 32))),
            max_fds: u32::from_le_bytes(array(payload, 36)),
        };
        if hello.major != MAJOR {
            let why = format!("the peer speaks another version of the wire (version = {}.{}, expected {MAJOR}.x)", hello.major, hello.minor);
            return Err(Fault::protocol(why));
        }
        if hello.flags & !HELLO_FLAGS != 0 && hello.minor == MINOR {
            return Err(Fault::protocol(format!("malformed hello (flags = {}, expected 0 to {HELLO_FLAGS})", hello.flags)));
        }
        Ok(hello)
    }
}

/// Why a call failed, as it travels: the kind, and texts for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailureBody {
    pub(crate) kind: ErrorKind,
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) trace: String,
}

/// The longest prefix of at most `max` bytes that ends with a whole character.
fn clip(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

impl FailureBody {
    /// Texts are cut so that the frame stays within its limit: the name at 1 KiB, the message at 256 KiB, the trace at 512 KiB.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (name, message, trace) = (clip(&self.name, 1 << 10), clip(&self.message, 256 << 10), clip(&self.trace, 512 << 10));
        let mut bytes = Vec::with_capacity(FAILURE_LEN + name.len() + message.len() + trace.len());
        bytes.extend_from_slice(&self.kind.number().unsigned_abs().to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(name.len()).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(message.len()).unwrap_or(0).to_le_bytes());
        for text in [name, message, trace] {
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    pub(crate) fn decode(payload: &[u8]) -> Checked<FailureBody> {
        let malformed = |why: &str| Fault::protocol(format!("malformed error frame ({why})"));
        let number = u32::from_le_bytes(array(payload, 0));
        let (name_len, message_len) = (u32::from_le_bytes(array(payload, 4)) as usize, u32::from_le_bytes(array(payload, 8)) as usize);
        let texts = payload.get(FAILURE_LEN..).ok_or_else(|| malformed("too short"))?;
        let (name, rest) = texts.split_at_checked(name_len).ok_or_else(|| malformed("name longer than the frame"))?;
        let (message, trace) = rest.split_at_checked(message_len).ok_or_else(|| malformed("message longer than the frame"))?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| malformed("text is not UTF-8"));
        // A kind of a later version is still a failed call.
        let kind = i32::try_from(number).ok().and_then(ErrorKind::from_number).unwrap_or(ErrorKind::TaskFailed);
        Ok(FailureBody { kind, name: text(name)?, message: text(message)?, trace: text(trace)? })
    }
}

/// Announces memory that later frames place bytes in; its descriptor comes with the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentBody {
    /// Counted from 0 by the sender, each used once.
    pub(crate) segment: u32,
    /// The seat that the sender keeps for the receiver in its arena.
    pub(crate) seat: u32,
    /// Bytes of the file.
    pub(crate) size: u64,
}

impl SegmentBody {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_LEN] {
        let mut bytes = [0; SEGMENT_LEN];
        bytes[0..4].copy_from_slice(&self.segment.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.seat.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.size.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(payload: &[u8]) -> Checked<SegmentBody> {
        if payload.len() != SEGMENT_LEN {
            return Err(Fault::protocol("malformed segment frame"));
        }
        Ok(SegmentBody {
            segment: u32::from_le_bytes(array(payload, 0)),
            seat: u32::from_le_bytes(array(payload, 4)),
            size: u64::from_le_bytes(array(payload, 8)),
        })
    }
}

/// How many more parts the caller takes: at least 1.
pub(crate) fn decode_credit(payload: &[u8]) -> Checked<u32> {
    match u32::from_le_bytes(array(payload, 0)) {
        0 => Err(Fault::protocol("malformed credit frame (credit = 0, expected at least 1)")),
        credit => Ok(credit),
    }
}
