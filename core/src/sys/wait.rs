//! A process by pidfd: waiting without reaping, reaping, signalling, and the truth about a stolen status.

use super::poll::{EventFd, Events, PollFd, poll, readable_now};
use super::{check, fd, fork, raw, retry};
use crate::deadline::Deadline;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const PIDFD_SIGNAL_PROCESS_GROUP: usize = 1 << 2;
const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// _IOWR(0xFF, 11, struct pidfd_info) for the 64-byte struct. Source: linux/pidfd.h.
const PIDFD_GET_INFO: usize = 0xc040_ff0b;

/// How long somebody else may take from a child's end, which can be seen, until it has reaped it.
const TAKING: Duration = Duration::from_millis(100);

/// Cleared when waitid refuses pidfds, as old kernels and some filters do.
static WAITID_PIDFD: AtomicBool = AtomicBool::new(true);

/// A child process of ours.
#[derive(Debug)]
pub(crate) struct Process {
    pid: i32,
    ended: Ended,
}

/// What becomes readable when the process has ended.
#[derive(Debug)]
enum Ended {
    Pidfd(OwnedFd),
    /// Where the kernel gives no pidfd a thread waits without reaping and sets a flag.
    Watched(Arc<EventFd>),
}

/// How a process ended, as the kernel tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// CLD_EXITED, CLD_KILLED or CLD_DUMPED.
    pub(crate) code: i32,
    /// Exit code or signal.
    pub(crate) status: i32,
    pub(crate) usage: Option<RawUsage>,
}

impl Ending {
    /// From a status word. Source: wait(2).
    fn from_word(word: i32) -> Ending {
        let (code, status) = if libc::WIFEXITED(word) {
            (libc::CLD_EXITED, libc::WEXITSTATUS(word))
        } else if libc::WCOREDUMP(word) {
            (libc::CLD_DUMPED, libc::WTERMSIG(word))
        } else {
            (libc::CLD_KILLED, libc::WTERMSIG(word))
        };
        Ending { code, status, usage: None }
    }
}

/// What waitid reports of the resources used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawUsage {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) max_rss_kib: u64,
}

/// The answer to "has it ended?".
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reaped {
    Running,
    Ended(Ending),
    /// Somebody else has reaped it and the kernel does not know more.
    Unknown,
}

/// A pidfd of any process.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    open_pidfd(pid, 0)
}

/// A pidfd of any thread, readable once that has ended. EINVAL before Linux 6.9.
pub(crate) fn pidfd_open_thread(tid: u32) -> io::Result<OwnedFd> {
    // PIDFD_THREAD. Source: linux/pidfd.h.
    open_pidfd(tid, libc::O_EXCL as usize)
}

fn open_pidfd(number: u32, flags: usize) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let result = unsafe { raw::syscall(libc::SYS_pidfd_open, [number as usize, flags, 0, 0, 0]) };
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result as i32));
    }
    // SAFETY: the kernel has just created the descriptor.
    fd::above_stdio(unsafe { fd::adopt(result as i32) })
}

/// Sends a signal through a pidfd: it can only reach the process it was opened for.
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    send(pidfd, signal, 0)
}

fn send(pidfd: BorrowedFd<'_>, signal: i32, flags: usize) -> io::Result<()> {
    // SAFETY: a null siginfo is allowed.
    let result = unsafe { raw::syscall(libc::SYS_pidfd_send_signal, [pidfd.as_raw_fd() as usize, signal as usize, 0, flags, 0]) };
    if result < 0 { Err(io::Error::from_raw_os_error(-result as i32)) } else { Ok(()) }
}

/// The process group of a process; `None` when there is none of this number.
pub(super) fn group_of(pid: u32) -> Option<u32> {
    // SAFETY: takes no pointers.
    let group = unsafe { raw::syscall(libc::SYS_getpgid, [pid as usize, 0, 0, 0, 0]) };
    u32::try_from(group).ok()
}

