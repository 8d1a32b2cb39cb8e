//! One message on its way out: checked, wrapped as Node wraps it, written in parts.

use super::handle::{Type, socket_domain};
use super::json::{self, Fault};
use super::line::Framing;
use crate::channel::handle::check_handles;
use crate::channel::{Buffer, Codec, Message};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::fd::set_nonblocking;
use std::borrow::Cow;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const SEND: &str = "channel.send";

/// A message in its frame, how much of it has gone, and the descriptor that goes with its first byte.
#[derive(Debug)]
pub(crate) struct Outgoing {
    head: Cow<'static, [u8]>,
    body: Buffer,
    tail: &'static [u8],
    sent: usize,
    fd: Option<OwnedFd>,
    /// A handle that Node's protocol wants acknowledged.
    pub(crate) is_handle: bool,
    /// By which its sender asks for it; 0 for messages of the protocol itself.
    pub(crate) ticket: u64,
}

/// What has been found out about a message before it is taken from its owner.
#[derive(Debug)]
pub(crate) struct Plan {
    head: Cow<'static, [u8]>,
    tail: &'static [u8],
    is_handle: bool,
}

/// Who wraps handles and answers for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Handles {
    /// The endpoint.
    #[default]
    Managed,
    /// Its user: reserved messages pass both ways untouched, descriptors come with whatever message was being read.
    ByUser,
}

impl Plan {
    /// Checks a message for this wire; nothing is changed or copied.
    ///
    /// # Errors
    /// `InvalidArgument` for what the wire cannot carry: another codec, buffers, several descriptors or one that is no socket, a reserved `cmd`,
    /// a body that is no JSON. `TooLarge` beyond `max` bytes.
    pub(crate) fn of(message: &Message, framing: Framing, handles: Handles, max: usize) -> Result<Plan> {
        if !message.buffers.is_empty() {
            let detail = format!("Node's wire has no place for buffers (buffers = {}, expected 0)", message.buffers.len());
            return Err(Error::invalid(SEND, detail));
        }
        if message.fds.len() > 1 {
            return Err(Error::invalid(SEND, format!("Node's wire carries one descriptor with a message (fds = {}, expected 1)", message.fds.len())));
        }
        if message.body.len() > max {
            let detail = format!("the body exceeds the limit (size = {} bytes, max_message = {max})", message.body.len());
            return Err(Error::new(ErrorKind::TooLarge, SEND, detail));
        }
        let expected = match framing {
            Framing::Json => Codec::Json,
            Framing::Advanced => Codec::V8,
        };
        if message.codec != expected {
            let detail = format!(
                "Node's wire with serialization {} has another codec (codec = {}, expected {})",
                framing.name(),
                message.codec.name(),
                expected.name()
            );
            return Err(Error::invalid(SEND, detail));
        }
        check_handles(&message.fds, message.handle, SEND, ErrorKind::InvalidArgument)?;
        match framing {
            Framing::Advanced => Plan::block(message, handles),
            Framing::Json => Plan::line(message, handles),
        }
    }

    fn block(message: &Message, handles: Handles) -> Result<Plan> {
        if handles == Handles::Managed && !message.fds.is_empty() {
            return Err(Error::invalid(
                SEND,
                "a descriptor with serialization advanced must be wrapped in V8's encoding, which only Node can write (fds = 1, expected 0)",
            ));
        }
        let length = u32::try_from(message.body.len()).map_err(|_| Error::new(ErrorKind::TooLarge, SEND, "the length of a body has 32 bits"))?;
        Ok(Plan { head: Cow::Owned(length.to_be_bytes().to_vec()), tail: b"", is_handle: false })
    }

    fn line(message: &Message, handles: Handles) -> Result<Plan> {
        if handles == Handles::ByUser {
            // It has its line feed.
            return Ok(Plan { head: Cow::Borrowed(b""), tail: b"", is_handle: false });
        }
        let members = json::scan(&message.body, json::MAX_DEPTH)
            .map_err(|Fault { offset, why }| Error::invalid(SEND, format!("the body is no JSON for Node: {why} (offset = {offset})")))?;
        if members.ever_reserved {
            return Err(Error::invalid(SEND, "the body has a reserved cmd: names that start with NODE_ belong to Node"));
        }
        let Some(fd) = message.fds.first() else {
            return Ok(Plan { head: Cow::Borrowed(b""), tail: b"\n", is_handle: false });
        };
        let kind = Type::of(fd.as_fd())?;
        let udp = match kind {
            Type::DgramSocket if socket_domain(fd.as_fd())? == libc::AF_INET6 => r#""dgramType":"udp6","#,
            Type::DgramSocket => r#""dgramType":"udp4","#,
            _ => "",
        };
        let head = format!(r#"{{"cmd":"NODE_HANDLE","type":"{}",{udp}"msg":"#, kind.name());
        Ok(Plan { head: Cow::Owned(head.into_bytes()), tail: b"}\n", is_handle: true })
    }
}

impl Outgoing {
    /// Takes the message over. A handle stops blocking, for everybody who shares it: Node calls its sockets as if they never did, and would stand still.
    pub(crate) fn new(plan: Plan, mut message: Message, framing: Framing) -> Outgoing {
        let mut body = message.body;
        if plan.is_handle {
            for fd in &message.fds {
                // It fails for no descriptor that is open.
                let _ = set_nonblocking(fd.as_fd(), true);
            }
        }
        // A line feed inside would end the message; outside of strings it may be any space, and inside of them it cannot be.
        if framing == Framing::Json && !plan.tail.is_empty() && memchr::memchr(b'\n', &body).is_some() {
            let mut bytes = body.into_vec();
            bytes.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
            body = bytes.into();
        }
        Outgoing { head: plan.head, body, tail: plan.tail, sent: 0, fd: message.fds.pop(), is_handle: plan.is_handle, ticket: 0 }
    }

    /// A reserved message of the protocol itself, with its line feed.
    pub(crate) fn control(line: impl Into<Cow<'static, [u8]>>) -> Outgoing {
        Outgoing { head: line.into(), body: Buffer::default(), tail: b"", sent: 0, fd: None, is_handle: false, ticket: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.body.len() + self.tail.len()
    }

    /// What is still to be written.
    pub(crate) fn slices(&self) -> [IoSlice<'_>; 3] {
        let mut skip = self.sent;
        [&*self.head, &*self.body, self.tail].map(|part| {
            let here = skip.min(part.len());
            skip -= here;
            IoSlice::new(&part[here..])
        })
    }

    /// Bytes still to be written.
    pub(crate) fn rest(&self) -> usize {
        self.len() - self.sent
    }

    /// The descriptor to send with the next bytes.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().filter(|_| self.sent == 0).map(AsFd::as_fd)
    }

    /// Notes bytes that went; true when all have.
    pub(crate) fn advance(&mut self, bytes: usize) -> bool {
        self.sent += bytes;
        self.sent >= self.len()
    }

    /// The message again, as it was taken over.
    pub(crate) fn into_message(self, framing: Framing) -> Message {
        let codec = match framing {
            Framing::Json => Codec::Json,
            Framing::Advanced => Codec::V8,
        };
        Message { codec, body: self.body, fds: self.fd.into_iter().collect(), ..Message::default() }
    }

    /// Makes it ready to be sent once more.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
    }
}
