//! Frames from a stream of bytes that may be cut anywhere.

use super::frame::{Fault, HEADER_LEN, Header, Limits};
use super::message::make_room;
use crate::error::{Error, ErrorKind, Result};

/// One whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
}

/// Puts frames together from whatever pieces they come in.
///
/// Waiting for a header → waiting for the payload → a frame, and again; a fault is the end: nothing is taken after it. Memory grows with the
/// bytes that have come, not with the length that a header announces.
#[derive(Debug)]
pub(crate) struct Parser {
    limits: Limits,
    header: [u8; HEADER_LEN],
    filled: usize,
    /// The header, once whole, and what has come of its payload.
    pending: Option<Frame>,
    /// The number that the next frame must have.
    seq: u64,
    /// Where the current frame begins in its direction.
    offset: u64,
    failed: bool,
}

impl Parser {
    #[cfg(any(test, fuzzing))]
    pub(crate) fn new(limits: Limits) -> Parser {
        Parser::starting_at(limits, 0)
    }

    /// A parser whose first frame has this number: 1 when the hello was taken elsewhere.
    pub(crate) fn starting_at(limits: Limits, seq: u64) -> Parser {
        Parser { limits, header: [0; HEADER_LEN], filled: 0, pending: None, seq, offset: 0, failed: false }
    }

    /// Bytes that are missing to the end of the header or, when that is there, of the frame; at least 1.
    #[cfg(test)]
    pub(crate) fn wanted(&self) -> u64 {
        match &self.pending {
            Some(frame) => frame.header.length - frame.payload.len() as u64,
            None => (HEADER_LEN - self.filled) as u64,
        }
    }

    /// Whether part of a frame has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.filled > 0 || self.pending.is_some()
    }

    /// Takes bytes from the front of `input`, up to the end of one frame. `None` when the input was used up before.
    ///
    /// # Errors
    /// `Protocol` and `TooLarge`, and the same again for every later call.
    pub(crate) fn push(&mut self, input: &mut &[u8]) -> Result<Option<Frame>> {
        if self.failed {
            return Err(Fault::protocol("nothing can follow a malformed frame").at(self.offset));
        }
        let result = self.advance(input);
        self.failed = result.is_err();
        result.map_err(|fault| fault.at(self.offset))
    }

    fn advance(&mut self, input: &mut &[u8]) -> std::result::Result<Option<Frame>, Fault> {
        if self.pending.is_none() {
            let (taken, rest) = input.split_at(input.len().min(HEADER_LEN - self.filled));
            self.header[self.filled..self.filled + taken.len()].copy_from_slice(taken);
            self.filled += taken.len();
            *input = rest;
            if self.filled < HEADER_LEN {
                return Ok(None);
            }
            self.filled = 0;
            let header = Header::parse(&self.header, self.seq, &self.limits)?;
            self.pending = Some(Frame { header, payload: Vec::new() });
        }
        let Some(frame) = &mut self.pending else { return Ok(None) };
        let missing = usize::try_from(frame.header.length - frame.payload.len() as u64).unwrap_or(usize::MAX);
        let (taken, rest) = input.split_at(input.len().min(missing));
        make_room(&mut frame.payload, taken.len()).map_err(|error| Fault { kind: error.kind(), why: error.detail().to_owned() })?;
        frame.payload.extend_from_slice(taken);
        *input = rest;
        if taken.len() < missing {
            return Ok(None);
        }
        self.seq = self.seq.wrapping_add(1);
        self.offset = self.offset.wrapping_add(HEADER_LEN as u64).wrapping_add(frame.header.length);
        Ok(self.pending.take())
    }

    /// The end of the stream.
    ///
    /// # Errors
    /// `Protocol` when it is inside a frame, with how much of it came.
    pub(crate) fn finish(&self) -> Result<()> {
        let (got, want) = match &self.pending {
            Some(frame) => (HEADER_LEN as u64 + frame.payload.len() as u64, HEADER_LEN as u64 + frame.header.length),
            None if self.filled > 0 => (self.filled as u64, HEADER_LEN as u64),
            None => return Ok(()),
        };
        Err(truncated(self.offset, got, want))
    }
}

/// The error for a stream that ended inside a frame.
pub(crate) fn truncated(offset: u64, got: u64, want: u64) -> Error {
    let detail = format!("the peer ended inside a frame (got = {got} bytes, want = {want}, offset = {offset})");
    Error::new(ErrorKind::Protocol, "channel.recv", detail)
}
