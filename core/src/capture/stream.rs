//! Lines and blocks of a stream for async code, without a runtime.

use super::splitter::{Ends, Splitter};
use crate::error::{Error, Result};
use crate::io::PipeReader;
use crate::io::reactor::{self, Interest, Watch};
use crate::io::transfer::{self, CHUNK, Flow};
use std::future::poll_fn;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

/// A pipe read without blocking although it is in blocking mode: poll first, and a watch when there is nothing.
struct AsyncPipe {
    /// First, so that it is gone before the pipe is closed.
    watch: Option<Watch>,
    pipe: PipeReader,
    flow: Flow,
}

impl AsyncPipe {
    fn new(pipe: PipeReader) -> AsyncPipe {
        AsyncPipe { watch: None, pipe, flow: Flow::default() }
    }

    /// Reads a block if there is one, else asks to be woken; 0 is end of file.
    fn poll_read(&mut self, cx: &Context<'_>, block: &mut [u8]) -> Poll<Result<usize>> {
        let failed = |error: std::io::Error| Error::from_io("read", &error, "cannot read the stream");
        self.watch = None;
        if !transfer::readable_now(self.pipe.as_fd()).map_err(failed)? {
            self.watch = Some(reactor::watch_fd(self.pipe.as_fd(), Interest::Read, cx.waker())?);
            return Poll::Pending;
        }
        Poll::Ready(self.flow.read(self.pipe.as_fd(), block).map_err(failed))
    }
}

/// The lines of a child's output for async code: any executor can poll it, the library's own thread wakes it. Ready lines come without
/// suspending. No length limit; the last line may lack its line feed.
///
/// # Drop
/// Closes the stream; a child that still writes to it gets SIGPIPE.
pub struct LineStream {
    pipe: AsyncPipe,
    splitter: Splitter,
    ends: Ends,
    done: bool,
}

impl LineStream {
    /// The lines of this pipe.
    pub fn new(pipe: PipeReader) -> LineStream {
        LineStream { pipe: AsyncPipe::new(pipe), splitter: Splitter::new(), ends: Ends::default(), done: false }
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
    /// The system's failure to read or to wait; nothing but what was read before follows.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`LineStream::next`], for implementations of `Stream`.
    ///
    /// # Errors
    /// As [`LineStream::next`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>>>> {
        loop {
            if let Some(range) = self.splitter.next(self.ends) {
                return Poll::Ready(Some(Ok(self.splitter.slice(range).to_vec())));
            }
            if self.done {
                let last = self.splitter.last().map(|range| Ok(self.splitter.slice(range).to_vec()));
                return Poll::Ready(last);
            }
            match ready!(self.pipe.poll_read(cx, self.splitter.room())) {
                Ok(count) => {
                    self.splitter.filled(count);
                    self.done = count == 0;
                }
                Err(error) => {
                    self.done = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

/// A child's output for async code as blocks of up to 256 KiB, as they arrive: any executor can poll it, the library's own thread wakes it.
///
/// # Drop
/// Closes the stream; a child that still writes to it gets SIGPIPE.
pub struct ChunkStream {
    pipe: AsyncPipe,
    block: Box<[u8]>,
}

impl ChunkStream {
    /// The blocks of this pipe.
    pub fn new(pipe: PipeReader) -> ChunkStream {
        ChunkStream { pipe: AsyncPipe::new(pipe), block: vec![0; CHUNK].into_boxed_slice() }
    }

    /// The next block, not empty, valid until the next call; `None` at end of file. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The system's failure to read or to wait.
    pub async fn next_chunk(&mut self) -> Result<Option<&[u8]>> {
        let count = poll_fn(|cx| self.pipe.poll_read(cx, &mut self.block)).await?;
        Ok((count > 0).then(|| &self.block[..count]))
    }

    /// As [`ChunkStream::next_chunk`], owned, for implementations of `Stream`.
    ///
    /// # Errors
    /// As [`ChunkStream::next_chunk`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>>>> {
        let count = ready!(self.pipe.poll_read(cx, &mut self.block));
        Poll::Ready(count.map(|count| (count > 0).then(|| self.block[..count].to_vec())).transpose())
    }
}

impl std::fmt::Debug for LineStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineStream").field("pipe", &self.pipe.pipe).field("done", &self.done).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ChunkStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkStream").field("pipe", &self.pipe.pipe).finish_non_exhaustive()
    }
}
