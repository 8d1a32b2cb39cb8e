//! One start, from a filled image to a running process: what the child needs is laid out before the clone and kept until it has exec'd.

use super::child::{Closing, Plan, Report, Span};
use super::clone::{Flags, Level, clone_child, close_range_works, level, lower, refused};
use super::exec::Image;
use super::fork::PerProcess;
use super::mapping::Mapping;
use super::reset::{ResetSignals, reset_mask};
use super::setup::{HostFds, Setup};
use super::signal::{self, Mask};
use super::{fd, wait};
use crate::error::Stage;
use parking_lot::Mutex;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;
use wait::Process;

/// Enough for the child's few frames and its 4 KiB directory buffer, with room for odd kernels.
pub(super) const STACK_BYTES: usize = 64 << 10;
const GUARD_BYTES: usize = 4096 * 4;

/// Why no process came to be.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) error: io::Error,
}

impl Failure {
    pub(super) fn new(stage: Stage, error: io::Error) -> Failure {
        Failure { stage, error }
    }

    pub(super) fn errno(stage: Stage, errno: i32) -> Failure {
        Failure { stage, error: io::Error::from_raw_os_error(errno) }
    }
}

/// A stack, a shared report page and an image, reused from spawn to spawn.
pub(crate) struct Launcher {
    stack: Mapping,
    report: Mapping,
    /// Where each descriptor is taken from; the child changes it while it rearranges them.
    sources: Vec<i32>,
    pub(crate) image: Image,
    /// What the child reads; written anew for each attempt.
    plan: MaybeUninit<Plan>,
}

// SAFETY: the plan's pointers lead into the launcher and into the setup of the attempt that wrote it, and only the child reads through them.
unsafe impl Send for Launcher {}

// A forked copy of the host shares report pages with its parent: never used by both.
#[allow(clippy::vec_box, reason = "a launcher keeps its address from take to give back, whoever holds it")]
static POOL: PerProcess<Mutex<Vec<Box<Launcher>>>> = PerProcess::new();
/// As many as an event loop may have between start and end. One holds some 20 KiB.
const POOL_MAX: usize = 128;

impl Launcher {
    /// Takes one from the pool or makes one.
    pub(crate) fn take() -> Result<Box<Launcher>, Failure> {
        if let Some(launcher) = POOL.get().lock().pop() {
            return Ok(launcher);
        }
        Launcher::fresh().map_err(|error| Failure::new(Stage::Prepare, error))
    }

    #[cold]
    fn fresh() -> io::Result<Box<Launcher>> {
        let stack = Mapping::new(STACK_BYTES + GUARD_BYTES, libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_STACK)?;
        stack.protect_start(GUARD_BYTES)?;
        let report = Mapping::new(4096, libc::MAP_SHARED)?;
        Ok(Box::new(Launcher { stack, report, sources: Vec::new(), image: Image::default(), plan: MaybeUninit::uninit() }))
    }

    /// Gives it back to the pool.
    pub(crate) fn give_back(mut self: Box<Self>) {
        self.image.clear();
        let mut pool = POOL.get().lock();
        if pool.len() < POOL_MAX {
            pool.push(self);
        }
    }

    fn report(&self) -> &Report {
        // SAFETY: the page is mapped as long as `self`, zeroed at first, aligned, and only accessed through atomics.
        unsafe { &*self.report.start.cast::<Report>() }
    }

    /// Starts a process from the image. Returns once the program is executing, or with the step that failed and no process left.
    pub(crate) fn launch(&mut self, setup: &Setup) -> Result<Process, Failure> {
        loop {
            let level = level();
            let result = match level {
                Level::Clone3 if setup.special.is_none() => self.launch_plainly(setup),
                _ => self.launch_at(level, setup),
            };
            match result {
                Err(failure) if failure.stage == Stage::Clone && refused(level, &failure.error, setup) => lower(level),
                result => return result,
            }
        }
    }

