//! Lines of a stream for async code, without a runtime.

use super::lines::grow_pipe;
use super::splitter::{Ends, Splitter};
use crate::error::{Error, Result};
use crate::io::PipeReader;
use crate::io::reactor::{self, Interest, Watch};
use crate::io::transfer::{self, DEFAULT_PIPE};
use std::future::poll_fn;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

/// The lines of a child's output for async code: any executor can poll it, the library's own thread wakes it. Ready lines come without
/// suspending. No length limit; the last line may lack its line feed.
///
/// # Drop
/// Closes the stream; a child that still writes to it gets SIGPIPE.
pub struct LineStream {
    /// First, so that it is gone before the pipe is closed.
    watch: Option<Watch>,
    pipe: PipeReader,
    splitter: Splitter,
    ends: Ends,
    done: bool,
    grown: bool,
}

impl LineStream {
    /// The lines of this pipe.
    pub fn new(pipe: PipeReader) -> LineStream {
        LineStream {
            watch: None,
            pipe,
            splitter: Splitter::new(),
            ends: Ends::default(),
            done: false,
            grown: false,
        }
    }

    /// Whether lines include their line feed. Default: false.
    pub fn keep_ends(mut self, keep: bool) -> LineStream {
        self.ends.keep = keep;
        self
    }

    /// Whether a carriage return before the line feed is removed with it. Default: false.
    pub fn strip_cr(mut self, strip: bool) -> LineStream {
        self.ends.strip_cr = strip;
        self
    }

    /// The next line; `None` at end of file. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The system's failure to read or to wait.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`LineStream::next`], for implementations of `Stream`.
    ///
    /// # Errors
    /// The system's failure to read or to wait.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>>>> {
        loop {
            if let Some(range) = self.splitter.next(self.ends) {
                return Poll::Ready(Some(Ok(self.splitter.slice(range).to_vec())));
            }
            if self.done {
                let last = self.splitter.last().map(|range| Ok(self.splitter.slice(range).to_vec()));
                return Poll::Ready(last);
            }
            match self.fill(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(error) => {
                    self.done = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// Reads a block if there is one, else asks to be woken (false).
    fn fill(&mut self, cx: &Context<'_>) -> Result<bool> {
        self.watch = None;
        let failed = |error: std::io::Error| Error::from_io("read", &error, "cannot read the stream");
        if !transfer::readable_now(self.pipe.as_fd()).map_err(failed)? {
            self.watch = Some(reactor::watch_fd(self.pipe.as_fd(), Interest::Read, cx.waker())?);
            return Ok(false);
        }
        let count = transfer::read(self.pipe.as_fd(), self.splitter.room()).map_err(failed)?;
        self.splitter.filled(count);
        self.done = count == 0;
        if !self.grown && count >= DEFAULT_PIPE {
            self.grown = true;
            grow_pipe(&self.pipe);
        }
        Ok(true)
    }
}

impl std::fmt::Debug for LineStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineStream")
            .field("pipe", &self.pipe)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}
