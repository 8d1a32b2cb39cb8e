//! Failures of the core as plain data that `lib/errors.js` turns into Errors, and the one place that catches panics.

use napi::bindgen_prelude::Either;
use napi_derive::napi;
use procs::{Error, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why an operation failed.
#[napi(object)]
pub struct Failure {
    /// Always true: tells a failure from a result.
    pub failed: bool,
    /// Name of the error kind, such as `"NOT_FOUND"`.
    pub kind: String,
    /// Node's code for the kind.
    pub code: String,
    /// Whether the name of the errno, where there is one, is the code instead.
    pub code_by_errno: bool,
    /// The errno value, 0 for none.
    pub errno: i32,
    /// The failed step of a spawn.
    pub stage: Option<String>,
    /// The failed operation.
    pub operation: String,
    /// The whole message.
    pub message: String,
    /// What happened, without the operation and the text of the errno.
    pub detail: String,
    /// The program, directory or file concerned.
    pub path: Option<String>,
    /// What the other side of a channel called its failure.
    pub remote_type: Option<String>,
    /// Where the other side failed, for people.
    pub remote_trace: Option<String>,
}

/// The code of a kind, and whether an errno says it better.
pub(crate) fn code_of(kind: ErrorKind) -> (&'static str, bool) {
    match kind {
        ErrorKind::InvalidArgument => ("ERR_INVALID_ARG_VALUE", false),
        ErrorKind::InvalidState => ("ERR_PROCS_INVALID_STATE", false),
        ErrorKind::NotFound => ("ENOENT", true),
        ErrorKind::PermissionDenied => ("EACCES", true),
        ErrorKind::Timeout => ("ETIMEDOUT", false),
        ErrorKind::Cancelled => ("ABORT_ERR", false),
        ErrorKind::WouldBlock => ("EAGAIN", true),
        ErrorKind::Closed => ("EPIPE", true),
        ErrorKind::TooLarge => ("ERR_PROCS_TOO_LARGE", true),
        ErrorKind::Protocol => ("ERR_PROCS_PROTOCOL", false),
        ErrorKind::ChildFailed => ("ERR_PROCS_CHILD_FAILED", false),
        ErrorKind::WorkerLost => ("ERR_PROCS_WORKER_LOST", false),
        ErrorKind::TaskFailed => ("ERR_PROCS_TASK_FAILED", false),
        ErrorKind::OwnerDied => ("ERR_PROCS_OWNER_DIED", false),
        ErrorKind::Exhausted => ("EAGAIN", true),
        ErrorKind::Unsupported => ("ERR_PROCS_UNSUPPORTED", false),
        ErrorKind::Io => ("EIO", true),
        ErrorKind::Panic => ("ERR_PROCS_PANIC", false),
        _ => ("ERR_PROCS_UNKNOWN", false),
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Failure {
        let (code, code_by_errno) = code_of(error.kind());
        Failure {
            failed: true,
            kind: error.kind().name().to_owned(),
            code: code.to_owned(),
            code_by_errno,
            errno: error.os_error().unwrap_or(0),
            stage: error.stage().map(|stage| stage.name().to_owned()),
            operation: error.operation().to_owned(),
            message: error.to_string(),
            detail: error.detail().to_owned(),
            path: error.path().map(|path| path.to_string_lossy().into_owned()),
            remote_type: error.remote().map(|failure| failure.name.clone()),
            remote_trace: error.remote().map(|failure| failure.trace.clone()),
        }
    }
}

/// Runs the body of an export. A panic becomes a failure of kind `PANIC`: unwinding into the runtime would end the process.
pub(crate) fn catch<T>(body: impl FnOnce() -> procs::Result<T>) -> procs::Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Err(Error::new(ErrorKind::Panic, "native", format!("the library panicked ({text})")))
    })
}

/// The value of the body, or its error as data.
pub(crate) fn guard<T>(body: impl FnOnce() -> procs::Result<T>) -> Either<T, Failure> {
    match catch(body) {
        Ok(value) => Either::A(value),
        Err(error) => Either::B(Failure::from(&error)),
    }
}

/// One row of the table of error kinds.
#[napi(object)]
pub struct ErrorKindRow {
    /// The stable name.
    pub name: String,
    /// The stable number.
    pub number: i32,
    /// Node's code.
    pub code: String,
}

/// Every error kind of the core with its code.
#[napi]
pub fn error_kinds() -> Vec<ErrorKindRow> {
    let row = |kind: &ErrorKind| ErrorKindRow { name: kind.name().to_owned(), number: kind.number(), code: code_of(*kind).0.to_owned() };
    ErrorKind::ALL.iter().map(row).collect()
}
