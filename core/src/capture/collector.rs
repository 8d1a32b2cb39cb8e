//! One stream collected by whoever runs an event loop: no thread, no deadline of its own.

use super::bytes::Bytes;
use super::intake::Intake;
use super::sink::Sinks;
use crate::error::Result;
use crate::io::PipeReader;
use crate::spawn::{OutputLimit, Sink};

/// A pipe collected in memory step by step, by an event loop of the host's own; [`Capture`](crate::Capture) does it for a whole child.
///
/// # Drop
/// Closes the pipe; a child that still writes gets SIGPIPE.
///
/// ```
/// use procs::{Collector, Command, Deadline, OutputLimit, Stdio};
/// let mut child = Command::new("echo").arg("x").stdout(Stdio::piped()).spawn()?;
/// let mut stdout = Collector::new(child.stdout.take().unwrap(), OutputLimit::Unlimited)?;
/// while let Some(pipe) = stdout.pipe() {
///     pipe.wait_readable(Deadline::NEVER)?; // an event loop waits for many at once
///     stdout.read();
/// }
/// assert_eq!(stdout.finish()?, b"x\n");
/// child.wait()?;
/// # Ok::<(), procs::Error>(())
/// ```
pub struct Collector {
    intake: Intake,
}

impl Collector {
    /// Collects under this limit. [`OutputLimit::Error`] only notes that it was [exceeded](Collector::exceeded); the caller decides what follows.
    ///
    /// # Errors
    /// None today.
    pub fn new(pipe: PipeReader, limit: OutputLimit) -> Result<Collector> {
        Ok(Collector { intake: Intake::new(Some(pipe), Sinks::open(Sink::Buffer, limit)?) })
    }

    /// Reads one block, at most 256 KiB, and gives its size: 0 at the end of the stream or after a failure to read, which
    /// [`finish`](Collector::finish) reports. Blocks unless the pipe is ready. A pipe that is found full is enlarged.
    pub fn read(&mut self) -> usize {
        self.read_to(drop)
    }

    /// As [`read`](Collector::read), except that a pipe which has ended goes to `ended` instead of being closed: what waits for it, a
    /// [`ReadySet`](crate::ReadySet) perhaps, has to let go of it while it is open.
    pub fn read_to(&mut self, ended: impl FnOnce(PipeReader)) -> usize {
        let before = self.intake.total();
        self.intake.read_to(ended);
        usize::try_from(self.intake.total() - before).unwrap_or(usize::MAX)
    }

    /// The pipe to wait for; `None` once the stream has ended.
    pub fn pipe(&self) -> Option<&PipeReader> {
        self.intake.pipe()
    }

    /// Takes the pipe out, so that somebody else can read on; `None` once the stream has ended.
    pub fn take_pipe(&mut self) -> Option<PipeReader> {
        self.intake.take_pipe()
    }

    /// Whether [`OutputLimit::Error`] was exceeded.
    pub fn exceeded(&self) -> bool {
        self.intake.exceeded()
    }

    /// What is kept so far.
    pub fn bytes(&self) -> &[u8] {
        self.intake.bytes()
    }

    /// What was kept.
    ///
    /// # Errors
    /// `Io` when reading failed.
    pub fn finish(self) -> Result<Bytes> {
        let (bytes, report) = self.intake.finish();
        report.sink_error.map_or(Ok(bytes), Err)
    }
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("bytes", &self.bytes().len()).field("open", &self.pipe().is_some()).finish()
    }
}
