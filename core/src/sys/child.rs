//! What runs in the new process between clone and exec.
//!
//! The new process shares the host's memory (except on the fork path) while the calling thread is suspended, so the rules are strict: no
//! allocation, no lock, no panic, no drop of an owned value, no formatting, no libc (its errno is the host's, its symbols may be bound
//! lazily): raw system calls on a plan that the parent prepared, and on the stack made for it.
//!
//! System calls made here, in order, each only when asked for: rt_sigprocmask, rt_sigaction, prctl(PR_SET_PDEATHSIG), ppoll, getppid,
//! setsid, setpgid, write (cgroup.procs), close_range, fcntl, dup3, close_range (or openat, getdents64, lseek, close), ioctl(TIOCSCTTY),
//! getpgid, ioctl(TIOCSPGRP), chdir, umask, prlimit64, setpriority, sched_setaffinity, setgroups, setresgid, setresuid,
//! prctl(PR_SET_NO_NEW_PRIVS), execve, exit_group. None of them goes through libc, so the list of async-signal-safe functions of
//! signal-safety(7) is not exceeded.

mod descriptors;
mod special;

pub(super) use special::Special;

use super::raw::syscall;
use crate::error::Stage;
use core::ffi::{c_char, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Where the child reports a failure; lives in a MAP_SHARED page, because under valgrind and on the fork path memory is not shared.
#[repr(C)]
pub(super) struct Report {
    /// 1 + index into `Stage::ALL`, or 0 while nothing failed.
    stage: AtomicI32,
    errno: AtomicI32,
    /// Whether signals that the host ignores end this child as any other.
    reset: AtomicBool,
}

impl Report {
    pub(super) fn clear(&self) {
        self.stage.store(0, Ordering::Relaxed);
        self.errno.store(0, Ordering::Relaxed);
        self.reset.store(false, Ordering::Relaxed);
    }

    /// Whether the child has its own dispositions of signals.
    pub(super) fn signals_are_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }

    /// The failed stage and errno.
    pub(super) fn failure(&self) -> Option<(Stage, i32)> {
        let index = usize::try_from(self.stage.load(Ordering::Acquire)).ok()?.checked_sub(1)?;
        Some((*Stage::ALL.get(index)?, self.errno.load(Ordering::Relaxed)))
    }
}

/// Makes `target` in the child from `source` of the host; a negative source leaves the inherited descriptor as it is.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct FdMove {
    pub(crate) source: i32,
    pub(crate) target: i32,
}

/// A limit as prlimit64 takes it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct RawLimit {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
    pub(crate) resource: u32,
}

/// A borrowed array: pointer and length into memory of the parent.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Span<T> {
    pub(super) start: *const T,
    pub(super) len: usize,
}

impl<T: Copy> Span<T> {
    /// The element at `index`, or nothing past the end; no bounds check that could panic.
    #[inline(always)]
    fn get(&self, index: usize) -> Option<T> {
        if index < self.len {
            // SAFETY: `start` points to `len` elements that the plan's owner keeps alive until the child has exec'd; index is below len.
            Some(unsafe { ptr::read(self.start.wrapping_add(index)) })
        } else {
            None
        }
    }
}

/// Which descriptors the child closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Closing {
    /// None but those with close-on-exec.
    Nothing,
    /// All that are no target; the table is the child's own copy.
    Own,
    /// The same; the table is still the host's. The child leaves it by copying only what it needs, so that a start costs the same however
    /// many descriptors the host has.
    Shared,
    /// As `Own`, on kernels without close_range.
    ByListing,
}

/// Everything the child needs, as plain numbers and pointers into memory that the parent owns and does not touch meanwhile.
#[repr(C)]
pub(super) struct Plan {
    pub(super) report: *const Report,
    /// Paths to try, null-terminated.
    pub(super) candidates: *const *const c_char,
    pub(super) argv: *const *const c_char,
    pub(super) envp: *const *const c_char,
    pub(super) cwd: *const c_char,
    /// Ascending by target. A standard stream without an entry is inherited as it is.
    pub(super) moves: Span<FdMove>,
    /// For each move the descriptor to take, first equal to its source; the child's to change.
    pub(super) sources: *mut i32,
    /// A descriptor that stays open although it is no target: the parent's end-of-exec pipe.
    pub(super) hold: i32,
    /// The child's own pidfd, in a table shared with the host; -1 where the child cannot know it.
    pub(super) pidfd: i32,
    pub(super) closing: Closing,
    /// Whether the parent sleeps until the exec.
    pub(super) parent_waits: bool,
    /// Whether handlers were left in place by the clone and must be probed for.
    pub(super) clear_handlers: bool,
    /// Signals whose disposition is set to default, bit n-1 for n.
    pub(super) reset_signals: u64,
    /// The mask the program starts with; `None` keeps the one at clone.
    pub(super) mask: Option<u64>,
    /// What few commands ask for.
    pub(super) special: Option<Special>,
}

