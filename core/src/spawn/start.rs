//! From a command to a running child.

use super::cancel::CancelHandle;
use super::child::{Child, ChildHandle};
use super::command::{Command, ExecWait};
use super::image;
use super::known::{self, Sight};
use super::life::{Beginning, Core, Tree};
use super::offload::run_on_spawner;
use super::orphan::{Uses, look_after_unwatched, reap_later};
use super::plan;
use super::status::ExitStatus;
use super::stdio::Stdio;
use super::streams::Streams;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::sys::clone::{Level, close_range_works, level};
use crate::sys::fork::PerProcess;
use crate::sys::launch::{Failure, Launcher};
use crate::sys::limits;
use crate::sys::poll::{Events, PollFd, poll};
use crate::sys::setup::Setup;
use crate::sys::wait::{Process, pidfd_info_works, pidfd_open};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A file just written may still be open for writing in a child of another thread that has not exec'd yet: a short retry cures it.
/// Source: golang/go issue 22315.
const BUSY_RETRIES: u32 = 3;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

static LIVE: PerProcess<AtomicUsize> = PerProcess::new();
static MAX_CHILDREN: AtomicUsize = AtomicUsize::new(0);

/// The greatest number of live children of this process; one more start fails with `Exhausted`. Default: 4096, or half of
/// RLIMIT_NPROC where that is less.
pub fn max_children() -> usize {
    match MAX_CHILDREN.load(Ordering::Relaxed) {
        0 => {
            let limit = limits::get(libc::RLIMIT_NPROC).map_or(u64::MAX, |(soft, _)| soft);
            let cap = usize::try_from(limit / 2).unwrap_or(usize::MAX).clamp(1, 4096);
            MAX_CHILDREN.store(cap, Ordering::Relaxed);
            cap
        }
        cap => cap,
    }
}

/// Sets [`max_children`]; 0 restores the default.
pub fn set_max_children(cap: usize) {
    MAX_CHILDREN.store(cap, Ordering::Relaxed);
}

/// What the engine found on this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// How processes are started: `"clone3"`, `"clone"` or `"fork"`.
    pub clone_level: &'static str,
    /// Whether children have pidfds.
    pub pidfd: bool,
    /// Whether close_range works.
    pub close_range: bool,
    /// Whether children can have a cgroup of their own.
    pub cgroup: bool,
    /// Whether the kernel tells the status of a child that somebody else reaped.
    pub pidfd_info: bool,
}

/// What the engine found on this kernel; probes what was not yet used.
pub fn engine_info() -> EngineInfo {
    EngineInfo {
        clone_level: match level() {
            Level::Clone3 => "clone3",
            Level::Clone => "clone",
            Level::Fork => "fork",
        },
        pidfd: pidfd_open(std::process::id()).is_ok(),
        close_range: close_range_works(),
        cgroup: plan::cgroup_available(),
        pidfd_info: pidfd_info_works(),
    }
}

