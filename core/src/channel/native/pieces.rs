//! Large bodies in pieces through the ring, to a receiver that waits to copy them out: both copies go on at the same time.
//!
//! The frames are those of any body that is larger than its ring. A sender chooses them only in a conversation, for a receiver that says that it waits
//! for this (`COPIES`) on another processor; it never waits for one that does not read: what finds no room becomes the rest of a frame like any other.

use super::intake::{Input, Receiver};
use super::line::{Line, RingLine};
use super::output::{Offer, Sender};
use super::plain::Room;
use super::{Native, Wait, full, over};
use crate::channel::codec::Codec;
use crate::channel::frame::{FrameKind, HEADER_LEN, Header};
use crate::channel::message::no_memory;
use crate::channel::parser::Frame;
use crate::error::Result;
use crate::shm::ring::{COPIES, Word};
use crate::sys::cpu;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Sizes that go in pieces: below there is little to overlap, above memory is what takes the time.
const FROM: usize = 256 << 10;
const TO: usize = 16 << 20;
/// How long a sender looks for the receiver to come back, and for one that is copying to make room: what the slowest machines take for a piece.
const COMING: Duration = Duration::from_micros(25);
const ROOM: Duration = Duration::from_micros(200);

/// Whether a body of this size may come in pieces, and its receiver have room for all of it at once.
pub(super) fn in_pieces(len: usize) -> bool {
    (FROM..=TO).contains(&len)
}

impl Native {
    /// Whether these bytes are an answer that its receiver waits for in order to copy it.
    pub(super) fn goes_in_pieces(&self, len: usize) -> bool {
        if !in_pieces(len) || !self.heard_large.swap(false, Ordering::Relaxed) {
            return false;
        }
        let Some(ring) = self.line.ring() else { return false };
        let peer = ring.peer().cpu.load(Ordering::Relaxed);
        peer != cpu::UNKNOWN && peer != cpu::current() && patiently(COMING, || Word::load(&ring.peer().waiting) & COPIES != 0)
    }

    /// Sends bytes as a raw message, piece by piece.
    pub(super) fn send_in_pieces(&self, bytes: &[u8], wait: Wait) -> Result<()> {
        self.line.check("channel.send")?;
        let mut sender = self.lock_sender(wait)?;
        sender.check_size(bytes.len(), 0)?;
        while self.announce(&mut sender)? == Offer::Full || sender.begin_pieces(&self.line, bytes.len())? == Offer::Full {
            if over(wait) {
                return Err(full(wait));
            }
            self.wait_room(&mut sender, (HEADER_LEN + bytes.len()) as u64, wait);
        }
        self.put_pieces(&mut sender, bytes)?;
        if sender.has_pending() {
            self.finish_pending(&mut sender, wait)?;
        }
        drop(sender);
        self.sent();
        Ok(())
    }

    /// Puts what the receiver takes while it keeps up; the rest is pending then.
    fn put_pieces(&self, sender: &mut Sender, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut put = sender.put_piece(&self.line, rest);
            if matches!(put, Ok(0)) {
                patiently(ROOM, || {
                    put = sender.put_piece(&self.line, rest);
                    !matches!(put, Ok(0))
                });
            }
            let count = put?;
            if count == 0 {
                sender.keep(rest);
                break;
            }
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Receives a body while its sender is still writing it. False when the other side went meanwhile; what came is kept then, as it is when the
    /// time is over, and the rest is received like that of any message.
    #[cold]
    pub(super) fn recv_pieces<R: Room + ?Sized>(
        &self,
        receiver: &mut Receiver,
        out: &mut R,
        (codec, len): (Codec, usize),
        wait: Wait,
    ) -> Result<bool> {
        receiver.take_header(&self.line);
        let mut got = 0;
        loop {
            // The end is looked for before the bytes: what was written before it is not lost.
            let over = self.line.is_over();
            let more = match receiver.take_piece(&self.line, out, (got, len)) {
                Ok(0) if over => Ok(false),
                Ok(0) => self.wait_data(receiver, wait).map(|()| true),
                Ok(count) => {
                    got += count;
                    Ok(true)
                }
                Err(error) => Err(error),
            };
            if got == len {
                receiver.end_pieces(len);
                self.heard_large.store(true, Ordering::Relaxed);
                return Ok(true);
            }
            if !matches!(more, Ok(true)) {
                let Some(begun) = out.begun(got) else { return receiver.over(&self.line, no_memory(len)) };
                receiver.keep_pieces((codec, len), begun);
                return more;
            }
        }
    }
}

impl Receiver {
    /// Takes the header that was looked at.
    fn take_header(&mut self, line: &Line) {
        if let Input::Ring { reader, .. } = &mut self.input {
            line.wake_peer(reader.consume(HEADER_LEN as u64));
        }
    }

    /// The next bytes of a body of `len` bytes of which `got` came; gives how many.
    fn take_piece<R: Room + ?Sized>(&mut self, line: &Line, out: &mut R, (got, len): (usize, usize)) -> Result<usize> {
        let Input::Ring { reader, .. } = &mut self.input else { return Ok(0) };
        // An eighth at a time, so that the other side writes while this one reads.
        let most = ((len - got) as u64).min(reader.capacity() / 8);
        let count = reader.available(1)?.min(most);
        if count > 0 {
            out.fill_piece(reader, got, count as usize);
            line.wake_peer(reader.consume(count));
        }
        Ok(count as usize)
    }

    fn end_pieces(&mut self, len: usize) {
        if let Input::Ring { seq, .. } = &mut self.input {
            *seq = seq.wrapping_add(1);
        }
        self.run = self.run.saturating_add(1);
        self.large = true;
        self.spinner.expect(len);
    }

    /// Leaves the rest of a body to whoever receives next.
    fn keep_pieces(&mut self, (codec, len): (Codec, usize), payload: Vec<u8>) {
        if let Input::Ring { partial, seq, .. } = &mut self.input {
            let header = Header { length: len as u64, seq: *seq, codec, ..Header::new(FrameKind::Data, 0) };
            *partial = Some(Frame { header, payload });
        }
    }
}

/// Looks again and again for this long.
fn patiently(limit: Duration, mut found: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if found() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        cpu::pause();
    }
}

/// Tells the other side that this one waits in a receive that copies bytes out, until it is dropped.
pub(super) struct CopyHint<'a>(Option<&'a RingLine>);

impl<'a> CopyHint<'a> {
    pub(super) fn new() -> CopyHint<'a> {
        CopyHint(None)
    }

    #[cold]
    pub(super) fn give(&mut self, line: &'a Line) {
        if let (None, Some(ring)) = (self.0, line.ring()) {
            Word::set(&ring.mine().waiting, COPIES);
            self.0 = Some(ring);
        }
    }
}

impl Drop for CopyHint<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ring) = self.0 {
            Word::clear(&ring.mine().waiting, COPIES);
        }
    }
}
