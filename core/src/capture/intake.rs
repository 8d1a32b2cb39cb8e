//! One stream of a child being read.

use super::bytes::Bytes;
use super::output::StreamReport;
use super::sink::Sinks;
use crate::error::{Error, Result};
use crate::io::PipeReader;
use crate::io::transfer::{self, CHUNK, Flow, Scratch};
use std::os::fd::{AsFd, BorrowedFd};

/// A stream and where it goes. Read only after poll says that a read will not block, so that the pipe can stay in blocking mode.
pub(super) struct Intake {
    pipe: Option<PipeReader>,
    sinks: Sinks,
    total: u64,
    flow: Flow,
}

impl Intake {
    /// Reads `pipe` into `sinks`; without a pipe the stream is empty.
    pub(super) fn new(pipe: Option<PipeReader>, sinks: Sinks) -> Intake {
        Intake { pipe, sinks, total: 0, flow: Flow::default() }
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
        self.read_to(drop);
    }

    /// The same; a pipe that has ended goes to `ended`.
    pub(super) fn read_to(&mut self, ended: impl FnOnce(PipeReader)) {
        while let Some(pipe) = &self.pipe {
            let over = match read_once(pipe, &mut self.flow, &mut self.sinks) {
                Ok(0) => true,
                Ok(count) => {
                    self.total += count as u64;
                    false
                }
                // A descriptor of the caller's that does not block: there is nothing after all.
                Err(error) if error.os_error() == Some(libc::EAGAIN) => false,
                Err(error) => {
                    self.sinks.lose(error);
                    true
                }
            };
            if over {
                self.pipe.take().map(ended);
                return;
            }
            if !self.flow.holds() {
                return;
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
        let mut report = StreamReport { total_bytes: self.total, incomplete: self.sinks.lost(), ..StreamReport::default() };
        let (store, mut sink_error) = self.sinks.finish();
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
                    report.incomplete = true;
                    sink_error.get_or_insert(error);
                }
            }
        }
        report.sink_error = sink_error;
        (bytes, report)
    }
}

/// Reads to where the bytes are kept, lets a sink read for itself, or reads for it.
fn read_once(pipe: &PipeReader, flow: &mut Flow, sinks: &mut Sinks) -> Result<usize> {
    let room = sinks.direct_room();
    let (fd, max) = flow.source(pipe.as_fd(), room.unwrap_or(CHUNK)).map_err(unreadable)?;
    let count = match (room, &mut sinks.store) {
        (Some(_), Some(store)) => store.read_direct(fd, max),
        _ => read_elsewhere(fd, max, sinks),
    }?;
    flow.took(count);
    Ok(count)
}

/// Lets the sink read for itself, or reads for it.
fn read_elsewhere(fd: BorrowedFd<'_>, max: usize, sinks: &mut Sinks) -> Result<usize> {
    match sinks.direct.as_mut().and_then(|read| read(fd)) {
        Some(result) => result.map_err(unreadable),
        None => read_through(fd, max, sinks),
    }
}

/// Reads a block into memory that the thread reuses and passes it on.
fn read_through(fd: BorrowedFd<'_>, max: usize, sinks: &mut Sinks) -> Result<usize> {
    let mut scratch = Scratch::take().map_err(unreadable)?;
    let block = &mut scratch.bytes()[..max];
    let count = transfer::read(fd, block).map_err(unreadable)?;
    sinks.accept(&block[..count]);
    Ok(count)
}

fn unreadable(error: std::io::Error) -> Error {
    Error::from_io("capture", &error, "cannot read the child's output")
}
