//! A running child: waiting, signalling, letting go.

use super::future::{WaitFuture, call_on_exit};
use super::options::{RunOptions, TreeLevel};
use super::start::LiveCount;
use super::status::{Exit, ExitStatus, Usage};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::io::reactor::{Interest, Watch, watch_fd};
use crate::io::{PipeReader, PipeWriter};
use crate::sys::cgroup::Cgroup;
use crate::sys::clone::{Failure, Unwaited};
use crate::sys::fork;
use crate::sys::poll::{Events, PollFd, poll};
use crate::sys::wait::{Ending, Process, Reaped};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant, SystemTime};

/// Whether the child is known to have ended, and who is finding out.
#[derive(Clone, Copy, Debug)]
enum State {
    Running,
    /// One thread blocks in waitid and will reap; others wait for it to say so.
    Reaping,
    Ended(Exit),
}

/// What all handles of a child share.
#[derive(Debug)]
pub(crate) struct Core {
    /// Taken out only when the core goes away.
    process: Option<Process>,
    /// Given up once its end is recorded.
    live: Mutex<Option<LiveCount>>,
    state: Mutex<State>,
    ended: Condvar,
    generation: u64,
    started_at: SystemTime,
    started: Instant,
    pub(super) cgroup: Option<Arc<Cgroup>>,
    pub(super) kill_tree: bool,
    pub(super) tree_level: TreeLevel,
    pub(super) leads_group: bool,
    /// What the child uses until it has exec'd, when nobody waited for that.
    unwaited: Mutex<Option<Unwaited>>,
    /// Why the program was not executed, when nobody waited for that.
    failure: OnceLock<Failure>,
}

impl Core {
    pub(super) fn new(process: Process, live: LiveCount, started: (SystemTime, Instant), cgroup: Option<Arc<Cgroup>>) -> Core {
        Core {
            process: Some(process),
            live: Mutex::new(Some(live)),
            state: Mutex::new(State::Running),
            ended: Condvar::new(),
            generation: fork::generation(),
            started_at: started.0,
            started: started.1,
            cgroup,
            kill_tree: false,
            tree_level: TreeLevel::Process,
            leads_group: false,
            unwaited: Mutex::new(None),
            failure: OnceLock::new(),
        }
    }

    pub(super) fn with_unwaited(mut self, unwaited: Option<Unwaited>) -> Core {
        self.unwaited = Mutex::new(unwaited);
        self
    }

    /// Why the program was not executed; known once the child has ended.
    pub(super) fn start_failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// The error of a start that nobody waited for.
    fn executed(&self) -> Result<()> {
        match self.start_failure() {
            None => Ok(()),
            Some(failure) => {
                let detail = format!("the program was not executed, step {} failed", failure.stage.name());
                Err(Error::from_io("spawn", &failure.error, detail).with_stage(failure.stage))
            }
        }
    }

    /// Notes the end. The caller holds the state's lock or is the only one that reaps.
    fn settle(&self) {
        if let Some(failure) = self.unwaited.lock().take().and_then(Unwaited::finish) {
            let _ = self.failure.set(failure);
        }
    }

    pub(super) fn with_tree(mut self, kill_tree: bool, level: TreeLevel, leads_group: bool) -> Core {
        self.kill_tree = kill_tree;
        self.tree_level = level;
        self.leads_group = leads_group;
        self
    }

    pub(super) fn process(&self) -> Result<&Process> {
        match &self.process {
            Some(process) if self.generation == fork::generation() => Ok(process),
            _ => Err(Error::new(ErrorKind::InvalidState, "child", "the child belongs to the process that started it, not to a forked copy")),
        }
    }

    fn exit(&self) -> Option<Exit> {
        match *self.state.lock() {
            State::Ended(exit) => Some(exit),
            _ => None,
        }
    }

    fn record(&self, ending: Option<Ending>) -> Exit {
        drop(self.live.lock().take());
        let status = ending.map_or(ExitStatus::Unknown, |ending| ExitStatus::from_waitid(ending.code, ending.status));
        let usage = ending.and_then(|ending| ending.usage).map(|usage| Usage {
            user_time: usage.user,
            system_time: usage.system,
            max_rss_bytes: usage.max_rss_kib * 1024,
        });
        Exit { status, usage, started: self.started_at, wall_time: self.started.elapsed() }
    }

