//! Moving bytes without blocking more than asked: what the layers above need of reading, writing, waiting and memory.

use crate::deadline::Deadline;
use crate::sys;
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

pub(crate) use super::flow::{CHUNK, DEFAULT_PIPE, Flow, LARGE_PIPE};
pub(crate) use crate::sys::fd::{above_stdio, grow_pipe, read, read_vec, set_nonblocking, write};
pub(crate) use crate::sys::memory::GrowBuffer;
pub(crate) use crate::sys::poll::{EventFd, Events, PollFd, poll, readable_now};
pub(crate) use crate::sys::scan::{BLOCK, line_feeds};

/// The most that a write to a pipe that is ready for writing takes without blocking. Source: PIPE_BUF of pipe(7).
pub(crate) const ATOMIC_WRITE: usize = 4096;

/// A new pipe: read end, write end; both blocking and close-on-exec.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    sys::fd::pipe()
}

/// Writes all of it to a file, as `write` does.
pub(crate) fn write_file(file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(file.as_fd(), bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

/// Whether a write would not block now.
pub(crate) fn writable_now(fd: BorrowedFd<'_>) -> io::Result<bool> {
    poll(&mut [PollFd::new(fd, Events::Write)], Deadline::after(Duration::ZERO)).map(|count| count > 0)
}

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// A block of [`CHUNK`] bytes that a thread reuses; a nested use (a callback that runs a command) gets a block of its own.
pub(crate) struct Scratch(Option<Box<[u8]>>);

impl Scratch {
    /// Takes the thread's block; ENOMEM where there is none yet and no memory for one.
    pub(crate) fn take() -> io::Result<Scratch> {
        let kept = SCRATCH.try_with(Cell::take).ok().flatten();
        if kept.is_some() {
            return Ok(Scratch(kept));
        }
        let mut block = Vec::new();
        block.try_reserve_exact(CHUNK).map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
        block.resize(CHUNK, 0);
        Ok(Scratch(Some(block.into_boxed_slice())))
    }

    /// The block.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let block = self.0.take();
        // A thread that is ending has no slot left; the block is freed then.
        let _ = SCRATCH.try_with(|slot| slot.set(block));
    }
}
