//! The sending half: frames into the ring or the socket, descriptors into the socket.

use super::line::Line;
use crate::channel::control::Hello;
use crate::channel::frame::{FrameKind, HEADER_LEN, Header};
use crate::channel::options::ChannelOptions;
use crate::channel::starved::Starved;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::ring::RingWriter;
use crate::shm::ring::spin::Spinner;
use crate::sys::lane::Lane;
use crate::sys::message;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Descriptors in one socket message beside a ring.
const FDS_AT_ONCE: usize = 64;
/// Descriptors that may be on their way before the sender waits for the receiver.
const FDS_IN_FLIGHT: usize = 16;

/// Bytes of a frame from which on room for its rest is made before it begins, where it goes through the socket.
const KEPT_AT_ONCE: u64 = 1 << 20;

/// One frame to send. Its number is set when it is sent.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) header: Header,
    /// The table of places.
    pub(super) table: &'a [u8],
    /// The bytes placed inline.
    pub(super) parts: &'a [&'a [u8]],
    pub(super) fds: &'a [OwnedFd],
    /// Bytes of this message that lie in shared memory.
    pub(super) lent: usize,
}

impl Outgoing<'_> {
    /// Bytes in the stream.
    #[inline]
    pub(super) fn len(&self) -> u64 {
        HEADER_LEN as u64 + self.header.length
    }
}

/// Whether a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Sent,
    /// Nothing of it went: the other side has to read first.
    Full,
}

/// What went to the other side and is not known to have been read.
#[derive(Debug)]
struct Flight {
    /// Byte number after the frame.
    end: u64,
    fds: usize,
    lent: usize,
}

/// The sending half of an end. Lives under a lock.
#[derive(Debug)]
pub(super) struct Sender {
    writer: Option<RingWriter<Lane>>,
    /// Number of the next frame.
    seq: u64,
    /// What the other side takes in one message.
    max_message: u64,
    max_fds: usize,
    max_lent: usize,
    pub(super) spinner: Spinner,
    /// The rest of a frame whose beginning is out.
    pending: Vec<u8>,
    pending_from: usize,
    flights: VecDeque<Flight>,
    fds_in_flight: usize,
    lent_in_flight: usize,
    /// Segments of the arena that the other side knows.
    pub(super) announced: usize,
    /// A failure after which the stream cannot go on.
    broken: bool,
    /// The system had no memory for the last try.
    pub(super) starved: Starved,
}

impl Sender {
    pub(super) fn over_ring(writer: RingWriter<Lane>, hello: &Hello, options: &ChannelOptions) -> Sender {
        Sender { writer: Some(writer), ..Sender::over_socket(hello, options) }
    }

    pub(super) fn over_socket(hello: &Hello, options: &ChannelOptions) -> Sender {
        Sender {
            writer: None,
            seq: 1,
            max_message: hello.max_message,
            max_fds: hello.max_fds.min(message::MAX_FDS as u32) as usize,
            max_lent: options.high_water,
            spinner: Spinner::new(options.spin),
            pending: Vec::new(),
            pending_from: 0,
            flights: VecDeque::new(),
            fds_in_flight: 0,
            lent_in_flight: 0,
            announced: 0,
            broken: false,
            starved: Starved::default(),
        }
    }

    /// Refuses what the other side would refuse.
    #[inline]
    pub(super) fn check_size(&self, size: usize, fds: usize) -> Result<()> {
        let too_large = |detail: String| Err(Error::new(ErrorKind::TooLarge, "channel.send", detail));
        if size as u64 > self.max_message {
            return too_large(format!("the message is larger than the other side takes (size = {size}, limit = {})", self.max_message));
        }
        if fds > self.max_fds {
            return too_large(format!("more descriptors than the other side takes (fds = {fds}, limit = {})", self.max_fds));
        }
        Ok(())
    }

    /// Sends a frame whole or not at all; a frame larger than half of the ring begins as soon as half of the ring is free, its rest is kept.
    #[inline]
    pub(super) fn offer(&mut self, line: &Line, frame: &Outgoing<'_>) -> Result<Offer> {
        line.check("channel.send")?;
        if line.is_over() || self.broken {
            return Err(gone());
        }
        if !self.pending.is_empty() && !self.pump(line)? {
            return Ok(Offer::Full);
        }
        if self.writer.is_none() {
            return self.offer_socket(line, frame);
        }
        if (!frame.fds.is_empty() || frame.lent > 0) && !self.may_fly(frame)? {
            return Ok(Offer::Full);
        }
        let Some(writer) = &mut self.writer else { return Ok(Offer::Full) };
        let half = writer.memory().capacity() / 2;
        if !writer.has_room(frame.len().min(half))? {
            return Ok(Offer::Full);
        }
        if frame.len() > half {
            self.reserve(frame)?;
        }
        if !frame.fds.is_empty() && !self.send_fds(line, frame.fds)? {
            return Ok(Offer::Full);
        }
        self.put(line, frame)?;
        Ok(Offer::Sent)
    }

