//! Pipelines: children joined by pipes of the system, started, stopped and judged together.

use super::drain::{Drain, Rules};
use super::feed::Feeder;
use super::intake::Intake;
use super::sink::Sinks;
use super::stages::PipelineOutput;
use super::start::refuse_cancelled;
use crate::deadline::Deadline;
use crate::error::{Error, Result, Stage};
use crate::io::transfer;
use crate::io::{PipeReader, PipeWriter};
use crate::spawn::{
    CancelHandle, Child, ChildHandle, Command, ExitStatus, Input, OutputLimit, RunOptions, Sink, Stdio, Stop, StopAction, StopReport,
};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a half-built pipeline is given to die before it is left to the background.
const REAP_PATIENCE: Duration = Duration::from_secs(2);

/// Several commands, each reading what the one before it writes. The bytes go through pipes of the system, not through the host.
///
/// ```
/// use procs::{Command, Pipeline};
/// let mut sort = Command::new("sort");
/// sort.arg("-u");
/// let mut pipeline = Pipeline::new([sort, Command::new("wc")]);
/// let output = pipeline.input("b\na\nb\n").output()?;
/// assert!(output.success());
/// assert_eq!(output.stdout.split(|byte| *byte == b' ').find(|word| !word.is_empty()), Some(&b"2"[..]));
/// # Ok::<(), procs::Error>(())
/// ```
#[derive(Debug)]
pub struct Pipeline {
    stages: Vec<Command>,
    run: RunOptions,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
}

impl Pipeline {
    /// These commands, joined. Options that the commands set for themselves hold, but the timeout, grace, limits, input and cancel handle
    /// are the pipeline's.
    pub fn new(commands: impl IntoIterator<Item = Command>) -> Pipeline {
        Pipeline { stages: commands.into_iter().collect(), run: RunOptions::default(), stdin: None, stdout: None, stderr: None }
    }

    /// Appends a command.
    pub fn then(&mut self, command: Command) -> &mut Pipeline {
        self.stages.push(command);
        self
    }

    /// Standard input of the first stage. Default: inherited for `spawn`, /dev/null (or the input) for `output`.
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Pipeline {
        self.stdin = Some(stdio.into());
        self
    }

    /// Standard output of the last stage. Default: inherited for `spawn`, captured for `output`.
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Pipeline {
        self.stdout = Some(stdio.into());
        self
    }

    /// Standard error of every stage that sets none itself. Default: inherited for `spawn`, captured for each stage for `output`.
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Pipeline {
        self.stderr = Some(stdio.into());
        self
    }

    /// Feeds this to the first stage. Used up by the first `output`.
    pub fn input(&mut self, input: impl Into<Input>) -> &mut Pipeline {
        self.run.input = Some(input.into());
        self
    }

