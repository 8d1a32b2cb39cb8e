//! Starting a process: the ladder clone3, clone, fork, on a stack of its own with a guard page.

use super::child::{self, FdMove, Plan, RawLimit, Report, Span};
use super::exec::Image;
use super::fork::PerProcess;
use super::mapping::Mapping;
use super::reset::{ResetSignals, reset_mask};
use super::signal::{self, Mask};
use super::wait::Process;
use super::{fd, raw};
use crate::error::Stage;
use parking_lot::Mutex;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Enough for the child's few frames and its 4 KiB directory buffer, with room for odd kernels.
const STACK_BYTES: usize = 64 << 10;
const GUARD_BYTES: usize = 4096 * 4;

/// How processes are started, from best to plainest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    /// clone3 that shares memory and clears handlers by itself.
    Clone3 = 0,
    /// clone that shares memory, all signals blocked around it.
    Clone = 1,
    /// A copy of the host, where sharing memory is refused.
    Fork = 2,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);
static CLOSE_RANGE: AtomicBool = AtomicBool::new(true);
static CLOSE_RANGE_PROBED: OnceLock<()> = OnceLock::new();

/// The level in use; goes down when the kernel refuses one.
pub(crate) fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        0 => Level::Clone3,
        1 => Level::Clone,
        _ => Level::Fork,
    }
}

/// Whether the kernel has close_range. Probed once, on an empty range.
pub(crate) fn close_range_works() -> bool {
    CLOSE_RANGE_PROBED.get_or_init(|| {
        let last = u32::MAX as usize;
        // SAFETY: takes no pointers; no descriptor has a number that high.
        let result = unsafe { raw::syscall(libc::SYS_close_range, [last, last, 0, 0, 0]) };
        CLOSE_RANGE.store(result == 0, Ordering::Relaxed);
    });
    CLOSE_RANGE.load(Ordering::Relaxed)
}

/// What happens to a child besides program, arguments, environment and directory; plain data.
pub(crate) struct Setup {
    /// Ascending by target, each target once.
    pub(crate) moves: Vec<FdMove>,
    pub(crate) keep_fds: bool,
    pub(crate) reset_signals: ResetSignals,
    /// The mask of the thread that asked, when another thread starts the child.
    pub(crate) caller_mask: Option<Mask>,
    pub(crate) death_signal: i32,
    pub(crate) new_session: bool,
    pub(crate) process_group: Option<i32>,
    pub(crate) cgroup: Option<Arc<super::cgroup::Cgroup>>,
    pub(crate) tty: Option<i32>,
    pub(crate) foreground: bool,
    pub(crate) umask: Option<u32>,
    pub(crate) limits: Vec<RawLimit>,
    pub(crate) nice: Option<i32>,
    pub(crate) affinity: Vec<u64>,
    pub(crate) groups: Option<Vec<u32>>,
    pub(crate) gid: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) no_new_privs: bool,
}

/// Why no process came to be.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) error: io::Error,
}

impl Failure {
    fn new(stage: Stage, error: io::Error) -> Failure {
        Failure { stage, error }
    }

    fn errno(stage: Stage, errno: i32) -> Failure {
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
}

// A forked copy of the host shares report pages with its parent: never used by both.
static POOL: PerProcess<Mutex<Vec<Launcher>>> = PerProcess::new();
const POOL_MAX: usize = 16;

impl Launcher {
    /// Takes one from the pool or makes one.
    pub(crate) fn take() -> Result<Launcher, Failure> {
        if let Some(launcher) = POOL.get().lock().pop() {
            return Ok(launcher);
        }
        let prepare = |error| Failure::new(Stage::Prepare, error);
        let stack = Mapping::new(STACK_BYTES + GUARD_BYTES, libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_STACK).map_err(prepare)?;
        stack.protect_start(GUARD_BYTES).map_err(prepare)?;
        let report = Mapping::new(4096, libc::MAP_SHARED).map_err(prepare)?;
        Ok(Launcher { stack, report, sources: Vec::new(), image: Image::default() })
    }

    /// Gives it back to the pool.
    pub(crate) fn give_back(mut self) {
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
            match self.launch_at(level, setup) {
                Err(failure) if failure.stage == Stage::Clone && refused(level, &failure.error, setup) => lower(level),
                result => return result,
            }
        }
    }

