//! Node's reserved messages: handles and their acknowledgement, and questions about sockets.
//!
//! One handle is on its way at a time. Its sender keeps the descriptor and sends nothing else until the other side has acknowledged it; told that
//! the descriptor did not arrive, it sends the whole message again, three times at most.

use super::json::{self, Members};
use super::outgoing::Outgoing;
use crate::channel::HandleKind;
use crate::error::{Error, Result};
use crate::sys::message::{FdKind, fd_kind};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// How often a handle is sent again. Source: Node does it as often.
pub(crate) const RETRANSMISSIONS: u32 = 3;

pub(crate) const ACK: &[u8] = b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n";
pub(crate) const NACK: &[u8] = b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n";

/// What a handle is said to be, in Node's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Server,
    Socket,
    Native,
    DgramNative,
    DgramSocket,
}

impl Type {
    const ALL: [Type; 5] = [Type::Server, Type::Socket, Type::Native, Type::DgramNative, Type::DgramSocket];

    /// The name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Type::Server => "net.Server",
            Type::Socket => "net.Socket",
            Type::Native => "net.Native",
            Type::DgramNative => "dgram.Native",
            Type::DgramSocket => "dgram.Socket",
        }
    }

    /// What a Node program makes of this descriptor.
    ///
    /// # Errors
    /// `InvalidArgument` for what Node cannot take: anything but TCP, UDP and Unix stream sockets.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Result<Type> {
        match HandleKind::of(fd)? {
            HandleKind::TcpListener | HandleKind::UnixListener => Ok(Type::Server),
            HandleKind::TcpSocket | HandleKind::UnixSocket => Ok(Type::Socket),
            HandleKind::UdpSocket => Ok(Type::DgramSocket),
            other => {
                let detail = format!("Node takes TCP, UDP and Unix sockets only (fd = {}, handle = {})", fd.as_raw_fd(), other.name());
                Err(Error::invalid("channel.send", detail))
            }
        }
    }

    /// Whether a descriptor of this kind may come under this name.
    pub(crate) fn fits(self, kind: HandleKind) -> bool {
        match self {
            Type::Server => matches!(kind, HandleKind::TcpListener | HandleKind::UnixListener),
            // A socket of Node may be a pipe, too.
            Type::Socket => matches!(kind, HandleKind::TcpSocket | HandleKind::UnixSocket | HandleKind::Raw),
            Type::Native => !matches!(kind, HandleKind::UdpSocket | HandleKind::File | HandleKind::Memory),
            Type::DgramNative | Type::DgramSocket => kind == HandleKind::UdpSocket,
        }
    }
}

/// The address family of a socket.
pub(crate) fn socket_domain(fd: BorrowedFd<'_>) -> Result<i32> {
    match fd_kind(fd) {
        Ok(FdKind::Socket { domain, .. }) => Ok(domain),
        Ok(_) => Ok(libc::AF_UNSPEC),
        Err(error) => Err(Error::from_io("channel.send", &error, format!("cannot look at the descriptor (fd = {})", fd.as_fd().as_raw_fd()))),
    }
}

/// A reserved message, as far as it concerns this endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// A descriptor, its kind (`None` for one of a later Node) and the message that it belongs to.
    Handle {
        kind: Option<Type>,
        msg: Option<Range<usize>>,
    },
    Ack,
    Nack,
    /// How many sockets of a server are still open here?
    CountSockets {
        key: Range<usize>,
    },
    /// Say when the sockets of a server are closed here.
    NotifyClosed {
        key: Range<usize>,
    },
    /// Of the cluster module, or of a later Node.
    Other,
}

impl Control {
    /// What this text asks for; `None` for a message of the user.
    pub(crate) fn of(text: &[u8], members: Members) -> Option<Control> {
        if !members.is_reserved(text) {
            return None;
        }
        let cmd = members.cmd.map_or(&[][..], |range| &text[range]);
        let is = |name: &str| json::is_text(cmd, name);
        Some(match members.key {
            _ if is("NODE_HANDLE_ACK") => Control::Ack,
            _ if is("NODE_HANDLE_NACK") => Control::Nack,
            _ if is("NODE_HANDLE") => {
                let kind = members.kind.and_then(|range| Type::ALL.into_iter().find(|kind| json::is_text(&text[range.clone()], kind.name())));
                Control::Handle { kind, msg: members.msg }
            }
            Some(key) if is("NODE_SOCKET_GET_COUNT") => Control::CountSockets { key },
            Some(key) if is("NODE_SOCKET_NOTIFY_CLOSE") => Control::NotifyClosed { key },
            _ => Control::Other,
        })
    }

    /// What to answer at once. A received descriptor belongs to the user, who may close or pass it on unseen: none counts as open here.
    pub(crate) fn answer(&self, text: &[u8]) -> Option<Outgoing> {
        let answer = |cmd: &str, key: &Range<usize>, rest: &[u8]| {
            let parts: [&[u8]; 6] = [b"{\"cmd\":\"", cmd.as_bytes(), b"\",\"key\":", &text[key.clone()], rest, b"}\n"];
            // The key is JSON of the peer and may hold a line feed between its parts.
            let mut line = parts.concat();
            let last = line.len() - 1;
            line[..last].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
            Outgoing::control(line)
        };
        match self {
            Control::CountSockets { key } => Some(answer("NODE_SOCKET_COUNT", key, b",\"count\":0")),
            Control::NotifyClosed { key } => Some(answer("NODE_SOCKET_ALL_CLOSED", key, b"")),
            _ => None,
        }
    }
}

/// The handle that awaits its acknowledgement, and with it whether anything else may be sent.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: bool,
    unanswered: Option<Outgoing>,
    retransmissions: u32,
}

/// What a refusal leads to.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Send this again.
    Again(Outgoing),
    /// It was sent often enough.
    GivenUp,
    /// Nothing was awaited: ignored.
    Unexpected,
}

impl Gate {
    /// Whether a handle is on its way, so that nothing else may be sent.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Notes that a handle was accepted for sending.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.retransmissions = 0;
    }

    /// Keeps a handle, and its descriptor, that has been written.
    pub(crate) fn keep(&mut self, mut handle: Outgoing) {
        handle.rewind();
        self.unanswered = Some(handle);
    }

    /// The handle arrived: its descriptor is closed here. An unexpected answer changes nothing.
    pub(crate) fn acknowledged(&mut self) {
        if self.unanswered.take().is_some() {
            self.closed = false;
        }
    }

    /// The message of the handle arrived without its descriptor.
    pub(crate) fn refused(&mut self) -> Refusal {
        let Some(handle) = self.unanswered.take() else { return Refusal::Unexpected };
        if self.retransmissions == RETRANSMISSIONS {
            self.closed = false;
            return Refusal::GivenUp;
        }
        self.retransmissions += 1;
        Refusal::Again(handle)
    }
}

#[cfg(test)]
mod tests;
