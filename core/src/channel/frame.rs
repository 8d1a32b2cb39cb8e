//! Frames: what travels on the native wire, byte by byte. Nothing here touches a descriptor, memory that is shared, or a clock.
//!
//! A frame is a header of 32 bytes, then `length` bytes of payload. The payload of a message is a table of places (24 bytes each), then the
//! bytes that are placed inline: first the body, then the buffers. `docs/wire.md` is the same text for everybody else.
//!
//! Whoever writes a frame is not trusted: every number is checked before it is used, lengths by subtraction, and nothing is allocated for what
//! a peer merely announces.

mod kind;

pub(crate) use kind::{FrameKind, Id};

use super::codec::{Codec, CodecSet};
use super::handle::HandleKind;
use crate::error::{Error, ErrorKind};

/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = 32;
/// Bytes of one entry of the table of places.
pub(crate) const PLACE_LEN: usize = 24;
/// Buffers in one message, at most.
pub(crate) const MAX_BUFFERS: u16 = 4096;
/// Payload of a frame that is not a message (hello, error), at most.
pub(crate) const MAX_CONTROL: u64 = 1 << 20;

/// Where a header holds what: name, offset, bytes. The test of the wire document reads it.
#[cfg(test)]
pub(crate) const HEADER_LAYOUT: [(&str, usize, usize); 9] = [
    ("length", 0, 8),
    ("seq", 8, 8),
    ("id", 16, 8),
    ("kind", 24, 1),
    ("codec", 25, 1),
    ("flags", 26, 1),
    ("handle", 27, 1),
    ("fds", 28, 2),
    ("buffers", 30, 2),
];

/// Where an entry of the table of places holds what.
#[cfg(test)]
pub(crate) const PLACE_LAYOUT: [(&str, usize, usize); 4] = [("length", 0, 8), ("offset", 8, 8), ("segment", 16, 4), ("serial", 20, 4)];

/// Of a call: the caller takes replies in parts.
pub(crate) const FLAG_STREAM: u8 = 1;
/// The first entry of the table places the body.
pub(crate) const FLAG_BODY_PLACED: u8 = 2;

/// What this side takes from the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of body and buffers of one message, wherever they lie.
    pub(crate) max_message: u64,
    /// Descriptors with one message.
    pub(crate) max_fds: u16,
    /// Codecs that bodies may be in.
    pub(crate) codecs: CodecSet,
}

/// Why a frame was refused; [`Fault::at`] makes the error of the channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: ErrorKind,
    pub(crate) why: String,
}

impl Fault {
    pub(crate) fn protocol(why: impl Into<String>) -> Fault {
        Fault { kind: ErrorKind::Protocol, why: why.into() }
    }

    /// The error for a frame that begins at this byte of its direction.
    pub(crate) fn at(self, offset: u64) -> Error {
        Error::new(self.kind, "channel.recv", format!("{} (offset = {offset})", self.why))
    }
}

type Checked<T> = std::result::Result<T, Fault>;

/// A header whose fields fit together and are within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of payload after the header.
    pub(crate) length: u64,
    /// Counts the frames of a direction from 0, wrapping.
    pub(crate) seq: u64,
    /// The call that the frame belongs to, or 0.
    pub(crate) id: u64,
    pub(crate) kind: FrameKind,
    pub(crate) codec: Codec,
    pub(crate) flags: u8,
    pub(crate) handle: HandleKind,
    pub(crate) fds: u16,
    pub(crate) buffers: u16,
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

