//! The receiving half: frames out of the ring or the socket, descriptors out of the socket.

use super::assemble::{lost, missing_fds};
use super::desk::Desk;
use super::line::Line;
use super::pieces::in_pieces;
use crate::channel::frame::{FrameKind, HEADER_LEN, Header, Limits};
use crate::channel::message::{Message, make_room};
use crate::channel::options::ChannelOptions;
use crate::channel::parser::{Frame, Parser, truncated};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::Arena;
use crate::shm::ring::RingReader;
use crate::shm::ring::spin::Spinner;
use crate::sys::lane::Lane;
use crate::sys::message;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes read from the socket at a time.
const SOCKET_READ: usize = 256 << 10;

/// Where frames come from.
#[derive(Debug)]
pub(super) enum Input {
    Ring {
        reader: RingReader<Lane>,
        /// A frame whose payload is still coming.
        partial: Option<Frame>,
        /// Number of the next frame.
        seq: u64,
    },
    Socket {
        parser: Parser,
        bytes: Vec<u8>,
        taken: usize,
        ended: bool,
    },
}

impl Input {
    #[inline]
    fn may_have_more(&mut self, line: &Line) -> bool {
        match self {
            Input::Ring { reader, partial, .. } => {
                let known = reader.known();
                // What is known is not enough for the next step, else it would have been taken.
                let more = reader.refresh().map_or(true, |available| available > known || (partial.is_none() && available >= HEADER_LEN as u64));
                more || line.is_over()
            }
            Input::Socket { bytes, taken, ended, .. } => *ended || *taken < bytes.len() || line.is_over(),
        }
    }
}

/// The receiving half of an end. Lives under a lock.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) input: Input,
    pub(super) limits: Limits,
    pub(super) spinner: Spinner,
    /// Descriptors that came and whose frame did not yet.
    pub(super) fds: VecDeque<OwnedFd>,
    /// Where what nobody has asked for yet waits.
    pub(super) desk: Arc<Desk>,
    max_queued: usize,
    /// Why nothing more comes.
    pub(super) end: Option<(ErrorKind, String)>,
    closed_in_order: bool,
    /// How long the rest of a frame may take, and until when the one that has begun may.
    pub(super) frame_timeout: Option<Duration>,
    frame_deadline: Option<Deadline>,
    /// Messages taken since this end last sent: a stream, not a conversation.
    pub(super) run: u32,
    /// The last body was a large one, so that the next may be.
    pub(super) large: bool,
    /// The other side's arena, as far as it was announced.
    pub(super) arena: Option<Arena>,
}

impl Receiver {
    pub(super) fn over_ring(reader: RingReader<Lane>, limits: Limits, options: &ChannelOptions) -> Receiver {
        Receiver::new(Input::Ring { reader, partial: None, seq: 1 }, limits, options)
    }

    pub(super) fn over_socket(limits: Limits, options: &ChannelOptions) -> Receiver {
        let parser = Parser::starting_at(limits, 1);
        Receiver::new(Input::Socket { parser, bytes: Vec::new(), taken: 0, ended: false }, limits, options)
    }

    fn new(input: Input, limits: Limits, options: &ChannelOptions) -> Receiver {
        Receiver {
            input,
            limits,
            spinner: Spinner::new(options.spin),
            fds: VecDeque::new(),
            desk: Arc::default(),
            max_queued: options.max_queued_bytes,
            end: None,
            closed_in_order: false,
            frame_timeout: options.frame_timeout,
            frame_deadline: None,
            run: 0,
            large: false,
            arena: None,
        }
    }

    /// The next message, if one is there.
    pub(super) fn take(&mut self, line: &Line) -> Result<Option<Message>> {
        if self.desk.mail() > 0 {
            let message = self.desk.take_mail(&mut self.desk.lock(), None);
            if message.is_some() {
                return Ok(message);
            }
        }
        self.next_message(line)
    }

    /// Takes in what has come while there is space for it; whether a message came.
    pub(super) fn drain(&mut self, line: &Line) -> bool {
        let mut came = false;
        while self.has_space() {
            match self.next_message(line) {
                Ok(Some(message)) => {
                    self.desk.put_mail(message);
                    came = true;
                }
                Ok(None) | Err(_) => break,
            }
        }
        came
    }

    /// Takes in one message if none waits.
    pub(super) fn fill(&mut self, line: &Line) {
        if self.desk.mail() == 0
            && let Ok(Some(message)) = self.next_message(line)
        {
            self.desk.put_mail(message);
        }
    }

    /// Whether a message or the end waits to be taken.
    pub(super) fn has_something(&self) -> bool {
        self.desk.has_something() || self.end.is_some()
    }

    /// Whether more may be taken in.
    pub(super) fn has_space(&self) -> bool {
        self.desk.bytes() < self.max_queued && self.end.is_none()
    }

