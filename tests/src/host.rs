//! What a host does to itself around the library: signals, descriptors, forks, timers, terminals.

#![allow(unsafe_code, reason = "the harness's one place for system calls that nix leaves unsafe")]

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;

fn checked(result: i32, what: &str) -> i32 {
    assert!(result != -1, "{what}: {}", io::Error::last_os_error());
    result
}

fn act(signal: i32, handler: usize, flags: i32) {
    // SAFETY: all zero is a valid sigaction: default disposition, empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the action lives across the call; handlers passed here only touch atomics.
    checked(unsafe { libc::sigaction(signal, &action, ptr::null_mut()) }, "sigaction");
}

/// Ignores a signal in this process, real-time ones included.
pub fn ignore(signal: i32) {
    act(signal, libc::SIG_IGN, 0);
}

/// Gives a signal its default disposition.
pub fn set_default(signal: i32) {
    act(signal, libc::SIG_DFL, 0);
}

/// Handles a signal by a function that must be async-signal-safe; without SA_RESTART, so that system calls are interrupted.
pub fn handle(signal: i32, handler: extern "C" fn(i32)) {
    act(signal, handler as *const () as usize, 0);
}

/// Lets the kernel reap children by itself (SA_NOCLDWAIT).
pub fn never_wait_for_children() {
    act(libc::SIGCHLD, libc::SIG_DFL, libc::SA_NOCLDWAIT);
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for signal in signals {
        // SAFETY: initialised by the call before.
        checked(unsafe { libc::sigaddset(set.as_mut_ptr(), *signal) }, "sigaddset");
    }
    // SAFETY: initialised above.
    unsafe { set.assume_init() }
}

/// Blocks these signals on this thread.
pub fn block(signals: &[i32]) {
    // SAFETY: the set is initialised; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set_of(signals), ptr::null_mut()) };
}

/// Unblocks these signals on this thread.
pub fn unblock(signals: &[i32]) {
    // SAFETY: as in `block`.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &set_of(signals), ptr::null_mut()) };
}

/// Whether a signal is pending on this thread or process.
pub fn is_pending(signal: i32) -> bool {
    let mut set = set_of(&[]);
    // SAFETY: the set is initialised.
    unsafe { libc::sigpending(&mut set) };
    // SAFETY: a set that was initialised and filled by the call before.
    unsafe { libc::sigismember(&set, signal) == 1 }
}

/// The process id as the kernel tells it, callable from a signal handler.
pub fn raw_pid() -> i32 {
    // SAFETY: takes no arguments.
    unsafe { libc::syscall(libc::SYS_getpid) as i32 }
}

/// Raises SIGALRM every so many microseconds; 0 ends it.
pub fn interval_timer(micros: i64) {
    let step = libc::timeval { tv_sec: 0, tv_usec: micros };
    let timer = libc::itimerval { it_interval: step, it_value: step };
    // SAFETY: the timer lives across the call.
    checked(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) }, "setitimer");
}

/// Makes `to` a copy of `from`, inheritable by children.
pub fn copy_to(from: RawFd, to: RawFd) {
    // SAFETY: takes no pointers; the tests that use it keep track of their numbers.
    checked(unsafe { libc::dup2(from, to) }, "dup2");
}

/// An inheritable copy with a number of at least `least`.
pub fn copy_above(from: RawFd, least: RawFd) -> RawFd {
    // SAFETY: takes no pointers.
    checked(unsafe { libc::fcntl(from, libc::F_DUPFD, least) }, "F_DUPFD")
}

/// Sets close-on-exec.
pub fn set_close_on_exec(fd: RawFd) {
    // SAFETY: takes no pointers.
    checked(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }, "F_SETFD");
}

/// Closes a number that nobody owns by value.
pub fn close(fd: RawFd) {
    // SAFETY: takes no pointers; see above.
    checked(unsafe { libc::close(fd) }, "close");
}

/// Takes ownership of a number that nobody owns.
pub fn own(fd: RawFd) -> OwnedFd {
    adopted(fd)
}

/// The same for any owner.
pub fn adopted<T: FromRawFd>(fd: RawFd) -> T {
    // SAFETY: the tests pass numbers that they have just made.
    unsafe { T::from_raw_fd(fd) }
}

/// The status flags of a descriptor.
pub fn status_flags(fd: RawFd) -> i32 {
    // SAFETY: takes no pointers.
    checked(unsafe { libc::fcntl(fd, libc::F_GETFL) }, "F_GETFL")
}

/// How many bytes wait in a pipe or terminal.
pub fn unread(fd: RawFd) -> usize {
    let mut count = 0i32;
    // SAFETY: FIONREAD stores an int.
    checked(unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut count) }, "FIONREAD");
    count as usize
}

/// A pipe whose ends are inheritable: read end, write end.
pub fn inheritable_pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    checked(unsafe { libc::pipe(ends.as_mut_ptr()) }, "pipe");
    (own(ends[0]), own(ends[1]))
}

/// A new pseudo-terminal: the side that plays the user, and the path of the other.
pub fn terminal() -> (OwnedFd, PathBuf) {
    // SAFETY: takes no pointers.
    let main = own(checked(unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) }, "posix_openpt"));
    let number = std::os::fd::AsRawFd::as_raw_fd(&main);
    // SAFETY: takes no pointers.
    checked(unsafe { libc::grantpt(number) }, "grantpt");
    // SAFETY: takes no pointers.
    checked(unsafe { libc::unlockpt(number) }, "unlockpt");
    let mut name = [0u8; 64];
    // SAFETY: the length is that of the buffer.
    checked(-unsafe { libc::ptsname_r(number, name.as_mut_ptr().cast(), name.len()) }.signum(), "ptsname_r");
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    (main, PathBuf::from(OsStr::from_bytes(&name[..end])))
}

/// Runs `body` in a forked copy of this process, which exits with what it returns; gives its id. The copy has only this thread, so the
/// body must not depend on others.
pub fn fork(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: glibc's fork keeps malloc usable in the copy; the body is told not to depend on other threads.
    let pid = checked(unsafe { libc::fork() }, "fork");
    if pid == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
        // SAFETY: ends the copy without running anything of the harness.
        unsafe { libc::_exit(code) };
    }
    pid
}

/// Waits for one child of this process by number; its wait status.
pub fn wait_for(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: the status lives across the call.
        match unsafe { libc::waitpid(pid, &mut status, 0) } {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Err(io::Error::last_os_error()),
            _ => return Ok(status),
        }
    }
}

/// Reaps whatever child has ended, as a careless host does; whether there was one.
pub fn reap_any() -> bool {
    // SAFETY: a null status is allowed.
    unsafe { libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG) > 0 }
}

/// Sets a variable of this process's environment.
pub fn set_env(name: &str, value: &str) {
    // SAFETY: all readers in the test go through the standard library's lock.
    unsafe { std::env::set_var(name, value) };
}

/// Whether this process adopts orphans.
pub fn is_subreaper() -> bool {
    let mut flag = 0i32;
    // SAFETY: PR_GET_CHILD_SUBREAPER stores an int.
    checked(unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut flag) }, "prctl");
    flag != 0
}

/// Gives this thread mounts of its own, inherited by the children it starts. Needs root.
pub fn own_mounts() {
    // SAFETY: takes no pointers.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNS) }, "unshare");
}