impl Header {
    /// The header of a frame of this kind without payload.
    pub(crate) const fn new(kind: FrameKind, id: u64) -> Header {
        Header { length: 0, seq: 0, id, kind, codec: Codec::Raw, flags: 0, handle: HandleKind::Raw, fds: 0, buffers: 0 }
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        for (place, word) in bytes.chunks_exact_mut(8).zip(self.words()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The header as four little-endian words, made without memory in between: a processor waits when it reads in one piece what it has just
    /// written in several.
    #[inline]
    pub(crate) fn words(&self) -> [u64; HEADER_LEN / 8] {
        let last = self.kind as u64
            | (self.codec as u64) << 8
            | u64::from(self.flags) << 16
            | (self.handle as u64) << 24
            | u64::from(self.fds) << 32
            | u64::from(self.buffers) << 48;
        [self.length, self.seq, self.id, last]
    }

    /// Reads and checks a header; nothing of the payload is needed for it. `seq` is the number that this frame must have.
    pub(crate) fn parse(bytes: &[u8; HEADER_LEN], seq: u64, limits: &Limits) -> Checked<Header> {
        let refuse = |name: &str, got: u64, expected: &str| Fault::protocol(format!("malformed frame ({name} = {got}, expected {expected})"));
        let kind = FrameKind::from_number(bytes[24]).ok_or_else(|| refuse("kind", bytes[24].into(), "1 to 13"))?;
        let header = Header {
            length: u64_at(bytes, 0),
            seq: u64_at(bytes, 8),
            id: u64_at(bytes, 16),
            kind,
            codec: Codec::from_number(bytes[25]).ok_or_else(|| refuse("codec", bytes[25].into(), "0 to 3"))?,
            flags: bytes[26],
            handle: HandleKind::from_number(bytes[27]).ok_or_else(|| refuse("handle", bytes[27].into(), "0 to 7"))?,
            fds: u16::from_le_bytes([bytes[28], bytes[29]]),
            buffers: u16::from_le_bytes([bytes[30], bytes[31]]),
        };
        if header.seq != seq {
            return Err(refuse("seq", header.seq, &seq.to_string()));
        }
        if header.flags & !kind.flags() != 0 {
            return Err(refuse("flags", header.flags.into(), &format!("within {} for {}", kind.flags(), kind.name())));
        }
        match kind.id() {
            Id::Zero if header.id != 0 => return Err(refuse("id", header.id, &format!("0 for {}", kind.name()))),
            Id::Set if header.id == 0 => return Err(refuse("id", 0, &format!("not 0 for {}", kind.name()))),
            _ => {}
        }
        if kind.is_message() {
            header.check_message(limits)?
        } else {
            header.check_control()?
        }
        Ok(header)
    }

    /// Codec and length of a message of a body alone, the most frequent header, by fewer looks than [`Header::parse`]. `None` for any other,
    /// and for one that `parse` refuses.
    #[inline]
    pub(crate) fn parse_plain([length, number, id, rest]: [u64; HEADER_LEN / 8], seq: u64, limits: &Limits) -> Option<(Codec, u64)> {
        // Everything after the id but the codec: no flags, no kind of handle, no descriptors, no buffers.
        let plain = number == seq && id == 0 && rest & !0xff00 == FrameKind::Data as u64;
        let codec = Codec::from_number((rest >> 8) as u8).filter(|codec| limits.codecs.contains(*codec))?;
        (plain && length <= limits.max_message).then_some((codec, length))
    }

    fn check_message(&self, limits: &Limits) -> Checked<()> {
        if !limits.codecs.contains(self.codec) {
            let why = format!("codec refused (codec = {}, expected {})", self.codec.name(), limits.codecs);
            return Err(Fault::protocol(why));
        }
        if self.fds > limits.max_fds {
            return Err(Fault { kind: ErrorKind::TooLarge, why: format!("too many descriptors (fds = {}, limit = {})", self.fds, limits.max_fds) });
        }
        if self.handle != HandleKind::Raw && self.fds == 0 {
            return Err(Fault::protocol(format!("a kind of descriptor without a descriptor (handle = {}, fds = 0)", self.handle.name())));
        }
        if self.buffers > MAX_BUFFERS {
            let why = format!("too many buffers (buffers = {}, limit = {MAX_BUFFERS})", self.buffers);
            return Err(Fault { kind: ErrorKind::TooLarge, why });
        }
        let Some(inline) = self.length.checked_sub(self.table_len() as u64) else {
            let why = format!("malformed frame (length = {}, expected at least {} for its table)", self.length, self.table_len());
            return Err(Fault::protocol(why));
        };
        if inline > limits.max_message {
            return Err(too_large(inline, limits));
        }
        Ok(())
    }

    fn check_control(&self) -> Checked<()> {
        let name = self.kind.name();
        let (least, most) = self.kind.payload();
        if self.length > most && most > 0 {
            let why = format!("frame too large (kind = {name}, length = {}, limit = {most})", self.length);
            return Err(Fault { kind: ErrorKind::TooLarge, why });
        }
        if self.length < least || self.length > most {
            return Err(Fault::protocol(format!("malformed frame (length = {}, expected {least} to {most} for {name})", self.length)));
        }
        let fds_fit = match self.kind {
            FrameKind::Hello => self.fds == 0 || self.fds == super::control::HELLO_FDS,
            FrameKind::Segment => self.fds == 1,
            _ => self.fds == 0,
        };
        if !fds_fit || self.buffers != 0 || self.codec != Codec::Raw || self.handle != HandleKind::Raw {
            let (fds, buffers, codec, handle) = (self.fds, self.buffers, self.codec.name(), self.handle.name());
            let why = format!("malformed frame (fds = {fds}, buffers = {buffers}, codec = {codec}, handle = {handle} for {name})");
            return Err(Fault::protocol(why));
        }
        Ok(())
    }

    /// Entries of the table of places.
    pub(crate) const fn places(&self) -> usize {
        self.buffers as usize + (self.flags & FLAG_BODY_PLACED != 0) as usize
    }

    /// Bytes of the table of places.
    pub(crate) const fn table_len(&self) -> usize {
        self.places() * PLACE_LEN
    }

    /// Reads and checks the table of places, which is the first [`table_len`](Header::table_len) bytes of the payload: the body's place, then
    /// those of the buffers. Whether a segment has the bytes it is said to have is for the arena to check.
    pub(crate) fn parse_places(&self, table: &[u8], limits: &Limits) -> Checked<(Place, Vec<Place>)> {
        let mut places = Vec::with_capacity(self.places());
        for (index, entry) in table.chunks_exact(PLACE_LEN).enumerate() {
            places.push(Place::parse(entry).map_err(|why| Fault::protocol(format!("malformed frame ({why} of place {index})")))?);
        }
        if places.len() != self.places() {
            return Err(Fault::protocol(format!("malformed frame (table = {} bytes, expected {})", table.len(), self.table_len())));
        }
        let mut message_left = limits.max_message;
        let mut inline_left = self.length.saturating_sub(self.table_len() as u64);
        for place in &places {
            message_left = message_left.checked_sub(place.len()).ok_or_else(|| too_large(place.len(), limits))?;
            if let Place::Inline { len } = place {
                let why = "malformed frame (the places have more bytes than the frame)";
                inline_left = inline_left.checked_sub(*len).ok_or_else(|| Fault::protocol(why))?;
            }
        }
        let body = if self.flags & FLAG_BODY_PLACED != 0 {
            if inline_left != 0 {
                return Err(Fault::protocol(format!("malformed frame (bytes without a place = {inline_left}, expected 0)")));
            }
            places.remove(0)
        } else {
            message_left = message_left.checked_sub(inline_left).ok_or_else(|| too_large(inline_left, limits))?;
            let _ = message_left;
            Place::Inline { len: inline_left }
        };
        Ok((body, places))
    }
}

fn too_large(size: u64, limits: &Limits) -> Fault {
    Fault { kind: ErrorKind::TooLarge, why: format!("message too large (size = {size}, limit = {})", limits.max_message) }
}

/// Where the bytes of a body or buffer lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the frame, after those placed before it.
    Inline { len: u64 },
    /// A block in a segment of the sender's arena; on the wire its segment is counted from 1, because 0 is inline.
    Segment { segment: u32, serial: u32, offset: u64, len: u64 },
}

impl Place {
    pub(crate) const fn len(&self) -> u64 {
        match self {
            Place::Inline { len } | Place::Segment { len, .. } => *len,
        }
    }

