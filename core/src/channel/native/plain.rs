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

/// What was received. Small, so that it travels in registers.
pub(in crate::channel) enum Found {
    /// A body of this many bytes, now in its room.
    Plain(Codec, usize),
    /// A message with more to it, or whose body does not lie whole in the ring; the room is as it was.
    Whole(Box<Message>),
}

impl Found {
    pub(in crate::channel) fn whole(message: Message) -> Found {
        Found::Whole(Box::new(message))
    }
}

/// What the ring has.
pub(in crate::channel) enum Next {
    /// A body of this many bytes, which was taken.
    Plain(Codec, usize),
    /// Not a byte of a frame, and the other side is there.
    Nothing,
    /// [`Receiver::take`] has to be asked, or [`Native::take_ready`].
    Other,
}

impl Native {
    /// The next message; its body goes into `out` when there is nothing else to it.
    #[inline]
    pub(in crate::channel) fn recv_plain<R: Room + ?Sized>(&self, out: &mut R, wait: Wait) -> Result<Found> {
        self.line.check("channel.recv")?;
        let Some(mut receiver) = self.try_lead() else { return self.recv_following(wait).map(Found::whole) };
        loop {
            match receiver.take_plain(&self.line, out)? {
                Next::Plain(codec, len) => {
                    // Who does not wait comes again until nothing is there, which asks for the bell.
                    if wait.is_some() {
                        self.put_back(receiver);
                    }
                    return Ok(Found::Plain(codec, len));
                }
                _ if wait.is_none() => {
                    drop(receiver);
                    return self.try_recv().map(Found::whole);
                }
                Next::Nothing => {}
                Next::Other => {
                    if let Some(found) = self.take_whole(&mut receiver)? {
                        self.put_back(receiver);
                        return Ok(found);
                    }
                }
            }
            self.wait_data(&mut receiver, wait)?;
        }
    }

    #[cold]
    fn take_whole(&self, receiver: &mut Receiver) -> Result<Option<Found>> {
        Ok(receiver.take(&self.line)?.map(Found::whole))
    }
}

impl Native {
    /// The body of the next message, if it is there, nothing but a body, and fits.
    #[inline]
    pub(in crate::channel) fn take_ready_plain<R: Room + ?Sized>(&self, out: &mut R) -> Result<Next> {
        self.line.check("channel.recv")?;
        let Some(mut receiver) = self.try_lead() else { return Ok(Next::Other) };
        // What is wrong with the ring is found again, and told, by whoever asks for the whole message.
        Ok(receiver.take_plain(&self.line, out).unwrap_or(Next::Other))
    }
}

impl Receiver {
    /// The body of the next message into `out`, if it is a plain one and fits; no allocation when `out` is large enough.
    #[inline]
    fn take_plain<R: Room + ?Sized>(&mut self, line: &Line, out: &mut R) -> Result<Next> {
        let Input::Ring { reader, partial: None, seq } = &mut self.input else { return Ok(Next::Other) };
        if self.desk.mail() > 0 || self.end.is_some() {
            return Ok(Next::Other);
        }
        let available = reader.available(HEADER_LEN as u64)?;
        if available < HEADER_LEN as u64 {
            return Ok(if available == 0 && !line.is_over() { Next::Nothing } else { Next::Other });
        }
        let Some((codec, length)) = Header::parse_plain(reader.peek_words(), *seq, &self.limits) else { return Ok(Next::Other) };
        let total = HEADER_LEN as u64 + length;
        let Ok(len) = usize::try_from(length) else { return Ok(Next::Other) };
        if !out.fits(len) || reader.available(total)? < total {
            return Ok(Next::Other);
        }
        out.fill(reader, len);
        *seq = seq.wrapping_add(1);
        line.wake_peer(reader.consume(total));
        self.run = self.run.saturating_add(1);
        Ok(Next::Plain(codec, len))
    }
}
