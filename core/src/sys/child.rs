//! What runs in the new process between clone and exec.
//!
//! The new process shares the host's memory (except on the fork path) while the calling thread is suspended, so the rules are strict: no
//! allocation, no lock, no panic, no drop of an owned value, no formatting, no libc (its errno is the host's, its symbols may be bound
//! lazily): raw system calls on a plan that the parent prepared, and on the stack made for it.
//!
//! System calls made here, in order, each only when asked for: rt_sigprocmask, rt_sigaction, prctl(PR_SET_PDEATHSIG), ppoll, getppid,
//! setsid, setpgid, write (cgroup.procs), fcntl, dup3, close_range (or openat, getdents64, lseek, close), ioctl(TIOCSCTTY), getpgid, ioctl(TIOCSPGRP),
//! chdir, umask, prlimit64, setpriority, sched_setaffinity, setgroups, setresgid, setresuid, prctl(PR_SET_NO_NEW_PRIVS), execve,
//! exit_group. None of them goes through libc, so the list of async-signal-safe functions of signal-safety(7) is not exceeded.

use super::raw::syscall;
use crate::error::Stage;
use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicI32, Ordering};

/// Where the child reports a failure; lives in a MAP_SHARED page, because under valgrind and on the fork path memory is not shared.
#[repr(C)]
pub(super) struct Report {
    /// 1 + index into `Stage::ALL`, or 0 while nothing failed.
    stage: AtomicI32,
    errno: AtomicI32,
}

impl Report {
    pub(super) fn clear(&self) {
        self.stage.store(0, Ordering::Relaxed);
        self.errno.store(0, Ordering::Relaxed);
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

/// Everything the child needs, as plain numbers and pointers into memory that the parent owns and does not touch meanwhile.
#[repr(C)]
pub(super) struct Plan {
    pub(super) report: *const Report,
    /// Paths to try, null-terminated.
    pub(super) candidates: *const *const c_char,
    pub(super) argv: *const *const c_char,
    pub(super) envp: *const *const c_char,
    pub(super) cwd: *const c_char,
    pub(super) moves: Span<FdMove>,
    /// For each move the descriptor to take, first equal to its source; the child's to change.
    pub(super) sources: *mut i32,
    /// Descriptors that stay open although they are no target, ascending: the parent's end-of-exec pipe.
    pub(super) hold: i32,
    pub(super) keep_fds: bool,
    pub(super) close_range_works: bool,
    /// Signals whose disposition is set to default, bit n-1 for n.
    pub(super) reset_signals: u64,
    /// Whether handlers were left in place by the clone and must be probed for.
    pub(super) clear_handlers: bool,
    /// The mask the program starts with; `None` keeps the one at clone.
    pub(super) mask: Option<u64>,
    /// Death signal, and a pidfd of the host to check that it still lives; negative where the kernel has none, then by its number.
    pub(super) death_signal: i32,
    pub(super) host_pidfd: i32,
    pub(super) host_pid: i32,
    pub(super) new_session: bool,
    /// Group to join; negative is none.
    pub(super) process_group: i32,
    pub(super) cgroup_procs: i32,
    /// Descriptor of the child that becomes its controlling terminal; negative is none.
    pub(super) tty: i32,
    pub(super) foreground: bool,
    /// File mode mask; negative is unchanged.
    pub(super) umask: i32,
    pub(super) limits: Span<RawLimit>,
    pub(super) nice: Option<i32>,
    pub(super) affinity: Span<u64>,
    pub(super) groups: Option<Span<u32>>,
    pub(super) gid: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) no_new_privs: bool,
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
    arm_parent_death(plan)?;
    let born_under = if plan.death_signal != 0 { call(libc::SYS_getppid, NO_ARGS) } else { 0 };
    if plan.new_session {
        step(Stage::Session, call(libc::SYS_setsid, NO_ARGS))?;
    }
    if plan.process_group >= 0 {
        step(Stage::ProcessGroup, call(libc::SYS_setpgid, [0, plan.process_group as usize, 0, 0, 0]))?;
    }
    if plan.cgroup_procs >= 0 {
        let zero = b"0";
        step(Stage::Clone, call(libc::SYS_write, [plan.cgroup_procs as usize, zero.as_ptr() as usize, 1, 0, 0]))?;
    }
    place_descriptors(plan)?;
    take_terminal(plan)?;
    if !plan.cwd.is_null() {
        step(Stage::Directory, call(libc::SYS_chdir, [plan.cwd as usize, 0, 0, 0, 0]))?;
    }
    set_limits(plan)?;
    set_identity(plan)?;
    if plan.death_signal != 0 && (plan.uid.is_some() || plan.gid.is_some()) {
        rearm_parent_death(plan, born_under)?;
    }
    if plan.no_new_privs {
        step(Stage::NoNewPrivs, call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0]))?;
    }
    match plan.mask {
        Some(mask) => set_mask(mask),
        None => Ok(()),
    }
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

