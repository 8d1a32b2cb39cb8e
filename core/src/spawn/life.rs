//! What all handles of a child share: the process, whether it has ended, and who finds that out.

use super::known;
use super::options::TreeLevel;
use super::orphan::{Uses, reap_later};
use super::start::LiveCount;
use super::status::{Exit, ExitStatus, Usage};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::cgroup::Cgroup;
use crate::sys::fork;
use crate::sys::launch::{Failure, Unwaited};
use crate::sys::wait::{Ending, Process, Reaped};
use parking_lot::{Condvar, Mutex};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

/// Time between looks at a child that has ended and cannot be reaped yet: there is no event to wait for.
const HELD_PAUSE: Duration = Duration::from_millis(1);

/// Time between looks at a child that has not begun to run: its thread only waits for a processor.
const BEGIN_PAUSE: Duration = Duration::from_micros(20);
/// How long that is waited for. A child that does not get to run for so long is frozen, and gets the signal as it is.
const BEGIN_PATIENCE: Duration = Duration::from_secs(1);

/// Whether the child is known to have ended, and who is finding out.
#[derive(Clone, Copy, Debug)]
enum State {
    Running,
    /// One thread blocks in waitid and will reap; others wait for it to say so.
    Reaping,
    Ended(Exit),
}

/// What changes once, when the child ends.
#[derive(Debug)]
struct Progress {
    state: State,
    /// Given up once its end is recorded.
    live: Option<LiveCount>,
    /// What the child uses until it has exec'd, when nobody waited for that.
    unwaited: Option<Unwaited>,
}

/// What is known of a child when it starts.
pub(super) struct Beginning {
    pub(super) process: Process,
    pub(super) live: LiveCount,
    pub(super) unwaited: Option<Unwaited>,
    pub(super) started_at: SystemTime,
    pub(super) started: Instant,
    pub(super) tree: Tree,
}

/// How the child's descendants can be ended with it.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) cgroup: Option<Arc<Cgroup>>,
    pub(super) kill: bool,
    pub(super) level: TreeLevel,
    pub(super) leads_group: bool,
}

/// What all handles of a child share.
#[derive(Debug)]
pub(crate) struct Core {
    /// Taken out only when the core goes away.
    pub(super) process: Option<Process>,
    progress: Mutex<Progress>,
    ended: Condvar,
    generation: u64,
    started_at: SystemTime,
    started: Instant,
    pub(super) tree: Tree,
    /// Why the program was not executed, when nobody waited for that.
    failure: OnceLock<Box<(Failure, PathBuf)>>,
}

impl Core {
    pub(super) fn new(beginning: Beginning) -> Arc<Core> {
        Arc::new(Core {
            process: Some(beginning.process),
            progress: Mutex::new(Progress { state: State::Running, live: Some(beginning.live), unwaited: beginning.unwaited }),
            ended: Condvar::new(),
            generation: fork::generation(),
            started_at: beginning.started_at,
            started: beginning.started,
            tree: beginning.tree,
            failure: OnceLock::new(),
        })
    }

    /// Why the program was not executed; known once the child has ended.
    pub(super) fn start_failure(&self) -> Option<&Failure> {
        self.failure.get().map(|failed| &failed.0)
    }