/// Counts a live child while it lives.
#[derive(Debug)]
pub(super) struct LiveCount(&'static AtomicUsize);

impl LiveCount {
    fn take() -> Result<LiveCount> {
        let count = LiveCount(LIVE.get());
        let live = count.0.fetch_add(1, Ordering::Relaxed);
        let cap = max_children();
        if live >= cap {
            let detail = format!("too many live children (limit = {cap}, see max_children)");
            return Err(Error::new(ErrorKind::Exhausted, "spawn", detail).with_stage(Stage::Prepare));
        }
        Ok(count)
    }
}

impl Drop for LiveCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A process whose result nobody may be waiting for any more: killed and reaped unless taken.
struct Started(Option<(Process, u32)>);

impl Started {
    fn take(mut self) -> Option<(Process, u32)> {
        self.0.take()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some((process, _)) = self.0.take() {
            let _ = process.signal(libc::SIGKILL);
            reap_later(process, Uses::default());
        }
    }
}

impl Command {
    /// Starts the child; standard streams that were not set are inherited.
    ///
    /// Returns once the program is executing. The host's ends of pipes are in `stdin`, `stdout`, `stderr` and
    /// [`take_fd`](Child::take_fd).
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `InvalidArgument`, `Exhausted`, `TooLarge` with the failed [`Stage`] and errno; no process, descriptor
    /// or zombie is left. `Timeout` and `Cancelled` only with [`offload`](Command::offload) or a parent-death signal.
    pub fn spawn(&mut self) -> Result<Child> {
        let after = match self.start.exec_wait {
            ExecWait::Always => After::Exec,
            ExecWait::UnlessKnown => After::ExecUnlessKnown,
            ExecWait::Never => After::End,
        };
        let deadline = Deadline::from_timeout(self.run.get_mut().timeout);
        self.start([Stdio::inherit(), Stdio::inherit(), Stdio::inherit()], deadline, after)
    }

    /// Runs the child to its end; standard streams that were not set are inherited. Timeout, cancel, grace and `kill_tree` hold.
    ///
    /// Does not wait for the exec before it waits for the end, which makes a short program's run faster than [`spawn`](Command::spawn) and
    /// wait.
    ///
    /// # Errors
    /// As [`spawn`](Command::spawn); `Timeout` and `Cancelled` after the child was stopped; `ChildFailed` with [`check`](Command::check)
    /// when it did not exit with 0.
    pub fn status(&mut self) -> Result<ExitStatus> {
        let deadline = Deadline::from_timeout(self.run.get_mut().timeout);
        // A descriptor given by value is good for one start: then the retry must lie within it.
        let after = if self.stdio.iter().any(|(_, stdio)| stdio.is_once()) { After::Exec } else { After::End };
        let mut busy = 0;
        let (mut child, waited) = loop {
            let mut child = self.start([Stdio::inherit(), Stdio::inherit(), Stdio::inherit()], deadline, after)?;
            child.stdin = None;
            let waited = wait_or_cancel(child.handle(), self.run.get_mut().cancel.as_ref(), deadline)?;
            match child.handle().core.start_failure() {
                None => break (child, waited),
                Some(failure) if failure.error.raw_os_error() == Some(libc::ETXTBSY) && busy < BUSY_RETRIES => {
                    busy += 1;
                    std::thread::sleep(BUSY_PAUSE);
                }
                Some(failure) => return Err(image::explain(self, failure.stage, &failure.error)),
            }
        };
        let why = match waited {
            Waited::Ended(status) if self.run.get_mut().check && !status.success() => {
                return Err(Error::new(ErrorKind::ChildFailed, "status", format!("the command failed with {status} (program = {:?})", self.program)));
            }
            Waited::Ended(status) => return Ok(status),
            Waited::Cancelled => Error::new(ErrorKind::Cancelled, "status", format!("the run was cancelled (program = {:?})", self.program)),
            Waited::TimedOut => {
                let timeout = self.run.get_mut().timeout.unwrap_or_default();
                Error::new(ErrorKind::Timeout, "status", format!("the command timed out (program = {:?}, timeout = {timeout:?})", self.program))
            }
        };
        child.stop(&self.run.get_mut().ladder())?;
        Err(why)
    }

    /// Starts the child with these standard streams where none were set. The deadline bounds an offloaded start.
    pub(crate) fn spawn_with(&mut self, defaults: [Stdio; 3], deadline: Deadline) -> Result<Child> {
        self.start(defaults, deadline, After::Exec)
    }

    fn start(&mut self, defaults: [Stdio; 3], deadline: Deadline, after: After) -> Result<Child> {
        look_after_unwatched();
        let live = LiveCount::take()?;
        let mut launcher = Launcher::take().map_err(|failure| image::explain(self, failure.stage, &failure.error))?;
        let prepared = image::fill(&mut launcher.image, self).and_then(|()| self.prepare(defaults));
        let (streams, setup) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                launcher.give_back();
                return Err(error);
            }
        };
        let level = plan::tree_level(&self.start, &setup);
        let tree = Tree { cgroup: setup.cgroup().cloned(), kill: self.run.get_mut().kill_tree, level, leads_group: setup.leads_group() };
        let Streams { childs, hosts, .. } = streams;
        let (started_at, started) = (SystemTime::now(), Instant::now());
        let sight =
            (after == After::ExecUnlessKnown && known::is_plain(self, &setup, &launcher.image)).then(|| known::look(&launcher.image)).flatten();
        let unwaited = match (after, &sight) {
            (After::End, _) | (_, Some(Sight::Known)) if !plan::needs_spawner(&self.start) => launcher.launch_unwaited(setup),
            _ => Err((launcher, setup)),
        };
        let (process, retries, unwaited) = match unwaited {
            Ok((process, unwaited)) => (process, 0, Some(unwaited)),
            Err((launcher, setup)) => {
                let (process, retries) = self.launch((launcher, setup, childs), deadline)?;
                if let Some(Sight::New(program)) = sight {
                    known::remember(program);
                }
                (process, retries, None)
            }
        };
        let core = Core::new(Beginning { process, live, unwaited, started_at, started, tree });
        Ok(Child::new(core, hosts, self, retries))
    }

    fn prepare(&mut self, defaults: [Stdio; 3]) -> Result<(Streams, Setup)> {
        let mut streams = Streams::open(self, defaults)?;
        let moves = std::mem::take(&mut streams.moves);
        let setup = plan::setup(&self.start, self.run.get_mut().kill_tree, moves)?;
        Ok((streams, setup))
    }

    fn launch(&mut self, prepared: Prepared, deadline: Deadline) -> Result<(Process, u32)> {
        let result = if plan::needs_spawner(&self.start) {
            self.launch_elsewhere(prepared, deadline)?.and_then(|started| {
                started.take().ok_or_else(|| Failure { stage: Stage::Clone, error: std::io::Error::from_raw_os_error(libc::ECHILD) })
            })
        } else {
            launch_here(prepared)
        };
        result.map_err(|failure| image::explain(self, failure.stage, &failure.error))
    }

    /// Starts on a spawner thread. When the deadline passes or the run is cancelled first, the child is killed as soon as it appears, or not
    /// started at all.
    fn launch_elsewhere(&mut self, prepared: Prepared, deadline: Deadline) -> Result<std::result::Result<Started, Failure>> {
        let arrived = Arc::new(crate::sys::poll::EventFd::new("spawn")?);
        let signal = Arc::downgrade(&arrived);
        let result = run_on_spawner(move || {
            if signal.strong_count() == 0 {
                return Err(Failure { stage: Stage::Clone, error: std::io::Error::from_raw_os_error(libc::ECANCELED) });
            }
            let started = launch_here(prepared).map(|started| Started(Some(started)));
            if let Some(arrived) = signal.upgrade() {
                arrived.signal();
            }
            started
        })?;
        let cancel = self.run.get_mut().cancel.as_ref();
        let mut fds =
            [PollFd::new(arrived.as_fd(), Events::Read), cancel.map_or(PollFd::unused(), |cancel| PollFd::new(cancel.as_fd(), Events::Read))];
        poll(&mut fds, deadline).map_err(|error| Error::from_io("spawn", &error, "cannot wait for the start"))?;
        if fds[0].ready() {
            return result.recv().map_err(|_| Error::new(ErrorKind::Panic, "spawn", "the spawner thread gave no result"));
        }
        if fds[1].ready() {
            return Err(Error::new(ErrorKind::Cancelled, "spawn", "cancelled while the program was being started").with_stage(Stage::Exec));
        }
        let detail = format!("the program was not started in time (timeout = {:?})", self.run.get_mut().timeout.unwrap_or_default());
        Err(Error::new(ErrorKind::Timeout, "spawn", detail).with_stage(Stage::Exec))
    }
}