/// Asks for the death signal, then makes sure that the host had not died before: its pidfd is readable once it has, and its children have
/// another parent.
#[inline(always)]
fn arm_parent_death(plan: &Plan) -> Step {
    if plan.death_signal == 0 {
        return Ok(());
    }
    let args = [libc::PR_SET_PDEATHSIG as usize, plan.death_signal as usize, 0, 0, 0];
    step(Stage::ParentDeath, call(libc::SYS_prctl, args))?;
    if plan.host_pidfd >= 0 {
        let mut poll = libc::pollfd { fd: plan.host_pidfd, events: libc::POLLIN, revents: 0 };
        let zero = [0i64; 2];
        let ready = call(libc::SYS_ppoll, [&raw mut poll as usize, 1, zero.as_ptr() as usize, 0, 8]);
        if ready > 0 {
            return Err((Stage::ParentDeath, -(libc::ESRCH as isize)));
        }
        return Ok(());
    }
    let parent = call(libc::SYS_getppid, NO_ARGS);
    // Zero is a parent in another pid namespace.
    if parent != plan.host_pid as isize && parent != 0 {
        return Err((Stage::ParentDeath, -(libc::ESRCH as isize)));
    }
    Ok(())
}

/// A change of credentials clears the death signal: ask again, and compare the parent with the one seen while it was armed.
#[inline(always)]
fn rearm_parent_death(plan: &Plan, born_under: isize) -> Step {
    let args = [libc::PR_SET_PDEATHSIG as usize, plan.death_signal as usize, 0, 0, 0];
    step(Stage::ParentDeath, call(libc::SYS_prctl, args))?;
    if call(libc::SYS_getppid, NO_ARGS) != born_under {
        return Err((Stage::ParentDeath, -(libc::ESRCH as isize)));
    }
    Ok(())
}

#[inline(always)]
fn source_at(plan: &Plan, index: usize) -> *mut i32 {
    // SAFETY: every caller keeps index below the number of moves, the length of the array `sources` points to.
    unsafe { plan.sources.add(index) }
}

#[inline(always)]
fn is_target(plan: &Plan, fd: i32) -> bool {
    let mut index = 0;
    while let Some(entry) = plan.moves.get(index) {
        if entry.target == fd {
            return true;
        }
        index += 1;
    }
    false
}

/// Phase one lifts every source that is also somebody's target out of the way, phase two puts each where it belongs: swaps and cycles work.
#[inline(always)]
fn place_descriptors(plan: &Plan) -> Step {
    let mut index = 0;
    while let Some(entry) = plan.moves.get(index) {
        if entry.source != entry.target && is_target(plan, entry.source) {
            let lifted = lift(plan, entry.source)?;
            // SAFETY: index is below the number of moves; nobody else touches the array.
            unsafe { *source_at(plan, index) = lifted };
        }
        index += 1;
    }
    index = 0;
    while let Some(entry) = plan.moves.get(index) {
        // SAFETY: as above.
        let source = unsafe { *source_at(plan, index) };
        let result = if source < 0 {
            0
        } else if source == entry.target {
            call(libc::SYS_fcntl, [source as usize, libc::F_SETFD as usize, 0, 0, 0])
        } else {
            call(libc::SYS_dup3, [source as usize, entry.target as usize, 0, 0, 0])
        };
        step(Stage::Descriptors, result)?;
        index += 1;
    }
    if plan.keep_fds { Ok(()) } else { close_others(plan) }
}

/// A copy of `fd` whose number is nobody's target.
#[inline(always)]
fn lift(plan: &Plan, fd: i32) -> Result<i32, (Stage, isize)> {
    let mut least = 3;
    loop {
        let copy = call(libc::SYS_fcntl, [fd as usize, libc::F_DUPFD_CLOEXEC as usize, least, 0, 0]);
        step(Stage::Descriptors, copy)?;
        if !is_target(plan, copy as i32) {
            return Ok(copy as i32);
        }
        least = copy as usize + 1;
    }
}

/// Closes every descriptor that is no target, range by range between the targets (which are ascending).
#[inline(always)]
fn close_others(plan: &Plan) -> Step {
    if !plan.close_range_works {
        return close_by_listing(plan);
    }
    let mut first: u32 = 0;
    let mut index = 0;
    loop {
        let target = plan.moves.get(index).map(|entry| entry.target);
        let last = target.map_or(u32::MAX, |target| (target as u32).wrapping_sub(1));
        if target != Some(first as i32) {
            close_range(plan, first, last)?;
        }
        match target {
            Some(target) => first = target as u32 + 1,
            None => return Ok(()),
        }
        index += 1;
    }
}

/// close_range around the held descriptor.
#[inline(always)]
fn close_range(plan: &Plan, first: u32, last: u32) -> Step {
    let close = |from: u32, to: u32| {
        if from > to { Ok(()) } else { step(Stage::Descriptors, call(libc::SYS_close_range, [from as usize, to as usize, 0, 0, 0])) }
    };
    let hold = plan.hold as u32;
    if plan.hold < 0 || hold < first || hold > last {
        return close(first, last);
    }
    if hold > first {
        close(first, hold - 1)?;
    }
    close(hold + 1, last)
}

