//! Starting a process: the ladder clone3, clone, fork.

use super::child::{self, Plan};
use super::fd;
use super::launch::{Failure, STACK_BYTES};
use super::raw;
use super::setup::Setup;
use super::wait::Process;
use crate::error::Stage;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

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
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        let last = u32::MAX as usize;
        // SAFETY: takes no pointers; no descriptor has a number that high.
        let result = unsafe { raw::syscall(libc::SYS_close_range, [last, last, 0, 0, 0]) };
        result == 0
    })
}

/// How one attempt starts the child.
#[derive(Clone, Copy)]
pub(super) struct Flags {
    pub(super) share_memory: bool,
    /// Whether the child begins with the host's table of descriptors itself.
    pub(super) share_files: bool,
    pub(super) clear_handlers: bool,
    /// Whether this thread sleeps until the child has exec'd.
    pub(super) suspend: bool,
    pub(super) cgroup: Option<i32>,
}

/// Makes the child, which runs `child::enter` on the plan. `stack` is where a stack of STACK_BYTES starts.
pub(super) fn clone_child(stack: usize, level: Level, flags: Flags, plan: *mut Plan) -> Result<Process, Failure> {
    // The kernel writes it before the child runs: a child that shares memory finds it in its plan.
    // SAFETY: only takes the address of a field of the plan, which the caller keeps.
    let pidfd = unsafe { &raw mut (*plan).pidfd };
    let argument = plan.cast();
    let mut bits = libc::CLONE_PIDFD as u64;
    if flags.suspend {
        bits |= libc::CLONE_VFORK as u64;
    }
    if flags.share_memory {
        bits |= libc::CLONE_VM as u64;
    }
    if flags.share_files {
        bits |= libc::CLONE_FILES as u64;
    }
    if flags.clear_handlers {
        bits |= CLONE_CLEAR_SIGHAND;
    }
    let result = if level == Level::Fork {
        retry_eintr(|| fork_child(argument))
    } else if level == Level::Clone3 {
        let cgroup = flags.cgroup.map_or(0, |fd| fd as u64);
        let into = if flags.cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
        let signal = libc::SIGCHLD as u64;
        let args: [u64; 11] = [bits | into, pidfd as u64, 0, 0, signal, stack as u64, STACK_BYTES as u64, 0, 0, 0, cgroup];
        // SAFETY: clone_args of 88 bytes naming a stack of our own; `enter` keeps to the rules of child.rs; stack and plan outlive the
        // child's use of them through CLONE_VFORK, on the fork path because the child has a copy, and else because `Unwaited` keeps
        // them until the child has ended.
        retry_eintr(|| unsafe { raw::clone_call(libc::SYS_clone3, [args.as_ptr() as usize, 88, 0, 0, 0], child::enter, argument) })
    } else {
        let first = (bits | libc::SIGCHLD as u64) as usize;
        // SAFETY: the stack is our own and handed over by its end; `enter` keeps to the rules of child.rs; stack and plan outlive the child's use of
        // them, as for clone3 above. The third argument receives the pidfd.
        retry_eintr(|| unsafe { raw::clone_call(libc::SYS_clone, [first, stack + STACK_BYTES, pidfd as usize, 0, 0], child::enter, argument) })
    };
    if result < 0 {
        return Err(Failure::errno(Stage::Clone, -result as i32));
    }
    // SAFETY: the caller wrote the plan; the kernel changed this field, if at all, before the call returned.
    let pidfd = unsafe { pidfd.read_volatile() };
    // SAFETY: the kernel has just created the descriptor for this call.
    let pidfd = (pidfd >= 0).then(|| unsafe { fd::adopt(pidfd) });
    Process::new(result as i32, pidfd).map_err(|error| Failure::new(Stage::Clone, error))
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
pub(super) fn refused(level: Level, error: &io::Error, setup: &Setup) -> bool {
    let errno = error.raw_os_error().unwrap_or(0);
    let filtered = errno == libc::ENOSYS || errno == libc::EPERM;
    match level {
        Level::Clone3 => filtered || errno == libc::EINVAL || (setup.cgroup().is_some() && errno == libc::EOPNOTSUPP),
        Level::Clone => filtered || errno == libc::EINVAL,
        Level::Fork => false,
    }
}

pub(super) fn lower(from: Level) {
    let _ = LEVEL.compare_exchange(from as u8, from as u8 + 1, Ordering::Relaxed, Ordering::Relaxed);
}
