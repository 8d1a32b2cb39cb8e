//! Running one child to its end with its output captured.

use super::chunks::Chunks;
use super::drain::Drain;
use super::future::OutputFuture;
use super::lines::Lines;
use super::output::Output;
use super::start::{self, Prepared};
use super::stream::{ChunkStream, LineStream};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::io::PipeReader;
use crate::spawn::{CancelHandle, Child, ChildHandle, Command, RunOptions, Stop, StopReport};
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

impl Command {
    /// Runs the command to its end and gives what it wrote. Standard input is /dev/null (or the [`input`](Command::input)), standard output
    /// and standard error are captured, unless the command says otherwise.
    ///
    /// The result is `Ok` whatever the status; flags say when the timeout, the cancel handle or an output limit stopped it, with all that
    /// was captured until then. With [`check`](Command::check) these are errors that carry the output.
    ///
    /// When the run is stopped the child (with `kill_tree`, its tree) gets SIGTERM and the `grace`, then SIGKILL; its output is drained
    /// meanwhile and for at most `drain_grace` afterwards. After a normal exit output is read to its end, which a grandchild can delay
    /// until the timeout or `drain_after_exit`. A child that SIGKILL does not end (hung disk) is given up after 2 s.
    ///
    /// # Errors
    /// As [`Command::spawn`]; `Cancelled` before the start; `NotFound`, `PermissionDenied` for the file of a sink; `Io` when the input
    /// function fails (the error carries the output); with `check`, as [`Output::check`].
    ///
    /// ```
    /// use procs::Command;
    /// let output = Command::new("tr").args(["a-z", "A-Z"]).input("hello").output()?;
    /// assert!(output.success());
    /// assert_eq!(output.stdout, b"HELLO");
    /// # Ok::<(), procs::Error>(())
    /// ```
    pub fn output(&mut self) -> Result<Output> {
        start::start(self)?.finish()
    }

    /// As [`Command::output`], as a future that any executor can poll. Nothing happens before its first poll; then a thread of the library
    /// starts the child, so that a slow exec blocks nobody.
    pub fn output_async(&mut self) -> OutputFuture {
        OutputFuture::new(self)
    }
}

impl Child {
    /// Captures what this child writes to its pipes, with these options; its standard input is fed or closed. The timeout counts from now.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied` when a sink's file cannot be opened; `InvalidState` when there is input but its standard input is not a
    /// pipe or was taken. The child is killed then.
    pub fn capture(self, options: RunOptions) -> Result<Capture> {
        let tree = options.kill_tree;
        let prepared = if options.input.is_some() && self.stdin.is_none() {
            Err(Error::new(ErrorKind::InvalidState, "capture", "there is input, but standard input is not a pipe or was taken before"))
        } else {
            Prepared::new(options)
        };
        match prepared {
            Ok(prepared) => prepared.attach(self),
            Err(error) => {
                // Nobody would read its pipes any more.
                let _ = if tree { self.kill_tree().map(drop) } else { self.kill() };
                Err(error)
            }
        }
    }

    /// Captures what this child writes to its pipes, to its end, by the options of its command.
    ///
    /// # Errors
    /// As [`Command::output`] once the child is started.
    pub fn wait_with_output(mut self) -> Result<Output> {
        let options = self.take_run_options();
        self.capture(options)?.finish()
    }

    /// The lines of standard output.
    ///
    /// # Errors
    /// `InvalidState` when standard output is not a pipe or was taken.
    pub fn lines(&mut self) -> Result<Lines> {
        self.take_stdout("lines").map(Lines::of_pipe)
    }

    /// The blocks of standard output.
    ///
    /// # Errors
    /// `InvalidState` when standard output is not a pipe or was taken.
    pub fn chunks(&mut self) -> Result<Chunks> {
        self.take_stdout("chunks").map(Chunks::of_pipe)
    }

    /// The lines of standard output, for async code.
    ///
    /// # Errors
    /// `InvalidState` when standard output is not a pipe or was taken.
    pub fn line_stream(&mut self) -> Result<LineStream> {
        self.take_stdout("line_stream").map(LineStream::new)
    }

    /// The blocks of standard output, for async code.
    ///
    /// # Errors
    /// `InvalidState` when standard output is not a pipe or was taken.
    pub fn chunk_stream(&mut self) -> Result<ChunkStream> {
        self.take_stdout("chunk_stream").map(ChunkStream::new)
    }

    fn take_stdout(&mut self, operation: &'static str) -> Result<PipeReader> {
        let missing = || Error::new(ErrorKind::InvalidState, operation, "standard output is not a pipe or was taken before");
        self.stdout.take().ok_or_else(missing)
    }
}