    /// Whether asking for a message would give one, or the end.
    pub(super) fn is_ready(&mut self, line: &Line) -> bool {
        self.has_something() || self.may_have_more(line)
    }

    /// Whether the other side has published something that was not looked at, or is gone.
    #[inline]
    pub(super) fn may_have_more(&mut self, line: &Line) -> bool {
        self.input.may_have_more(line)
    }

    /// Looks again and again for a while, if that pays, with so many more pauses between two looks. Whether there may be more.
    #[inline]
    pub(super) fn spin(&mut self, line: &Line, rest: u32) -> bool {
        let Some(ring) = line.ring() else { return false };
        self.spinner.wait(|| ring.peer().cpu.load(Ordering::Relaxed), rest, || self.input.may_have_more(line))
    }

    /// Whether [`Receiver::spin`] would look again and again.
    pub(super) fn is_keen(&self, line: &Line) -> bool {
        line.ring().is_some_and(|ring| self.spinner.is_keen(ring.peer().cpu.load(Ordering::Relaxed)))
    }

    /// Works until there may be more or nothing is left to do, where [`Receiver::spin`] would look again and again. Whether there may be more.
    pub(super) fn work(&mut self, line: &Line, work: &mut dyn FnMut() -> bool) -> bool {
        if !self.is_keen(line) {
            return false;
        }
        while work() {
            if self.input.may_have_more(line) {
                return true;
            }
        }
        false
    }

    /// Lets a peer on this processor run first, if that pays. Whether there may be more.
    pub(super) fn give_way(&mut self, line: &Line) -> bool {
        let Some(ring) = line.ring() else { return false };
        self.spinner.give_way(|| ring.peer().cpu.load(Ordering::Relaxed), || self.input.may_have_more(line))
    }

    /// Whether the other side closed in order, as far as it is known.
    pub(super) fn closed_in_order(&self) -> bool {
        self.closed_in_order
    }

    /// Tells the writer about all room that there is; before sleeping.
    pub(super) fn release(&mut self, line: &Line) {
        if let (Input::Ring { reader, .. }, Some(ring)) = (&mut self.input, line.ring()) {
            ring.wake_peer(reader.release());
        }
    }

    fn next_message(&mut self, line: &Line) -> Result<Option<Message>> {
        if let Some((kind, detail)) = &self.end {
            return Err(Error::new(*kind, "channel.recv", detail.clone()));
        }
        self.advance(line).or_else(|error| self.over(line, error))
    }

    /// Nothing more comes, for this reason.
    pub(super) fn over<T>(&mut self, line: &Line, error: Error) -> Result<T> {
        // The same again for every later call: who asks first may not be who looks at it.
        self.end = Some((error.kind(), error.detail().to_owned()));
        self.desk.close(error.kind(), error.detail());
        self.fds.clear();
        if error.kind() != ErrorKind::Closed {
            line.set_gone();
            line.hang_up();
        }
        Err(error)
    }

    fn advance(&mut self, line: &Line) -> Result<Option<Message>> {
        while let Some(frame) = self.next_frame(line)? {
            match frame.header.kind {
                FrameKind::Data => {
                    self.run = self.run.saturating_add(1);
                    let fds = self.take_fds(line, frame.header.fds)?;
                    return self.assemble(frame, fds).map(Some);
                }
                FrameKind::Segment => self.add_segment(line, &frame)?,
                FrameKind::Close => {
                    self.closed_in_order = true;
                    return Err(Error::new(ErrorKind::Closed, "channel.recv", "the other side has closed the channel"));
                }
                _ => self.sort(line, frame)?,
            }
        }
        Ok(None)
    }

    /// A frame that belongs to a call goes to the desk.
    fn sort(&mut self, line: &Line, frame: Frame) -> Result<()> {
        let header = frame.header;
        let sorted = if header.kind.is_message() {
            let fds = self.take_fds(line, header.fds)?;
            let message = self.assemble(frame, fds)?;
            self.desk.sort(&header, Some(message), &[])
        } else {
            self.desk.sort(&header, None, &frame.payload)
        };
        sorted.map_err(|fault| fault.at(0))
    }

    fn next_frame(&mut self, line: &Line) -> Result<Option<Frame>> {
        let frame = match &mut self.input {
            Input::Ring { .. } => self.frame_from_ring(line),
            Input::Socket { .. } => self.frame_from_socket(line),
        }?;
        if let Some(timeout) = self.frame_timeout {
            self.time_frame(frame.is_none(), timeout)?;
        }
        Ok(frame)
    }