    /// Puts a raw message of a body alone into the ring. False when something is not as usual: [`Sender::offer`] tells what.
    #[inline]
    pub(super) fn put_small(&mut self, line: &Line, body: &[u8]) -> bool {
        let Some(writer) = &mut self.writer else { return false };
        let len = body.len() as u64;
        if line.is_over() || self.broken || !self.pending.is_empty() || len > self.max_message {
            return false;
        }
        if !writer.has_room(HEADER_LEN as u64 + len).unwrap_or(false) {
            return false;
        }
        let header = Header { length: len, seq: self.seq, ..Header::new(FrameKind::Data, 0) };
        self.seq = self.seq.wrapping_add(1);
        writer.put_words(header.words());
        writer.put(body);
        let ways = writer.publish();
        if let Some(ring) = line.ring() {
            ring.say_cpu();
            ring.wake_peer(ways);
        }
        true
    }

    #[inline]
    fn put(&mut self, line: &Line, frame: &Outgoing<'_>) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let mut header = frame.header;
        header.seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        let end = writer.tail() + frame.len();
        if frame.len() <= writer.memory().capacity() / 2 {
            writer.put_words(header.words());
            if !frame.table.is_empty() {
                writer.put(frame.table);
            }
            for part in frame.parts {
                writer.put(part);
            }
            let ways = writer.publish();
            if let Some(ring) = line.ring() {
                ring.say_cpu();
                ring.wake_peer(ways);
            }
        } else {
            self.pending.extend_from_slice(&header.encode());
            self.pending.extend_from_slice(frame.table);
            frame.parts.iter().for_each(|part| self.pending.extend_from_slice(part));
            self.pump(line)?;
        }
        if !frame.fds.is_empty() || frame.lent > 0 {
            self.flights.push_back(Flight { end, fds: frame.fds.len(), lent: frame.lent });
            self.fds_in_flight += frame.fds.len();
            self.lent_in_flight += frame.lent;
        }
        Ok(())
    }

    /// Puts the header of a raw message whose body follows in pieces.
    pub(super) fn begin_pieces(&mut self, line: &Line, len: usize) -> Result<Offer> {
        line.check("channel.send")?;
        if line.is_over() || self.broken {
            return Err(gone());
        }
        if !self.pending.is_empty() && !self.pump(line)? {
            return Ok(Offer::Full);
        }
        let Some(writer) = &mut self.writer else { return Ok(Offer::Full) };
        let half = writer.memory().capacity() / 2;
        if !writer.has_room(half.min((HEADER_LEN + len) as u64))? {
            return Ok(Offer::Full);
        }
        let header = Header { length: len as u64, seq: self.seq, ..Header::new(FrameKind::Data, 0) };
        self.seq = self.seq.wrapping_add(1);
        writer.put_words(header.words());
        Ok(Offer::Sent)
    }

    /// Puts the next piece of a body, an eighth of the ring, and gives its length: 0 when there is no room for a whole one.
    pub(super) fn put_piece(&mut self, line: &Line, rest: &[u8]) -> Result<usize> {
        let Some(writer) = &mut self.writer else { return Ok(0) };
        let count = rest.len().min(usize::try_from(writer.memory().capacity() / 8).unwrap_or(usize::MAX));
        match writer.has_room(count as u64) {
            Ok(true) => {}
            Ok(false) => return Ok(0),
            Err(corrupt) => {
                self.broken = true;
                return Err(corrupt.into());
            }
        }
        writer.put(&rest[..count]);
        let ways = writer.publish();
        if let Some(ring) = line.ring() {
            ring.say_cpu();
            ring.wake_peer(ways);
        }
        Ok(count)
    }

