//! The one error type of libprocs and its stable kinds.
//!
//! Callers branch on [`Error::kind`] only. One type serves all operations because the same failure reaches four languages: each kind has one
//! name and one number, and every binding maps them through a table that a test walks.

use std::fmt;
use std::path::{Path, PathBuf};

/// What `procs` functions return.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// What went wrong, as far as a caller can act on it. Numbers are stable and never reused; the C code is the negative number.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum ErrorKind { $($(#[$doc])* $variant = $number,)* }

        impl ErrorKind {
            /// Every kind, in the order of the numbers.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$variant,)*];

            /// The stable name, the same in all languages, such as `"TIMEOUT"`.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorKind::$variant => $name,)* }
            }

            /// The stable number, positive; C uses its negative.
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The kind with this number.
            pub fn from_number(number: i32) -> Option<ErrorKind> {
                Self::ALL.iter().copied().find(|kind| kind.number() == number)
            }
        }
    };
}

kinds! {
    /// An argument was refused before anything was done.
    InvalidArgument = 1, "INVALID_ARGUMENT";
    /// Not possible now: stream already taken, object closed.
    InvalidState = 2, "INVALID_STATE";
    /// The program, directory or endpoint does not exist.
    NotFound = 3, "NOT_FOUND";
    /// The system refuses it to this user.
    PermissionDenied = 4, "PERMISSION_DENIED";
    /// The deadline passed; partial output is attached where there is any.
    Timeout = 5, "TIMEOUT";
    /// The caller asked to stop.
    Cancelled = 6, "CANCELLED";
    /// A try-call found nothing.
    WouldBlock = 7, "WOULD_BLOCK";
    /// The other side is gone.
    Closed = 8, "CLOSED";
    /// A documented limit was exceeded; the message names limit and size.
    TooLarge = 9, "TOO_LARGE";
    /// A malformed frame or a version mismatch.
    Protocol = 10, "PROTOCOL";
    /// The exit status was checked and is not 0; the output is attached.
    ChildFailed = 11, "CHILD_FAILED";
    /// The worker that held this task died.
    WorkerLost = 12, "WORKER_LOST";
    /// User code failed in the worker.
    TaskFailed = 13, "TASK_FAILED";
    /// The holder of a robust lock died.
    OwnerDied = 14, "OWNER_DIED";
    /// The system is out of processes, descriptors or memory.
    Exhausted = 15, "EXHAUSTED";
    /// This kernel or platform lacks the feature.
    Unsupported = 16, "UNSUPPORTED";
    /// Any other system error.
    Io = 17, "IO";
    /// A bug in libprocs.
    Panic = 99, "PANIC";
}

impl ErrorKind {
    /// The kind that an errno value means.
    pub fn from_errno(errno: i32) -> ErrorKind {
        match errno {
            libc::ENOENT | libc::ENOTDIR | libc::ESRCH => ErrorKind::NotFound,
            libc::EACCES | libc::EPERM => ErrorKind::PermissionDenied,
            libc::ETIMEDOUT => ErrorKind::Timeout,
            libc::EAGAIN | libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOSPC => ErrorKind::Exhausted,
            libc::EPIPE | libc::ECONNRESET => ErrorKind::Closed,
            libc::E2BIG | libc::EMSGSIZE | libc::ENAMETOOLONG => ErrorKind::TooLarge,
            libc::EINVAL => ErrorKind::InvalidArgument,
            libc::ENOSYS | libc::EOPNOTSUPP => ErrorKind::Unsupported,
            _ => ErrorKind::Io,
        }
    }
}

macro_rules! stages {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// The step of a spawn that failed, in the order of a spawn.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Stage { $($(#[$doc])* $variant,)* }

        impl Stage {
            /// Every stage, in the order of a spawn.
            pub const ALL: &'static [Stage] = &[$(Stage::$variant,)*];

            /// The stable name, the same in all languages, such as `"exec"`.
            pub const fn name(self) -> &'static str {
                match self { $(Stage::$variant => $name,)* }
            }
        }
    };
}

stages! {
    /// Checking and copying what was asked for, before any process exists.
    Prepare = "prepare";
    /// Making pipes and opening files for the child.
    Stdio = "stdio";
    /// Starting the process.
    Clone = "clone";
    /// Resetting signal mask and dispositions.
    Signals = "signals";
    /// Starting a session.
    Session = "session";
    /// Joining or making a process group.
    ProcessGroup = "process-group";
    /// Taking a controlling terminal.
    Terminal = "terminal";
    /// Closing and placing descriptors.
    Descriptors = "descriptors";
    /// Entering the working directory.
    Directory = "directory";
    /// Setting a resource limit.
    Limits = "limits";
    /// Setting the nice value.
    Nice = "nice";
    /// Setting the CPU affinity.
    Affinity = "affinity";
    /// Setting supplementary groups.
    Groups = "groups";
    /// Setting the group id.
    Gid = "gid";
    /// Setting the user id.
    Uid = "uid";
    /// Setting no_new_privs.
    NoNewPrivs = "no-new-privs";
    /// Arming the parent-death signal.
    ParentDeath = "parent-death";
    /// Executing the program.
    Exec = "exec";
}

struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    detail: String,
    os_error: Option<i32>,
    stage: Option<Stage>,
    path: Option<PathBuf>,
    payload: Option<Box<dyn std::any::Any + Send + Sync>>,
}

/// Why an operation failed: a kind to branch on, a message that names operation, argument and value, and the errno where there was one.
pub struct Error(Box<Inner>);

impl Error {
    /// Makes an error of a kind; `operation` is a static name such as `"spawn"`, `detail` says what happened to which argument.
    pub fn new(kind: ErrorKind, operation: &'static str, detail: impl Into<String>) -> Error {
        Error(Box::new(Inner { kind, operation, detail: detail.into(), os_error: None, stage: None, path: None, payload: None }))
    }

    /// Makes an error from an errno value.
    pub fn from_os(operation: &'static str, errno: i32, detail: impl Into<String>) -> Error {
        let mut error = Error::new(ErrorKind::from_errno(errno), operation, detail);
        error.0.os_error = Some(errno);
        error
    }

    /// Makes an error from an I/O error, keeping its errno.
    pub fn from_io(operation: &'static str, source: &std::io::Error, detail: impl Into<String>) -> Error {
        match source.raw_os_error() {
            Some(errno) => Error::from_os(operation, errno, detail),
            None => Error::new(ErrorKind::Io, operation, format!("{}: {source}", detail.into())),
        }
    }

    pub(crate) fn invalid(operation: &'static str, detail: impl Into<String>) -> Error {
        let mut error = Error::new(ErrorKind::InvalidArgument, operation, detail);
        error.0.os_error = Some(libc::EINVAL);
        error
    }

    pub(crate) fn with_stage(mut self, stage: Stage) -> Error {
        self.0.stage = Some(stage);
        self
    }

    pub(crate) fn with_path(mut self, path: impl Into<PathBuf>) -> Error {
        self.0.path = Some(path.into());
        self
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Error {
        self.0.kind = kind;
        self
    }

    pub(crate) fn with_payload<T: Send + Sync + 'static>(mut self, payload: T) -> Error {
        self.0.payload = Some(Box::new(payload));
        self
    }

    pub(crate) fn payload<T: 'static>(&self) -> Option<&T> {
        self.0.payload.as_ref()?.downcast_ref()
    }

    pub(crate) fn take_payload<T: 'static>(&mut self) -> Option<T> {
        match self.0.payload.take()?.downcast::<T>() {
            Ok(value) => Some(*value),
            Err(other) => {
                self.0.payload = Some(other);
                None
            }
        }
    }

    /// The kind, to branch on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The name of the failed operation, such as `"spawn"`.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// What happened, with the argument and its value.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The errno value, where the system gave one.
    pub fn os_error(&self) -> Option<i32> {
        self.0.os_error
    }

    /// [`os_error`](Error::os_error) by the name that `std::io::Error` has for it.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.os_error()
    }

    /// The step of the spawn that failed.
    pub fn stage(&self) -> Option<Stage> {
        self.0.stage
    }

    /// The program, directory or file concerned.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.operation, self.0.detail)?;
        match self.0.os_error {
            Some(errno) if self.0.kind != ErrorKind::InvalidArgument => {
                write!(f, ": {}", std::io::Error::from_raw_os_error(errno))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("detail", &self.0.detail)
            .field("os_error", &self.0.os_error)
            .field("stage", &self.0.stage)
            .field("path", &self.0.path)
            .finish()
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    /// Keeps the errno's kind; the message is the full text of the error.
    fn from(error: Error) -> std::io::Error {
        let kind = match (error.kind(), error.os_error()) {
            (ErrorKind::Timeout, _) => std::io::ErrorKind::TimedOut,
            (ErrorKind::WouldBlock, _) => std::io::ErrorKind::WouldBlock,
            (ErrorKind::Closed, _) => std::io::ErrorKind::BrokenPipe,
            (_, Some(errno)) => std::io::Error::from_raw_os_error(errno).kind(),
            _ => std::io::ErrorKind::Other,
        };
        std::io::Error::new(kind, error)
    }
}
