//! What an endpoint knows, and the steps that never wait: write what fits, read what is there.

mod apart;
mod bare;

pub use self::bare::Frames;

use super::handle::Gate;
use super::line::{Framing, Splitter};
use super::outgoing::{Handles, Outgoing, Plan};
use crate::channel::Message;
use crate::channel::message::make_room;
use crate::channel::starved::Starved;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::message;
use crate::sys::socket::{shutdown_both, shutdown_write};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

const RECV: &str = "channel.recv";

/// Bytes asked for in one read.
const CHUNK: usize = 256 << 10;
/// What a queued message counts beside its body.
const OVERHEAD: usize = 64;
/// Messages written at once.
const WRITTEN_AT_ONCE: usize = 128;

/// The bounds of an endpoint, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_message: usize,
    /// Received messages that nobody has asked for.
    pub(crate) max_queued: usize,
    /// Unwritten bytes from which on nothing more is accepted.
    pub(crate) high_water: usize,
    /// How long the rest of a message may take.
    pub(crate) frame_timeout: Option<Duration>,
}

/// What has become of the peer's direction.
#[derive(Debug, PartialEq, Eq)]
enum Reading {
    Open,
    Ended,
    /// The peer broke the protocol; reported once, then ended.
    Failed(ErrorKind, String),
}

/// What has become of one's own direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// No new messages; ended once everything has been written and acknowledged.
    Ending,
    Ended,
}

/// How far a step got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was done; more may be possible.
    Moved,
    /// The socket would block.
    Blocked,
    /// The system lacks memory or places for descriptors on their way: waiting for the socket would not help.
    Starved,
    /// Nothing will ever come or go again.
    Over,
}

/// The state of an endpoint. Nothing here waits.
#[derive(Debug)]
pub(crate) struct State {
    splitter: Splitter,
    /// When the unfinished message has to be whole.
    due: Deadline,
    handles: Handles,
    bounds: Bounds,
    arrived: VecDeque<OwnedFd>,
    ready: VecDeque<Message>,
    ready_bytes: usize,
    out: VecDeque<Outgoing>,
    out_bytes: usize,
    /// What could not be written because the peer is gone.
    undelivered: Vec<Outgoing>,
    gate: Gate,
    reading: Reading,
    writing: Writing,
    /// A handle was refused for good; reported once.
    handle_lost: bool,
    tickets: u64,
    /// Whole messages that came.
    whole: u64,
    /// Whether the last read brought as much as there was room for.
    filled: bool,
    /// Whether the system had memory for the last write, and the last read.
    pub(crate) write_starved: Starved,
    read_starved: Starved,
}

impl State {
    pub(crate) fn new(framing: Framing, handles: Handles, bounds: Bounds) -> State {
        State {
            splitter: Splitter::new(framing, bounds.max_message),
            due: Deadline::NEVER,
            handles,
            bounds,
            arrived: VecDeque::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            out: VecDeque::new(),
            out_bytes: 0,
            undelivered: Vec::new(),
            gate: Gate::default(),
            reading: Reading::Open,
            writing: Writing::Open,
            handle_lost: false,
            tickets: 0,
            whole: 0,
            filled: false,
            write_starved: Starved::default(),
            read_starved: Starved::default(),
        }
    }

    pub(crate) fn plan(&self, message: &Message) -> Result<Plan> {
        Plan::of(message, self.splitter.framing(), self.handles, self.bounds.max_message)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.writing == Writing::Open
    }

    /// Whether a message would be accepted now.
    pub(crate) fn has_room(&self) -> bool {
        !self.gate.is_closed() && self.out_bytes < self.bounds.high_water
    }

    /// Whether everything accepted has been written and, if it was a handle, acknowledged.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_empty() && (!self.gate.is_closed() || self.writing == Writing::Ended)
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Bytes accepted and not written.
    pub(crate) fn output_bytes(&self) -> usize {
        self.out_bytes
    }

    /// Messages accepted and not written.
    pub(crate) fn output_messages(&self) -> usize {
        self.out.len()
    }

