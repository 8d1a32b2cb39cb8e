//! Cuts the byte stream of Node's channel into messages: incremental, bounded, without any I/O.
//!
//! Two framings (`docs/wire.md`): `json`, one JSON text and a line feed; `advanced`, a big-endian length of four bytes and as many bytes of V8's
//! serialization, which stay opaque here.

use crate::channel::message::{copied, make_room};
use crate::error::{Error, ErrorKind, Result};

/// How messages are told apart; Node calls it the serialization mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    #[default]
    Json,
    Advanced,
}

impl Framing {
    /// The value of `NODE_CHANNEL_SERIALIZATION_MODE`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Framing::Json => "json",
            Framing::Advanced => "advanced",
        }
    }
}

/// What is kept of a buffer that has been emptied, in bytes.
pub(crate) const KEEP: usize = 1 << 20;
/// Bytes of the length before a message of the framing `advanced`.
pub(crate) const LENGTH_BYTES: usize = 4;

/// Bytes that came and are not yet whole messages.
#[derive(Debug)]
pub(crate) struct Splitter {
    framing: Framing,
    max: usize,
    bytes: Vec<u8>,
    /// Bytes before this are done with.
    start: usize,
    /// No line feed lies between `start` and this.
    searched: usize,
}

impl Splitter {
    /// Takes messages of at most `max` bytes.
    pub(crate) fn new(framing: Framing, max: usize) -> Splitter {
        Splitter { framing, max, bytes: Vec::new(), start: 0, searched: 0 }
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// Where received bytes are to be appended.
    pub(crate) fn space(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
            if self.bytes.is_empty() && self.bytes.capacity() > KEEP {
                self.bytes = Vec::new();
            }
        }
        &mut self.bytes
    }

