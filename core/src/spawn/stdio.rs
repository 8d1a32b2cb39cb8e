//! Where each stream of a child goes.

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

/// Where one descriptor of a child comes from or leads to.
#[derive(Debug)]
pub struct Stdio(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Inherit,
    Null,
    Pipe,
    Fd(OwnedFd),
    /// A descriptor of the host that the caller keeps open until the spawn returns.
    Borrowed(RawFd),
    /// A file opened by the library when the child starts.
    Open {
        path: PathBuf,
        flags: i32,
        mode: u32,
    },
    /// The same description as another descriptor of this child (order of output is kept).
    Same(RawFd),
    /// Given by value and used up by an earlier start.
    Used,
}

impl Kind {
    /// The same choice for one start; a descriptor given by value is moved instead.
    pub(crate) fn copy(&self) -> Kind {
        match self {
            Kind::Inherit => Kind::Inherit,
            Kind::Null => Kind::Null,
            Kind::Pipe => Kind::Pipe,
            Kind::Borrowed(fd) => Kind::Borrowed(*fd),
            Kind::Open { path, flags, mode } => Kind::Open { path: path.clone(), flags: *flags, mode: *mode },
            Kind::Same(fd) => Kind::Same(*fd),
            Kind::Fd(_) | Kind::Used => Kind::Used,
        }
    }
}

/// What was said about the child's descriptors, ascending by number.
#[derive(Debug, Default)]
pub(crate) struct StdioMap(Vec<(RawFd, Stdio)>);

impl StdioMap {
    /// Sets it, instead of what was said before.
    pub(crate) fn insert(&mut self, child_fd: RawFd, stdio: Stdio) {
        match self.0.binary_search_by_key(&child_fd, |entry| entry.0) {
            Ok(index) => self.0[index].1 = stdio,
            Err(index) => self.0.insert(index, (child_fd, stdio)),
        }
    }

    /// Forgets what was said.
    pub(crate) fn remove(&mut self, child_fd: RawFd) {
        self.0.retain(|entry| entry.0 != child_fd);
    }

    pub(crate) fn get(&self, child_fd: RawFd) -> Option<&Stdio> {
        self.0.iter().find(|entry| entry.0 == child_fd).map(|entry| &entry.1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(RawFd, Stdio)> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut (RawFd, Stdio)> {
        self.0.iter_mut()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same for one start; descriptors given by value move over.
    pub(crate) fn take(&mut self) -> StdioMap {
        StdioMap(self.0.iter_mut().map(|(child_fd, stdio)| (*child_fd, stdio.take())).collect())
    }
}

impl Stdio {
    /// The host's descriptor of the same number; for 0 to 2 /dev/null when the host has closed it or made it close-on-exec.
    pub fn inherit() -> Stdio {
        Stdio(Kind::Inherit)
    }

    /// /dev/null.
    pub fn null() -> Stdio {
        Stdio(Kind::Null)
    }

    /// A new pipe for 0 to 2; a new duplex socket pair from 3 up, as in Node.
    pub fn piped() -> Stdio {
        Stdio(Kind::Pipe)
    }

    /// This descriptor; it is closed in the host after the spawn.
    pub fn fd(fd: impl Into<OwnedFd>) -> Stdio {
        Stdio(Kind::Fd(fd.into()))
    }

    /// A descriptor of the host by number, which stays open in the host. It is checked when the child starts.
    pub fn borrowed(fd: RawFd) -> Stdio {
        Stdio(Kind::Borrowed(fd))
    }

    /// A file read from its start.
    pub fn read_file(path: impl Into<PathBuf>) -> Stdio {
        Stdio(Kind::Open { path: path.into(), flags: libc::O_RDONLY, mode: 0 })
    }

    /// A file created or truncated (mode 0666 less the umask).
    pub fn write_file(path: impl Into<PathBuf>) -> Stdio {
        Stdio(Kind::Open { path: path.into(), flags: libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, mode: 0o666 })
    }

    /// A file created if missing and appended to (mode 0666 less the umask).
    pub fn append_file(path: impl Into<PathBuf>) -> Stdio {
        Stdio(Kind::Open { path: path.into(), flags: libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND, mode: 0o666 })
    }

    /// The same description as another descriptor of this child, usually 1 for stderr: both write to one place in true order.
    pub fn same_as(child_fd: RawFd) -> Stdio {
        Stdio(Kind::Same(child_fd))
    }

    /// The same for several children; a descriptor given by value is duplicated.
    pub(crate) fn duplicate(&self) -> std::io::Result<Stdio> {
        match &self.0 {
            Kind::Fd(fd) => fd.try_clone().map(|copy| Stdio(Kind::Fd(copy))),
            other => Ok(Stdio(other.copy())),
        }
    }

    /// The same for one start; a descriptor given by value moves over.
    pub(crate) fn take(&mut self) -> Stdio {
        let copy = self.0.copy();
        Stdio(if matches!(self.0, Kind::Fd(_)) { std::mem::replace(&mut self.0, copy) } else { copy })
    }

    /// Whether it is used up by a start.
    pub(crate) fn is_once(&self) -> bool {
        matches!(self.0, Kind::Fd(_))
    }

    pub(crate) fn is_pipe(&self) -> bool {
        matches!(self.0, Kind::Pipe)
    }
}

impl From<OwnedFd> for Stdio {
    fn from(fd: OwnedFd) -> Stdio {
        Stdio::fd(fd)
    }
}

crate::sys::fd::from_raw_fd!(Stdio);

impl From<File> for Stdio {
    fn from(file: File) -> Stdio {
        Stdio::fd(file)
    }
}

impl From<BorrowedFd<'_>> for Stdio {
    fn from(fd: BorrowedFd<'_>) -> Stdio {
        use std::os::fd::AsRawFd;
        Stdio::borrowed(fd.as_raw_fd())
    }
}

impl From<std::io::Stdout> for Stdio {
    /// The host's own standard output, whatever else the child gets as its own. As in the standard library.
    fn from(_: std::io::Stdout) -> Stdio {
        Stdio::borrowed(1)
    }
}

impl From<std::io::Stderr> for Stdio {
    /// The host's own standard error.
    fn from(_: std::io::Stderr) -> Stdio {
        Stdio::borrowed(2)
    }
}

/// Ends of pipes that the standard library made.
macro_rules! from_std {
    ($($end:ty),+) => {$(
        impl From<$end> for Stdio {
            fn from(end: $end) -> Stdio {
                Stdio::fd(OwnedFd::from(end))
            }
        }
    )+};
}

from_std!(std::io::PipeReader, std::io::PipeWriter, std::process::ChildStdin, std::process::ChildStdout, std::process::ChildStderr);

impl From<crate::io::PipeReader> for Stdio {
    fn from(reader: crate::io::PipeReader) -> Stdio {
        Stdio::fd(OwnedFd::from(reader))
    }
}

impl From<crate::io::PipeWriter> for Stdio {
    fn from(writer: crate::io::PipeWriter) -> Stdio {
        Stdio::fd(OwnedFd::from(writer))
    }
}
