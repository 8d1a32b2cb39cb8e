//! The other end of a channel by hand: whoever holds it can do to the wire what no correct peer does. Written from `docs/wire.md`, without
//! the library.

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Result};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

/// Bytes of a header.
pub const HEADER: usize = 32;

/// A raw end of a channel.
pub struct Evil {
    /// Descriptors and the end travel here.
    pub socket: OwnedFd,
    /// The rings, if the channel has any.
    pub memory: Option<File>,
    /// Data bells of both sides, then their room bells.
    pub bells: Vec<OwnedFd>,
    side: u64,
    capacity: u64,
    tail: u64,
    seq: u64,
}

impl Evil {
    /// Takes an end that was not used, reading its hello.
    pub fn new(socket: OwnedFd) -> Result<Evil> {
        let mut bytes = [0_u8; 80];
        let mut control = nix::cmsg_space!([RawFd; 16]);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
        let fds = message.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmRights(fds) => Some(fds.into_iter().map(crate::host::own).collect::<Vec<OwnedFd>>()),
            _ => None,
        });
        let number = |at: usize, len: usize| bytes[at..at + len].iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let (flags, capacity) = (number(HEADER + 12, 4), number(HEADER + 16, 8));
        let mut fds = fds.unwrap_or_default().into_iter();
        let memory = fds.next().map(File::from);
        Ok(Evil { socket, memory, bells: fds.collect(), side: u64::from(flags & 2 != 0), capacity, tail: 0, seq: 1 })
    }

    fn words(side: u64) -> u64 {
        128 + side * 384
    }

    fn memory(&self) -> &File {
        self.memory.as_ref().expect("a channel with rings")
    }

    /// Says that this side has written up to here.
    pub fn set_tail(&self, tail: u64) -> Result<()> {
        self.memory().write_all_at(&tail.to_le_bytes(), Evil::words(self.side))
    }

    /// Says that this side has read up to here.
    pub fn set_head(&self, head: u64) -> Result<()> {
        self.memory().write_all_at(&head.to_le_bytes(), Evil::words(self.side) + 128)
    }

    /// Says how this side waits to be woken.
    pub fn set_waiting(&self, ways: u32) -> Result<()> {
        self.memory().write_all_at(&ways.to_le_bytes(), Evil::words(self.side) + 256)
    }

    /// Says on which processor this side ran last.
    pub fn set_cpu(&self, number: u32) -> Result<()> {
        self.memory().write_all_at(&number.to_le_bytes(), Evil::words(self.side) + 264)
    }

    /// How the other side waits to be woken, and what else that word says.
    pub fn peers_waiting(&self) -> Result<u32> {
        let mut word = [0; 4];
        self.memory().read_exact_at(&mut word, Evil::words(1 - self.side) + 256)?;
        Ok(u32::from_le_bytes(word))
    }

    /// Up to where the other side has written.
    pub fn peers_tail(&self) -> Result<u64> {
        let mut word = [0; 8];
        self.memory().read_exact_at(&mut word, Evil::words(1 - self.side))?;
        Ok(u64::from_le_bytes(word))
    }

    /// What the other side has written at this place.
    pub fn look(&self, at: u64, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let mut done = 0;
        while done < len {
            let place = (at + done as u64) % self.capacity;
            let count = (len - done).min((self.capacity - place) as usize);
            self.memory().read_exact_at(&mut bytes[done..done + count], 4096 + (1 - self.side) * self.capacity + place)?;
            done += count;
        }
        Ok(bytes)
    }

    /// Says that this side writes and reads no more.
    pub fn set_closed(&self) -> Result<()> {
        self.memory().write_all_at(&1_u32.to_le_bytes(), Evil::words(self.side) + 260)
    }

    /// Writes bytes into the ring behind what was written, without saying so.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = self.tail % self.capacity;
            let count = rest.len().min((self.capacity - at) as usize);
            self.memory().write_all_at(&rest[..count], 4096 + self.side * self.capacity + at)?;
            self.tail += count as u64;
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Says what was written, and rings the other side's bell. A side that sleeps on its word is not woken: ask it without waiting.
    pub fn publish(&self) -> Result<()> {
        self.set_tail(self.tail)?;
        nix::unistd::write(&self.bells[usize::from(self.side == 0)], &1_u64.to_ne_bytes())?;
        Ok(())
    }

    /// The header of a frame with this kind and length, numbered as the next one.
    pub fn header(&mut self, kind: u8, length: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&length.to_le_bytes());
        header[8..16].copy_from_slice(&self.seq.to_le_bytes());
        header[24] = kind;
        self.seq += 1;
        header
    }

    /// A plain message, as bytes.
    pub fn frame(&mut self, body: &[u8]) -> Vec<u8> {
        let mut bytes = self.header(2, body.len() as u64).to_vec();
        bytes.extend_from_slice(body);
        bytes
    }

    /// Sends bytes and descriptors through the socket.
    pub fn send(&self, bytes: &[u8], fds: &[RawFd]) -> Result<usize> {
        let rights = [ControlMessage::ScmRights(fds)];
        let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
        Ok(sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?)
    }
}
