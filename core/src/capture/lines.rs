//! Lines of a stream, borrowed.

use super::splitter::{Ends, Splitter};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::io::PipeReader;
use crate::io::transfer::Flow;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// The lines of a stream as bytes, without length limit: [`next_line`](Lines::next_line) lends each one, iterating gives owned ones.
///
/// A line ends with a line feed; the last one may lack it and is delivered all the same. Reading blocks. Memory is that of the longest line,
/// at least 256 KiB.
///
/// # Drop
/// Closes the stream; a child that still writes to it gets SIGPIPE.
///
/// ```
/// use procs::{Command, Stdio};
/// let mut child = Command::shell("echo one; printf two").stdout(Stdio::piped()).spawn()?;
/// let mut lines = child.lines()?;
/// assert_eq!(lines.next_line()?, Some(&b"one"[..]));
/// assert_eq!(lines.next_line()?, Some(&b"two"[..]));
/// assert_eq!(lines.next_line()?, None);
/// assert!(child.wait()?.success());
/// # Ok::<(), procs::Error>(())
/// ```
pub struct Lines<R = PipeReader> {
    reader: R,
    splitter: Splitter,
    ends: Ends,
    done: bool,
    take: Take<R>,
    flow: Flow,
}

impl<R: Read> Lines<R> {
    /// The lines of any reader.
    pub fn new(reader: R) -> Lines<R> {
        Lines { reader, splitter: Splitter::new(), ends: Ends::default(), done: false, take: plainly, flow: Flow::default() }
    }

    /// Whether lines include their line feed. Default: false.
    pub fn keep_ends(mut self, keep: bool) -> Lines<R> {
        self.ends.keep = keep;
        self
    }

    /// Whether a carriage return before the line feed is removed with it. Default: false. No effect with [`keep_ends`](Lines::keep_ends).
    pub fn strip_cr(mut self, strip: bool) -> Lines<R> {
        self.ends.strip_cr = strip;
        self
    }

    /// The next line, valid until the next call; `None` at end of file.
    ///
    /// # Errors
    /// The reader's own failure; what was read before it is kept, and the call may be repeated.
    #[inline]
    pub fn next_line(&mut self) -> Result<Option<&[u8]>> {
        loop {
            if let Some(range) = self.splitter.next(self.ends) {
                return Ok(Some(self.splitter.slice(range)));
            }
            if !self.fill()? {
                return Ok(self.splitter.last().map(|range| self.splitter.slice(range)));
            }
        }
    }

    /// The reader; bytes that were read ahead are lost.
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// Reads a block; false at end of file.
    fn fill(&mut self) -> Result<bool> {
        if self.done {
            return Ok(false);
        }
        let count = read_block(self.take, &mut self.reader, &mut self.flow, self.splitter.room())?;
        self.splitter.filled(count);
        self.done = count == 0;
        Ok(!self.done)
    }
}

impl Lines<PipeReader> {
    /// The lines of a pipe, which is enlarged once a read finds it full or much was read.
    pub fn of_pipe(pipe: PipeReader) -> Lines<PipeReader> {
        Lines { take: through_flow, flow: Flow::without_relay(), ..Lines::new(pipe) }
    }
}

impl<R: Read> Lines<R> {
    /// Whether the next call of [`next_line`](Lines::next_line) answers without reading: a whole line is there, or the end was reached.
    pub fn is_ready(&self) -> bool {
        self.done || self.splitter.has_line()
    }

    /// Shows up to `max` whole lines that were read already, without reading; gives their number.
    #[inline]
    pub fn buffered(&mut self, max: usize, each: impl FnMut(&[u8])) -> usize {
        self.splitter.each(self.ends, max, each)
    }
}

impl Lines<PipeReader> {
    /// Reads until a whole line or the end is there; false when the deadline passed first. Nothing is lost then: call again.
    ///
    /// # Errors
    /// The system's failure to wait or to read.
    pub fn wait_ready(&mut self, deadline: Deadline) -> Result<bool> {
        while !self.is_ready() {
            if !self.reader.wait_readable(deadline)? {
                return Ok(false);
            }
            self.fill()?;
        }
        Ok(true)
    }
}

impl<R: AsFd> AsFd for Lines<R> {
    /// The stream. Lines that were read ahead do not make it readable: poll it only when [`is_ready`](Lines::is_ready) is false.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Result<Vec<u8>>> {
        self.next_line().map(|line| line.map(<[u8]>::to_vec)).transpose()
    }
}

impl<R> std::fmt::Debug for Lines<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("ends", &self.ends).field("done", &self.done).finish_non_exhaustive()
    }
}

/// How a reader is read once.
pub(super) type Take<R> = fn(&mut R, &mut Flow, &mut [u8]) -> io::Result<usize>;

/// Any reader, about which nothing is known.
pub(super) fn plainly<R: Read>(reader: &mut R, _: &mut Flow, block: &mut [u8]) -> io::Result<usize> {
    reader.read(block)
}

/// A child's pipe, which is made larger when that pays.
pub(super) fn through_flow(pipe: &mut PipeReader, flow: &mut Flow, block: &mut [u8]) -> io::Result<usize> {
    flow.read(pipe.as_fd(), block)
}

/// Reads once, again after an interruption.
pub(super) fn read_block<R>(take: Take<R>, reader: &mut R, flow: &mut Flow, block: &mut [u8]) -> Result<usize> {
    loop {
        match take(reader, flow, block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|error| Error::from_io("read", &error, "cannot read the stream")),
        }
    }
}
