//! What all handles of a child share: the process, whether it has ended, and who finds that out.

use super::options::TreeLevel;
use super::orphan::{Uses, reap_later};
use super::start::LiveCount;
use super::status::{Exit, ExitStatus, Usage};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::cgroup::Cgroup;
use crate::sys::clone::{Failure, Unwaited};
use crate::sys::fork;
use crate::sys::wait::{Ending, Process, Reaped};
use parking_lot::{Condvar, Mutex};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

/// Time between looks at a child that has ended and cannot be reaped yet: there is no event to wait for.
const HELD_PAUSE: Duration = Duration::from_millis(1);

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
    pub(super) process: Option<Process>,
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
    failure: OnceLock<(Failure, PathBuf)>,
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
        self.failure.get().map(|(failure, _)| failure)
    }

    /// The error of a start that nobody waited for.
    pub(super) fn executed(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some((failure, path)) => {
                let detail = format!("the program was not executed, step {} failed (program = {path:?})", failure.stage.name());
                Err(Error::from_io("spawn", &failure.error, detail).with_stage(failure.stage).with_path(path))
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

    /// The record, once the end is known.
    pub(super) fn exit(&self) -> Option<Exit> {
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
        if deadline == Deadline::NEVER && !self.leads_group && process.needs_no_number() && self.claim() {
            return Ok(Some(self.reap_blocking(process)));
        }
        loop {
            if let Some(exit) = self.try_wait()? {
                return Ok(Some(exit));
            }
            let ended = process.wait_ended(deadline).map_err(|error| Error::from_io("wait", &error, "cannot wait for the child"))?;
            let exit = self.try_wait()?;
            if exit.is_some() || !ended || deadline.passed() {
                return Ok(exit);
            }
            // It has ended, but a debugger has not let go of it, or somebody else is about to reap it.
            std::thread::sleep(HELD_PAUSE);
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
            Ok(Reaped::Ended(_) | Reaped::Unknown) => {
                self.settle();
                drop(self.live.lock().take());
            }
            // A failure tells nothing: the child may still run on memory of the library.
            Ok(Reaped::Running) | Err(_) => {
                let uses = Uses { _live: self.live.lock().take(), unwaited: self.unwaited.lock().take(), _cgroup: self.cgroup.take() };
                reap_later(process, uses);
            }
        }
    }
}