/// kill(2) for a number that the caller knows to be a living or unreaped process or group of its own.
fn kill_number(number: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    let result = unsafe { raw::syscall(libc::SYS_kill, [number as usize, signal as usize, 0, 0, 0]) };
    if result < 0 { Err(io::Error::from_raw_os_error(-result as i32)) } else { Ok(()) }
}

/// Whether signals can be sent through pidfds: a filter may refuse the call with the errno of a missing right. Probed once, on no descriptor.
fn signals_by_pidfd() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        // SAFETY: takes no pointers but a null siginfo, which is allowed.
        let result = unsafe { raw::syscall(libc::SYS_pidfd_send_signal, [usize::MAX, 0, 0, 0, 0]) };
        result == -(libc::EBADF as isize)
    })
}

/// Whether processes that are no children of ours can be held: old kernels and filters refuse it. Probed once, on this very process.
pub(super) fn opens_pidfds() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| !pidfd_open(std::process::id()).is_err_and(|error| lacks(&error)))
}

/// Sends a signal to a process that a pidfd holds; by its number where only that works.
pub(super) fn signal_held(pidfd: BorrowedFd<'_>, pid: u32, signal: i32) -> io::Result<()> {
    match pidfd_send_signal(pidfd, signal) {
        Err(error) if lacks(&error) && !signals_by_pidfd() && !readable_now(pidfd)? => signal_number(pid, signal),
        result => result,
    }
}

/// kill(2) for one process of a walk, where the kernel offers nothing better. The caller has just seen that the number is still its own.
pub(super) fn signal_number(pid: u32, signal: i32) -> io::Result<()> {
    match i32::try_from(pid) {
        Ok(number) if number > 1 => kill_number(number, signal),
        _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

fn lacks(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EINVAL))
}