    /// Bytes of a message whose end has not come.
    pub(crate) fn unfinished(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The next whole message, without its frame. `None` when more bytes are needed.
    ///
    /// # Errors
    /// `TooLarge` as soon as it is known that a message exceeds the limit; nothing is allocated for it beforehand. The stream cannot be read on.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let found = match self.framing {
            Framing::Json => self.line()?,
            Framing::Advanced => self.block(self.start)?,
        };
        found.map(|(from, to, next)| self.take(from, to, next)).transpose()
    }

    /// Moves the whole messages that are there to `out`, which is empty, in their frames, and says whether it is one; `None` when there is
    /// none. A long message comes alone.
    ///
    /// # Errors
    /// As [`next`](Splitter::next).
    pub(crate) fn framed(&mut self, out: &mut Vec<u8>) -> Result<Option<bool>> {
        let first = match self.framing {
            Framing::Json => self.line()?,
            Framing::Advanced => self.block(self.start)?,
        };
        let Some((_, _, first)) = first else { return Ok(None) };
        let end = if first - self.start > KEEP { first } else { self.end_of_framed(first) };
        if self.start == 0 && end == self.bytes.len() {
            std::mem::swap(&mut self.bytes, out);
            (self.start, self.searched) = (0, 0);
        } else {
            make_room(out, end - self.start)?;
            out.extend_from_slice(&self.bytes[self.start..end]);
            (self.start, self.searched) = (end, end);
        }
        Ok(Some(end == first))
    }

    /// Where the last whole message ends, of which the first ends at `first`.
    fn end_of_framed(&self, first: usize) -> usize {
        match self.framing {
            Framing::Json => memchr::memrchr(b'\n', &self.bytes).map_or(first, |at| at + 1),
            // One that is too large is told when it is the first.
            Framing::Advanced => {
                std::iter::successors(Some(first), |at| self.block(*at).ok().flatten().map(|(.., next)| next)).last().unwrap_or(first)
            }
        }
    }

    fn line(&mut self) -> Result<Option<(usize, usize, usize)>> {
        let found = memchr::memchr(b'\n', &self.bytes[self.searched..]).map(|at| self.searched + at);
        let end = found.unwrap_or(self.bytes.len());
        if end - self.start > self.max {
            return Err(self.too_large(end - self.start));
        }
        self.searched = end;
        Ok(found.map(|end| (self.start, end, end + 1)))
    }

    fn block(&self, start: usize) -> Result<Option<(usize, usize, usize)>> {
        let Some((length, rest)) = self.bytes[start..].split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > self.max {
            return Err(self.too_large(length));
        }
        let from = start + LENGTH_BYTES;
        Ok((rest.len() >= length).then_some((from, from + length, from + length)))
    }

    /// Takes out `from..to`; what follows begins at `next`. The larger part keeps the allocation.
    ///
    /// # Errors
    /// `Exhausted`; nothing was taken.
    fn take(&mut self, from: usize, to: usize, next: usize) -> Result<Vec<u8>> {
        let rest = self.bytes.len() - next;
        if from == 0 && to > 4096 && to >= rest {
            let rest = copied(&self.bytes[next..])?;
            let mut message = std::mem::replace(&mut self.bytes, rest);
            message.truncate(to);
            (self.start, self.searched) = (0, 0);
            return Ok(message);
        }
        let message = copied(&self.bytes[from..to])?;
        (self.start, self.searched) = (next, next);
        Ok(message)
    }

    fn too_large(&self, size: usize) -> Error {
        let detail = format!("a message exceeds the limit (size = {size} bytes or more, max_message = {})", self.max);
        Error::new(ErrorKind::TooLarge, "channel.recv", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(splitter: &mut Splitter, bytes: &[u8], step: usize) -> Result<Vec<Vec<u8>>> {
        let mut messages = Vec::new();
        for part in bytes.chunks(step) {
            splitter.space().extend_from_slice(part);
            while let Some(message) = splitter.next()? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    fn framed(framing: Framing, messages: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            match framing {
                Framing::Json => bytes.extend([message.as_slice(), b"\n"].concat()),
                Framing::Advanced => bytes.extend([&(message.len() as u32).to_be_bytes(), message.as_slice()].concat()),
            }
        }
        bytes
    }

    /// D01: cut at every byte, and at once.
    #[test]
    fn any_cut_gives_the_same_messages() -> Result<()> {
        let messages: Vec<Vec<u8>> = [1, 0, 5, 4095, 4096, 4097, 3, 20_000, 0].iter().map(|size| vec![b'x'; *size]).collect();
        for framing in [Framing::Json, Framing::Advanced] {
            let bytes = framed(framing, &messages);
            for step in [1, 2, 3, 7, 4096, 10_000, bytes.len()] {
                let mut splitter = Splitter::new(framing, 20_000);
                assert_eq!(feed(&mut splitter, &bytes, step)?, messages, "{framing:?} {step}");
                assert_eq!(splitter.unfinished(), 0);
            }
            for cut in 0..bytes.len().min(200) {
                let mut splitter = Splitter::new(framing, 20_000);
                let mut got = feed(&mut splitter, &bytes[..cut], bytes.len())?;
                got.extend(feed(&mut splitter, &bytes[cut..], bytes.len())?);
                assert_eq!(got, messages);
            }
        }
        Ok(())
    }

    /// D02: the length of a peer drives no allocation, and the limit is exact.
    #[test]
    fn the_limit_is_exact() {
        for (framing, over) in [(Framing::Json, vec![b'x'; 101]), (Framing::Advanced, vec![0, 0, 0, 101])] {
            let mut splitter = Splitter::new(framing, 100);
            assert_eq!(feed(&mut splitter, &framed(framing, &[vec![b'x'; 100]]), 9).map(|got| got.len()).ok(), Some(1));
            let error = feed(&mut splitter, &over, 50).map_err(|error| error.kind());
            assert_eq!(error, Err(ErrorKind::TooLarge));
        }
        for length in [0x7fff_ffff_u32, 0x8000_0000, u32::MAX] {
            let mut splitter = Splitter::new(Framing::Advanced, 1 << 20);
            let error = feed(&mut splitter, &length.to_be_bytes(), 4).map_err(|error| error.kind());
            assert_eq!(error, Err(ErrorKind::TooLarge));
            assert!(splitter.bytes.capacity() < 64 << 10);
        }
    }
}
