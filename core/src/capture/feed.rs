//! Feeding a child's standard input while its output is read.

use crate::error::{Error, Result};
use crate::io::PipeWriter;
use crate::io::transfer::{self, ATOMIC_WRITE, CHUNK, LARGE_PIPE};
use crate::spawn::{Input, InputCallback};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

enum Source {
    Bytes(Box<dyn AsRef<[u8]> + Send>),
    Callback { call: InputCallback, block: Vec<u8>, filled: usize },
}

impl Source {
    fn ready(&self) -> &[u8] {
        match self {
            Source::Bytes(bytes) => (**bytes).as_ref(),
            Source::Callback { block, filled, .. } => &block[..*filled],
        }
    }

    /// Asks for more once everything was written; 0 ends the input.
    fn refill(&mut self) -> io::Result<usize> {
        match self {
            Source::Bytes(_) => Ok(0),
            Source::Callback { call, block, filled } => {
                *filled = 0;
                // A function that claims more than the buffer holds is held to the buffer.
                *filled = call(block)?.min(block.len());
                Ok(*filled)
            }
        }
    }
}

/// The host's end of a child's standard input, and what is left to write.
pub(super) struct Feeder {
    pipe: OwnedFd,
    source: Source,
    written: usize,
    grown: bool,
}

impl Feeder {
    /// Prepares to feed `input` to the pipe.
    pub(super) fn new(pipe: PipeWriter, input: Input) -> Result<Feeder> {
        let pipe = OwnedFd::from(pipe);
        let source = match input {
            Input::Bytes(bytes) => Source::Bytes(Box::new(bytes)),
            Input::Lent(bytes) => Source::Bytes(bytes),
            Input::Callback(call) => Source::Callback { call, block: vec![0; CHUNK], filled: 0 },
        };
        // The write end of the pipe is a description of our own. An empty pipe always takes PIPE_BUF bytes, so small inputs save the call.
        if !matches!(&source, Source::Bytes(_) if source.ready().len() <= ATOMIC_WRITE) {
            transfer::set_nonblocking(pipe.as_fd(), true)
                .map_err(|error| Error::from_io("capture", &error, "cannot prepare the child's standard input"))?;
        }
        Ok(Feeder { pipe, source, written: 0, grown: false })
    }

    /// The descriptor to write to once it is ready.
    pub(super) fn writable(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Writes what the pipe takes. True when the input is complete or the child no longer reads, which is not an error.
    pub(super) fn feed(&mut self) -> Result<bool> {
        if self.written == self.source.ready().len() {
            self.written = 0;
            let more = match &self.source {
                Source::Bytes(_) => 0,
                Source::Callback { .. } => self.source.refill().map_err(|error| Error::from_io("capture", &error, "the input function failed"))?,
            };
            if more == 0 {
                return Ok(true);
            }
        }
        let left = &self.source.ready()[self.written..];
        match transfer::write(self.pipe.as_fd(), left) {
            Ok(count) => {
                if count < left.len() && !self.grown {
                    self.grown = true;
                    transfer::grow_pipe(self.pipe.as_fd(), LARGE_PIPE);
                }
                self.written += count;
                Ok(matches!(self.source, Source::Bytes(_)) && self.written == self.source.ready().len())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
            Err(error) => Err(Error::from_io("capture", &error, "cannot write the child's standard input")),
        }
    }
}