    fn launch_at(&mut self, level: Level, setup: &Setup) -> Result<Process, Failure> {
        let identity = setup.uid.is_some() || setup.gid.is_some() || setup.groups.is_some();
        let share_memory = level != Level::Fork && !identity;
        let hold = if level == Level::Fork { Some(held_pipe(setup)?) } else { None };
        let clears_handlers = level == Level::Clone3;
        let host = if setup.death_signal != 0 { Some(host_pidfd()) } else { None };
        let procs_file = match &setup.cgroup {
            Some(cgroup) if level != Level::Clone3 => Some(cgroup.procs_file().map_err(|error| Failure::new(Stage::Clone, error))?),
            _ => None,
        };
        // With handlers cleared by the clone itself no signal can run host code in the child; otherwise everything is blocked around it.
        let saved = (!clears_handlers || setup.foreground).then(signal::block_all_raw);
        let extra = Extra {
            hold: hold.as_ref().map(|(_, write)| write.as_fd()),
            host_pidfd: host.flatten().map_or(-1, |fd| fd.as_raw_fd()),
            cgroup_procs: procs_file.as_ref().map_or(-1, |fd| fd.as_raw_fd()),
            clear_handlers: !clears_handlers,
            saved,
        };
        let mut plan = self.plan(setup, &extra);
        self.report().clear();
        let suspend = level != Level::Fork;
        let flags = Flags { share_memory, clear_handlers: clears_handlers, suspend, cgroup: setup.cgroup.as_ref().map(|cgroup| cgroup.raw_dir()) };
        let started = self.clone_child(level, flags, &mut plan);
        if let Some(mask) = saved {
            signal::swap_mask(mask);
        }
        let process = started?;
        if let Some((read, write)) = hold {
            // Without vfork the end of file of this pipe is the moment of exec.
            drop(write);
            let _ = fd::read(read.as_fd(), &mut [0; 1]);
        }
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
    pub(crate) fn launch_unwaited(mut self, setup: Setup) -> Result<(Process, Unwaited), Box<(Launcher, Setup)>> {
        let identity = setup.uid.is_some() || setup.gid.is_some() || setup.groups.is_some();
        if level() != Level::Clone3 || identity || setup.foreground || setup.death_signal != 0 {
            return Err(Box::new((self, setup)));
        }
        let extra = Extra { hold: None, host_pidfd: -1, cgroup_procs: -1, clear_handlers: false, saved: None };
        let mut plan = Box::new(self.plan(&setup, &extra));
        self.report().clear();
        let cgroup = setup.cgroup.as_ref().map(|cgroup| cgroup.raw_dir());
        let flags = Flags { share_memory: true, clear_handlers: true, suspend: false, cgroup };
        match self.clone_child(Level::Clone3, flags, &mut plan) {
            Ok(process) => Ok((process, Unwaited(Some((self, setup, plan))))),
            Err(_) => Err(Box::new((self, setup))),
        }
    }

    fn plan(&mut self, setup: &Setup, extra: &Extra<'_>) -> Plan {
        let pointers = self.image.pointers();
        self.sources.clear();
        self.sources.extend(setup.moves.iter().map(|entry| entry.source));
        let span = |values: &[u32]| Span { start: values.as_ptr(), len: values.len() };
        Plan {
            report: self.report.start.cast(),
            candidates: pointers.candidates,
            argv: pointers.argv,
            envp: pointers.envp,
            cwd: pointers.cwd,
            moves: Span { start: setup.moves.as_ptr(), len: setup.moves.len() },
            sources: self.sources.as_mut_ptr(),
            hold: extra.hold.map_or(-1, |fd| fd.as_raw_fd()),
            keep_fds: setup.keep_fds,
            close_range_works: setup.keep_fds || close_range_works(),
            reset_signals: reset_mask(setup.reset_signals),
            clear_handlers: extra.clear_handlers,
            mask: match setup.reset_signals {
                ResetSignals::All => Some(0),
                _ => setup.caller_mask.or(extra.saved),
            },
            death_signal: setup.death_signal,
            host_pidfd: extra.host_pidfd,
            host_pid: if setup.death_signal != 0 { std::process::id() as i32 } else { 0 },
            new_session: setup.new_session,
            process_group: setup.process_group.unwrap_or(-1),
            cgroup_procs: extra.cgroup_procs,
            tty: setup.tty.unwrap_or(-1),
            foreground: setup.foreground,
            umask: setup.umask.map_or(-1, |mask| mask as i32),
            limits: Span { start: setup.limits.as_ptr(), len: setup.limits.len() },
            nice: setup.nice,
            affinity: Span { start: setup.affinity.as_ptr(), len: setup.affinity.len() },
            groups: setup.groups.as_deref().map(span),
            gid: setup.gid,
            uid: setup.uid,
            no_new_privs: setup.no_new_privs,
        }
    }

    fn clone_child(&self, level: Level, flags: Flags, plan: &mut Plan) -> Result<Process, Failure> {
        let mut pidfd: i32 = -1;
        let argument = ptr::from_mut(plan).cast();
        let mut bits = libc::CLONE_PIDFD as u64;
        if flags.suspend {
            bits |= libc::CLONE_VFORK as u64;
        }
        if flags.share_memory {
            bits |= libc::CLONE_VM as u64;
        }
        if flags.clear_handlers {
            bits |= CLONE_CLEAR_SIGHAND;
        }
        let usable = self.stack.start as usize + GUARD_BYTES;
        let result = if level == Level::Fork {
            retry_eintr(|| fork_child(argument))
        } else if level == Level::Clone3 {
            let cgroup = flags.cgroup.map_or(0, |fd| fd as u64);
            let into = if flags.cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
            let signal = libc::SIGCHLD as u64;
            let args: [u64; 11] = [bits | into, &raw mut pidfd as u64, 0, 0, signal, usable as u64, STACK_BYTES as u64, 0, 0, 0, cgroup];
            // SAFETY: clone_args of 88 bytes naming a stack of our own; `enter` keeps to the rules of child.rs; stack and plan outlive the
            // child's use of them through CLONE_VFORK, on the fork path because the child has a copy, and else because `Unwaited` keeps
            // them until the child has ended.
            retry_eintr(|| unsafe { raw::clone_call(libc::SYS_clone3, [args.as_ptr() as usize, 88, 0, 0, 0], child::enter, argument) })
        } else {
            let first = (bits | libc::SIGCHLD as u64) as usize;
            // SAFETY: as above; the third argument of clone receives the pidfd.
            retry_eintr(|| unsafe {
                raw::clone_call(libc::SYS_clone, [first, usable + STACK_BYTES, &raw mut pidfd as usize, 0, 0], child::enter, argument)
            })
        };
        if result < 0 {
            return Err(Failure::errno(Stage::Clone, -result as i32));
        }
        // SAFETY: the kernel has just created the descriptor for this call.
        let pidfd = (pidfd >= 0).then(|| unsafe { fd::adopt(pidfd) });
        Process::new(result as i32, pidfd).map_err(|error| Failure::new(Stage::Clone, error))
    }
}

/// What a child that was not waited for may still use: its stack, its plan and what the plan points to. Dropped unfinished it leaks,
/// because the child may still run on it.
pub(crate) struct Unwaited(Option<(Launcher, Setup, Box<Plan>)>);

// SAFETY: the plan's pointers lead into the launcher and the setup that travel with it, and only the child reads through them.
unsafe impl Send for Unwaited {}

impl std::fmt::Debug for Unwaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unwaited")
    }
}