    /// The common case: clone3, nothing special.
    fn launch_plainly(&mut self, setup: &Setup) -> Result<Process, Failure> {
        let closing = closing(setup, true);
        let flags = Flags { share_memory: true, share_files: closing == Closing::Shared, clear_handlers: true, suspend: true, cgroup: None };
        self.plan(setup, &Extra { hold: -1, fds: NO_FDS, clear_handlers: false, saved: None, closing, parent_waits: true });
        let process = self.clone(Level::Clone3, flags)?;
        self.verdict(process)
    }

    #[inline(never)]
    fn launch_at(&mut self, level: Level, setup: &Setup) -> Result<Process, Failure> {
        let hold = if level == Level::Fork { Some(held_pipe(setup)?) } else { None };
        let clears_handlers = level == Level::Clone3;
        let host = if setup.death_signal() != 0 { Some(host_pidfd()) } else { None };
        let procs_file = match setup.cgroup() {
            Some(cgroup) if level != Level::Clone3 => Some(cgroup.procs_file().map_err(|error| Failure::new(Stage::Clone, error))?),
            _ => None,
        };
        // With handlers cleared by the clone itself no signal can run host code in the child; otherwise everything is blocked around it.
        let saved = (!clears_handlers || setup.foreground()).then(signal::block_all_raw);
        let fds =
            HostFds { host_pidfd: host.flatten().map_or(-1, |fd| fd.as_raw_fd()), cgroup_procs: procs_file.as_ref().map_or(-1, |fd| fd.as_raw_fd()) };
        let hold_fd = hold.as_ref().map_or(-1, |(_, write)| write.as_raw_fd());
        let closing = closing(setup, level == Level::Clone3);
        let suspend = level != Level::Fork;
        self.plan(setup, &Extra { hold: hold_fd, fds, clear_handlers: !clears_handlers, saved, closing, parent_waits: suspend });
        let flags = Flags {
            share_memory: suspend && !setup.changes_identity(),
            share_files: closing == Closing::Shared,
            clear_handlers: clears_handlers,
            suspend,
            cgroup: setup.cgroup().map(|cgroup| cgroup.raw_dir()),
        };
        let started = self.clone(level, flags);
        if let Some(mask) = saved {
            signal::swap_mask(mask);
        }
        let process = started?;
        if let Some((read, write)) = hold {
            // Without vfork the end of file of this pipe is the moment of exec.
            drop(write);
            let _ = fd::read(read.as_fd(), &mut [0; 1]);
        }
        self.verdict(process)
    }

    /// The process, unless it reported why it could not exec.
    fn verdict(&self, process: Process) -> Result<Process, Failure> {
        match self.report().failure() {
            None => Ok(process),
            Some((stage, errno)) => {
                process.reap_failed();
                Err(Failure::errno(stage, errno))
            }
        }
    }

    /// Starts a process without waiting for its exec, where the kernel allows: the caller waits for its end anyway. What went wrong is
    /// known once it has ended. Gives everything back when this cannot be done.
    pub(crate) fn launch_unwaited(mut self: Box<Self>, setup: Setup) -> Result<(Process, Unwaited), (Box<Launcher>, Setup)> {
        if level() != Level::Clone3 || setup.changes_identity() || setup.foreground() || setup.death_signal() != 0 {
            return Err((self, setup));
        }
        // Not with the host's table: the host goes on, and what it does to its descriptors must not reach the child.
        let closing = closing(&setup, false);
        self.plan(&setup, &Extra { hold: -1, fds: NO_FDS, clear_handlers: false, saved: None, closing, parent_waits: false });
        let cgroup = setup.cgroup().map(|cgroup| cgroup.raw_dir());
        let flags = Flags { share_memory: true, share_files: false, clear_handlers: true, suspend: false, cgroup };
        match self.clone(Level::Clone3, flags) {
            Ok(process) => Ok((process, Unwaited(Some((self, setup))))),
            Err(_) => Err((self, setup)),
        }
    }

    fn clone(&mut self, level: Level, flags: Flags) -> Result<Process, Failure> {
        clone_child(self.stack.start as usize + GUARD_BYTES, level, flags, self.plan.as_mut_ptr())
    }

