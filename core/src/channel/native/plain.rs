//! Receiving a body alone: from the ring to where the caller wants it, without a message around it.

use super::intake::{Input, Receiver};
use super::line::Line;
use super::{Native, Wait};
use crate::channel::codec::Codec;
use crate::channel::frame::{HEADER_LEN, Header};
use crate::channel::message::Message;
use crate::error::Result;
use crate::shm::ring::RingReader;
use crate::sys::lane::Lane;

/// Where a body may go.
pub(in crate::channel) trait Room {
    /// Whether `len` bytes fit.
    fn fits(&self, len: usize) -> bool;
    /// Copies the body that lies after a header, which is the next thing in the ring.
    fn fill(&mut self, reader: &RingReader<Lane>, len: usize);
}

impl Room for Vec<u8> {
    #[inline]
    fn fits(&self, _len: usize) -> bool {
        true
    }

    #[inline]
    fn fill(&mut self, reader: &RingReader<Lane>, len: usize) {
        self.clear();
        reader.append(HEADER_LEN as u64, len, self);
    }
}

impl Room for [u8] {
    #[inline]
    fn fits(&self, len: usize) -> bool {
        len <= self.len()
    }

    #[inline]
    fn fill(&mut self, reader: &RingReader<Lane>, len: usize) {
        reader.peek_at(HEADER_LEN as u64, &mut self[..len]);
    }
}

/// What was received.
pub(in crate::channel) enum Found {
    /// A body of this many bytes, now in its room.
    Plain(Codec, usize),
    /// A message with more to it, or whose body does not lie whole in the ring; the room is as it was.
    Whole(Message),
}

impl Native {
    /// The next message; its body goes into `out` when there is nothing else to it.
    #[inline]
    pub(in crate::channel) fn recv_plain<R: Room + ?Sized>(&self, out: &mut R, wait: Wait) -> Result<Found> {
        self.line.check("channel.recv")?;
        let Some(mut receiver) = self.try_lead() else { return self.recv_following(wait).map(Found::Whole) };
        loop {
            let found = match receiver.take_plain(&self.line, out)? {
                Some((codec, len)) => Some(Found::Plain(codec, len)),
                None if wait.is_none() => {
                    drop(receiver);
                    return self.try_recv().map(Found::Whole);
                }
                None => receiver.take(&self.line)?.map(Found::Whole),
            };
            if let Some(found) = found {
                // Who does not wait comes again until nothing is there, which asks for the bell.
                if wait.is_some() {
                    self.put_back(receiver);
                }
                return Ok(found);
            }
            self.wait_data(&mut receiver, wait)?;
        }
    }
}

impl Receiver {
    /// The body of the next message into `out`, if it is a plain one and fits; no allocation when `out` is large enough. `Ok(None)` when
    /// [`Receiver::take`] has to be asked.
    #[inline]
    fn take_plain<R: Room + ?Sized>(&mut self, line: &Line, out: &mut R) -> Result<Option<(Codec, usize)>> {
        let Input::Ring { reader, partial: None, seq } = &mut self.input else { return Ok(None) };
        if self.desk.mail() > 0 || self.end.is_some() || reader.available(HEADER_LEN as u64)? < HEADER_LEN as u64 {
            return Ok(None);
        }
        let mut head = [0; HEADER_LEN];
        reader.peek_at(0, &mut head);
        let Some((codec, length)) = Header::parse_plain(&head, *seq, &self.limits) else { return Ok(None) };
        let total = HEADER_LEN as u64 + length;
        let Ok(len) = usize::try_from(length) else { return Ok(None) };
        if !out.fits(len) || reader.available(total)? < total {
            return Ok(None);
        }
        out.fill(reader, len);
        *seq = seq.wrapping_add(1);
        line.wake_peer(reader.consume(total));
        self.run = self.run.saturating_add(1);
        Ok(Some((codec, len)))
    }
}