impl Unwaited {
    /// To be called once the child has ended: recycles everything and tells why the program was not executed, and the path tried last.
    pub(crate) fn finish(mut self) -> Option<(Failure, PathBuf)> {
        let (launcher, _, _) = self.0.take()?;
        let failure = launcher.report().failure();
        let failure = failure.map(|(stage, errno)| (Failure::errno(stage, errno), launcher.image.last_candidate()));
        launcher.give_back();
        failure
    }
}

impl Drop for Unwaited {
    fn drop(&mut self) {
        std::mem::forget(self.0.take());
    }
}

/// What exists only for one attempt at one level.
struct Extra<'a> {
    hold: Option<BorrowedFd<'a>>,
    host_pidfd: i32,
    cgroup_procs: i32,
    clear_handlers: bool,
    saved: Option<Mask>,
}

#[derive(Clone, Copy)]
struct Flags {
    share_memory: bool,
    clear_handlers: bool,
    /// Whether this thread sleeps until the child has exec'd.
    suspend: bool,
    cgroup: Option<i32>,
}

/// A plain copy of the host that runs `enter`: the last resort, by the oldest call there is, which filters leave alone.
fn fork_child(argument: *mut core::ffi::c_void) -> isize {
    #[cfg(target_arch = "x86_64")]
    let (number, first) = (libc::SYS_fork, 0);
    #[cfg(not(target_arch = "x86_64"))]
    let (number, first) = (libc::SYS_clone, libc::SIGCHLD as usize);
    // SAFETY: takes no pointers; the child has a copy of this stack and of the plan, and never leaves `enter`.
    let result = unsafe { raw::syscall(number, [first, 0, 0, 0, 0]) };
    if result == 0 { child::enter(argument) } else { result }
}

fn retry_eintr(mut call: impl FnMut() -> isize) -> isize {
    loop {
        let result = call();
        if result != -(libc::EINTR as isize) {
            return result;
        }
    }
}

/// Whether the kernel or a filter refuses this level, so that the next may be tried.
fn refused(level: Level, error: &io::Error, setup: &Setup) -> bool {
    let errno = error.raw_os_error().unwrap_or(0);
    let filtered = errno == libc::ENOSYS || errno == libc::EPERM;
    match level {
        Level::Clone3 => filtered || errno == libc::EINVAL || (setup.cgroup.is_some() && errno == libc::EOPNOTSUPP),
        Level::Clone => filtered || errno == libc::EINVAL,
        Level::Fork => false,
    }
}

fn lower(from: Level) {
    let _ = LEVEL.compare_exchange(from as u8, from as u8 + 1, Ordering::Relaxed, Ordering::Relaxed);
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
    let fd = super::wait::pidfd_open(std::process::id()).ok()?;
    // Kept for the life of the process: one descriptor, shared by every spawn that wants to die with it.
    Some(host.get_or_init(|| fd).as_fd())
}
