//! Reading and writing a child's pipes with deadlines.

use crate::child::{ChildObject, child, not_yet, procs_child};
use crate::choices::timeout;
use crate::guard::guard;
use crate::ptr::{Operation, Out, array, array_mut};
use crate::slab::lock;
use crate::status::{invalid, procs_status};
use procs::{Deadline, Error, ErrorKind, PipeReader, Result};
use std::ffi::{c_char, c_int};
use std::io::{Read, Write};
use std::sync::Arc;

/// The most that is written at once, so that a pipe which poll called writable takes it without blocking. Source: PIPE_BUF of pipe(7).
const PIECE: usize = 4096;

fn missing(operation: Operation, stream: &str) -> Error {
    Error::new(ErrorKind::InvalidState, operation, format!("{stream} is not a pipe, was closed or was taken"))
}

fn output(operation: Operation, object: &ChildObject, stream: c_int) -> Result<Arc<PipeReader>> {
    let index = match stream {
        1 => 0,
        2 => 1,
        _ => return Err(invalid(operation, format!("not an output stream (stream = {stream}, expected 1 or 2)"))),
    };
    let pipe = lock(&object.pipes).outputs[index].clone();
    pipe.ok_or_else(|| missing(operation, if stream == 1 { "standard output" } else { "standard error" }))
}

/// Reads what is there from the child's stream 1 or 2, at most `capacity` bytes, waiting for the first byte. `*count` is 0 at end of file.
///
/// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when nothing came; PROCS_E_INVALID_STATE when the stream is no pipe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_read(
    child: *const procs_child,
    stream: c_int,
    timeout_ms: i64,
    buffer: *mut c_char,
    capacity: usize,
    count: *mut usize,
) -> procs_status {
    let operation = "procs_child_read";
    guard(operation, || {
        let object = self::child(operation, child)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let out = Out::new(operation, "count", count)?;
        let buffer = array_mut(operation, "buffer", buffer.cast::<u8>(), capacity)?;
        if buffer.is_empty() {
            return Err(invalid(operation, "no room (capacity = 0)"));
        }
        let pipe = output(operation, &object, stream)?;
        if !pipe.wait_readable(Deadline::from_timeout(limit))? {
            return Err(not_yet(operation, "nothing to read", limit));
        }
        let read = (&*pipe).read(buffer).map_err(|error| Error::from_io(operation, &error, "cannot read from the child"))?;
        out.set(read);
        Ok(())
    })
}

/// Writes to the child's standard input as soon as it takes something, and gives how much that was: 1 to `len`. Never raises SIGPIPE.
///
/// Errors: PROCS_E_CLOSED when the child no longer reads; PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when it took nothing;
/// PROCS_E_INVALID_STATE when its standard input is no pipe or was closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_write(
    child: *const procs_child,
    data: *const c_char,
    len: usize,
    timeout_ms: i64,
    count: *mut usize,
) -> procs_status {
    let operation = "procs_child_write";
    guard(operation, || {
        let object = self::child(operation, child)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let out = Out::new(operation, "count", count)?;
        let data = array(operation, "data", data.cast::<u8>(), len)?;
        let pipe = lock(&object.pipes).stdin.clone().ok_or_else(|| missing(operation, "standard input"))?;
        let mut done = 0;
        let deadline = Deadline::from_timeout(limit);
        while done < data.len() {
            // Waits for the first piece only: what does not fit now is the caller's next call.
            let deadline = if done == 0 { deadline } else { Deadline::after(std::time::Duration::ZERO) };
            if !pipe.wait_writable(deadline)? {
                break;
            }
            let piece = &data[done..data.len().min(done + PIECE)];
            match (&*pipe).write(piece) {
                Ok(count) => done += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) if done > 0 => break,
                Err(error) => return Err(Error::from_io(operation, &error, "cannot write to the child")),
            }
        }
        if done == 0 && !data.is_empty() {
            return Err(not_yet(operation, "the child takes nothing", limit));
        }
        out.set(done);
        Ok(())
    })
}

/// Closes the host's end of the child's standard input: the child reads end of file. Works also when it is closed already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_close_stdin(child: *const procs_child) -> procs_status {
    guard("procs_child_close_stdin", || {
        let object = self::child("procs_child_close_stdin", child)?;
        let pipe = lock(&object.pipes).stdin.take();
        drop(pipe);
        Ok(())
    })
}

/// The host's end of the pipe to the child's 0, or from its 1 or 2, to poll; -1 when there is none. Borrowed: valid until the stream is closed or
/// taken, or the child is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_child_stream_fd(child: *const procs_child, stream: c_int) -> c_int {
    use std::os::fd::AsRawFd;
    crate::guard::guard_value("procs_child_stream_fd", -1, || {
        let object = self::child("procs_child_stream_fd", child)?;
        let pipes = lock(&object.pipes);
        Ok(match stream {
            0 => pipes.stdin.as_ref().map_or(-1, |pipe| pipe.as_raw_fd()),
            1 | 2 => pipes.outputs[stream as usize - 1].as_ref().map_or(-1, |pipe| pipe.as_raw_fd()),
            _ => -1,
        })
    })
}