    /// The error of a start that nobody waited for.
    pub(super) fn executed(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(failed) => {
                let (failure, path) = &**failed;
                let detail = format!("the program was not executed, step {} failed (program = {path:?})", failure.stage.name());
                Err(Error::from_io("spawn", &failure.error, detail).with_stage(failure.stage).with_path(path))
            }
        }
    }

    pub(super) fn process(&self) -> Result<&Process> {
        match &self.process {
            Some(process) if self.generation == fork::generation() => Ok(process),
            _ => Err(Error::new(ErrorKind::InvalidState, "child", "the child belongs to the process that started it, not to a forked copy")),
        }
    }

    /// The record, once the end is known.
    pub(super) fn exit(&self) -> Option<Exit> {
        match self.progress.lock().state {
            State::Ended(exit) => Some(exit),
            _ => None,
        }
    }

    /// Notes the end and tells those who wait for it.
    fn record(&self, progress: &mut Progress, ending: Option<Ending>) -> Exit {
        progress.live = None;
        if progress.unwaited.is_some() {
            self.settle(progress);
        }
        let status = ending.map_or(ExitStatus::Unknown, |ending| ExitStatus::from_waitid(ending.code, ending.status));
        let usage = ending.and_then(|ending| ending.usage).map(|usage| Usage {
            user_time: usage.user,
            system_time: usage.system,
            max_rss_bytes: usage.max_rss_kib * 1024,
        });
        let exit = Exit { status, usage, started: self.started_at, wall_time: self.started.elapsed() };
        progress.state = State::Ended(exit);
        self.ended.notify_all();
        exit
    }

    /// Takes back what the child used until its exec.
    #[cold]
    fn settle(&self, progress: &mut Progress) {
        if let Some((failure, mut tried)) = progress.unwaited.take().and_then(Unwaited::finish) {
            known::forget(&tried);
            let _ = self.failure.set(Box::new((failure, tried.pop().unwrap_or_default())));
        }
    }

    /// Waits for the end and reaps; `None` when the deadline passed.
    pub(super) fn wait_deadline(&self, deadline: Deadline) -> Result<Option<Exit>> {
        let process = self.process()?;
        // The common wait without deadline is one system call. The leader of a group stays unreaped until its
        // group could be dealt with under the lock.
        if deadline == Deadline::NEVER && !self.tree.leads_group && process.needs_no_number() && self.claim() {
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
        let mut progress = self.progress.lock();
        let free = matches!(progress.state, State::Running);
        if free {
            progress.state = State::Reaping;
        }
        free
    }

    fn reap_blocking(&self, process: &Process) -> Exit {
        let ending = process.reap_blocking();
        self.record(&mut self.progress.lock(), ending)
    }

    /// Reaps if it has ended.
    pub(super) fn try_wait(&self) -> Result<Option<Exit>> {
        let process = self.process()?;
        let mut progress = self.progress.lock();
        match progress.state {
            State::Ended(exit) => return Ok(Some(exit)),
            State::Reaping => {
                // Its end is visible before the reaping thread has noted it: wait for that note, which is on its way.
                let ended = crate::sys::poll::readable_now(process.as_fd()).unwrap_or(false);
                while ended && matches!(progress.state, State::Reaping) {
                    self.ended.wait(&mut progress);
                }
                return Ok(if let State::Ended(exit) = progress.state { Some(exit) } else { None });
            }
            State::Running => {}
        }
        let reaped = process.reap().map_err(|error| Error::from_io("wait", &error, "cannot wait for the child"))?;
        Ok(match reaped {
            Reaped::Running => None,
            Reaped::Ended(ending) => Some(self.record(&mut progress, Some(ending))),
            Reaped::Unknown => Some(self.record(&mut progress, None)),
        })
    }

    /// Whether its exec was not waited for.
    #[cfg(test)]
    pub(super) fn is_unwaited(&self) -> bool {
        self.progress.lock().unwaited.is_some()
    }

    /// Waits until a child whose exec was not waited for handles signals as its program will: it may not have run yet. For signals that may
    /// be ignored; SIGKILL needs no such wait.
    pub(super) fn await_own_signals(&self) -> Result<()> {
        self.process()?;
        let deadline = Deadline::after(BEGIN_PATIENCE);
        loop {
            let waits = self.progress.lock().unwaited.as_ref().is_some_and(|unwaited| !unwaited.signals_are_reset());
            if !waits || self.has_ended()? || deadline.passed() {
                return Ok(());
            }
            std::thread::sleep(BEGIN_PAUSE);
        }
    }

    /// Runs `act` on the process unless it is known to have ended; under the lock that reaping takes, so its number is its own.
    pub(super) fn while_running<T>(&self, act: impl FnOnce(&Process) -> std::io::Result<T>) -> Result<std::io::Result<T>> {
        let process = self.process()?;
        let progress = self.progress.lock();
        if matches!(progress.state, State::Ended(_)) {
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
        let progress = self.progress.get_mut();
        if self.generation != fork::generation() || matches!(progress.state, State::Ended(_)) {
            return;
        }
        match process.reap() {
            Ok(Reaped::Ended(_) | Reaped::Unknown) => {
                let _ = progress.unwaited.take().and_then(Unwaited::finish);
            }
            // A failure tells nothing: the child may still run on memory of the library.
            Ok(Reaped::Running) | Err(_) => {
                let uses = Uses { _live: progress.live.take(), unwaited: progress.unwaited.take(), _cgroup: self.tree.cgroup.take() };
                reap_later(process, uses);
            }
        }
    }
}