/// The same on kernels without close_range: the directory of open descriptors is read until nothing is left to close.
fn close_by_listing(plan: &Plan) -> Step {
    let path = c"/proc/self/fd";
    let at = libc::AT_FDCWD as usize;
    let dir = call(libc::SYS_openat, [at, path.as_ptr() as usize, (libc::O_RDONLY | libc::O_DIRECTORY) as usize, 0, 0]);
    step(Stage::Descriptors, dir)?;
    // Not zeroed: that would be a call to libc's memset.
    let mut buffer = MaybeUninit::<[u64; 512]>::uninit();
    loop {
        let length = call(libc::SYS_getdents64, [dir as usize, buffer.as_mut_ptr() as usize, 4096, 0, 0]);
        step(Stage::Descriptors, length)?;
        if length == 0 {
            break;
        }
        let mut closed = false;
        let mut offset = 0;
        while offset < length as usize {
            // Records of the kernel: inode 8 bytes, offset 8, length 2, type 1, name.
            let record = buffer.as_ptr().cast::<u8>().wrapping_add(offset);
            // SAFETY: the record's length lies at offset 16 and is aligned, as records are 8-aligned.
            let size = unsafe { record.wrapping_add(16).cast::<u16>().read() };
            // SAFETY: the name starts at 19 and ends with a zero byte.
            let fd = unsafe { parse_number(record.wrapping_add(19)) };
            offset += size as usize;
            if fd >= 0 && fd as isize != dir && fd != plan.hold && !is_target(plan, fd) {
                call(libc::SYS_close, [fd as usize, 0, 0, 0, 0]);
                closed = true;
            }
        }
        if closed {
            // Closing while listing may skip entries: start again.
            call(libc::SYS_lseek, [dir as usize, 0, libc::SEEK_SET as usize, 0, 0]);
        }
    }
    if !is_target(plan, dir as i32) {
        call(libc::SYS_close, [dir as usize, 0, 0, 0, 0]);
    }
    Ok(())
}

/// The number in a decimal C string, -1 for anything else.
///
/// # Safety
/// `text` must point to a zero-terminated string.
unsafe fn parse_number(mut text: *const u8) -> i32 {
    let mut number: i32 = -1;
    loop {
        // SAFETY: the caller's string is terminated, and the loop ends at the terminator.
        let byte = unsafe { *text };
        if !byte.is_ascii_digit() {
            return if byte == 0 { number } else { -1 };
        }
        number = number.max(0).wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
        // SAFETY: as above, the terminator has not been reached.
        text = unsafe { text.add(1) };
    }
}

#[inline(always)]
fn take_terminal(plan: &Plan) -> Step {
    if plan.tty >= 0 {
        step(Stage::Terminal, call(libc::SYS_ioctl, [plan.tty as usize, libc::TIOCSCTTY as usize, 0, 0, 0]))?;
    }
    if plan.foreground {
        // From a background group this raises SIGTTOU unless blocked; the parent has blocked everything for this.
        let group = call(libc::SYS_getpgid, [0; 5]) as i32;
        let args = [0, libc::TIOCSPGRP as usize, &raw const group as usize, 0, 0];
        step(Stage::Terminal, call(libc::SYS_ioctl, args))?;
    }
    Ok(())
}

#[inline(always)]
fn set_limits(plan: &Plan) -> Step {
    if plan.umask >= 0 {
        call(libc::SYS_umask, [plan.umask as usize, 0, 0, 0, 0]);
    }
    let mut index = 0;
    while let Some(limit) = plan.limits.get(index) {
        let args = [0, limit.resource as usize, &raw const limit as usize, 0, 0];
        step(Stage::Limits, call(libc::SYS_prlimit64, args))?;
        index += 1;
    }
    if let Some(nice) = plan.nice {
        step(Stage::Nice, call(libc::SYS_setpriority, [libc::PRIO_PROCESS as usize, 0, nice as usize, 0, 0]))?;
    }
    if plan.affinity.len > 0 {
        let args = [0, plan.affinity.len * 8, plan.affinity.start as usize, 0, 0];
        step(Stage::Affinity, call(libc::SYS_sched_setaffinity, args))?;
    }
    Ok(())
}

/// Groups, then group, then user: afterwards the right to change the others is gone. Raw calls, because libc's would signal all threads.
#[inline(always)]
fn set_identity(plan: &Plan) -> Step {
    if let Some(groups) = plan.groups {
        step(Stage::Groups, call(libc::SYS_setgroups, [groups.len, groups.start as usize, 0, 0, 0]))?;
    }
    if let Some(gid) = plan.gid {
        let gid = gid as usize;
        step(Stage::Gid, call(libc::SYS_setresgid, [gid, gid, gid, 0, 0]))?;
    }
    if let Some(uid) = plan.uid {
        let uid = uid as usize;
        step(Stage::Uid, call(libc::SYS_setresuid, [uid, uid, uid, 0, 0]))?;
    }
    Ok(())
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
        // SAFETY: as above.
        let last = unsafe { *plan.candidates.wrapping_add(index) }.is_null();
        if last && denied == 0 {
            return error;
        }
    }
}