    /// Waits for the end and reaps; `None` when the deadline passed.
    pub(super) fn wait_deadline(&self, deadline: Deadline) -> Result<Option<Exit>> {
        let process = self.process()?;
        // The common wait without deadline is one system call. The leader of a group stays unreaped until its
        // group could be dealt with under the lock.
        if deadline == Deadline::NEVER && !self.leads_group && process.has_pidfd() && self.claim() {
            return Ok(Some(self.reap_blocking(process)));
        }
        loop {
            if let Some(exit) = self.try_wait()? {
                return Ok(Some(exit));
            }
            let ended = process.wait_ended(deadline).map_err(|error| Error::from_io("wait", &error, "cannot wait for the child"))?;
            if !ended {
                return self.try_wait();
            }
        }
    }

    /// Makes this thread the one that reaps.
    fn claim(&self) -> bool {
        let mut state = self.state.lock();
        let free = matches!(*state, State::Running);
        if free {
            *state = State::Reaping;
        }
        free
    }

    fn reap_blocking(&self, process: &Process) -> Exit {
        let ending = process.reap_blocking();
        let exit = self.record(ending);
        self.settle();
        *self.state.lock() = State::Ended(exit);
        self.ended.notify_all();
        exit
    }

    /// Reaps if it has ended.
    pub(super) fn try_wait(&self) -> Result<Option<Exit>> {
        let process = self.process()?;
        let mut state = self.state.lock();
        match *state {
            State::Ended(exit) => return Ok(Some(exit)),
            State::Reaping => {
                // Its end is visible before the reaping thread has noted it: wait for that note, which is on its way.
                let ended = crate::sys::poll::readable_now(process.as_fd()).unwrap_or(false);
                while ended && matches!(*state, State::Reaping) {
                    self.ended.wait(&mut state);
                }
                return Ok(if let State::Ended(exit) = *state { Some(exit) } else { None });
            }
            State::Running => {}
        }
        let reaped = process.reap().map_err(|error| Error::from_io("wait", &error, "cannot wait for the child"))?;
        let exit = match reaped {
            Reaped::Running => return Ok(None),
            Reaped::Ended(ending) => self.record(Some(ending)),
            Reaped::Unknown => self.record(None),
        };
        self.settle();
        *state = State::Ended(exit);
        self.ended.notify_all();
        Ok(Some(exit))
    }

    /// Runs `act` on the process unless it is known to have ended; under the lock that reaping takes, so its number is its own.
    pub(super) fn while_running<T>(&self, act: impl FnOnce(&Process) -> std::io::Result<T>) -> Result<std::io::Result<T>> {
        let process = self.process()?;
        let state = self.state.lock();
        if matches!(*state, State::Ended(_)) {
            return Ok(Err(std::io::Error::from_raw_os_error(libc::ESRCH)));
        }
        Ok(act(process))
    }

    /// Whether it has ended, without reaping it.
    pub(super) fn has_ended(&self) -> Result<bool> {
        let process = self.process()?;
        Ok(self.exit().is_some() || crate::sys::poll::readable_now(process.as_fd()).unwrap_or(false))
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        if self.generation != fork::generation() || matches!(*self.state.lock(), State::Ended(_)) {
            return;
        }
        match process.reap() {
            Ok(Reaped::Running) => reap_later(process, self.live.lock().take(), self.unwaited.lock().take()),
            _ => {
                self.settle();
                drop(self.live.lock().take());
            }
        }
    }
}

/// A process without an owner, reaped by the reactor when it ends.
struct Orphan {
    process: Process,
    _live: Option<LiveCount>,
    unwaited: Mutex<Option<Unwaited>>,
    watch: Mutex<Option<Watch>>,
}

impl Wake for Orphan {
    fn wake(self: Arc<Self>) {
        let spent = self.watch.lock().take();
        drop(spent);
        if let Ok(Reaped::Running) = self.process.reap() {
            self.watch_again();
        } else if let Some(unwaited) = self.unwaited.lock().take() {
            let _ = unwaited.finish();
        }
    }
}

impl Orphan {
    fn watch_again(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut slot = self.watch.lock();
        // Without a reactor the zombie stays until the host ends; nothing better is possible.
        *slot = watch_fd(self.process.as_fd(), Interest::Read, &waker).ok();
    }
}