/// All that a start needs, the child's ends of its streams included: a start that is given up goes on with descriptors of its own.
type Prepared = (Box<Launcher>, Setup, Vec<OwnedFd>);

/// When a start returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Once the program is executing.
    Exec,
    /// The same, but at once for a program that was executed before.
    ExecUnlessKnown,
    /// At once, where possible, because the caller waits for the end; a failure is known then.
    End,
}

enum Waited {
    Ended(ExitStatus),
    Cancelled,
    TimedOut,
}

fn wait_or_cancel(child: &ChildHandle, cancel: Option<&CancelHandle>, deadline: Deadline) -> Result<Waited> {
    let Some(cancel) = cancel else {
        return Ok(child.core.wait_deadline(deadline)?.map_or(Waited::TimedOut, |exit| Waited::Ended(exit.status)));
    };
    let mut fds = [PollFd::new(child.as_fd(), Events::Read), PollFd::new(cancel.as_fd(), Events::Read)];
    poll(&mut fds, deadline).map_err(|error| Error::from_io("status", &error, "cannot wait for the child"))?;
    match (child.core.try_wait()?, fds[1].ready()) {
        (Some(exit), _) => Ok(Waited::Ended(exit.status)),
        (None, true) => Ok(Waited::Cancelled),
        (None, false) => Ok(Waited::TimedOut),
    }
}

fn launch_here((mut launcher, setup, childs): Prepared) -> std::result::Result<(Process, u32), Failure> {
    let mut retries = 0;
    let result = loop {
        match launcher.launch(&setup) {
            Err(failure) if failure.error.raw_os_error() == Some(libc::ETXTBSY) && retries < BUSY_RETRIES => {
                retries += 1;
                std::thread::sleep(BUSY_PAUSE);
            }
            result => break result.map(|process| (process, retries)),
        }
    };
    launcher.give_back();
    drop(childs);
    result
}