    pub(crate) fn encode(&self) -> [u8; PLACE_LEN] {
        let (offset, segment, serial) = match self {
            Place::Inline { .. } => (0, 0, 0),
            Place::Segment { segment, serial, offset, .. } => (*offset, segment.wrapping_add(1), *serial),
        };
        let mut bytes = [0; PLACE_LEN];
        bytes[0..8].copy_from_slice(&self.len().to_le_bytes());
        bytes[8..16].copy_from_slice(&offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&segment.to_le_bytes());
        bytes[20..24].copy_from_slice(&serial.to_le_bytes());
        bytes
    }

    fn parse(entry: &[u8]) -> std::result::Result<Place, String> {
        let (len, offset, segment, serial) = (u64_at(entry, 0), u64_at(entry, 8), u32_at(entry, 16), u32_at(entry, 20));
        match segment.checked_sub(1) {
            None if offset == 0 && serial == 0 => Ok(Place::Inline { len }),
            None => Err(format!("offset = {offset}, serial = {serial}, expected 0 inline")),
            Some(segment) if offset.checked_add(len).is_some() => Ok(Place::Segment { segment, serial, offset, len }),
            Some(_) => Err(format!("offset = {offset}, length = {len}, expected a sum below 2^64")),
        }
    }
}

/// Header and table of a message; its inline bytes follow it on the wire.
#[cfg(any(test, fuzzing))]
pub(crate) fn encode_head(mut header: Header, body: Place, buffers: &[Place]) -> Vec<u8> {
    let plain = matches!(body, Place::Inline { .. }) && buffers.is_empty();
    if !plain && matches!(body, Place::Segment { .. }) {
        header.flags |= FLAG_BODY_PLACED;
    }
    header.buffers = u16::try_from(buffers.len()).unwrap_or(u16::MAX);
    let inline = |place: &Place| if let Place::Inline { len } = place { *len } else { 0 };
    header.length = header.table_len() as u64 + inline(&body) + buffers.iter().map(inline).sum::<u64>();
    let mut bytes = Vec::with_capacity(HEADER_LEN + header.table_len());
    bytes.extend_from_slice(&header.encode());
    if header.flags & FLAG_BODY_PLACED != 0 {
        bytes.extend_from_slice(&body.encode());
    }
    for place in buffers {
        bytes.extend_from_slice(&place.encode());
    }
    bytes
}

#[cfg(test)]
mod document;
#[cfg(test)]
mod tests;
