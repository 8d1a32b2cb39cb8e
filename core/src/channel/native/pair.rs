//! Making the two ends, and opening one: the hello that each finds in its socket.

use super::Native;
use super::intake::Receiver;
use super::line::{Bells, Line, RingLine};
use super::output::Sender;
use crate::channel::control::{HELLO_FDS, HELLO_LEN, HELLO_RINGS, HELLO_SIDE_ONE, Hello, MAJOR, MINOR};
use crate::channel::frame::{FrameKind, HEADER_LEN, Header, Limits};
use crate::channel::options::ChannelOptions;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::rings::{Rings, Side};
use crate::sys::poll::{EventFd, Events, PollFd, poll};
use crate::sys::{fork, message, socket};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How long an end that is opened waits for its hello. Whoever made the pair wrote it before anybody got the end.
const HELLO_WAIT: Duration = Duration::from_secs(10);

/// An end that nobody has used: a socket in which its hello waits.
#[derive(Debug)]
pub(in crate::channel) struct Unopened {
    pub(in crate::channel) socket: OwnedFd,
    /// The rings, when this process made them: no need to map them again.
    pub(in crate::channel) rings: Option<Rings>,
    /// The process that has the socket: a forked copy would take the hello from it.
    pub(in crate::channel) generation: u64,
}

fn failed(error: &std::io::Error, detail: &str) -> Error {
    Error::from_io("channel", error, detail)
}

/// Makes a pair. Each end is complete in its socket: it can be used here or in any process that the descriptor gets to.
pub(in crate::channel) fn pair(options: &ChannelOptions) -> Result<(Unopened, Unopened)> {
    let (zero, one) = socket::pair().map_err(|error| failed(&error, "cannot make a pair of sockets"))?;
    let rings = if options.ring_bytes == 0 { None } else { rings(options.ring_bytes)? };
    let bells = match rings {
        Some(_) => (0..4).map(|_| EventFd::new("channel")).collect::<Result<Vec<EventFd>>>()?,
        None => Vec::new(),
    };
    let fds: Vec<BorrowedFd<'_>> = rings.iter().map(AsFd::as_fd).chain(bells.iter().map(AsFd::as_fd)).collect();
    let ring_bytes = rings.as_ref().map_or(0, |rings| rings.capacity() as u64);
    // What is written to one socket is read at the other: the hello of side 1 goes in at side 0.
    for (from, side) in [(&zero, HELLO_SIDE_ONE), (&one, 0)] {
        let flags = if ring_bytes == 0 { side } else { side | HELLO_RINGS };
        let max_fds = options.max_fds.into();
        let hello = Hello { major: MAJOR, minor: MINOR, flags, ring_bytes, max_message: options.max_message, codecs: options.codecs, max_fds };
        let mut header = Header::new(FrameKind::Hello, 0);
        header.length = HELLO_LEN as u64;
        header.fds = if ring_bytes == 0 { 0 } else { HELLO_FDS };
        let (header, payload) = (header.encode(), hello.encode());
        let sent = message::send(from.as_fd(), &[IoSlice::new(&header), IoSlice::new(&payload)], &fds);
        sent.map_err(|error| failed(&error, "cannot send the hello"))?;
    }
    let generation = fork::generation();
    Ok((Unopened { socket: zero, rings: rings.clone(), generation }, Unopened { socket: one, rings, generation }))
}

