//! A running child: waiting, signalling, letting go.

use super::command::Command;
use super::future::{WaitFuture, call_on_exit};
use super::life::Core;
use super::options::{RunOptions, TreeLevel};
use super::rare::Rare;
use super::status::{Exit, ExitStatus};
use super::streams::HostEnds;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::io::{PipeReader, PipeWriter};
use crate::sys::exclusive::Exclusive;
use crate::sys::poll::{Events, PollFd, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// A handle to a child that any number of threads may hold: waits, signals and stops it. It owns no streams.
///
/// # Drop
/// Nothing happens to the child; when the last handle goes, it is reaped in the background once it ends.
#[derive(Clone, Debug)]
pub struct ChildHandle {
    pub(super) core: Arc<Core>,
}

impl ChildHandle {
    /// The process id. It stays this child's own until the child was waited for.
    pub fn id(&self) -> u32 {
        self.core.process.as_ref().map_or(0, |process| process.pid() as u32)
    }

    /// Waits until the child has ended. Any number of threads may wait; all get the same answer.
    ///
    /// # Errors
    /// Only with `wait_for_exec(false)`: why the program was not executed, with the [`Stage`](crate::Stage).
    pub fn wait(&self) -> Result<ExitStatus> {
        let exit = self.core.wait_deadline(Deadline::NEVER)?;
        self.core.executed()?;
        Ok(exit.map_or(ExitStatus::Unknown, |exit| exit.status))
    }

    /// Waits at most this long; `None` when the child still runs.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<ExitStatus>> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Waits until the deadline; `None` when the child still runs.
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<Option<ExitStatus>> {
        let exit = self.core.wait_deadline(deadline)?;
        self.core.executed()?;
        Ok(exit.map(|exit| exit.status))
    }

    /// The status if the child has ended. Never blocks.
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        let exit = self.core.try_wait()?;
        self.core.executed()?;
        Ok(exit.map(|exit| exit.status))
    }

    /// The full record, once the child was waited for.
    pub fn exit(&self) -> Option<Exit> {
        self.core.exit()
    }

    /// Sends SIGKILL to the child alone. Succeeds when it has ended already.
    pub fn kill(&self) -> Result<()> {
        match self.send_signal(libc::SIGKILL) {
            Err(error) if error.os_error() == Some(libc::ESRCH) => Ok(()),
            result => result,
        }
    }

    /// Sends a signal to the child alone; 0 only checks.
    ///
    /// # Errors
    /// `NotFound` with ESRCH when it has ended; never reaches another process. `InvalidArgument` for a number outside 0 to 64.
    pub fn send_signal(&self, signal: i32) -> Result<()> {
        if !(0..=64).contains(&signal) {
            return Err(Error::invalid("kill", format!("signal is out of range (signal = {signal}, expected 0 to 64)")));
        }
        if signal != 0 && signal != libc::SIGKILL {
            self.core.await_own_signals()?;
        }
        self.core
            .while_running(|process| process.signal(signal))?
            .map_err(|error| Error::from_io("kill", &error, format!("cannot signal the child (signal = {signal})")))
    }

    /// Resolves when the child has ended.
    pub fn wait_async(&self) -> WaitFuture {
        WaitFuture::new(self.clone())
    }

    /// Calls `f` once the child has ended, on the library's waiting thread: it must be quick and must not block.
    pub fn on_exit(&self, f: impl FnOnce(Exit) + Send + 'static) -> Result<()> {
        call_on_exit(self.clone(), Box::new(f))
    }

    /// The means that stopping the tree will use.
    pub fn tree_level(&self) -> TreeLevel {
        self.core.tree.level
    }

    /// Whether the command asked for its tree to be stopped with it.
    pub(crate) fn kills_tree(&self) -> bool {
        self.core.tree.kill
    }
}

impl AsFd for ChildHandle {
    /// Readable once the child has ended; for poll, epoll and event loops. Never read from it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.core.process {
            Some(process) => process.as_fd(),
            // The process is only taken out by drop, when no handle is left.
            None => unreachable!("a handle keeps its process"),
        }
    }
}

/// A running child with the host's ends of its pipes.
///
/// # Drop
/// The child runs on and is reaped in the background once it ends, unless `kill_on_drop` was asked for: then it is killed (with
/// `kill_tree`, its tree). Dropping never waits.
#[derive(Debug)]
pub struct Child {
    // First, for the pipes are closed after the kill.
    held: Held,
    /// The pipe to its standard input, if it was asked for.
    pub stdin: Option<PipeWriter>,
    /// The pipe from its standard output, if it was asked for.
    pub stdout: Option<PipeReader>,
    /// The pipe from its standard error, if it was asked for.
    pub stderr: Option<PipeReader>,
    extra: HostEnds,
    retries: u32,
    /// What the command said about capturing, for `wait_with_output`; functions among it must not keep threads from sharing the child.
    run: Exclusive<Rare<RunOptions>>,
}

