//! What can be asked of a child besides program, arguments and streams: every option is data.

use super::rare::{Rare, Standard};
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A limited resource. Source: setrlimit(2).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the RLIMIT_ constant of the same name")]
pub enum Resource {
    AddressSpace,
    Core,
    Cpu,
    Data,
    FileSize,
    Locks,
    MemLock,
    MsgQueue,
    Nice,
    NoFile,
    NProc,
    Rss,
    RtPrio,
    RtTime,
    SigPending,
    Stack,
}

/// Which signal state the child starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SignalPolicy {
    /// Empty mask, every disposition default. The default of Rust and C, and what libuv does.
    #[default]
    Default,
    /// Mask and ignored signals as in the host (for tools such as nohup).
    Inherit,
    /// As the host, but SIGPIPE, SIGXFZ and SIGXFSZ back to default. Source: `restore_signals` of subprocess.
    RestorePython,
}

/// How a process tree is ended, from weakest to strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TreeLevel {
    /// The child alone.
    Process,
    /// The child's own process group.
    Group,
    /// The group, and every descendant found in /proc.
    Walk,
    /// A cgroup v2 of its own, killed by the kernel.
    Cgroup,
}

impl TreeLevel {
    /// Every level, weakest first.
    pub const ALL: &'static [TreeLevel] = &[TreeLevel::Process, TreeLevel::Group, TreeLevel::Walk, TreeLevel::Cgroup];

    /// The stable name, the same in all languages.
    pub const fn name(self) -> &'static str {
        match self {
            TreeLevel::Process => "process",
            TreeLevel::Group => "group",
            TreeLevel::Walk => "walk",
            TreeLevel::Cgroup => "cgroup",
        }
    }
}

/// How much captured output is kept in memory, and what happens beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputLimit {
    /// Keeps everything.
    Unlimited,
    /// Keeps this many bytes; one more stops the child, and the result says so (`limit_exceeded`).
    Error(u64),
    /// Keeps the first bytes and discards the rest while the child runs on.
    Head(u64),
    /// Keeps the last bytes while the child runs on. Uses up to twice as much memory meanwhile.
    Tail(u64),
    /// Keeps this many bytes in memory and writes *all* of the output to an unlinked temporary file once there is more.
    Spill(u64),
}

impl OutputLimit {
    /// The default of `output()`: 64 MiB, then an error.
    pub const DEFAULT: OutputLimit = OutputLimit::Error(64 << 20);
}

/// A function that is given each chunk of output as it arrives.
pub type OutputCallback = Box<dyn FnMut(&[u8]) + Send>;

/// Reads once from the stream, or declines with `None` and is given the bytes instead.
#[doc(hidden)]
pub type DirectRead = Box<dyn FnMut(BorrowedFd<'_>) -> Option<std::io::Result<usize>> + Send>;

/// Where the output that libprocs reads from a child goes.
pub enum Sink {
    /// Into the result, up to the stream's [`OutputLimit`]. The default.
    Buffer,
    /// Nowhere.
    Discard,
    /// To a descriptor, written by the draining thread.
    Fd(OwnedFd),
    /// To a file, created or truncated.
    File(PathBuf),
    /// To the end of a file, created if missing.
    Append(PathBuf),
    /// To a function, called on the thread that drains, never under a lock of the library.
    Callback(OutputCallback),
    /// To each of several sinks, in order.
    Tee(Vec<Sink>),
    /// As `Callback`, for a binding whose runtime keeps the output: before each read the second function may read for itself.
    #[doc(hidden)]
    Direct(OutputCallback, DirectRead),
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sink::Buffer => f.write_str("Buffer"),
            Sink::Discard => f.write_str("Discard"),
            Sink::Fd(fd) => f.debug_tuple("Fd").field(fd).finish(),
            Sink::File(path) => f.debug_tuple("File").field(path).finish(),
            Sink::Append(path) => f.debug_tuple("Append").field(path).finish(),
            Sink::Callback(_) | Sink::Direct(..) => f.write_str("Callback(..)"),
            Sink::Tee(sinks) => f.debug_tuple("Tee").field(sinks).finish(),
        }
    }
}

/// A function that fills the buffer with the next input bytes and returns how many; 0 ends the input.
pub type InputCallback = Box<dyn FnMut(&mut [u8]) -> std::io::Result<usize> + Send>;

/// What is fed to a child's standard input.
pub enum Input {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Bytes that are kept elsewhere and lent, the same at every look: they are not copied. Let go of when all is written or nobody reads any more.
    Lent(Box<dyn AsRef<[u8]> + Send>),
    /// What a function supplies, called on the draining thread when the child can take more. Its error ends the input, and is the run's once
    /// the child has ended.
    Callback(InputCallback),
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Input::Lent(bytes) => write!(f, "Lent({} bytes)", (**bytes).as_ref().len()),
            Input::Callback(_) => f.write_str("Callback(..)"),
        }
    }
}

