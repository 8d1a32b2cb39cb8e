//! Large bodies and buffers by reference: an arena of this end, made when the first one is sent.

use super::Native;
use super::output::{Offer, Outgoing, Sender};
use crate::channel::control::{SEGMENT_LEN, SegmentBody};
use crate::channel::frame::{FLAG_BODY_PLACED, FrameKind, Header, MAX_BUFFERS, Place};
use crate::channel::handle::HandleKind;
use crate::channel::message::{Buffer, Message};
use crate::error::{Error, Result};
use crate::shm::{Arena, Block, Seat};
use std::os::fd::OwnedFd;

/// Bytes from which a body or buffer travels by reference.
const LEND_FROM: usize = 64 << 10;
/// Bytes of the first segment of the arena.
const FIRST_SEGMENT: usize = 4 << 20;

/// What this end lends its large bodies from.
#[derive(Debug)]
pub(super) struct Lending {
    pub(super) arena: Arena,
    pub(super) seat: Seat,
}

/// A message that is ready to be sent: its header, its table, what goes inline, what is lent.
pub(super) struct Prepared<'a> {
    header: Header,
    table: Vec<u8>,
    parts: Vec<&'a [u8]>,
    fds: &'a [OwnedFd],
    /// Own references of what is lent; given back when this goes. The other side has its own.
    blocks: Vec<Lent<'a>>,
    lent: usize,
    seat: Option<Seat>,
}

/// A block that the other side was lent.
enum Lent<'a> {
    Copy(Block),
    Users(&'a Block),
}

impl Lent<'_> {
    fn block(&self) -> &Block {
        match self {
            Lent::Copy(block) => block,
            Lent::Users(block) => block,
        }
    }
}

impl<'a> Prepared<'a> {
    pub(super) fn outgoing(&self) -> Outgoing<'_> {
        Outgoing { header: self.header, table: &self.table, parts: &self.parts, fds: self.fds, lent: self.lent }
    }

    /// Sets bits of the header.
    pub(super) fn flag(&mut self, bits: u8) {
        self.header.flags |= bits;
    }

    /// Takes back what was lent for a message that was not sent.
    pub(super) fn take_back(self) {
        for lent in &self.blocks {
            if let Some(seat) = self.seat {
                let _ = lent.block().unlend(seat);
            }
        }
    }

    fn lend(&mut self, lending: &Lending, lent: Lent<'a>) -> Result<Place> {
        let place = lent.block().lend(lending.seat)?;
        self.lent += lent.block().len();
        self.seat = Some(lending.seat);
        self.blocks.push(lent);
        Ok(Place::Segment { segment: place.segment, serial: place.serial, offset: place.offset, len: place.len })
    }
}