/// What is done when a [`Child`] goes, apart from it, so that its fields can be moved out one by one, as the standard library's.
#[derive(Debug)]
struct Held {
    handle: ChildHandle,
    kill_on_drop: bool,
}

// As the standard library's: what a panic of the host interrupts is a call, whose locks are let go of with their state whole.
impl UnwindSafe for Child {}
impl RefUnwindSafe for Child {}

impl Child {
    pub(super) fn new(core: Arc<Core>, mut hosts: HostEnds, command: &mut Command, retries: u32) -> Child {
        Child {
            held: Held { handle: ChildHandle { core }, kill_on_drop: command.start.kill_on_drop },
            stdin: hosts.take(0).map(PipeWriter::from),
            stdout: hosts.take(1).map(PipeReader::from),
            stderr: hosts.take(2).map(PipeReader::from),
            extra: hosts,
            retries,
            run: Exclusive::new(command.run.get_mut().take()),
        }
    }

    /// What the command said about capturing; once.
    pub(crate) fn take_run_options(&mut self) -> RunOptions {
        std::mem::replace(self.run.get_mut(), Rare::new()).into_inner()
    }

    /// The process id. It stays this child's own until the child was waited for.
    pub fn id(&self) -> u32 {
        self.held.handle.id()
    }

    /// A handle that other threads can hold.
    pub fn handle(&self) -> &ChildHandle {
        &self.held.handle
    }

    /// The host's end of an extra pipe (a socket pair), by the child's descriptor number. Once.
    pub fn take_fd(&mut self, child_fd: RawFd) -> Option<OwnedFd> {
        self.extra.take(child_fd)
    }

    /// Closes the pipe to standard input, then waits until the child has ended.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.stdin = None;
        self.held.handle.wait()
    }

    /// Closes the pipe to standard input, then waits at most this long; `None` when the child still runs.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        self.stdin = None;
        self.held.handle.wait_timeout(timeout)
    }

    /// The status if the child has ended. Never blocks.
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        self.held.handle.try_wait()
    }

    /// The full record, once the child was waited for.
    pub fn exit(&self) -> Option<Exit> {
        self.held.handle.exit()
    }

    /// Sends SIGKILL to the child alone. Succeeds when it has ended already.
    pub fn kill(&self) -> Result<()> {
        self.held.handle.kill()
    }

    /// Sends a signal to the child alone; see [`ChildHandle::send_signal`].
    pub fn send_signal(&self, signal: i32) -> Result<()> {
        self.held.handle.send_signal(signal)
    }

    /// Resolves when the child has ended.
    pub fn wait_async(&self) -> WaitFuture {
        self.held.handle.wait_async()
    }

    /// Calls `f` once the child has ended; see [`ChildHandle::on_exit`].
    pub fn on_exit(&self, f: impl FnOnce(Exit) + Send + 'static) -> Result<()> {
        self.held.handle.on_exit(f)
    }

    /// Lets the child run on whatever `kill_on_drop` says.
    pub fn detach(mut self) {
        self.held.kill_on_drop = false;
    }

    /// How often the start was retried because the program's file was open for writing.
    pub fn spawn_retries(&self) -> u32 {
        self.retries
    }

    /// The means that stopping the tree will use.
    pub fn tree_level(&self) -> TreeLevel {
        self.held.handle.tree_level()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Not in a forked copy of the host: the child is not its own.
        if self.kill_on_drop && self.handle.core.process().is_ok() && self.handle.exit().is_none() {
            let _ = self.handle.kill_now();
        }
    }
}

impl AsFd for Child {
    /// Readable once the child has ended; for poll, epoll and event loops. Never read from it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.handle.as_fd()
    }
}

/// Waits until one of the children has ended and gives its index; `None` when the time passed first. The child is not yet waited for.
///
/// # Errors
/// `InvalidArgument` for an empty list.
pub fn wait_any(children: &[&ChildHandle], timeout: Option<Duration>) -> Result<Option<usize>> {
    if children.is_empty() {
        return Err(Error::invalid("wait_any", "no children (children = [], expected at least one)"));
    }
    let deadline = Deadline::from_timeout(timeout);
    let mut fds: Vec<PollFd> = children.iter().map(|child| PollFd::new(child.as_fd(), Events::Read)).collect();
    poll(&mut fds, deadline).map_err(|error| Error::from_io("wait_any", &error, "cannot wait for the children"))?;
    Ok(fds.iter().position(PollFd::ready))
}
