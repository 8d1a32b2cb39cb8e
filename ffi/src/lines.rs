//! Lines of a child's output, lent one by one or many at once.

use crate::capture::exclusive;
use crate::child::{child, not_yet, procs_child, take_unused};
use crate::choices::timeout;
use crate::guard::{guard, guard_value};
use crate::output::bytes;
use crate::ptr::{Operation, Out, array_mut};
use crate::slab::{self, Object, lock};
use crate::status::{invalid, procs_status};
use procs::{Deadline, Error, ErrorKind, Lines, PipeReader, Result};
use std::ffi::{c_char, c_int};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Mutex;
use std::time::Duration;

/// A reader of lines over a child's standard output or standard error.
pub struct procs_lines {
    _opaque: [u8; 0],
}

/// Lines include their line feed: a flag of `procs_lines_new`.
pub const PROCS_LINES_KEEP_ENDS: u64 = 1;

/// A carriage return before the line feed is removed with it: a flag of `procs_lines_new`.
pub const PROCS_LINES_STRIP_CR: u64 = 2;

/// Bytes that are lent: no NUL at the end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_bytes {
    /// The first byte.
    pub data: *const c_char,
    /// Their number.
    pub len: usize,
}

struct LinesObject {
    lines: Mutex<Lines<PipeReader>>,
    fd: c_int,
}

impl Object for LinesObject {
    type Handle = procs_lines;
    const TAG: usize = 5;
    const NOUN: &'static str = "lines";
}

/// Takes the child's stream 1 or 2, which must be a pipe, and reads its lines. Owned: free it with `procs_lines_free`, which closes the stream.
///
/// `flags`: 0, or PROCS_LINES_KEEP_ENDS and PROCS_LINES_STRIP_CR joined by |. The child may be freed before.
///
/// Errors: PROCS_E_INVALID_STATE when the stream is no pipe, was taken before, or another thread is reading it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_lines_new(child: *const procs_child, stream: c_int, flags: u64, lines: *mut *mut procs_lines) -> procs_status {
    let operation = "procs_lines_new";
    guard(operation, || {
        let object = self::child(operation, child)?;
        let out = Out::new(operation, "lines", lines)?;
        if flags & !(PROCS_LINES_KEEP_ENDS | PROCS_LINES_STRIP_CR) != 0 {
            return Err(invalid(operation, format!("an unknown flag (flags = {flags:#x})")));
        }
        if !matches!(stream, 1 | 2) {
            return Err(invalid(operation, format!("not an output stream (stream = {stream}, expected 1 or 2)")));
        }
        let pipe = take_unused(&mut lock(&object.pipes).outputs[stream as usize - 1]);
        let missing = || Error::new(ErrorKind::InvalidState, operation, format!("not a pipe, taken before or in use (stream = {stream})"));
        let pipe = pipe.ok_or_else(missing)?;
        let fd = pipe.as_fd().as_raw_fd();
        let lines = Lines::of_pipe(pipe).keep_ends(flags & PROCS_LINES_KEEP_ENDS != 0).strip_cr(flags & PROCS_LINES_STRIP_CR != 0);
        out.set(slab::insert(LinesObject { lines: Mutex::new(lines), fd })?);
        Ok(())
    })
}

fn wait(operation: Operation, lines: &mut Lines<PipeReader>, limit: Option<Duration>) -> Result<()> {
    if lines.wait_ready(Deadline::from_timeout(limit))? { Ok(()) } else { Err(not_yet(operation, "no line", limit)) }
}

/// The next line, of any length, without its line feed; `*line` is NULL at end of file. The last line may lack its line feed and is delivered all
/// the same. Borrowed: valid until the next call with these lines.
///
/// In a loop of your own: poll `procs_lines_fd`, then call with a timeout of 0 until PROCS_E_WOULD_BLOCK or the end.
///
/// Errors: PROCS_E_TIMEOUT, and PROCS_E_WOULD_BLOCK for a timeout of 0, when no whole line came; what came is kept.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_lines_next(lines: *mut procs_lines, timeout_ms: i64, line: *mut *const c_char, len: *mut usize) -> procs_status {
    let operation = "procs_lines_next";
    guard(operation, || {
        let object = slab::get::<LinesObject>(operation, lines)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let (out_line, out_len) = (Out::new(operation, "line", line)?, Out::new(operation, "len", len)?);
        let mut reader = exclusive(operation, &object.lines)?;
        let mut found = None;
        if reader.buffered(1, |line| found = Some((bytes(line), line.len()))) == 0 {
            wait(operation, &mut reader, limit)?;
            found = reader.next_line()?.map(|line| (bytes(line), line.len()));
        }
        let (data, count) = found.unwrap_or((std::ptr::null(), 0));
        out_line.set(data);
        out_len.set(count);
        Ok(())
    })
}

/// As many of the next lines as have come, at most `capacity`, waiting for the first; `*count` is 0 at end of file. Much faster than one at a time.
/// Borrowed: all valid until the next call with these lines.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_lines_next_many(
    lines: *mut procs_lines,
    timeout_ms: i64,
    array: *mut procs_bytes,
    capacity: usize,
    count: *mut usize,
) -> procs_status {
    let operation = "procs_lines_next_many";
    guard(operation, || {
        let object = slab::get::<LinesObject>(operation, lines)?;
        let limit = timeout(operation, "timeout_ms", timeout_ms)?;
        let out = Out::new(operation, "count", count)?;
        let array = array_mut(operation, "array", array, capacity)?;
        if array.is_empty() {
            return Err(invalid(operation, "no room (capacity = 0)"));
        }
        let mut reader = exclusive(operation, &object.lines)?;
        let mut filled = fill(&mut reader, array);
        if filled == 0 {
            wait(operation, &mut reader, limit)?;
            filled = fill(&mut reader, array);
        }
        if filled == 0 {
            // The end: what follows the last line feed, if anything.
            if let Some(line) = reader.next_line()? {
                array[0] = procs_bytes { data: bytes(line), len: line.len() };
                filled = 1;
            }
        }
        out.set(filled);
        Ok(())
    })
}

fn fill(reader: &mut Lines<PipeReader>, array: &mut [procs_bytes]) -> usize {
    let mut free = array.iter_mut();
    reader.buffered(free.len(), |line| {
        if let Some(entry) = free.next() {
            *entry = procs_bytes { data: bytes(line), len: line.len() };
        }
    })
}

/// A descriptor to poll for reading, once `procs_lines_next` has said PROCS_E_WOULD_BLOCK; -1 for NULL. Borrowed: valid until the lines are freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_lines_fd(lines: *const procs_lines) -> c_int {
    guard_value("procs_lines_fd", -1, || Ok(slab::get::<LinesObject>("procs_lines_fd", lines)?.fd))
}

/// Frees the reader and closes the stream: a child that still writes to it gets SIGPIPE. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_lines_free(lines: *mut procs_lines) -> procs_status {
    guard("procs_lines_free", || slab::remove::<LinesObject>("procs_lines_free", lines).map(drop))
}
