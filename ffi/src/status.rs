//! Return codes, and the last error of each thread.

use procs::{Error, ErrorKind, Output, PerProcess, PipelineOutput, Stage};
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::sync::Mutex;

/// What functions that can fail return: 0, or the negative number of what went wrong.
///
/// Numbers are stable and never reused. Branch on these; `procs_last_error_message()` says the rest.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_status {
    /// It worked.
    PROCS_OK = 0,
    /// An argument was refused before anything was done: NULL, a freed handle, a value out of range.
    PROCS_E_INVALID_ARGUMENT = -1,
    /// Not possible now: stream already taken, capture already finished.
    PROCS_E_INVALID_STATE = -2,
    /// The program, directory or process does not exist.
    PROCS_E_NOT_FOUND = -3,
    /// The system refuses it to this user.
    PROCS_E_PERMISSION_DENIED = -4,
    /// The deadline passed.
    PROCS_E_TIMEOUT = -5,
    /// It was cancelled with a `procs_cancel`.
    PROCS_E_CANCELLED = -6,
    /// Nothing there at the moment (only with a timeout of 0).
    PROCS_E_WOULD_BLOCK = -7,
    /// The other side is gone: nobody reads what is written.
    PROCS_E_CLOSED = -8,
    /// A documented limit was exceeded; the message names limit and size.
    PROCS_E_TOO_LARGE = -9,
    /// A malformed frame or a version mismatch.
    PROCS_E_PROTOCOL = -10,
    /// The run was to be checked and did not end with exit code 0.
    PROCS_E_CHILD_FAILED = -11,
    /// The worker that held this task died.
    PROCS_E_WORKER_LOST = -12,
    /// User code failed in the worker.
    PROCS_E_TASK_FAILED = -13,
    /// The holder of a robust lock died.
    PROCS_E_OWNER_DIED = -14,
    /// The system is out of processes, descriptors or memory.
    PROCS_E_EXHAUSTED = -15,
    /// This kernel or platform lacks the feature.
    PROCS_E_UNSUPPORTED = -16,
    /// Any other system error; `procs_last_error_os()` has the errno.
    PROCS_E_IO = -17,
    /// A bug in libprocs.
    PROCS_E_PANIC = -99,
}

use procs_status::*;

/// Every code, with the kind it stands for. The order is that of the numbers.
const CODES: &[(procs_status, ErrorKind, &str)] = &[
    (PROCS_E_INVALID_ARGUMENT, ErrorKind::InvalidArgument, "invalid argument\0"),
    (PROCS_E_INVALID_STATE, ErrorKind::InvalidState, "not possible in this state\0"),
    (PROCS_E_NOT_FOUND, ErrorKind::NotFound, "not found\0"),
    (PROCS_E_PERMISSION_DENIED, ErrorKind::PermissionDenied, "permission denied\0"),
    (PROCS_E_TIMEOUT, ErrorKind::Timeout, "the deadline passed\0"),
    (PROCS_E_CANCELLED, ErrorKind::Cancelled, "cancelled\0"),
    (PROCS_E_WOULD_BLOCK, ErrorKind::WouldBlock, "nothing there at the moment\0"),
    (PROCS_E_CLOSED, ErrorKind::Closed, "the other side is gone\0"),
    (PROCS_E_TOO_LARGE, ErrorKind::TooLarge, "a limit was exceeded\0"),
    (PROCS_E_PROTOCOL, ErrorKind::Protocol, "malformed frame or version mismatch\0"),
    (PROCS_E_CHILD_FAILED, ErrorKind::ChildFailed, "the child did not end with exit code 0\0"),
    (PROCS_E_WORKER_LOST, ErrorKind::WorkerLost, "the worker died\0"),
    (PROCS_E_TASK_FAILED, ErrorKind::TaskFailed, "the task failed in the worker\0"),
    (PROCS_E_OWNER_DIED, ErrorKind::OwnerDied, "the holder of the lock died\0"),
    (PROCS_E_EXHAUSTED, ErrorKind::Exhausted, "out of processes, descriptors or memory\0"),
    (PROCS_E_UNSUPPORTED, ErrorKind::Unsupported, "not supported here\0"),
    (PROCS_E_IO, ErrorKind::Io, "system error\0"),
    (PROCS_E_PANIC, ErrorKind::Panic, "a bug in libprocs\0"),
];