    /// Notes when a frame has begun, and ends the channel when its rest takes too long.
    fn time_frame(&mut self, nothing: bool, timeout: Duration) -> Result<()> {
        let begun = match &self.input {
            Input::Ring { partial, reader, .. } => partial.is_some() || reader.known() > 0,
            Input::Socket { parser, .. } => parser.has_begun(),
        };
        match self.frame_deadline {
            _ if !nothing || !begun => self.frame_deadline = None,
            None => self.frame_deadline = Some(Deadline::after(timeout)),
            Some(deadline) if deadline.passed() => {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    "channel.recv",
                    format!("the rest of a message did not come in time (limit = {timeout:?})"),
                ));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Until when the frame that has begun must be whole.
    #[inline]
    pub(super) fn frame_deadline(&self) -> Option<Deadline> {
        self.frame_deadline
    }

    fn frame_from_ring(&mut self, line: &Line) -> Result<Option<Frame>> {
        let Input::Ring { reader, partial, seq } = &mut self.input else { return Ok(None) };
        loop {
            let wanted = if partial.is_none() { HEADER_LEN as u64 } else { 1 };
            let (over, available) = reader.look(wanted, || line.is_over())?;
            let frame = match partial {
                Some(frame) => frame,
                None if available < HEADER_LEN as u64 => {
                    if over && available > 0 {
                        return Err(truncated(0, available, HEADER_LEN as u64));
                    }
                    return if over { Err(self.ended(line)) } else { Ok(None) };
                }
                None => {
                    let mut head = [0; HEADER_LEN];
                    reader.peek_at(0, &mut head);
                    let header = Header::parse(&head, *seq, &self.limits).map_err(|fault| fault.at(reader.head()))?;
                    let ways = reader.consume(HEADER_LEN as u64);
                    line.wake_peer(ways);
                    partial.insert(Frame { header, payload: Vec::new() })
                }
            };
            let missing = frame.header.length - frame.payload.len() as u64;
            let count = reader.available(missing)?.min(missing);
            make_room(&mut frame.payload, count as usize)?;
            reader.append(0, count as usize, &mut frame.payload);
            // What carries more than bytes is told at once: the writer counts it.
            let ways = reader.consume(count) | if frame.header.fds > 0 || frame.header.places() > 0 { reader.release() } else { 0 };
            line.wake_peer(ways);
            if count == missing {
                *seq = seq.wrapping_add(1);
                return Ok(partial.take());
            }
            if count == 0 {
                if over {
                    let got = frame.payload.len() as u64;
                    let (came, want) = (HEADER_LEN as u64 + got, HEADER_LEN as u64 + frame.header.length);
                    return Err(if is_cut_off(&frame.header, line) { cut_off(came, want) } else { truncated(reader.head() - got, came, want) });
                }
                line.wake_peer(reader.release());
                return Ok(None);
            }
        }
    }

    fn frame_from_socket(&mut self, line: &Line) -> Result<Option<Frame>> {
        loop {
            let Input::Socket { parser, bytes, taken, ended } = &mut self.input else { return Ok(None) };
            let mut rest = &bytes[*taken..];
            let frame = parser.push(&mut rest)?;
            *taken = bytes.len() - rest.len();
            if let Some(frame) = frame {
                // Descriptors come with the first byte of their frame: here all frames that have begun are whole.
                let all_whole = rest.is_empty() && !parser.has_begun();
                if all_whole && self.fds.len() > usize::from(frame.header.fds) {
                    return Err(missing_fds(self.fds.len(), frame.header.fds.into()));
                }
                return Ok(Some(frame));
            }
            bytes.clear();
            *taken = 0;
            if *ended {
                parser.finish()?;
                return Err(self.ended(line));
            }
            let mut came = Vec::new();
            match message::recv_vec(line.socket(), bytes, SOCKET_READ, &mut came) {
                Ok(received) if received.lost_fds => return Err(lost()),
                Ok(received) => *ended = received.len == 0,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => *ended = true,
                Err(error) => return Err(Error::from_io("channel.recv", &error, "cannot receive")),
            }
            self.fds.extend(came);
            if self.fds.len() > 2 * message::MAX_FDS {
                return Err(missing_fds(self.fds.len(), message::MAX_FDS));
            }
        }
    }

    #[cold]
    fn ended(&mut self, line: &Line) -> Error {
        self.closed_in_order |= line.closed_in_order();
        let detail =
            if self.closed_in_order { "the other side has closed the channel" } else { "the other side is gone without closing the channel" };
        Error::new(ErrorKind::Closed, "channel.recv", detail)
    }
}

/// Whether a sender that chose to send in pieces is gone. Had it chosen to lend the body its loss would be a plain end, and so it is here.
fn is_cut_off(header: &Header, line: &Line) -> bool {
    usize::try_from(header.length).is_ok_and(in_pieces) && !line.closed_in_order()
}

fn cut_off(got: u64, want: u64) -> Error {
    let detail = format!("the other side is gone without closing the channel, in the middle of a message (got = {got} bytes, want = {want})");
    Error::new(ErrorKind::Closed, "channel.recv", detail)
}
