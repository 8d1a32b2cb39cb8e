//! Messages from frames: the descriptors and the memory that come beside them.

use super::intake::{Input, Receiver};
use super::line::Line;
use crate::channel::control::SegmentBody;
use crate::channel::frame::{Fault, Place};
use crate::channel::handle::{HandleKind, check_handles};
use crate::channel::message::{Buffer, Message, copied};
use crate::channel::parser::Frame;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::{Arena, BlockPlace, Seat};
use crate::sys::message;
use std::os::fd::OwnedFd;

impl Receiver {
    /// The descriptors of a frame, all of them or an error.
    pub(super) fn take_fds(&mut self, line: &Line, count: u16) -> Result<Vec<OwnedFd>> {
        let count = usize::from(count);
        if matches!(self.input, Input::Ring { .. }) {
            while self.fds.len() < count {
                let mut came = Vec::new();
                let received = message::recv(line.socket(), &mut [0], &mut came);
                match received {
                    Ok(received) if received.lost_fds => return Err(lost()),
                    Ok(received) if received.len > 0 && !came.is_empty() => self.fds.extend(came),
                    Ok(_) => return Err(missing_fds(self.fds.len(), count)),
                    Err(_) => return Err(missing_fds(self.fds.len(), count)),
                }
            }
            if self.fds.len() > count {
                return Err(missing_fds(self.fds.len(), count));
            }
        }
        if self.fds.len() < count {
            return Err(missing_fds(self.fds.len(), count));
        }
        Ok(self.fds.drain(..count).collect())
    }

    /// Maps memory that the other side will place large bodies in.
    pub(super) fn add_segment(&mut self, line: &Line, frame: &Frame) -> Result<()> {
        let body = SegmentBody::decode(&frame.payload).map_err(|fault| fault.at(0))?;
        let fd = self.take_fds(line, 1)?.pop().ok_or_else(|| missing_fds(0, 1))?;
        let known = self.arena.as_ref().map_or(0, Arena::segments);
        if body.segment as usize != known {
            return Err(Fault::protocol(format!("segments out of order (segment = {}, expected {known})", body.segment)).at(0));
        }
        match &self.arena {
            Some(arena) => arena.add_segment(fd),
            None => Arena::open(fd, Seat::from_number(body.seat)).map(|arena| self.arena = Some(arena)),
        }
    }

    /// A message from its frame.
    pub(super) fn assemble(&mut self, frame: Frame, fds: Vec<OwnedFd>) -> Result<Message> {
        let Frame { header, payload } = frame;
        let handle = (header.handle != HandleKind::Raw).then_some(header.handle);
        check_handles(&fds, handle, "channel.recv", ErrorKind::Protocol)?;
        if header.places() == 0 {
            return Ok(Message { codec: header.codec, body: Buffer::from(payload), buffers: Vec::new(), fds, handle });
        }
        let (body, places) = header.parse_places(&payload[..header.table_len()], &self.limits).map_err(|fault| fault.at(0))?;
        let mut at = header.table_len();
        let mut one = |place: &Place| -> Result<Buffer> {
            match *place {
                Place::Inline { len } => {
                    let bytes = copied(&payload[at..at + len as usize])?;
                    at += len as usize;
                    Ok(Buffer::from(bytes))
                }
                Place::Segment { segment, serial, offset, len } => {
                    let arena = self.arena.as_ref().ok_or_else(|| Fault::protocol(format!("an unknown segment (segment = {segment})")).at(0))?;
                    let block = arena.attach(BlockPlace { segment, serial, offset, len });
                    block.map(Buffer::from).map_err(|error| Fault::protocol(error.detail().to_owned()).at(0))
                }
            }
        };
        let body = one(&body)?;
        let buffers = places.iter().map(&mut one).collect::<Result<Vec<Buffer>>>()?;
        let message = Message { codec: header.codec, body, buffers, fds, handle };
        self.spinner.expect(message.size());
        Ok(message)
    }
}

pub(super) fn lost() -> Error {
    Error::new(ErrorKind::Exhausted, "channel.recv", "descriptors of a message were lost: the limit of this process, those that came were closed")
}

pub(super) fn missing_fds(got: usize, want: usize) -> Error {
    Fault::protocol(format!("the descriptors are not those that the frame announces (fds = {got}, expected {want})")).at(0)
}