/// Rings, unless this system has no memory of that kind: then everything goes through the socket.
fn rings(bytes: usize) -> Result<Option<Rings>> {
    match Rings::create(bytes) {
        Ok(rings) => Ok(Some(rings)),
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the hello and takes the end into use.
pub(in crate::channel) fn open(end: Unopened, options: &ChannelOptions) -> Result<Native> {
    let Unopened { socket, rings, .. } = end;
    let (hello, fds) = read_hello(socket.as_fd())?;
    let limits = Limits { max_message: options.max_message, max_fds: options.max_fds, codecs: options.codecs };
    if hello.flags & HELLO_RINGS == 0 {
        let line = Line::new(socket, None)?;
        return Ok(Native::new(line, (Sender::over_socket(&hello, options), Receiver::over_socket(limits, options)), None, options));
    }
    let side = if hello.flags & HELLO_SIDE_ONE == 0 { Side::Zero } else { Side::One };
    let [memory, data0, data1, room0, room1] = <[OwnedFd; 5]>::try_from(fds).map_err(|_| malformed("the hello lacks descriptors"))?;
    let rings = match rings {
        Some(rings) => rings,
        None => Rings::open(memory)?,
    };
    if rings.capacity() as u64 != hello.ring_bytes {
        return Err(malformed("the hello and its rings differ in size"));
    }
    let bell = |fd: OwnedFd| EventFd::from_fd(fd).map_err(|error| failed(&error, "cannot use the bell of the hello"));
    let (data0, data1, room0, room1) = (bell(data0)?, bell(data1)?, bell(room0)?, bell(room1)?);
    let bells = match side {
        Side::Zero => Bells { data: data0, room: room0, peer_data: data1, peer_room: room1 },
        Side::One => Bells { data: data1, room: room1, peer_data: data0, peer_room: room0 },
    };
    rings.keep_out_of_forks();
    let (writer, reader) = rings.ends(side)?;
    let line = Line::new(socket, Some(RingLine::new(writer.memory().clone(), bells)))?;
    let halves = (Sender::over_ring(writer, &hello, options), Receiver::over_ring(reader, limits, options));
    Ok(Native::new(line, halves, Some(rings), options))
}

fn malformed(detail: &str) -> Error {
    Error::new(ErrorKind::Protocol, "channel", detail)
}

fn read_hello(socket: BorrowedFd<'_>) -> Result<(Hello, Vec<OwnedFd>)> {
    let mut bytes = [0; HEADER_LEN + HELLO_LEN];
    let mut fds = Vec::new();
    let limits = Limits { max_message: 0, max_fds: HELLO_FDS, codecs: ChannelOptions::default().codecs };
    read_exact(socket, &mut bytes[..HEADER_LEN], &mut fds)?;
    let mut head = [0; HEADER_LEN];
    head.copy_from_slice(&bytes[..HEADER_LEN]);
    let header = Header::parse(&head, 0, &limits).map_err(|fault| fault.at(0))?;
    if header.kind != FrameKind::Hello {
        return Err(malformed("the first frame is not a hello"));
    }
    read_exact(socket, &mut bytes[HEADER_LEN..], &mut fds)?;
    // A later minor version says more than this one understands.
    let mut rest = vec![0; header.length as usize - HELLO_LEN];
    read_exact(socket, &mut rest, &mut fds)?;
    let hello = Hello::decode(&bytes[HEADER_LEN..]).map_err(|fault| fault.at(HEADER_LEN as u64))?;
    if fds.len() != usize::from(header.fds) || (hello.flags & HELLO_RINGS != 0) != (header.fds == HELLO_FDS) {
        return Err(malformed("the descriptors of the hello are not those that it announces"));
    }
    Ok((hello, fds))
}

fn read_exact(socket: BorrowedFd<'_>, mut out: &mut [u8], fds: &mut Vec<OwnedFd>) -> Result<()> {
    let deadline = Deadline::after(HELLO_WAIT);
    while !out.is_empty() {
        match message::recv(socket, out, fds) {
            Ok(received) if received.lost_fds => {
                return Err(Error::new(ErrorKind::Exhausted, "channel", "the descriptors of the hello were lost: the limit of this process"));
            }
            Ok(received) if received.len == 0 => return Err(Error::new(ErrorKind::Closed, "channel", "the other side closed before its hello")),
            Ok(received) => out = &mut out[received.len..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let ready = poll(&mut [PollFd::new(socket, Events::Read)], deadline);
                if ready.map_err(|error| failed(&error, "cannot wait for the hello"))? == 0 {
                    return Err(malformed("no hello came: whoever made the channel has to write it first"));
                }
            }
            Err(error) => return Err(failed(&error, "cannot read the hello")),
        }
    }
    Ok(())
}
