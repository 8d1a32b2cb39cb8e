//! One stream of a child being read.

use super::bytes::Bytes;
use super::output::StreamReport;
use super::sink::Sinks;
use crate::error::Error;
use crate::io::PipeReader;
use crate::io::transfer::{self, CHUNK, Growth, LARGE_PIPE, Scratch};
use std::os::fd::{AsFd, BorrowedFd};

/// A stream and where it goes. Read only after poll says that a read will not block, so that the pipe can stay in blocking mode.
pub(super) struct Intake {
    pipe: Option<PipeReader>,
    sinks: Sinks,
    total: u64,
    growth: Growth,
    /// A read found the pipe full: it is made larger, unless that read was the last.
    grow: bool,
}

impl Intake {
    /// Reads `pipe` into `sinks`; without a pipe the stream is empty.
    pub(super) fn new(pipe: Option<PipeReader>, sinks: Sinks) -> Intake {
        Intake { pipe, sinks, total: 0, growth: Growth::default(), grow: false }
    }

    /// The descriptor to read once it is ready; `None` at end of file and while a sink has to take more first.
    pub(super) fn readable(&self) -> Option<BorrowedFd<'_>> {
        let pipe = self.pipe.as_ref()?;
        if self.sinks.blocked_on().is_some() { None } else { Some(pipe.as_fd()) }
    }

    /// The sink's descriptor that has to take more.
    pub(super) fn blocked_on(&self) -> Option<BorrowedFd<'_>> {
        self.sinks.blocked_on()
    }

    /// Whether everything was read and passed on.
    pub(super) fn is_closed(&self) -> bool {
        self.pipe.is_none() && self.sinks.blocked_on().is_none()
    }

    /// Whether a writer still holds the pipe, as far as known.
    pub(super) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// The stream's pipe, until its end.
    pub(super) fn pipe(&self) -> Option<&PipeReader> {
        self.pipe.as_ref()
    }

    /// Gives the pipe away.
    pub(super) fn take_pipe(&mut self) -> Option<PipeReader> {
        self.pipe.take()
    }

    /// Bytes read so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Stops reading.
    pub(super) fn close(&mut self) {
        self.pipe = None;
    }

    /// Reads once from a stream that is ready.
    pub(super) fn read(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        // Not at once: the read may have exceeded a limit, and a child that finds room would be through before it is stopped.
        if std::mem::take(&mut self.grow) {
            transfer::grow_pipe(pipe.as_fd(), LARGE_PIPE);
        }
        let count = match (self.sinks.direct_room(), &mut self.sinks.store) {
            (Some(room), Some(store)) => store.read_direct(pipe.as_fd(), room),
            _ => read_elsewhere(pipe, &mut self.sinks),
        };
        match count {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                self.total += count as u64;
                self.grow = self.growth.due(count);
            }
            // A descriptor of the caller's that does not block: there is nothing after all.
            Err(error) if error.os_error() == Some(libc::EAGAIN) => {}
            Err(error) => {
                self.sinks.fail(error);
                self.pipe = None;
            }
        }
    }

    /// Passes on what a sink did not take before.
    pub(super) fn flush(&mut self) {
        self.sinks.flush();
    }

    /// Whether a limit that is an error was exceeded.
    pub(super) fn exceeded(&self) -> bool {
        self.sinks.store.as_ref().is_some_and(super::store::Store::exceeded)
    }

    /// What is kept so far.
    pub(super) fn bytes(&self) -> &[u8] {
        self.sinks.store.as_ref().map_or(&[], |store| store.bytes())
    }

    /// What was kept, and how it went.
    pub(super) fn finish(self) -> (Bytes, StreamReport) {
        let (store, mut sink_error) = self.sinks.finish();
        let mut report = StreamReport { total_bytes: self.total, ..StreamReport::default() };
        let mut bytes = Bytes::default();
        if let Some(store) = store {
            report.truncated = store.dropped();
            report.limit_exceeded = store.exceeded();
            match store.finish() {
                Ok((kept, spill)) => {
                    bytes = kept;
                    report.spill = spill;
                }
                Err(error) => {
                    sink_error.get_or_insert(error);
                }
            }
        }
        report.sink_error = sink_error;
        (bytes, report)
    }
}

/// Lets the sink read for itself, or reads for it.
fn read_elsewhere(pipe: &PipeReader, sinks: &mut Sinks) -> crate::error::Result<usize> {
    match sinks.direct.as_mut().and_then(|read| read(pipe.as_fd())) {
        Some(result) => result.map_err(|error| Error::from_io("capture", &error, "cannot read the child's output")),
        None => read_through(pipe, sinks),
    }
}

/// Reads a block into memory that the thread reuses and passes it on.
fn read_through(pipe: &PipeReader, sinks: &mut Sinks) -> crate::error::Result<usize> {
    let mut scratch = Scratch::take();
    let block = &mut scratch.bytes()[..CHUNK];
    let count = transfer::read(pipe.as_fd(), block).map_err(|error| Error::from_io("capture", &error, "cannot read the child's output"))?;
    sinks.accept(&block[..count]);
    Ok(count)
}