impl procs_status {
    /// The code of a kind. A kind that this table lacks is reported as `PROCS_E_IO`; a test proves that there is none.
    pub(crate) fn of(kind: ErrorKind) -> procs_status {
        CODES.iter().find(|row| row.1 == kind).map_or(PROCS_E_IO, |row| row.0)
    }
}

struct Last {
    code: procs_status,
    os: i32,
    stage: Option<Stage>,
    message: CString,
    path: Option<CString>,
    /// What the other side of a channel said: the name of its failure, and where it happened.
    remote: Option<(CString, CString)>,
    payload: Payload,
}

/// The run that an error came from.
enum Payload {
    None,
    Output(Box<Output>),
    Pipeline(Box<PipelineOutput>),
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// An argument was refused.
pub(crate) fn invalid(operation: &'static str, detail: impl Into<String>) -> Error {
    Error::from_os(operation, libc::EINVAL, detail)
}

/// A NUL inside is cut off: the rest could not be seen from C.
pub(crate) fn c_string(bytes: impl Into<Vec<u8>>) -> CString {
    let mut bytes = bytes.into();
    bytes.truncate(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
    CString::new(bytes).unwrap_or_default()
}

/// Remembers an error as the last one of this thread and gives its code.
#[cold]
pub(crate) fn store(error: Error) -> procs_status {
    use std::os::unix::ffi::OsStrExt;
    let code = procs_status::of(error.kind());
    let last = Last {
        code,
        os: error.os_error().unwrap_or(0),
        stage: error.stage(),
        message: c_string(error.to_string()),
        path: error.path().map(|path| c_string(path.as_os_str().as_bytes())),
        remote: error.remote().map(|remote| (c_string(remote.name.as_str()), c_string(remote.trace.as_str()))),
        payload: payload(error),
    };
    // A thread that is being torn down has no last error any more; the code still goes back. The old one is dropped outside the borrow.
    drop(LAST.try_with(|slot| slot.replace(Some(last))));
    code
}

fn payload(error: Error) -> Payload {
    if error.output().is_some() {
        return error.into_output().map_or(Payload::None, |output| Payload::Output(Box::new(output)));
    }
    error.into_pipeline_output().map_or(Payload::None, |output| Payload::Pipeline(Box::new(output)))
}

fn take_payload(wanted: fn(&Payload) -> bool) -> Payload {
    let take = |last: &mut Last| if wanted(&last.payload) { std::mem::replace(&mut last.payload, Payload::None) } else { Payload::None };
    LAST.try_with(|slot| slot.borrow_mut().as_mut().map_or(Payload::None, take)).unwrap_or(Payload::None)
}

/// The output that came with the last error of this thread; a second call finds none.
pub(crate) fn take_output() -> Option<Output> {
    match take_payload(|payload| matches!(payload, Payload::Output(_))) {
        Payload::Output(output) => Some(*output),
        _ => None,
    }
}

/// As [`take_output`], for a pipeline.
pub(crate) fn take_pipeline_output() -> Option<PipelineOutput> {
    match take_payload(|payload| matches!(payload, Payload::Pipeline(_))) {
        Payload::Pipeline(output) => Some(*output),
        _ => None,
    }
}

fn last<R>(default: R, read: impl FnOnce(&Last) -> R) -> R {
    LAST.try_with(|slot| slot.borrow().as_ref().map(read)).ok().flatten().unwrap_or(default)
}

/// The code of the last error of this thread; `PROCS_OK` when there was none.
#[unsafe(no_mangle)]
pub extern "C" fn procs_last_error() -> procs_status {
    last(PROCS_OK, |last| last.code)
}

/// What went wrong last on this thread, as text that names operation, argument and value; empty when nothing did.
///
/// Borrowed: valid until the next call on this thread that fails. UTF-8, unless it quotes a path that is not.
#[unsafe(no_mangle)]
pub extern "C" fn procs_last_error_message() -> *const c_char {
    last(c"".as_ptr(), |last| last.message.as_ptr())
}

/// The name of the failure that the other side of a channel answered with, such as `"KeyError"`; NULL when the last error of this thread is none.
///
/// Borrowed: valid until the next call on this thread that fails.
#[unsafe(no_mangle)]
pub extern "C" fn procs_last_error_remote_name() -> *const c_char {
    last(std::ptr::null(), |last| last.remote.as_ref().map_or(std::ptr::null(), |(name, _)| name.as_ptr()))
}

/// Where that failure happened, as text for people; may be empty. NULL as for `procs_last_error_remote_name`, and borrowed like it.
#[unsafe(no_mangle)]
pub extern "C" fn procs_last_error_remote_trace() -> *const c_char {
    last(std::ptr::null(), |last| last.remote.as_ref().map_or(std::ptr::null(), |(_, trace)| trace.as_ptr()))
}

/// The errno value of the last error of this thread; 0 when the system gave none.
#[unsafe(no_mangle)]
pub extern "C" fn procs_last_error_os() -> i32 {
    last(0, |last| last.os)
}

/// The step of a spawn that failed last on this thread, such as `"exec"` or `"directory"`; NULL when it was not a step of a spawn.
///
/// Static text. The steps in order: prepare, stdio, clone, signals, session, process-group, terminal, descriptors, directory, limits, nice,
/// affinity, groups, gid, uid, no-new-privs, parent-death, exec.
#[unsafe(no_mangle)]
pub extern "C" fn procs_last_error_stage() -> *const c_char {
    last(None, |last| last.stage).map_or(std::ptr::null(), |stage| static_text(stage.name()))
}

/// The program, directory or file that the last error of this thread is about; NULL when it is about none.
///
/// Borrowed: valid until the next call on this thread that fails.
#[unsafe(no_mangle)]
pub extern "C" fn procs_last_error_path() -> *const c_char {
    last(std::ptr::null(), |last| last.path.as_ref().map_or(std::ptr::null(), |path| path.as_ptr()))
}

/// A sentence about a code; static text. For a number that is no code: "unknown code".
#[unsafe(no_mangle)]
pub extern "C" fn procs_strerror(code: i32) -> *const c_char {
    match CODES.iter().find(|row| row.0 as i32 == code) {
        Some(row) => row.2.as_ptr().cast(),
        None if code == 0 => c"no error".as_ptr(),
        None => c"unknown code".as_ptr(),
    }
}

/// The stable name of a code, the same in all languages, such as `"TIMEOUT"`; `"OK"` for 0, NULL for a number that is no code. Static text.
#[unsafe(no_mangle)]
pub extern "C" fn procs_err_name(code: i32) -> *const c_char {
    match CODES.iter().find(|row| row.0 as i32 == code) {
        Some(row) => static_text(row.1.name()),
        None if code == 0 => c"OK".as_ptr(),
        None => std::ptr::null(),
    }
}

/// A NUL-terminated copy, made once and kept, of a text that lives for ever. The texts are names in the library's own tables, so there are few.
pub(crate) fn static_text(text: &'static str) -> *const c_char {
    static COPIES: PerProcess<Mutex<Vec<(&str, CString)>>> = PerProcess::new();
    let mut copies = crate::slab::lock(COPIES.get());
    if let Some((_, copy)) = copies.iter().find(|(original, _)| *original == text) {
        return copy.as_ptr();
    }
    let copy = c_string(text);
    // The bytes stay where they are when the vector moves its elements.
    let pointer = copy.as_ptr();
    copies.push((text, copy));
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_code_and_every_code_its_kind() {
        for &kind in ErrorKind::ALL {
            assert_eq!(procs_status::of(kind) as i32, -kind.number(), "{kind:?}");
        }
        assert_eq!(CODES.len(), ErrorKind::ALL.len());
        assert!(CODES.iter().all(|row| row.2.ends_with('\0')));
    }

    #[test]
    fn last_error_is_kept_per_thread() {
        store(invalid("test", "first (a = 1)"));
        let other = std::thread::spawn(|| procs_last_error()).join().unwrap();
        assert_eq!(other, PROCS_OK);
        assert_eq!(procs_last_error(), PROCS_E_INVALID_ARGUMENT);
        assert_eq!(procs_last_error_os(), libc::EINVAL);
        assert_eq!(last(String::new(), |last| last.message.to_string_lossy().into_owned()), "test: first (a = 1)");
    }

    #[test]
    fn nul_in_a_message_does_not_lose_it() {
        assert_eq!(c_string("abc\0def").as_bytes(), b"abc");
    }
}