impl Native {
    /// As [`Native::prepare`], for a raw message of bytes alone.
    pub(super) fn prepare_bytes<'a>(&self, bytes: &'a [u8]) -> Result<Prepared<'a>> {
        let header = Header::new(FrameKind::Data, 0);
        let mut ready = Prepared { header, table: Vec::new(), parts: Vec::with_capacity(1), fds: &[], blocks: Vec::new(), lent: 0, seat: None };
        let lending = self.rings.as_ref().filter(|rings| bytes.len() > LEND_FROM.min(rings.capacity() / 4)).and_then(|_| self.lending().ok());
        let place = self.place_bytes(bytes, lending, &mut ready)?;
        if matches!(place, Place::Segment { .. }) {
            ready.header.flags |= FLAG_BODY_PLACED;
            ready.table.extend_from_slice(&place.encode());
        }
        ready.header.length = (ready.table.len() + ready.parts.iter().map(|part| part.len()).sum::<usize>()) as u64;
        Ok(ready)
    }

    /// Places the body and the buffers of a message: inline when small, else in the arena, as far as it has room.
    pub(super) fn prepare<'a>(&self, kind: FrameKind, id: u64, message: &'a Message) -> Result<Prepared<'a>> {
        let mut header = Header::new(kind, id);
        header.codec = message.codec;
        header.handle = message.handle.unwrap_or(HandleKind::Raw);
        header.fds = u16::try_from(message.fds.len()).map_err(|_| Error::invalid("channel.send", "too many descriptors (limit = 253)"))?;
        header.buffers = u16::try_from(message.buffers.len()).ok().filter(|buffers| *buffers <= MAX_BUFFERS).ok_or_else(|| {
            Error::invalid("channel.send", format!("too many buffers (buffers = {}, limit = {MAX_BUFFERS})", message.buffers.len()))
        })?;
        let mut ready =
            Prepared { header, table: Vec::new(), parts: Vec::with_capacity(1), fds: &message.fds, blocks: Vec::new(), lent: 0, seat: None };
        match self.place_all(message, &mut ready) {
            Ok(()) => Ok(ready),
            Err(error) => {
                ready.take_back();
                Err(error)
            }
        }
    }

    fn place_all<'a>(&self, message: &'a Message, ready: &mut Prepared<'a>) -> Result<()> {
        let body = self.place(&message.body, ready)?;
        if matches!(body, Place::Segment { .. }) {
            ready.header.flags |= FLAG_BODY_PLACED;
            ready.table.extend_from_slice(&body.encode());
        }
        for buffer in &message.buffers {
            let place = self.place(buffer, ready)?;
            ready.table.extend_from_slice(&place.encode());
        }
        let inline: usize = ready.parts.iter().map(|part| part.len()).sum();
        ready.header.length = (ready.table.len() + inline) as u64;
        Ok(())
    }

    fn place<'a>(&self, buffer: &'a Buffer, ready: &mut Prepared<'a>) -> Result<Place> {
        if let Some(lending) = self.lending_for(buffer) {
            if let Some(block) = buffer.block().filter(|block| block.is_of(&lending.arena)) {
                return ready.lend(lending, Lent::Users(block));
            }
            return self.place_bytes(buffer, Some(lending), ready);
        }
        self.place_bytes(buffer, None, ready)
    }

    fn place_bytes<'a>(&self, bytes: &'a [u8], lending: Option<&Lending>, ready: &mut Prepared<'a>) -> Result<Place> {
        // Without room in the arena the bytes go through the ring, which pushes back.
        if let Some(lending) = lending
            && let Ok(mut block) = lending.arena.alloc(bytes.len())
        {
            block.write(0, bytes)?;
            return ready.lend(lending, Lent::Copy(block));
        }
        ready.parts.push(bytes);
        Ok(Place::Inline { len: bytes.len() as u64 })
    }

    /// The arena, if these bytes are to be lent.
    fn lending_for(&self, buffer: &Buffer) -> Option<&Lending> {
        let capacity = self.rings.as_ref()?.capacity();
        let large = buffer.len() > LEND_FROM.min(capacity / 4) || buffer.block().is_some_and(|block| !block.is_empty());
        if large { self.lending().ok() } else { None }
    }

    fn lending(&self) -> Result<&Lending> {
        if let Some(lending) = self.lending.get() {
            return Ok(lending);
        }
        let arena = Arena::options(FIRST_SEGMENT.min(self.max_lent)).max_bytes(self.max_lent).create()?;
        let seat = arena.seat()?;
        Ok(self.lending.get_or_init(|| Lending { arena, seat }))
    }

    /// A block of the memory that is shared with the other side, to build a message in place.
    pub(in crate::channel) fn alloc(&self, len: usize) -> Result<Block> {
        self.line.check("channel.alloc")?;
        if self.rings.is_none() {
            return Err(Error::new(
                crate::error::ErrorKind::Unsupported,
                "channel.alloc",
                "this channel shares no memory: it goes through its socket",
            ));
        }
        self.lending()?.arena.alloc(len)
    }

    /// Announces segments of the arena that the other side does not know yet. `Full` as of a frame.
    #[inline]
    pub(super) fn announce(&self, sender: &mut Sender) -> Result<Offer> {
        match self.lending.get() {
            Some(lending) => self.announce_segments(lending, sender),
            None => Ok(Offer::Sent),
        }
    }

    fn announce_segments(&self, lending: &Lending, sender: &mut Sender) -> Result<Offer> {
        while sender.announced < lending.arena.segments() {
            let number = sender.announced;
            let fd = lending.arena.segment_fd(number)?;
            let size = lending.arena.segment_size(number).unwrap_or(0);
            let body = SegmentBody { segment: u32::try_from(number).unwrap_or(u32::MAX), seat: lending.seat.number(), size };
            let mut header = Header::new(FrameKind::Segment, 0);
            header.length = SEGMENT_LEN as u64;
            header.fds = 1;
            let frame = Outgoing { header, table: &[], parts: &[&body.encode()], fds: &[fd], lent: 0 };
            if sender.offer(&self.line, &frame)? == Offer::Full {
                return Ok(Offer::Full);
            }
            sender.announced += 1;
        }
        Ok(Offer::Sent)
    }
}