/// Lets the reactor reap a process that nobody will wait for.
pub(super) fn reap_later(process: Process, live: Option<LiveCount>, unwaited: Option<Unwaited>) {
    Arc::new(Orphan { process, _live: live, unwaited: Mutex::new(unwaited), watch: Mutex::new(None) }).watch_again();
}

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
        self.core.tree_level
    }

    /// Whether the command asked for its tree to be stopped with it.
    pub(crate) fn kills_tree(&self) -> bool {
        self.core.kill_tree
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
    /// The pipe to its standard input, if it was asked for.
    pub stdin: Option<PipeWriter>,
    /// The pipe from its standard output, if it was asked for.
    pub stdout: Option<PipeReader>,
    /// The pipe from its standard error, if it was asked for.
    pub stderr: Option<PipeReader>,
    handle: ChildHandle,
    extra: BTreeMap<RawFd, OwnedFd>,
    kill_on_drop: bool,
    retries: u32,
    /// What the command said about capturing, for `wait_with_output`.
    run: RunOptions,
}

impl Child {
    pub(super) fn new(
        core: Core,
        (stdin, stdout, stderr): (Option<PipeWriter>, Option<PipeReader>, Option<PipeReader>),
        extra: BTreeMap<RawFd, OwnedFd>,
        kill_on_drop: bool,
    ) -> Child {
        Child { stdin, stdout, stderr, handle: ChildHandle { core: Arc::new(core) }, extra, kill_on_drop, retries: 0, run: RunOptions::default() }
    }

    pub(super) fn with_retries(mut self, retries: u32) -> Child {
        self.retries = retries;
        self
    }

    pub(super) fn with_run(mut self, run: RunOptions) -> Child {
        self.run = run;
        self
    }

    /// What the command said about capturing; once.
    pub(crate) fn take_run_options(&mut self) -> RunOptions {
        std::mem::take(&mut self.run)
    }

    /// The process id. It stays this child's own until the child was waited for.
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// A handle that other threads can hold.
    pub fn handle(&self) -> &ChildHandle {
        &self.handle
    }

    /// The host's end of an extra pipe (a socket pair), by the child's descriptor number. Once.
    pub fn take_fd(&mut self, child_fd: RawFd) -> Option<OwnedFd> {
        self.extra.remove(&child_fd)
    }

    /// Closes the pipe to standard input, then waits until the child has ended.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.stdin = None;
        self.handle.wait()
    }

    /// Closes the pipe to standard input, then waits at most this long; `None` when the child still runs.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        self.stdin = None;
        self.handle.wait_timeout(timeout)
    }

    /// The status if the child has ended. Never blocks.
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        self.handle.try_wait()
    }

    /// The full record, once the child was waited for.
    pub fn exit(&self) -> Option<Exit> {
        self.handle.exit()
    }

    /// Sends SIGKILL to the child alone. Succeeds when it has ended already.
    pub fn kill(&self) -> Result<()> {
        self.handle.kill()
    }

    /// Sends a signal to the child alone; see [`ChildHandle::send_signal`].
    pub fn send_signal(&self, signal: i32) -> Result<()> {
        self.handle.send_signal(signal)
    }

    /// Resolves when the child has ended.
    pub fn wait_async(&self) -> WaitFuture {
        self.handle.wait_async()
    }

    /// Calls `f` once the child has ended; see [`ChildHandle::on_exit`].
    pub fn on_exit(&self, f: impl FnOnce(Exit) + Send + 'static) -> Result<()> {
        self.handle.on_exit(f)
    }

    /// Lets the child run on whatever `kill_on_drop` says.
    pub fn detach(mut self) {
        self.kill_on_drop = false;
    }

    /// How often the start was retried because the program's file was open for writing.
    pub fn spawn_retries(&self) -> u32 {
        self.retries
    }

    /// The means that stopping the tree will use.
    pub fn tree_level(&self) -> TreeLevel {
        self.handle.tree_level()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.kill_on_drop && self.handle.exit().is_none() {
            let _ = self.handle.kill_now();
        }
    }
}

impl AsFd for Child {
    /// Readable once the child has ended; for poll, epoll and event loops. Never read from it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
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
