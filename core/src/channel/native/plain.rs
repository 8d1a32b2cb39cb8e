//! Receiving a body alone: from the ring to where the caller wants it, without a message around it.

use super::intake::{Input, Receiver};
use super::line::Line;
use super::pieces::{CopyHint, in_pieces};
use super::{Native, Wait, no_message};
use crate::channel::codec::Codec;
use crate::channel::frame::{HEADER_LEN, Header};
use crate::channel::message::{LargeRoom, Message, Received, copied};
use crate::deadline::{Deadline, interrupts_awaited};
use crate::error::Result;
use crate::shm::ring::RingReader;
use crate::sys::lane::Lane;
use std::sync::atomic::Ordering;

/// Where a body may go.
pub(in crate::channel) trait Room {
    /// Whether `len` bytes fit.
    fn fits(&mut self, len: usize) -> bool;
    /// Copies the body that lies after a header, which is the next thing in the ring.
    fn fill(&mut self, reader: &RingReader<Lane>, len: usize);
    /// Whether a body of `len` bytes may come in pieces, of which the first is there.
    fn takes_pieces(&mut self, len: usize) -> bool {
        self.fits(len)
    }
    /// Copies the next `count` bytes of the ring to byte `at` of a body that comes in pieces, one after the other from byte 0.
    fn fill_piece(&mut self, reader: &RingReader<Lane>, at: usize, count: usize);
    /// The first `len` bytes, as a body that is yet to be completed; `None` when there is no memory for them.
    fn begun(&mut self, len: usize) -> Option<Vec<u8>>;
}

impl Room for Vec<u8> {
    #[inline]
    fn fits(&mut self, len: usize) -> bool {
        // Without memory the message takes the way of all others, which says so. What is in here is kept till then.
        self.capacity() >= len || self.try_reserve(len).is_ok()
    }

    #[inline]
    fn fill(&mut self, reader: &RingReader<Lane>, len: usize) {
        self.clear();
        reader.append(HEADER_LEN as u64, len, self);
    }

    fn fill_piece(&mut self, reader: &RingReader<Lane>, at: usize, count: usize) {
        self.truncate(at);
        reader.append(0, count, self);
    }

    fn begun(&mut self, len: usize) -> Option<Vec<u8>> {
        self.truncate(len);
        Some(std::mem::take(self))
    }
}

impl Room for [u8] {
    #[inline]
    fn fits(&mut self, len: usize) -> bool {
        len <= self.len()
    }

    #[inline]
    fn fill(&mut self, reader: &RingReader<Lane>, len: usize) {
        reader.peek_at(HEADER_LEN as u64, &mut self[..len]);
    }

    fn fill_piece(&mut self, reader: &RingReader<Lane>, at: usize, count: usize) {
        reader.peek_at(0, &mut self[at..at + count]);
    }

    fn begun(&mut self, len: usize) -> Option<Vec<u8>> {
        copied(&self[..len]).ok()
    }
}

/// A vector for most bodies, and something else for those that come in pieces.
pub(in crate::channel) struct TwoRooms<'a> {
    pub(in crate::channel) small: &'a mut Vec<u8>,
    pub(in crate::channel) large: &'a mut dyn LargeRoom,
}

impl Room for TwoRooms<'_> {
    #[inline]
    fn fits(&mut self, len: usize) -> bool {
        self.small.fits(len)
    }

    #[inline]
    fn fill(&mut self, reader: &RingReader<Lane>, len: usize) {
        self.small.fill(reader, len);
    }

    fn takes_pieces(&mut self, len: usize) -> bool {
        self.large.make(len)
    }

    fn fill_piece(&mut self, reader: &RingReader<Lane>, at: usize, count: usize) {
        let room = self.large.room(at, count);
        assert!(room.len() == count, "the room for a large body is not as long as was asked for");
        reader.peek_fresh(room);
    }

    fn begun(&mut self, len: usize) -> Option<Vec<u8>> {
        self.large.give_up(len)
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

impl From<Found> for Received {
    #[inline]
    fn from(found: Found) -> Received {
        match found {
            Found::Plain(codec, _) => Received::Plain(codec),
            Found::Whole(message) => Received::Whole(*message),
        }
    }
}

/// What the ring has.
pub(in crate::channel) enum Next {
    /// A body of this many bytes, which was taken.
    Plain(Codec, usize),
    /// The header, which was not taken, of a body of this many bytes that comes in pieces.
    Long(Codec, usize),
    /// Not a byte of a frame, and the other side is there.
    Nothing,
    /// [`Receiver::take`] has to be asked, or [`Native::take_ready`].
    Other,
}

impl Native {
    /// The next message; its body goes into `out` when there is nothing else to it.
    #[inline]
    pub(in crate::channel) fn recv_plain<R: Room + ?Sized>(&self, out: &mut R, wait: Wait) -> Result<Found> {
        self.seek_plain(out, wait)?.ok_or_else(|| no_message(wait))
    }

    /// As [`Native::recv_plain`]; `None` when the time is over, and where signal handlers are looked after also every
    /// [`ROUND`](crate::deadline::ROUND).
    #[inline]
    pub(in crate::channel) fn seek_plain<R: Room + ?Sized>(&self, out: &mut R, wait: Wait) -> Result<Option<Found>> {
        self.line.check("channel.recv")?;
        let Some(mut receiver) = self.try_lead() else { return self.recv_following(wait.map(Deadline::within_a_round)).map(Found::whole).map(Some) };
        let mut hint = CopyHint::new();
        loop {
            match receiver.take_plain(&self.line, out)? {
                Next::Plain(codec, len) => {
                    if receiver.large {
                        self.heard_large.store(true, Ordering::Relaxed);
                    }
                    // Who does not wait comes again until nothing is there, which asks for the bell.
                    if wait.is_some() {
                        self.put_back(receiver);
                    }
                    return Ok(Some(Found::Plain(codec, len)));
                }
                _ if wait.is_none() => {
                    drop(receiver);
                    return self.try_recv().map(Found::whole).map(Some);
                }
                Next::Nothing => {}
                Next::Long(codec, len) => {
                    if self.recv_pieces(&mut receiver, out, (codec, len), wait.map(Deadline::within_a_round))? {
                        self.put_back(receiver);
                        return Ok(Some(Found::Plain(codec, len)));
                    }
                    continue;
                }
                Next::Other => {
                    if let Some(found) = self.take_whole(&mut receiver)? {
                        self.put_back(receiver);
                        return Ok(Some(found));
                    }
                }
            }
            if receiver.large {
                hint.give(&self.line);
            }
            if !self.wait_more(&mut receiver, wait, interrupts_awaited())? {
                return Ok(None);
            }
        }
    }

    #[cold]
    fn take_whole(&self, receiver: &mut Receiver) -> Result<Option<Found>> {
        let taken = receiver.take(&self.line)?;
        if let Some(message) = &taken {
            receiver.large = in_pieces(message.body.len());
            if receiver.large {
                self.heard_large.store(true, Ordering::Relaxed);
            }
        }
        Ok(taken.map(Found::whole))
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
        if reader.available(total)? < total {
            let comes = in_pieces(len) && self.frame_timeout.is_none() && out.takes_pieces(len);
            return Ok(if comes { Next::Long(codec, len) } else { Next::Other });
        }
        if !out.fits(len) {
            return Ok(Next::Other);
        }
        out.fill(reader, len);
        *seq = seq.wrapping_add(1);
        line.wake_peer(reader.consume(total));
        self.run = self.run.saturating_add(1);
        self.large = in_pieces(len);
        Ok(Next::Plain(codec, len))
    }
}
