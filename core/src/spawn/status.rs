//! How a child ended and what it used.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, SystemTime};

/// How a process ended.
///
/// *Unknown* is a value of its own: when the host ignores `SIGCHLD`, or a stranger reaped the child and the kernel no longer tells,
/// nothing is invented and nothing hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// It called exit with this code, 0 to 255.
    Exited(i32),
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
    /// Somebody else took the status and the kernel does not keep it.
    Unknown,
}

impl Default for ExitStatus {
    /// Exit code 0.
    fn default() -> ExitStatus {
        ExitStatus::Exited(0)
    }
}

impl ExitStatus {
    /// Decodes what waitid reports. Source: waitid(2).
    pub(crate) fn from_waitid(code: i32, status: i32) -> ExitStatus {
        match code {
            libc::CLD_EXITED => ExitStatus::Exited(status),
            libc::CLD_KILLED => ExitStatus::Signaled { signal: status, core_dumped: false },
            libc::CLD_DUMPED => ExitStatus::Signaled { signal: status, core_dumped: true },
            _ => ExitStatus::Unknown,
        }
    }

    /// Decodes a wait status, as wait(2) gives it. What is none of a process that has ended (a stopped one's) is unknown.
    ///
    /// ```
    /// assert_eq!(procs::ExitStatus::from_raw(3 << 8).code(), Some(3));
    /// ```
    pub fn from_raw(status: i32) -> ExitStatus {
        if libc::WIFEXITED(status) {
            ExitStatus::Exited(libc::WEXITSTATUS(status))
        } else if libc::WIFSIGNALED(status) {
            ExitStatus::Signaled { signal: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) }
        } else {
            ExitStatus::Unknown
        }
    }

    /// Whether it exited with code 0.
    pub fn success(self) -> bool {
        self == ExitStatus::Exited(0)
    }

    /// The exit code, unless a signal ended it or it is unknown.
    pub fn code(self) -> Option<i32> {
        match self {
            ExitStatus::Exited(code) => Some(code),
            _ => None,
        }
    }

    /// The signal that ended it.
    pub fn signal(self) -> Option<i32> {
        match self {
            ExitStatus::Signaled { signal, .. } => Some(signal),
            _ => None,
        }
    }

    /// Whether a core was dumped.
    pub fn core_dumped(self) -> bool {
        matches!(self, ExitStatus::Signaled { core_dumped: true, .. })
    }

    /// The code a shell would show: the exit code, or 128 plus the signal. `None` when unknown.
    pub fn shell_code(self) -> Option<i32> {
        match self {
            ExitStatus::Exited(code) => Some(code),
            ExitStatus::Signaled { signal, .. } => Some(128 + signal),
            ExitStatus::Unknown => None,
        }
    }
}

impl From<std::process::ExitStatus> for ExitStatus {
    fn from(status: std::process::ExitStatus) -> ExitStatus {
        ExitStatus::from_raw(status.into_raw())
    }
}

impl TryFrom<ExitStatus> for std::process::ExitStatus {
    type Error = Error;

    /// For libraries that take the standard library's; an unknown status has none.
    fn try_from(status: ExitStatus) -> Result<std::process::ExitStatus> {
        let raw = match status {
            ExitStatus::Exited(code) => (code & 0xff) << 8,
            ExitStatus::Signaled { signal, core_dumped } => signal & 0x7f | if core_dumped { 0x80 } else { 0 },
            ExitStatus::Unknown => return Err(Error::new(ErrorKind::InvalidState, "status", "the standard library has no unknown status")),
        };
        Ok(std::process::ExitStatus::from_raw(raw))
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Exited(code) => write!(f, "exit code {code}"),
            ExitStatus::Signaled { signal, core_dumped } => {
                write!(f, "signal {signal}")?;
                if let Some(name) = signal_name(*signal) {
                    write!(f, " ({name})")?;
                }
                if *core_dumped { f.write_str(", core dumped") } else { Ok(()) }
            }
            ExitStatus::Unknown => f.write_str("unknown status"),
        }
    }
}

/// The name of a signal such as `"SIGTERM"`; real-time signals have none.
pub fn signal_name(signal: i32) -> Option<&'static str> {
    nix::sys::signal::Signal::try_from(signal).ok().map(|signal| signal.as_str())
}

/// The number of a signal named with or without `SIG`, such as `"SIGTERM"` or `"TERM"`.
pub fn signal_number(name: &str) -> Option<i32> {
    let full = if name.starts_with("SIG") { name.to_owned() } else { format!("SIG{name}") };
    full.parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
}

/// What a finished child used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode, of the child and the children it waited for.
    pub user_time: Duration,
    /// CPU time in the kernel, of the child and the children it waited for.
    pub system_time: Duration,
    /// Largest resident set, in bytes. The kernel counts the moment between start and exec, when the child still has the host's memory:
    /// never less than the host's own. Source: getrusage(2), exec of the kernel.
    pub max_rss_bytes: u64,
}

/// The full record of a child's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How it ended.
    pub status: ExitStatus,
    /// What it used; `None` when somebody else reaped it.
    pub usage: Option<Usage>,
    /// When it was started.
    pub started: SystemTime,
    /// Time from the start until its end was seen, on the monotonic clock.
    pub wall_time: Duration,
}
