//! Reading a stream that turns out to be large: its pipe is made larger, and its bytes are taken out of the child's way before they are copied.
//!
//! A pipe has one lock, which each side holds while it copies: a child that writes on another processor waits for every read, and the read for
//! every write. Once a stream is large, its pages are moved to a pipe of the reader's own (splice), which takes the lock for a moment only, and
//! are copied from there while the child goes on. Measured between two processors: a third less processor time on both sides.

use crate::sys::fd;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Size of one read of a stream that is passed on or thrown away, in bytes.
pub(crate) const CHUNK: usize = 256 << 10;

/// Size of a pipe that nobody changed; a read of this many bytes has found the pipe full. Source: pipe(7).
pub(crate) const DEFAULT_PIPE: usize = 64 << 10;

/// Size asked for once a stream is large. Not before: unprivileged users share a budget of 64 MiB. Source: pipe(7).
pub(crate) const LARGE_PIPE: usize = 1 << 20;

/// Bytes after which a stream counts as large although its reader was always fast enough never to find the pipe full.
const LARGE_STREAM: usize = 4 * DEFAULT_PIPE;

/// Bytes after which a pipe of the reader's own has paid for itself.
const RELAY_FROM: usize = 1 << 20;

/// A read of fewer bytes is not followed by a move: the child writes little at a time, or slowly.
const BULK: usize = 16 << 10;

/// The reader's own pipe.
#[derive(Debug)]
enum Relay {
    NotYet,
    Open {
        read: OwnedFd,
        write: OwnedFd,
    },
    /// The system refused, or what is read is no pipe.
    Never,
}

/// How the bytes of one stream are best read. Belongs to whoever reads it; between two reads it holds none of them.
#[derive(Debug)]
pub struct Flow {
    total: usize,
    grow: bool,
    grown: bool,
    bulk: bool,
    relay: Relay,
    /// Bytes in the relay: none, unless somebody had no room for all that was moved.
    held: usize,
    /// Size of a relay to be opened.
    relay_size: usize,
}

impl Default for Flow {
    fn default() -> Flow {
        Flow { total: 0, grow: false, grown: false, bulk: false, relay: Relay::NotYet, held: 0, relay_size: CHUNK }
    }
}

impl Flow {
    /// For a reader that is slower than its child: it is waited for, so that copies out of the child's way only cost.
    pub(crate) fn without_relay() -> Flow {
        Flow { relay: Relay::Never, ..Flow::default() }
    }

    /// Where to read the next bytes of `fd`, and how many at most. After the read, which must be told to [`Flow::took`], there is more as long as
    /// [`Flow::holds`]. Blocks where reading `fd` would.
    ///
    /// # Errors
    /// As of a read; `WouldBlock` from a descriptor that does not block.
    pub fn source<'a>(&'a mut self, fd: BorrowedFd<'a>, max: usize) -> io::Result<(BorrowedFd<'a>, usize)> {
        if self.held == 0 {
            self.prepare(fd);
            self.fetch(fd, max)?;
        }
        match &self.relay {
            Relay::Open { read, .. } if self.held > 0 => Ok((read.as_fd(), max.min(self.held))),
            _ => Ok((fd, max)),
        }
    }

    /// Notes what a read from [`Flow::source`] gave.
    pub fn took(&mut self, count: usize) {
        let moved = self.held > 0;
        self.held = self.held.saturating_sub(count);
        self.total = self.total.saturating_add(count);
        // What was moved was counted as a whole.
        if !moved {
            self.bulk = count >= BULK;
        }
        self.grow |= !self.grown && (count >= DEFAULT_PIPE || self.total >= LARGE_STREAM);
        if count == 0 {
            self.relay = Relay::Never;
        }
    }

    /// Whether bytes were taken out of the stream that nobody has read yet: it must be read again before it is waited for.
    pub fn holds(&self) -> bool {
        self.held > 0
    }

    /// Reads once; 0 at end of file.
    ///
    /// # Errors
    /// The system's failure to read.
    pub fn read(&mut self, fd: BorrowedFd<'_>, block: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        loop {
            let (source, max) = self.source(fd, block.len() - done)?;
            let count = fd::read(source, &mut block[done..done + max])?;
            self.took(count);
            done += count;
            // More than once only where the child writes packets (O_DIRECT).
            if count == 0 || !self.holds() || done == block.len() {
                return Ok(done);
            }
        }
    }

    /// Reads what is there and fits, without waiting, and gives its length. What ends it is left for the next read to tell: the end of the stream, a
    /// failure. Nothing is read of a description that waits, as one may by now that a child has too.
    pub fn fill(&mut self, fd: BorrowedFd<'_>, block: &mut [u8]) -> usize {
        let mut done = 0;
        if !fd::is_nonblocking(fd) {
            return done;
        }
        // Whoever hands out large blocks lets the child go on meanwhile.
        self.relay_size = LARGE_PIPE;
        while done < block.len()
            && let Ok(count @ 1..) = self.read(fd, &mut block[done..])
        {
            done += count;
        }
        done
    }

    /// Enlarges the pipe when that is due. Only now that more is wanted: the last read may have exceeded a limit, and a child that finds room
    /// would be through before it is stopped.
    fn prepare(&mut self, fd: BorrowedFd<'_>) {
        if std::mem::take(&mut self.grow) {
            self.grown = true;
            fd::grow_pipe(fd, LARGE_PIPE);
        }
        if self.bulk && self.total >= RELAY_FROM && matches!(self.relay, Relay::NotYet) {
            self.relay = open_relay(self.relay_size).unwrap_or(Relay::Never);
        }
    }

    /// Moves bytes to the relay, if there is one.
    fn fetch(&mut self, fd: BorrowedFd<'_>, max: usize) -> io::Result<()> {
        let Relay::Open { write, .. } = &self.relay else { return Ok(()) };
        if !self.bulk {
            return Ok(());
        }
        match fd::splice(fd, write.as_fd(), max) {
            Ok(count) => {
                self.held = count;
                self.bulk = count >= BULK;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // A read will tell what is wrong, if anything is.
            Err(_) => {
                self.relay = Relay::Never;
                Ok(())
            }
        }
    }
}

/// A pipe for one read of the stream, of the normal size where the system does not grant another.
fn open_relay(size: usize) -> Option<Relay> {
    let (read, write) = fd::pipe().ok()?;
    let grown = fd::grow_pipe(read.as_fd(), size) || fd::grow_pipe(read.as_fd(), CHUNK);
    grown.then_some(Relay::Open { read, write })
}

#[cfg(test)]
mod tests;