    /// Keeps the rest of a body to be sent later.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.pending.extend_from_slice(rest);
    }

    /// Whether the other side has read enough of what it was given before.
    fn may_fly(&mut self, frame: &Outgoing<'_>) -> Result<bool> {
        let Some(writer) = &mut self.writer else { return Ok(true) };
        writer.refresh()?;
        while let Some(flight) = self.flights.front().filter(|flight| flight.end <= writer.head()) {
            self.fds_in_flight -= flight.fds;
            self.lent_in_flight -= flight.lent;
            self.flights.pop_front();
        }
        let fds_fit = self.fds_in_flight == 0 || frame.fds.is_empty() || self.fds_in_flight + frame.fds.len() <= FDS_IN_FLIGHT;
        let lent_fits = self.lent_in_flight == 0 || frame.lent == 0 || self.lent_in_flight + frame.lent <= self.max_lent;
        Ok(fds_fit && lent_fits)
    }

    /// Sends descriptors ahead of the frame that announces them. False when the socket takes none now.
    fn send_fds(&mut self, line: &Line, fds: &[OwnedFd]) -> Result<bool> {
        for (index, some) in fds.chunks(FDS_AT_ONCE).enumerate() {
            let borrowed: Vec<BorrowedFd<'_>> = some.iter().map(AsFd::as_fd).collect();
            match message::send(line.socket(), &[IoSlice::new(b"F")], &borrowed) {
                Ok(_) => self.starved.passed(),
                Err(error) if index == 0 && self.starved.may_pass(&error) => return Ok(false),
                Err(error) => return Err(self.failed(line, &error, "cannot send the descriptors")),
            }
        }
        Ok(true)
    }

    /// Makes room for what may have to be kept of a frame, before anything of it is out.
    fn reserve(&mut self, frame: &Outgoing<'_>) -> Result<()> {
        let len = usize::try_from(frame.len()).unwrap_or(usize::MAX);
        self.pending.try_reserve_exact(len).map_err(|_| {
            let detail = format!("no memory for what the other side cannot take at once (size = {len})");
            Error::new(ErrorKind::Exhausted, "channel.send", detail)
        })
    }

    fn offer_socket(&mut self, line: &Line, frame: &Outgoing<'_>) -> Result<Offer> {
        if frame.len() > KEPT_AT_ONCE {
            self.reserve(frame)?;
        }
        let mut header = frame.header;
        header.seq = self.seq;
        let head = header.encode();
        let mut parts = vec![IoSlice::new(&head), IoSlice::new(frame.table)];
        parts.extend(frame.parts.iter().map(|part| IoSlice::new(part)));
        let fds: Vec<BorrowedFd<'_>> = frame.fds.iter().map(AsFd::as_fd).collect();
        let sent = match message::send(line.socket(), &parts, &fds) {
            Ok(sent) => sent,
            Err(error) if self.starved.may_pass(&error) => return Ok(Offer::Full),
            Err(error) => return Err(self.failed(line, &error, "cannot send")),
        };
        self.starved.passed();
        self.seq = self.seq.wrapping_add(1);
        let mut skip = sent;
        for part in &parts {
            let taken = skip.min(part.len());
            skip -= taken;
            self.pending.extend_from_slice(&part[taken..]);
        }
        Ok(Offer::Sent)
    }

    /// Whether the rest of a frame waits.
    #[inline]
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Sends what it can of the rest of a frame; true when nothing is left.
    pub(super) fn pump(&mut self, line: &Line) -> Result<bool> {
        while self.pending_from < self.pending.len() {
            let rest = &self.pending[self.pending_from..];
            let count = match &mut self.writer {
                Some(writer) => {
                    // An eighth at a time, so that the other side copies out while this one copies in.
                    let eighth = usize::try_from(writer.memory().capacity() / 8).unwrap_or(usize::MAX);
                    let room = usize::try_from(writer.refresh()?).unwrap_or(usize::MAX);
                    let count = rest.len().min(eighth);
                    if room < count {
                        return Ok(false);
                    }
                    writer.put(&rest[..count]);
                    let ways = writer.publish();
                    if let Some(ring) = line.ring() {
                        ring.say_cpu();
                        ring.wake_peer(ways);
                    }
                    count
                }
                None => match message::send(line.socket(), &[IoSlice::new(rest)], &[]) {
                    Ok(count) => count,
                    Err(error) if self.starved.may_pass(&error) => return Ok(false),
                    Err(error) => return Err(self.failed(line, &error, "cannot send")),
                },
            };
            self.starved.passed();
            self.pending_from += count;
        }
        self.pending = Vec::new();
        self.pending_from = 0;
        Ok(true)
    }

    /// Whether there may be room for a frame of `len` bytes, or a reason to try again.
    pub(super) fn may_have_room(&mut self, len: u64) -> bool {
        let Some(writer) = &mut self.writer else { return true };
        let wanted = if self.pending.is_empty() { len.min(writer.memory().capacity() / 2) } else { writer.memory().capacity() / 8 };
        let wanted = wanted.min((self.pending.len() - self.pending_from).max(1) as u64).max(if self.pending.is_empty() { wanted } else { 1 });
        writer.refresh().map_or(true, |room| room >= wanted)
    }

    /// Bytes and descriptors that the other side has not read.
    pub(super) fn unread(&mut self) -> Result<u64> {
        let pending = (self.pending.len() - self.pending_from) as u64;
        let Some(writer) = &mut self.writer else { return Ok(pending) };
        let room = writer.refresh()?;
        Ok(writer.memory().capacity() - room + pending)
    }

    #[cold]
    fn failed(&mut self, line: &Line, error: &std::io::Error, detail: &str) -> Error {
        self.broken = true;
        line.set_gone();
        match error.kind() {
            std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset => gone(),
            _ => Error::from_io("channel.send", error, detail),
        }
    }
}

#[cold]
pub(super) fn gone() -> Error {
    Error::new(ErrorKind::Closed, "channel.send", "the other side is gone")
}