impl Process {
    pub(super) fn new(pid: i32, pidfd: Option<OwnedFd>) -> io::Result<Process> {
        let pidfd = match pidfd {
            Some(pidfd) => fd::above_stdio(pidfd).ok(),
            None => pidfd_open(pid as u32).ok(),
        };
        let ended = match pidfd {
            Some(pidfd) => Ended::Pidfd(pidfd),
            None => Ended::Watched(watch(pid).inspect_err(|_| {
                let _ = kill_number(pid, libc::SIGKILL);
                let _ = wait_id(libc::P_PID, pid as usize, libc::WEXITED);
            })?),
        };
        Ok(Process { pid, ended })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it can be waited for and signalled by pidfd, so that nothing depends on its number.
    pub(crate) fn needs_no_number(&self) -> bool {
        matches!(self.ended, Ended::Pidfd(_)) && signals_by_pidfd()
    }

    /// Waits until it has ended, without reaping; false when the deadline passed.
    pub(crate) fn wait_ended(&self, deadline: Deadline) -> io::Result<bool> {
        poll(&mut [PollFd::new(self.as_fd(), Events::Read)], deadline).map(|count| count > 0)
    }

    /// Reaps it if it has ended. The caller makes sure that this happens once.
    pub(crate) fn reap(&self) -> io::Result<Reaped> {
        match self.waitid(libc::WEXITED | libc::WNOHANG) {
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(self.taken()),
            result => result.map(|ending| ending.map_or(Reaped::Running, Reaped::Ended)),
        }
    }

    /// Waits until it has ended and reaps it; `None` when nobody knows how it ended.
    pub(crate) fn reap_blocking(&self) -> Option<Ending> {
        loop {
            match self.waitid(libc::WEXITED) {
                Ok(Some(ending)) => return Some(ending),
                Ok(None) => {}
                Err(_) => match self.taken() {
                    Reaped::Ended(ending) => return Some(ending),
                    Reaped::Unknown => return None,
                    // Not ours to wait for while it runs.
                    Reaped::Running => {
                        let _ = self.wait_ended(Deadline::after(Duration::from_millis(1)));
                    }
                },
            }
        }
    }

    /// As `stolen`; when it has ended but is still being reaped, which takes as long as the reaper does not run, after that.
    fn taken(&self) -> Reaped {
        let until = Deadline::after(TAKING);
        loop {
            match self.stolen() {
                Reaped::Running if !until.passed() && readable_now(self.as_fd()).unwrap_or(false) => std::thread::sleep(Duration::from_micros(50)),
                known => return known,
            }
        }
    }

    /// Reaps a child that reported a failure before exec; it is exiting at this moment.
    pub(super) fn reap_failed(&self) {
        while self.waitid(libc::WEXITED).is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
    }

    fn waitid(&self, options: i32) -> io::Result<Option<Ending>> {
        if let Ended::Pidfd(pidfd) = &self.ended
            && WAITID_PIDFD.load(Ordering::Relaxed)
        {
            match wait_id(libc::P_PIDFD, pidfd.as_raw_fd() as usize, options) {
                Err(error) if lacks(&error) => WAITID_PIDFD.store(false, Ordering::Relaxed),
                result => return result,
            }
        }
        match wait_id(libc::P_PID, self.pid as usize, options) {
            Err(error) if lacks(&error) => wait4(self.pid, options & libc::WNOHANG),
            result => result,
        }
    }

    /// The status of a child that somebody else reaped: the pidfd keeps it on kernels that have PIDFD_INFO_EXIT.
    fn stolen(&self) -> Reaped {
        let Ended::Pidfd(pidfd) = &self.ended else { return Reaped::Unknown };
        if let Some(ending) = kept_status(pidfd) {
            return Reaped::Ended(ending);
        }
        // The kernel keeps the status before it takes the process away, so one that was not there yet is there once signals find nobody.
        if self.alive_by_signal() {
            return Reaped::Running;
        }
        kept_status(pidfd).map_or(Reaped::Unknown, Reaped::Ended)
    }

    fn alive_by_signal(&self) -> bool {
        match &self.ended {
            Ended::Pidfd(pidfd) => pidfd_send_signal(pidfd.as_fd(), 0).is_ok(),
            Ended::Watched(_) => false,
        }
    }

    /// Sends a signal. The caller holds the lock under which it would be reaped, so the number is still its own.
    pub(crate) fn signal(&self, signal: i32) -> io::Result<()> {
        match &self.ended {
            Ended::Pidfd(pidfd) => match pidfd_send_signal(pidfd.as_fd(), signal) {
                Err(error) if lacks(&error) && !signals_by_pidfd() => kill_number(self.pid, signal),
                result => result,
            },
            Ended::Watched(_) => kill_number(self.pid, signal),
        }
    }

    /// Whether it is in the group that has its number. The caller holds the lock under which it would be reaped and has not reaped it.
    pub(crate) fn is_in_own_group(&self) -> bool {
        group_of(self.pid as u32) == Some(self.pid as u32)
    }

    /// Signals the group that this process led, after it was reaped: only through the pidfd, which keeps the group's identity.
    pub(crate) fn signal_led_group(&self, signal: i32) -> io::Result<()> {
        match &self.ended {
            Ended::Pidfd(pidfd) => send(pidfd.as_fd(), signal, PIDFD_SIGNAL_PROCESS_GROUP),
            Ended::Watched(_) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    }

    /// Signals the group that this process leads. The caller holds the lock under which it would be reaped and has not reaped it.
    pub(crate) fn signal_group(&self, signal: i32) -> io::Result<()> {
        if let Ended::Pidfd(pidfd) = &self.ended {
            match send(pidfd.as_fd(), signal, PIDFD_SIGNAL_PROCESS_GROUP) {
                Err(error) if lacks(&error) => {}
                result => return result,
            }
        }
        if self.pid <= 1 {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        kill_number(-self.pid, signal)
    }
}

impl AsFd for Process {
    /// Readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.ended {
            Ended::Pidfd(pidfd) => pidfd.as_fd(),
            Ended::Watched(flag) => flag.as_fd(),
        }
    }
}

/// Starts a thread that waits for the process without reaping it and sets the flag.
fn watch(pid: i32) -> io::Result<Arc<EventFd>> {
    let flag = EventFd::new("spawn").map_err(|error| io::Error::from_raw_os_error(error.os_error().unwrap_or(libc::EIO)))?;
    let flag = Arc::new(flag);
    let set = Arc::clone(&flag);
    let generation = fork::generation();
    std::thread::Builder::new().name("procs-waiter".into()).stack_size(64 << 10).spawn(move || {
        super::signal::block_all_on_this_thread();
        while fork::generation() == generation {
            match wait_id(libc::P_PID, pid as usize, libc::WEXITED | libc::WNOWAIT) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        set.signal();
    })?;
    Ok(flag)
}

/// waitid with resource usage; `None` when nothing has ended.
fn wait_id(kind: u32, id: usize, options: i32) -> io::Result<Option<Ending>> {
    // siginfo_t is 128 bytes: signal at 0, code at 8, pid at 16, status at 24.
    let mut info = [0i32; 32];
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    let args = [kind as usize, id, info.as_mut_ptr() as usize, options as usize, usage.as_mut_ptr() as usize];
    loop {
        // SAFETY: both structs have the kernel's size and live across the call.
        let result = unsafe { raw::syscall(libc::SYS_waitid, args) };
        if result == -(libc::EINTR as isize) {
            continue;
        }
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result as i32));
        }
        break;
    }
    if info[0] == 0 {
        return Ok(None);
    }
    // SAFETY: zeroed at first and filled by the kernel; every bit pattern is valid.
    let usage = unsafe { usage.assume_init() };
    let time = |value: libc::timeval| Duration::new(value.tv_sec.max(0) as u64, value.tv_usec.max(0) as u32 * 1000);
    let usage = RawUsage { user: time(usage.ru_utime), system: time(usage.ru_stime), max_rss_kib: usage.ru_maxrss.max(0) as u64 };
    Ok(Some(Ending { code: info[2], status: info[6], usage: Some(usage) }))
}

