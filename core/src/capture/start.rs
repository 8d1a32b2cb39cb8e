//! Starting a command whose output is captured.

use super::drain::{Drain, Rules};
use super::feed::Feeder;
use super::intake::Intake;
use super::run::Capture;
use super::sink::Sinks;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::spawn::{Child, Command, RunOptions, Sink, Stdio};
use std::time::Instant;

/// Refuses to start a run that was cancelled before.
pub(super) fn refuse_cancelled(options: &RunOptions) -> Result<()> {
    match &options.cancel {
        Some(cancel) if cancel.is_cancelled() => Err(Error::new(ErrorKind::Cancelled, "run", "cancelled before the child was started")),
        _ => Ok(()),
    }
}

/// A run that is ready to start: what has to be opened is open, and its deadline has begun.
pub(super) struct Prepared {
    options: RunOptions,
    stdout: Sinks,
    stderr: Sinks,
    deadline: Deadline,
    started: Instant,
}

impl Prepared {
    /// Opens the sinks and starts the clock.
    pub(super) fn new(mut options: RunOptions) -> Result<Prepared> {
        let started = Instant::now();
        let deadline = Deadline::from_timeout(options.timeout);
        let stdout = Sinks::open(std::mem::replace(&mut options.stdout_sink, Sink::Buffer), options.stdout_limit)?;
        let stderr = Sinks::open(std::mem::replace(&mut options.stderr_sink, Sink::Buffer), options.stderr_limit)?;
        Ok(Prepared { options, stdout, stderr, deadline, started })
    }

    /// Takes a child's pipes and drains them. Without input its standard input, if it is a pipe, is closed: the child reads end of file.
    pub(super) fn attach(mut self, mut child: Child) -> Result<Capture> {
        let intakes = vec![Intake::new(child.stdout.take(), self.stdout), Intake::new(child.stderr.take(), self.stderr)];
        let cancels = self.options.cancel.take().into_iter().collect();
        self.options.kill_tree |= child.handle().kills_tree();
        let mut drain = Drain::new(vec![child.handle().clone()], intakes, cancels, Rules::new(&self.options, self.deadline));
        if let (Some(pipe), Some(input)) = (child.stdin.take(), self.options.input.take()) {
            drain.feed(Feeder::new(pipe, input)?);
        }
        Ok(Capture::new(child, drain, self.started, self.options.check))
    }
}

/// Starts a command with its streams captured.
pub(super) fn start(command: &mut Command) -> Result<Capture> {
    refuse_cancelled(command.run.get_mut())?;
    if command.run.get_mut().input.is_some() && command.stdio.get(0).is_some_and(|stdio| !stdio.is_pipe()) {
        return Err(Error::invalid("run", "standard input is given twice (input and stdin, expected one of them)"));
    }
    let prepared = Prepared::new(command.run.get_mut().take().into_inner())?;
    let stdin = if prepared.options.input.is_some() { Stdio::piped() } else { Stdio::null() };
    let child = command.spawn_with([stdin, Stdio::piped(), Stdio::piped()], prepared.deadline)?;
    prepared.attach(child)
}