/// One child being captured: can be run for a while, looked at, and run on.
///
/// # Drop
/// Before the child has ended, kills it (with `kill_tree`, its tree), because nobody is left to read its output; [`Capture::release`] does not.
///
/// ```
/// use procs::{Command, Deadline, RunOptions, Stdio};
/// use std::time::Duration;
/// let child = Command::shell("echo first; read line; echo $line").stdout(Stdio::piped()).stdin(Stdio::piped()).spawn()?;
/// let mut capture = child.capture(RunOptions { input: Some("second".into()), ..RunOptions::default() })?;
/// while !capture.run(Deadline::after(Duration::from_millis(20)))? {}
/// assert_eq!(capture.finish()?.stdout, b"first\nsecond\n");
/// # Ok::<(), procs::Error>(())
/// ```
pub struct Capture {
    /// Before the child: dropping it kills what has not ended, through the handle that the child shares.
    drain: Drain,
    child: Child,
    started: Instant,
    check: bool,
}

impl Capture {
    pub(super) fn new(child: Child, drain: Drain, started: Instant, check: bool) -> Capture {
        Capture { drain, child, started, check }
    }

    /// The child's handle, to signal it or to wait for its end alone.
    pub fn handle(&self) -> &ChildHandle {
        self.drain.handle(0)
    }

    /// Runs until the child has ended and its streams are closed (true), or until `deadline` (false). After false nothing is lost: call
    /// again. This deadline does not stop the child; [`RunOptions::timeout`] does.
    ///
    /// # Errors
    /// The system's failure to wait; a failing input function is reported by [`finish`](Capture::finish).
    pub fn run(&mut self, deadline: Deadline) -> Result<bool> {
        self.drain.run(deadline)
    }

    /// As [`Capture::run`], for futures: never blocks; the task is woken when there is more to do.
    ///
    /// # Errors
    /// As [`Capture::run`].
    pub fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.drain.poll_run(cx)
    }

    /// Standard output as far as captured.
    pub fn stdout(&self) -> &[u8] {
        self.drain.bytes(0)
    }

    /// Standard error as far as captured.
    pub fn stderr(&self) -> &[u8] {
        self.drain.bytes(1)
    }

    /// Stops the child by a ladder, draining its output meanwhile, so that a child that still writes can obey.
    ///
    /// # Errors
    /// The system's failure to signal or to wait.
    pub fn stop(&mut self, how: &Stop) -> Result<StopReport> {
        let reports = self.drain.stop(how)?;
        reports.into_iter().next().ok_or_else(|| Error::new(ErrorKind::InvalidState, "stop", "no child"))
    }

    /// Runs to the end and gives the result.
    ///
    /// # Errors
    /// As [`Command::output`] once the child is started.
    pub fn finish(mut self) -> Result<Output> {
        self.run(Deadline::NEVER)?;
        self.into_output()
    }

    /// Gives up: closes the streams and lets the child run on, as if it had been dropped as a [`Child`].
    ///
    /// ```
    /// use procs::{Command, RunOptions, Stdio};
    /// use std::time::Duration;
    /// let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    /// let handle = child.handle().clone();
    /// child.capture(RunOptions::default())?.release();
    /// let status = handle.wait_timeout(Duration::from_secs(60))?;
    /// assert!(status.is_some_and(|status| status.success()), "it was not killed: {status:?}");
    /// # Ok::<(), procs::Error>(())
    /// ```
    pub fn release(mut self) {
        self.drain.release();
    }

    /// Lets this handle stop the run as well.
    pub(super) fn also_cancelled_by(&mut self, cancel: &CancelHandle) {
        self.drain.add_cancel(cancel.clone());
    }

    /// The result of a finished run.
    pub(super) fn into_output(mut self) -> Result<Output> {
        let end = self.drain.end_of(0)?;
        let stopped = self.drain.take_report();
        let input_error = self.drain.input_error.take();
        let mut streams = self.drain.take_intakes().into_iter().map(super::intake::Intake::finish);
        let (stdout, stdout_report) = streams.next().unwrap_or_default();
        let (stderr, stderr_report) = streams.next().unwrap_or_default();
        let wall_time = end.ended.saturating_duration_since(self.started);
        let exit = self.handle().exit();
        let output = Output {
            pid: self.child.id(),
            status: end.status,
            stdout,
            stderr,
            stdout_report,
            stderr_report,
            usage: exit.and_then(|exit| exit.usage),
            started: exit.map_or_else(|| started_before(self.started), |exit| exit.started),
            wall_time,
            timed_out: self.drain.timed_out,
            cancelled: self.drain.cancelled,
            pipes_left_open: self.drain.pipes_left_open,
            stopped,
            spawn_retries: self.child.spawn_retries(),
        };
        match input_error {
            Some(error) => Err(error.with_payload(output)),
            None if self.check => output.check(),
            None => Ok(output),
        }
    }
}

/// The wall clock's time of a start on the monotonic clock, for a child that was never reaped.
fn started_before(started: Instant) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(started.elapsed()).unwrap_or(now)
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture")
            .field("pid", &self.child.id())
            .field("stdout_bytes", &self.stdout().len())
            .field("stderr_bytes", &self.stderr().len())
            .finish_non_exhaustive()
    }
}