    /// Lays out what the child reads. Image and setup must stay as they are until it has exec'd.
    fn plan(&mut self, setup: &Setup, extra: &Extra) {
        self.report().clear();
        self.sources.clear();
        if !setup.moves.is_empty() {
            self.sources.extend(setup.moves.iter().map(|entry| entry.source));
        }
        let pointers = self.image.pointers();
        self.plan.write(Plan {
            report: self.report.start.cast(),
            candidates: pointers.candidates,
            argv: pointers.argv,
            envp: pointers.envp,
            cwd: pointers.cwd,
            moves: Span { start: setup.moves.as_ptr(), len: setup.moves.len() },
            sources: self.sources.as_mut_ptr(),
            hold: extra.hold,
            pidfd: -1,
            closing: extra.closing,
            parent_waits: extra.parent_waits,
            clear_handlers: extra.clear_handlers,
            reset_signals: reset_mask(setup.reset_signals, extra.parent_waits),
            mask: match setup.reset_signals {
                ResetSignals::All => Some(0),
                _ => setup.caller_mask.or(extra.saved),
            },
            special: setup.special.as_ref().map(|special| special.raw(extra.fds)),
        });
    }
}

/// How the child closes what it was not given.
fn closing(setup: &Setup, may_share: bool) -> Closing {
    match (setup.keep_fds, close_range_works()) {
        (true, _) => Closing::Nothing,
        (false, true) if may_share => Closing::Shared,
        (false, true) => Closing::Own,
        (false, false) => Closing::ByListing,
    }
}

/// What a child that was not waited for may still use: its stack, its plan and what the plan points to. Dropped unfinished it leaks,
/// because the child may still run on it.
pub(crate) struct Unwaited(Option<(Box<Launcher>, Setup)>);

impl std::fmt::Debug for Unwaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unwaited")
    }
}

impl Unwaited {
    /// Whether a signal reaches the child as it will reach the program: before that, one that the host ignores would be lost on it.
    pub(crate) fn signals_are_reset(&self) -> bool {
        self.0.as_ref().is_none_or(|(launcher, _)| launcher.report().signals_are_reset())
    }

    /// To be called once the child has ended: recycles everything and tells why the program was not executed, and the paths tried.
    pub(crate) fn finish(mut self) -> Option<(Failure, Vec<PathBuf>)> {
        let (launcher, _) = self.0.take()?;
        let failure = launcher.report().failure();
        let failure = failure.map(|(stage, errno)| (Failure::errno(stage, errno), launcher.image.tried()));
        launcher.give_back();
        failure
    }
}

impl Drop for Unwaited {
    fn drop(&mut self) {
        std::mem::forget(self.0.take());
    }
}

const NO_FDS: HostFds = HostFds { host_pidfd: -1, cgroup_procs: -1 };

/// What exists only for one attempt at one level.
struct Extra {
    hold: i32,
    fds: HostFds,
    clear_handlers: bool,
    saved: Option<Mask>,
    closing: Closing,
    parent_waits: bool,
}

/// A pipe whose write end is closed by exec, numbered away from every target.
fn held_pipe(setup: &Setup) -> Result<(OwnedFd, OwnedFd), Failure> {
    let failed = |error| Failure::new(Stage::Stdio, error);
    let (read, mut write) = fd::pipe().map_err(failed)?;
    while setup.moves.iter().any(|entry| entry.target == write.as_raw_fd()) {
        let least = write.as_raw_fd() + 1;
        write = fd::duplicate(write.as_raw_fd(), least).map_err(failed)?;
    }
    Ok((read, write))
}

/// A pidfd of this process, made once per fork generation; `None` where the kernel has none.
fn host_pidfd() -> Option<BorrowedFd<'static>> {
    static HOST: PerProcess<OnceLock<OwnedFd>> = PerProcess::new();
    let host = HOST.get();
    if let Some(fd) = host.get() {
        return Some(fd.as_fd());
    }
    let fd = wait::pidfd_open(std::process::id()).ok()?;
    // Kept for the life of the process: one descriptor, shared by every spawn that wants to die with it.
    Some(host.get_or_init(|| fd).as_fd())
}