    /// Whether an acknowledgement must be read before anything else can be sent.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.gate.is_closed()
    }

    /// Whether more may be read: the queue of received messages has room.
    pub(crate) fn may_read(&self) -> bool {
        self.reading == Reading::Open && self.ready_bytes < self.bounds.max_queued
    }

    /// Whether [`take`](State::take) has something.
    pub(crate) fn has_news(&self) -> bool {
        !self.ready.is_empty() || self.handle_lost || self.reading != Reading::Open
    }

    /// Takes a message over and gives the ticket by which it can be asked for.
    pub(crate) fn accept(&mut self, plan: Plan, message: Message) -> u64 {
        let mut outgoing = Outgoing::new(plan, message, self.splitter.framing());
        self.tickets += 1;
        outgoing.ticket = self.tickets;
        if outgoing.is_handle {
            self.gate.close();
        }
        self.push(outgoing);
        self.tickets
    }

    /// Whether the accepted message has been written or given up.
    pub(crate) fn is_written(&self, ticket: u64) -> bool {
        self.out.iter().all(|outgoing| outgoing.ticket != ticket)
    }

    /// Takes back a message that could not be written because the peer is gone.
    pub(crate) fn take_back(&mut self, ticket: u64) -> Option<Message> {
        let at = self.undelivered.iter().position(|outgoing| outgoing.ticket == ticket)?;
        Some(self.undelivered.swap_remove(at).into_message(self.splitter.framing()))
    }

    fn push(&mut self, outgoing: Outgoing) {
        self.out_bytes += outgoing.len();
        self.out.push_back(outgoing);
    }

    /// The next received message, or how the channel ended.
    pub(crate) fn take(&mut self) -> Option<Result<Message>> {
        if let Some(message) = self.ready.pop_front() {
            self.ready_bytes -= message.body.len() + OVERHEAD;
            return Some(Ok(message));
        }
        if std::mem::take(&mut self.handle_lost) {
            let detail = "a handle that was sent did not reach the other process (it was sent 4 times); the channel goes on";
            return Some(Err(Error::new(ErrorKind::Exhausted, RECV, detail)));
        }
        match std::mem::replace(&mut self.reading, Reading::Ended) {
            Reading::Open => {
                self.reading = Reading::Open;
                None
            }
            Reading::Ended => Some(Err(Error::new(ErrorKind::Closed, RECV, "the other side has disconnected"))),
            Reading::Failed(kind, detail) => Some(Err(Error::new(kind, RECV, detail))),
        }
    }

    /// Writes what the socket takes.
    pub(crate) fn write(&mut self, fd: BorrowedFd<'_>) -> Step {
        while let Some(front) = self.out.front() {
            let sent = match front.fd() {
                Some(handle) => message::send(fd, &front.slices(), &[handle]),
                None if self.out.len() == 1 => message::send(fd, &front.slices(), &[]),
                None => message::send(fd, &self.front_slices(), &[]),
            };
            match sent {
                Ok(bytes) => {
                    self.write_starved.passed();
                    self.wrote(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Step::Blocked,
                Err(error) if self.write_starved.may_pass(&error) => return Step::Starved,
                Err(_) => {
                    self.writing = Writing::Ended;
                    self.out_bytes = 0;
                    self.undelivered.extend(self.out.drain(..));
                    return Step::Over;
                }
            }
        }
        if self.writing == Writing::Ending && !self.gate.is_closed() {
            // It fails when the peer is gone: nothing is left to be told.
            let _ = shutdown_write(fd);
            self.writing = Writing::Ended;
        }
        if self.writing == Writing::Ended { Step::Over } else { Step::Moved }
    }

    /// What can be written at once: up to the next message with a descriptor, which goes with its own first byte.
    fn front_slices(&self) -> Vec<IoSlice<'_>> {
        let some = self.out.iter().take(WRITTEN_AT_ONCE).enumerate();
        some.take_while(|(index, outgoing)| *index == 0 || outgoing.fd().is_none()).flat_map(|(_, outgoing)| outgoing.slices()).collect()
    }

    /// Notes bytes that went.
    fn wrote(&mut self, bytes: usize) {
        self.out_bytes -= bytes;
        let mut left = bytes;
        while let Some(front) = self.out.front_mut() {
            let here = left.min(front.rest());
            left -= here;
            if !front.advance(here) {
                return;
            }
            if let Some(written) = self.out.pop_front()
                && written.is_handle
            {
                self.gate.keep(written);
            }
        }
    }

    /// Reads once and takes apart what came.
    pub(crate) fn read(&mut self, fd: BorrowedFd<'_>) -> Step {
        if self.reading != Reading::Open {
            return Step::Over;
        }
        let mut fds = Vec::new();
        let space = self.splitter.space();
        // As much as is there already, at least a little: so that what came is moved about once.
        let more = if space.len() == space.capacity() { CHUNK.min(space.len().max(8 << 10)) } else { 0 };
        if let Err(error) = make_room(space, more) {
            self.fail(fd, error.kind(), error.detail().to_owned());
            return Step::Over;
        }
        let received = message::recv_vec(fd, space, CHUNK, &mut fds);
        self.filled = space.len() == space.capacity() || received.as_ref().is_ok_and(|received| received.len == CHUNK);
        self.arrived.extend(fds);
        match received {
            Ok(received) if received.len > 0 => {
                self.read_starved.passed();
                let before = self.whole;
                let split = self.split();
                let whole = self.whole != before;
                if let Err(error) = split {
                    self.fail(fd, error.kind(), error.detail().to_owned());
                    return Step::Over;
                }
                self.due = match self.bounds.frame_timeout {
                    Some(_) if self.splitter.unfinished() == 0 => Deadline::NEVER,
                    Some(timeout) if whole || self.due == Deadline::NEVER => Deadline::after(timeout),
                    _ => self.due,
                };
                Step::Moved
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Blocked,
            Err(error) if self.read_starved.may_pass(&error) => {
                if let Some(error) = self.read_starved.error(RECV).filter(|_| self.read_starved.is_over()) {
                    self.fail(fd, error.kind(), error.detail().to_owned());
                    return Step::Over;
                }
                Step::Starved
            }
            // The end; or the peer closed its end while something for it had not been read.
            Ok(_) => self.end(),
            Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => self.end(),
            Err(error) => {
                self.fail(fd, ErrorKind::Io, format!("cannot read from the channel: {error}"));
                Step::Over
            }
        }
    }

    /// The peer will send nothing any more: the channel is over in both directions once one's own output is written.
    pub(crate) fn end(&mut self) -> Step {
        if self.reading == Reading::Open {
            let unfinished = self.splitter.unfinished();
            self.reading = match unfinished {
                0 => Reading::Ended,
                got => Reading::Failed(ErrorKind::Protocol, format!("the channel ended inside a message (got = {got} bytes)")),
            };
            self.arrived.clear();
            // No acknowledgement will come.
            self.gate = Gate::default();
            self.disconnect();
        }
        Step::Over
    }

    /// Accepts no more messages; what was accepted is still written.
    pub(crate) fn disconnect(&mut self) {
        if self.writing == Writing::Open {
            self.writing = Writing::Ending;
        }
    }

    /// When the message that has begun is overdue.
    pub(crate) fn overdue_at(&self) -> Deadline {
        self.due
    }

    /// Ends the channel if the message that has begun is overdue.
    pub(crate) fn is_overdue(&mut self, fd: BorrowedFd<'_>) -> bool {
        let overdue = self.reading == Reading::Open && self.due.passed();
        if overdue {
            let detail = format!("the rest of a message did not come in time (got = {} bytes)", self.splitter.unfinished());
            self.fail(fd, ErrorKind::Protocol, detail);
        }
        overdue
    }

    fn fail(&mut self, fd: BorrowedFd<'_>, kind: ErrorKind, detail: String) {
        self.reading = Reading::Failed(kind, detail);
        self.writing = Writing::Ended;
        self.arrived.clear();
        self.gate = Gate::default();
        self.out_bytes = 0;
        self.undelivered.extend(self.out.drain(..));
        let _ = shutdown_both(fd);
    }
}
