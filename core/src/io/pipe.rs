//! The host's ends of a child's pipes.

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::sys::fd;
use crate::sys::poll::{Events, PollFd, poll};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

/// The end of a pipe that is read from, such as a child's standard output.
///
/// # Drop
/// Closes the descriptor; a child that still writes gets SIGPIPE or EPIPE.
#[derive(Debug)]
pub struct PipeReader(OwnedFd);

/// The end of a pipe that is written to, such as a child's standard input. Writing to a pipe whose reader is gone gives `BrokenPipe` and
/// never raises SIGPIPE in the host.
///
/// # Drop
/// Closes the descriptor; the child sees end of file.
#[derive(Debug)]
pub struct PipeWriter(OwnedFd);

impl Read for PipeReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        fd::read(self.0.as_fd(), buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        fd::read_vectored(self.0.as_fd(), bufs)
    }
}

impl Read for &PipeReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        fd::read(self.0.as_fd(), buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        fd::read_vectored(self.0.as_fd(), bufs)
    }
}

impl Write for PipeWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        fd::write(self.0.as_fd(), buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        fd::write_vectored(self.0.as_fd(), bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &PipeWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        fd::write(self.0.as_fd(), buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        fd::write_vectored(self.0.as_fd(), bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PipeReader {
    /// Waits until a read would not block: bytes are there or the stream has ended. False when the deadline passed first.
    ///
    /// # Errors
    /// The system's failure to wait.
    pub fn wait_readable(&self, deadline: Deadline) -> Result<bool> {
        wait_ready(self.as_fd(), Events::Read, deadline)
    }

    /// Asks for a pipe of this size, in bytes: worth it once a read finds the pipe full. False when the system refuses, which changes
    /// nothing. Source: F_SETPIPE_SZ of fcntl(2).
    pub fn grow(&self, bytes: usize) -> bool {
        fd::grow_pipe(self.as_fd(), bytes)
    }
}

impl PipeWriter {
    /// Waits until a write of up to 4096 bytes would not block: there is room or the reader is gone. False when the deadline passed first.
    ///
    /// # Errors
    /// The system's failure to wait.
    pub fn wait_writable(&self, deadline: Deadline) -> Result<bool> {
        wait_ready(self.as_fd(), Events::Write, deadline)
    }
}

pub(super) fn wait_ready(fd: BorrowedFd<'_>, events: Events, deadline: Deadline) -> Result<bool> {
    let count = poll(&mut [PollFd::new(fd, events)], deadline);
    count.map(|count| count > 0).map_err(|error| Error::from_io("poll", &error, "cannot wait for a descriptor"))
}

macro_rules! descriptor {
    ($end:ident) => {
        impl AsFd for $end {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl AsRawFd for $end {
            fn as_raw_fd(&self) -> RawFd {
                self.0.as_raw_fd()
            }
        }

        impl IntoRawFd for $end {
            fn into_raw_fd(self) -> RawFd {
                self.0.into_raw_fd()
            }
        }

        impl From<$end> for OwnedFd {
            fn from(end: $end) -> OwnedFd {
                end.0
            }
        }

        impl From<OwnedFd> for $end {
            fn from(fd: OwnedFd) -> $end {
                $end(fd)
            }
        }
    };
}

descriptor!(PipeReader);
descriptor!(PipeWriter);

/// The standard library's ends of pipes, for libraries that take or give those.
macro_rules! converts {
    ($end:ident: $($std:ty),+) => {$(
        impl From<$end> for $std {
            fn from(end: $end) -> $std {
                <$std>::from(end.0)
            }
        }

        impl From<$std> for $end {
            fn from(end: $std) -> $end {
                $end(end.into())
            }
        }
    )+};
}

converts!(PipeReader: std::process::ChildStdout, std::process::ChildStderr, io::PipeReader);
converts!(PipeWriter: std::process::ChildStdin, io::PipeWriter);

/// A close-on-exec copy of a descriptor that the host knows by its number only, such as one that another language owns. The original
/// stays open and stays its owner's.
///
/// # Errors
/// `Io` with EBADF when the number is not open; `Exhausted` when no descriptor is free.
pub fn duplicate_fd(number: RawFd) -> crate::error::Result<OwnedFd> {
    fd::duplicate(number, 3).map_err(|error| crate::error::Error::from_io("fd", &error, format!("cannot be duplicated (fd = {number})")))
}

/// Closes a descriptor that the host knows by its number only and that is its own, such as one that came with a message.
///
/// # Errors
/// `Io` with EBADF when the number is not open.
pub fn close_fd(number: RawFd) -> crate::error::Result<()> {
    fd::close(number).map_err(|error| crate::error::Error::from_io("fd", &error, format!("cannot be closed (fd = {number})")))
}