impl From<Vec<u8>> for Input {
    fn from(bytes: Vec<u8>) -> Input {
        Input::Bytes(bytes)
    }
}

impl From<&[u8]> for Input {
    /// Copies them, because the command outlives the borrow. Without a copy: a `Vec<u8>`, an `Arc<[u8]>`, [`Bytes`](crate::Bytes) or [`Input::Lent`].
    fn from(bytes: &[u8]) -> Input {
        Input::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Input {
    fn from(bytes: &[u8; N]) -> Input {
        Input::Bytes(bytes.to_vec())
    }
}

impl From<Arc<[u8]>> for Input {
    /// Lends them.
    fn from(bytes: Arc<[u8]>) -> Input {
        Input::Lent(Box::new(bytes))
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Input {
        Input::Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Input {
    fn from(text: String) -> Input {
        Input::Bytes(text.into_bytes())
    }
}

/// How a run is bounded and what is kept of it; used by `output()` and everything built on it.
#[derive(Debug)]
pub struct RunOptions {
    /// Time allowed for spawn, run, descendants and the draining of their pipes. Default: none.
    pub timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL when a run is stopped. Default: zero, SIGKILL at once.
    pub grace: Duration,
    /// The signal that asks for the end when `grace` is not zero. Default: SIGTERM.
    pub stop_signal: i32,
    /// How long output is still read after a kill although somebody holds the pipe. Default: 100 ms.
    pub drain_grace: Duration,
    /// How long output is still read after a normal exit although somebody holds the pipe. Default: `None`, until end of file.
    pub drain_after_exit: Option<Duration>,
    /// Whether stopping the run stops all descendants. Default: false.
    pub kill_tree: bool,
    /// What is fed to standard input. Default: nothing.
    pub input: Option<Input>,
    /// Limit of captured standard output. Default: 64 MiB, then an error.
    pub stdout_limit: OutputLimit,
    /// Limit of captured standard error. Default: 64 MiB, then an error.
    pub stderr_limit: OutputLimit,
    /// Where standard output goes. Default: into the result.
    pub stdout_sink: Sink,
    /// Where standard error goes. Default: into the result.
    pub stderr_sink: Sink,
    /// Stops the run from another thread.
    pub cancel: Option<super::CancelHandle>,
    /// Whether anything but exit code 0 is an error. Default: false.
    pub check: bool,
}

impl Standard for RunOptions {
    const STANDARD: RunOptions = RunOptions {
        timeout: None,
        grace: Duration::ZERO,
        stop_signal: libc::SIGTERM,
        drain_grace: Duration::from_millis(100),
        drain_after_exit: None,
        kill_tree: false,
        input: None,
        stdout_limit: OutputLimit::DEFAULT,
        stderr_limit: OutputLimit::DEFAULT,
        stdout_sink: Sink::Buffer,
        stderr_sink: Sink::Buffer,
        cancel: None,
        check: false,
    };
    const STANDARD_REF: &'static RunOptions = &RunOptions::STANDARD;
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions::STANDARD
    }
}

impl RunOptions {
    /// How a run is stopped: the stop signal first when there is a grace, then SIGKILL.
    pub(crate) fn ladder(&self) -> super::Stop {
        let mut stop = super::Stop::new();
        if !self.grace.is_zero() {
            stop = stop.step(super::StopAction::Signal(self.stop_signal), self.grace);
        }
        stop.step(super::StopAction::Kill, Duration::from_secs(10)).tree(self.kill_tree)
    }
}

impl Rare<RunOptions> {
    /// The options for one run; see [`RunOptions::take`].
    pub(crate) fn take(&mut self) -> Rare<RunOptions> {
        self.touched_mut().map_or(Rare::new(), |options| options.take().into())
    }
}

impl RunOptions {
    /// The options for one run. What can be used only once (input, descriptors, functions) is taken; the rest stays for the next run.
    pub(crate) fn take(&mut self) -> RunOptions {
        RunOptions {
            input: self.input.take(),
            stdout_sink: self.stdout_sink.take(),
            stderr_sink: self.stderr_sink.take(),
            cancel: self.cancel.clone(),
            ..*self
        }
    }
}

impl Sink {
    /// The sink for one run; one that can be used only once leaves a buffer behind.
    fn take(&mut self) -> Sink {
        match self {
            Sink::Buffer => Sink::Buffer,
            Sink::Discard => Sink::Discard,
            Sink::File(path) => Sink::File(path.clone()),
            Sink::Append(path) => Sink::Append(path.clone()),
            Sink::Tee(sinks) => Sink::Tee(sinks.iter_mut().map(Sink::take).collect()),
            Sink::Fd(_) | Sink::Callback(_) | Sink::Direct(..) => std::mem::replace(self, Sink::Buffer),
        }
    }
}