/// wait4, where even waitid is refused; `None` when it has not ended.
fn wait4(pid: i32, options: i32) -> io::Result<Option<Ending>> {
    let mut word = 0;
    // SAFETY: the status word lives across the call; a null usage is allowed.
    let ended = retry(|| check(unsafe { libc::wait4(pid, &mut word, options, std::ptr::null_mut()) }))?;
    Ok((ended == pid).then(|| Ending::from_word(word)))
}

/// How the process of a pidfd ended, once it is reaped and where the kernel keeps that.
fn kept_status(pidfd: &OwnedFd) -> Option<Ending> {
    let mut info = [0u64; 8];
    info[0] = PIDFD_INFO_EXIT;
    // SAFETY: the request encodes a struct of 64 bytes, the size of `info`.
    let result = unsafe { raw::syscall(libc::SYS_ioctl, [pidfd.as_raw_fd() as usize, PIDFD_GET_INFO, info.as_mut_ptr() as usize, 0, 0]) };
    (result >= 0 && info[0] & PIDFD_INFO_EXIT != 0).then(|| Ending::from_word((info[7] >> 32) as i32))
}

/// Whether PIDFD_GET_INFO is known here, asked of this very process.
pub(crate) fn pidfd_info_works() -> bool {
    let Ok(own) = pidfd_open(std::process::id()) else { return false };
    let mut info = [0u64; 8];
    info[0] = 1;
    // SAFETY: as in `kept_status`.
    let result = unsafe { raw::syscall(libc::SYS_ioctl, [own.as_raw_fd() as usize, PIDFD_GET_INFO, info.as_mut_ptr() as usize, 0, 0]) };
    check(if result < 0 { -1 } else { 0 }).is_ok()
}