const NO_ARGS: [usize; 5] = [0; 5];

/// Makes a system call, again while a signal interrupts it; every argument comes from the plan, whose owner vouches for it.
#[inline(always)]
fn call(number: libc::c_long, args: [usize; 5]) -> isize {
    loop {
        // SAFETY: pointers among the arguments come from the plan or the child's own stack and are valid for the call that takes them.
        let result = unsafe { syscall(number, args) };
        // An interrupted close has closed: once more could hit another descriptor. Source: close(2).
        if result != -(libc::EINTR as isize) || number == libc::SYS_close {
            return result;
        }
    }
}

/// A failed step: stage and negative errno.
type Step = Result<(), (Stage, isize)>;

#[inline(always)]
fn step(stage: Stage, result: isize) -> Step {
    if result < 0 { Err((stage, result)) } else { Ok(()) }
}

/// The child's entry. Never returns.
pub(super) extern "C" fn enter(plan: *mut c_void) -> ! {
    // SAFETY: the parent passes a plan that it keeps alive and untouched until this process has exec'd or exited.
    let plan = unsafe { &*plan.cast::<Plan>() };
    let (stage, error) = match prepare(plan) {
        Ok(()) => (Stage::Exec, exec(plan)),
        Err(failure) => failure,
    };
    // SAFETY: the report lies in a shared page that outlives the child.
    let report = unsafe { &*plan.report };
    report.errno.store((-error) as i32, Ordering::Relaxed);
    report.stage.store(stage as i32 + 1, Ordering::Release);
    loop {
        call(libc::SYS_exit_group, [127, 0, 0, 0, 0]);
    }
}

#[inline(always)]
fn prepare(plan: &Plan) -> Step {
    reset_signals(plan);
    if !plan.parent_waits {
        // SAFETY: the report lies in a shared page that outlives the child.
        unsafe { &*plan.report }.reset.store(true, Ordering::Release);
    }
    let mut born_under = 0;
    if let Some(special) = &plan.special {
        born_under = special.begin()?;
    }
    descriptors::place(plan)?;
    if let Some(special) = &plan.special {
        special.take_terminal()?;
    }
    if !plan.cwd.is_null() {
        step(Stage::Directory, call(libc::SYS_chdir, [plan.cwd as usize, 0, 0, 0, 0]))?;
    }
    if let Some(special) = &plan.special {
        special.finish(born_under)?;
    }
    if let Some(mask) = plan.mask {
        set_mask(mask)?;
    }
    if plan.parent_waits {
        descriptors::leave_one_for_exec(plan);
    }
    Ok(())
}

#[inline(always)]
fn set_mask(mask: u64) -> Step {
    let args = [libc::SIG_SETMASK as usize, &raw const mask as usize, 0, size_of::<u64>(), 0];
    step(Stage::Signals, call(libc::SYS_rt_sigprocmask, args))
}

/// The kernel's sigaction; all zero is the default disposition.
type KernelAction = [usize; 4];

#[inline(always)]
fn reset_signals(plan: &Plan) {
    let default: KernelAction = [0; 4];
    let set_default = |signal: usize| call(libc::SYS_rt_sigaction, [signal, default.as_ptr() as usize, 0, 8, 0]);
    let mut rest = plan.reset_signals;
    while rest != 0 {
        set_default(rest.trailing_zeros() as usize + 1);
        rest &= rest - 1;
    }
    if plan.clear_handlers {
        // Without CLONE_CLEAR_SIGHAND a handler of the host would run here, on the host's memory, as soon as the mask is lifted.
        let mut signal = 1;
        while signal <= 64 {
            let mut action: KernelAction = [0; 4];
            let known = call(libc::SYS_rt_sigaction, [signal, 0, action.as_mut_ptr() as usize, 8, 0]) == 0;
            if known && action[0] != libc::SIG_DFL && action[0] != libc::SIG_IGN {
                set_default(signal);
            }
            signal += 1;
        }
    }
}

/// Tries each candidate; gives the most telling error: a permission problem on the way wins over "not found" at the end. Source: execvp(3).
#[inline(always)]
fn exec(plan: &Plan) -> isize {
    let mut denied: isize = 0;
    let mut index = 0;
    loop {
        // SAFETY: the array is null-terminated and the loop ends at the terminator.
        let candidate = unsafe { *plan.candidates.wrapping_add(index) };
        if candidate.is_null() {
            return if denied != 0 { denied } else { -(libc::ENOENT as isize) };
        }
        let error = call(libc::SYS_execve, [candidate as usize, plan.argv as usize, plan.envp as usize, 0, 0]);
        match (-error) as i32 {
            libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ETIMEDOUT | libc::ESTALE => {}
            libc::EACCES => denied = error,
            _ => return error,
        }
        index += 1;
        // SAFETY: the candidate before it was not the terminator, so that this entry exists.
        let last = unsafe { *plan.candidates.wrapping_add(index) }.is_null();
        if last && denied == 0 {
            return error;
        }
    }
}