    /// Time allowed for the whole run of `output`. Default: none.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Pipeline {
        self.run.timeout = Some(timeout);
        self
    }

    /// Time between SIGTERM and SIGKILL when the run is stopped. Default: zero, SIGKILL at once.
    pub fn grace(&mut self, grace: Duration) -> &mut Pipeline {
        self.run.grace = grace;
        self
    }

    /// Whether stopping stops the descendants of every stage. Default: false.
    pub fn kill_tree(&mut self, tree: bool) -> &mut Pipeline {
        self.run.kill_tree = tree;
        self
    }

    /// Limit of the captured standard output, and of each stage's captured standard error. Default: 64 MiB, then an error.
    pub fn max_output(&mut self, limit: OutputLimit) -> &mut Pipeline {
        self.run.stdout_limit = limit;
        self.run.stderr_limit = limit;
        self
    }

    /// Where the captured standard output of the last stage goes. Default: into the result.
    pub fn stdout_sink(&mut self, sink: Sink) -> &mut Pipeline {
        self.run.stdout_sink = sink;
        self
    }

    /// Lets another thread stop the run.
    pub fn cancel(&mut self, handle: &CancelHandle) -> &mut Pipeline {
        self.run.cancel = Some(handle.clone());
        self
    }

    /// Makes anything but a success of every stage an error that carries the output. Default: false.
    pub fn check(&mut self, check: bool) -> &mut Pipeline {
        self.run.check = check;
        self
    }

    /// Starts every stage. If one fails to start, those before it are killed and reaped.
    ///
    /// # Errors
    /// As [`Command::spawn`], naming the stage; `InvalidArgument` without stages, or when a stage in the middle names its standard input or
    /// output, which the pipeline joins.
    pub fn spawn(&mut self) -> Result<PipelineChild> {
        let mut children = self.start([Stdio::inherit(), Stdio::inherit(), Stdio::inherit()], Deadline::from_timeout(self.run.timeout))?;
        let stdin = children.first_mut().and_then(|child| child.stdin.take());
        let stdout = children.last_mut().and_then(|child| child.stdout.take());
        Ok(PipelineChild { stdin, stdout, children })
    }

    /// Runs the pipeline to its end. As [`Command::output`], for all stages together: timeout, cancel handle and limits stop all of them.
    ///
    /// # Errors
    /// As [`Pipeline::spawn`]; `Cancelled` before the start; with `check`, as [`PipelineOutput::check`].
    pub fn output(&mut self) -> Result<PipelineOutput> {
        refuse_cancelled(&self.run)?;
        let names_stdin = self.stdin.as_ref().or(self.stages.first().and_then(|stage| stage.stdio.get(0)));
        if self.run.input.is_some() && names_stdin.is_some_and(|stdio| !stdio.is_pipe()) {
            return Err(Error::invalid("pipeline", "standard input is given twice (input and stdin, expected one of them)"));
        }
        let started = Instant::now();
        let mut options = self.run.take();
        let deadline = Deadline::from_timeout(options.timeout);
        let stdout_sinks = Sinks::open(std::mem::replace(&mut options.stdout_sink, Sink::Buffer), options.stdout_limit)?;
        let stdin = if options.input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut children = self.start([stdin, Stdio::piped(), Stdio::piped()], deadline)?;

        let stdout = children.last_mut().and_then(|child| child.stdout.take());
        let mut intakes = vec![Intake::new(stdout, stdout_sinks)];
        for child in &mut children {
            intakes.push(Intake::new(child.stderr.take(), Sinks::open(Sink::Buffer, options.stderr_limit)?));
        }
        let handles = children.iter().map(|child| child.handle().clone()).collect();
        let cancels = options.cancel.take().into_iter().collect();
        let mut drain = Drain::new(handles, intakes, cancels, Rules::new(&options, deadline));
        let stdin = children.first_mut().and_then(|child| child.stdin.take());
        if let (Some(pipe), Some(input)) = (stdin, options.input.take()) {
            drain.feed(Feeder::new(pipe, input)?);
        }
        drain.run(Deadline::NEVER)?;
        let output = PipelineOutput::of(drain, started)?;
        if options.check { output.check() } else { Ok(output) }
    }

    fn start(&mut self, ends: [Stdio; 3], deadline: Deadline) -> Result<Vec<Child>> {
        self.refuse_bad_stages()?;
        let [stdin, stdout, stderr] = ends;
        let stdin = self.stdin.as_mut().map_or(stdin, Stdio::take);
        let stdout = self.stdout.as_mut().map_or(stdout, Stdio::take);
        let stderr = self.stderr.as_mut().map_or(stderr, Stdio::take);
        let count = self.stages.len();
        let (mut next_stdin, mut last_stdout) = (Some(stdin), Some(stdout));
        let mut built = HalfBuilt(Vec::with_capacity(count));
        for (index, command) in self.stages.iter_mut().enumerate() {
            let tree = command.run.get_mut().kill_tree || self.run.kill_tree;
            command.kill_tree(tree);
            let input = next_stdin.take().unwrap_or_else(Stdio::null);
            let output = if index + 1 == count {
                last_stdout.take().unwrap_or_else(Stdio::inherit)
            } else {
                let (read, write) = joint().map_err(|error| in_stage(&error, index + 1, count, command))?;
                next_stdin = Some(Stdio::fd(read));
                Stdio::fd(write)
            };
            let errors = stderr.duplicate().map_err(|error| in_stage(&pipe_error(&error), index + 1, count, command))?;
            let started = command.spawn_with([input, output, errors], deadline);
            built.0.push(started.map_err(|error| in_stage(&error, index + 1, count, command))?);
        }
        Ok(std::mem::take(&mut built.0))
    }

    fn refuse_bad_stages(&self) -> Result<()> {
        let last = self.stages.len().checked_sub(1);
        let Some(last) = last else {
            return Err(Error::invalid("pipeline", "no commands (stages = [], expected at least one)"));
        };
        for (index, command) in self.stages.iter().enumerate() {
            for (fd, joined) in [(0, index > 0), (1, index < last)] {
                if joined && command.stdio.get(fd).is_some() {
                    let (number, count, program) = (index + 1, last + 1, &command.program);
                    let detail =
                        format!("stage {number} of {count} ({program:?}) names descriptor {fd}, which the pipeline joins (expected not set)");
                    return Err(Error::invalid("pipeline", detail));
                }
            }
        }
        Ok(())
    }
}

