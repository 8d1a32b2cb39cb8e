//! Who holds something in shared memory, and whether that process still lives.

use super::fork::{self, PerProcess};
use super::{poll, raw, wait};
use std::cell::Cell;
use std::fs;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

/// A process, named so that a later process with its number is another one: number in the low half, the low half of its start time in clock
/// ticks since boot in the high half. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner(pub(crate) u64);

static OWN: PerProcess<OnceLock<Owner>> = PerProcess::new();

impl Owner {
    /// This process.
    pub(crate) fn current() -> Owner {
        *OWN.get().get_or_init(|| {
            let pid = std::process::id();
            Owner::new(pid, start_time(pid).unwrap_or(0))
        })
    }

    fn new(pid: u32, start: u64) -> Owner {
        Owner((start & 0xffff_ffff) << 32 | u64::from(pid))
    }

    /// Its number.
    pub(crate) fn pid(self) -> u32 {
        self.0 as u32
    }

    /// Whether it is certain that it has ended. What cannot be found out counts as alive.
    pub(crate) fn is_dead(self) -> bool {
        if self == Owner::current() {
            return false;
        }
        if self.pid() == 0 || self.pid() > i32::MAX as u32 {
            return true;
        }
        // SAFETY: takes no pointers.
        let result = unsafe { raw::syscall(libc::SYS_pidfd_open, [self.pid() as usize, 0, 0, 0, 0]) };
        if result == -(libc::ESRCH as isize) {
            return true;
        }
        // Another process took the number. Asked before the pidfd, which would be the new one's.
        if start_time(self.pid()).is_some_and(|start| Owner::new(self.pid(), start) != self) {
            if let Ok(fd) = i32::try_from(result)
                && fd >= 0
            {
                // SAFETY: the kernel has just created the descriptor.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
            }
            return true;
        }
        match i32::try_from(result) {
            // Readable once all threads have ended, a zombie too; a leader that ended before its threads is not dead.
            Ok(fd) if fd >= 0 => {
                // SAFETY: the kernel has just created the descriptor.
                let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
                poll::readable_now(pidfd.as_fd()).unwrap_or(false)
            }
            _ => !std::path::Path::new(&format!("/proc/{}", self.pid())).exists() && std::path::Path::new("/proc/self").exists(),
        }
    }
}

impl Owner {
    /// A descriptor that is readable once it has ended; `None` where there is none, or where it has ended already.
    pub(crate) fn pidfd(self) -> Option<OwnedFd> {
        if self.pid() == 0 || self.pid() > i32::MAX as u32 {
            return None;
        }
        let pidfd = wait::pidfd_open(self.pid()).ok()?;
        // Asked after: if the number is its own now, the descriptor is its own, or that of one which has ended.
        (start_time(self.pid()).map(|start| Owner::new(self.pid(), start)) == Some(self)).then_some(pidfd)
    }
}

/// A thread: its number in the low half, that of its process in the high half. Later ones may have the same number. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thread(pub(crate) u64);

thread_local! {
    /// This thread, and in which generation of the process.
    static THIS: Cell<Option<(u64, Thread)>> = const { Cell::new(None) };
}

impl Thread {
    /// This thread.
    pub(crate) fn current() -> Thread {
        let generation = fork::generation();
        match THIS.get() {
            Some((known, thread)) if known == generation => thread,
            _ => {
                // SAFETY: takes nothing, changes nothing.
                let tid = unsafe { libc::gettid() } as u32;
                let thread = Thread(u64::from(std::process::id()) << 32 | u64::from(tid));
                THIS.set(Some((generation, thread)));
                thread
            }
        }
    }

    /// A descriptor that is readable once it has ended; `None` where there is none, or where it has ended already.
    pub(crate) fn pidfd(self) -> Option<OwnedFd> {
        let (pid, tid) = ((self.0 >> 32) as u32, self.0 as u32);
        if tid == 0 || tid > i32::MAX as u32 {
            return None;
        }
        match wait::pidfd_open_thread(tid) {
            // Before Linux 6.9 there are those of processes only; a process seldom outlives its first thread.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && tid == pid => wait::pidfd_open(pid).ok(),
            result => result.ok(),
        }
    }
}

/// The start time of a process in clock ticks since boot. Source: proc(5), field 22 of stat.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, also spaces and brackets.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    rest.split(' ').nth(19)?.parse().ok()
}

/// Memory that could be had now without pushing other programs out, in bytes: free, reclaimable and swap.
pub(crate) fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some(field("MemAvailable:")? + field("SwapFree:").unwrap_or(0))
}
