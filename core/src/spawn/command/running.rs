//! How a run is bounded and what is kept of it.

use super::Command;
use crate::spawn::options::{OutputLimit, Sink};
use crate::spawn::{CancelHandle, Input};
use std::time::Duration;

impl Command {
    /// Time allowed for the whole run: start, child, descendants and the draining of their pipes. Bounds `output`, `status` and pipelines.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Command {
        self.run.get_mut().timeout = Some(timeout);
        self
    }

    /// Time between SIGTERM and SIGKILL when a run is stopped. Default: zero, SIGKILL at once.
    pub fn grace(&mut self, grace: Duration) -> &mut Command {
        self.run.get_mut().grace = grace;
        self
    }

    /// The signal that asks for the end when [`Command::grace`] is not zero. Default: SIGTERM. Source: `killSignal` of child_process.
    pub fn stop_signal(&mut self, signal: i32) -> &mut Command {
        self.run.get_mut().stop_signal = signal;
        self
    }

    /// How long output is still read after a kill although somebody holds the pipe. Default: 100 ms.
    pub fn drain_grace(&mut self, grace: Duration) -> &mut Command {
        self.run.get_mut().drain_grace = grace;
        self
    }

    /// How long output is still read after a *normal* exit although somebody holds the pipe. Default: until end of file.
    pub fn drain_after_exit(&mut self, grace: Duration) -> &mut Command {
        self.run.get_mut().drain_after_exit = Some(grace);
        self
    }

    /// Feeds this to standard input, while output is read.
    pub fn input(&mut self, input: impl Into<Input>) -> &mut Command {
        self.run.get_mut().input = Some(input.into());
        self
    }

    /// Limit of captured output, for both streams. Default: 64 MiB each, then an error.
    pub fn max_output(&mut self, limit: OutputLimit) -> &mut Command {
        self.run.get_mut().stdout_limit = limit;
        self.run.get_mut().stderr_limit = limit;
        self
    }

    /// Limit of captured standard output.
    pub fn stdout_limit(&mut self, limit: OutputLimit) -> &mut Command {
        self.run.get_mut().stdout_limit = limit;
        self
    }

    /// Limit of captured standard error.
    pub fn stderr_limit(&mut self, limit: OutputLimit) -> &mut Command {
        self.run.get_mut().stderr_limit = limit;
        self
    }

    /// Where captured standard output goes.
    pub fn stdout_sink(&mut self, sink: Sink) -> &mut Command {
        self.run.get_mut().stdout_sink = sink;
        self
    }

    /// Where captured standard error goes.
    pub fn stderr_sink(&mut self, sink: Sink) -> &mut Command {
        self.run.get_mut().stderr_sink = sink;
        self
    }

    /// Lets another thread stop the run.
    pub fn cancel(&mut self, handle: &CancelHandle) -> &mut Command {
        self.run.get_mut().cancel = Some(handle.clone());
        self
    }

    /// Makes anything but exit code 0 an error that carries the output. Default: false.
    pub fn check(&mut self, check: bool) -> &mut Command {
        self.run.get_mut().change(check, |options| options.check = check);
        self
    }
}