/// Stages started so far; killed and reaped unless all could be started.
struct HalfBuilt(Vec<Child>);

impl Drop for HalfBuilt {
    fn drop(&mut self) {
        for child in &self.0 {
            // With `kill_tree` of the command, its tree.
            let _ = child.handle().stop(&Stop::new().step(StopAction::Kill, Duration::ZERO));
        }
        for child in &mut self.0 {
            let _ = child.wait_timeout(REAP_PATIENCE);
        }
    }
}

fn joint() -> Result<(OwnedFd, OwnedFd)> {
    transfer::pipe().map_err(|error| pipe_error(&error))
}

fn pipe_error(error: &std::io::Error) -> Error {
    Error::from_io("pipeline", error, "cannot make a pipe").with_stage(Stage::Stdio)
}

/// The same error, saying which stage it concerns.
fn in_stage(error: &Error, number: usize, count: usize, command: &Command) -> Error {
    let detail = format!("stage {number} of {count} ({:?}): {}", command.program, error.detail());
    let mut named = match error.os_error() {
        Some(errno) => Error::from_os("pipeline", errno, detail).with_kind(error.kind()),
        None => Error::new(error.kind(), "pipeline", detail),
    };
    if let Some(stage) = error.stage() {
        named = named.with_stage(stage);
    }
    match error.path() {
        Some(path) => named.with_path(path),
        None => named,
    }
}

/// A running pipeline with the host's ends of its outer pipes.
///
/// # Drop
/// Each child as [`Child`] says: it runs on unless its command had `kill_on_drop`.
#[derive(Debug)]
pub struct PipelineChild {
    /// The pipe to the first stage's standard input, if it was asked for.
    pub stdin: Option<PipeWriter>,
    /// The pipe from the last stage's standard output, if it was asked for.
    pub stdout: Option<PipeReader>,
    children: Vec<Child>,
}

impl PipelineChild {
    /// The stages, in order.
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// The stages, in order, to take their streams.
    pub fn children_mut(&mut self) -> &mut [Child] {
        &mut self.children
    }

    /// Closes the pipe to the first stage, then waits for every stage; gives their statuses in order.
    ///
    /// # Errors
    /// The system's failure to wait.
    pub fn wait(&mut self) -> Result<Vec<ExitStatus>> {
        self.stdin = None;
        self.children.iter_mut().map(Child::wait).collect()
    }

    /// Stops all stages together by one ladder; one report for each.
    ///
    /// # Errors
    /// The system's failure to wait.
    pub fn stop(&mut self, how: &Stop) -> Result<Vec<StopReport>> {
        if how.steps.iter().any(|(action, _)| *action == StopAction::CloseStdin) {
            self.stdin = None;
        }
        stop_all(&self.children.iter().map(Child::handle).collect::<Vec<_>>(), how)
    }
}

/// Stops several children together by one ladder: each step is taken for all, then all are waited for. One report for each, in order. A step
/// that closes standard input only waits here: the pipes belong to the caller.
///
/// # Errors
/// The system's failure to signal or to wait.
///
/// ```
/// use procs::{Command, Stop, stop_all};
/// let children: Vec<_> = (0..3).map(|_| Command::new("sleep").arg("100").spawn()).collect::<Result<_, _>>()?;
/// let handles: Vec<_> = children.iter().map(|child| child.handle()).collect();
/// let reports = stop_all(&handles, &Stop::default())?;
/// assert!(reports.iter().all(|report| report.status.is_some()));
/// # Ok::<(), procs::Error>(())
/// ```
pub fn stop_all(children: &[&ChildHandle], how: &Stop) -> Result<Vec<StopReport>> {
    let handles = children.iter().map(|&child| child.clone()).collect();
    let mut drain = Drain::new(handles, Vec::new(), Vec::new(), Rules::new(&RunOptions::default(), Deadline::NEVER));
    let reports = drain.stop(how);
    drain.release();
    reports
}
