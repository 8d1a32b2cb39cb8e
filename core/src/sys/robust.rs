//! A mutex in shared memory that survives the death of its holder: the kernel marks it and wakes a waiter. Source: pthread_mutexattr_setrobust(3).

use super::check;
use super::shared::SharedMapping;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that the layout keeps for it: 40 on x86-64, 48 on arm64. Source: pthreadtypes-arch.h of glibc.
pub(crate) const ROBUST: usize = 64;
const _: () = assert!(size_of::<libc::pthread_mutex_t>() <= ROBUST && align_of::<libc::pthread_mutex_t>() <= 8);

unsafe extern "C" {
    /// As pthread_mutex_timedlock, with the clock named: the wall clock may jump. Since glibc 2.30.
    fn pthread_mutex_clocklock(mutex: *mut libc::pthread_mutex_t, clock: libc::clockid_t, until: *const libc::timespec) -> libc::c_int;
}

/// How the lock was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locked {
    Clean,
    /// Its last holder died while it held it. The lock is held now all the same.
    OwnerDied,
}

/// The mutex at a checked place of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct RobustMutex {
    mutex: *mut libc::pthread_mutex_t,
    map: Arc<SharedMapping>,
}

// SAFETY: `mutex` points into `map`, which the value keeps; pthread functions may be called from any thread.
unsafe impl Send for RobustMutex {}
// SAFETY: a shared reference does nothing but hand `mutex` to pthread functions, which are made for many callers at once.
unsafe impl Sync for RobustMutex {}

fn result(code: i32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

impl RobustMutex {
    /// The mutex at `offset`, initialised or not.
    pub(crate) fn new(map: &Arc<SharedMapping>, offset: usize) -> Result<RobustMutex> {
        let mutex = map.place_of(offset, ROBUST)?;
        Ok(RobustMutex { mutex: mutex.cast(), map: Arc::clone(map) })
    }

    /// Makes it a free, robust, error-checking mutex. Nobody else may be using it.
    pub(crate) fn init(&self) -> io::Result<()> {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: room for the struct.
        result(unsafe { libc::pthread_mutexattr_init(attributes) })?;
        // SAFETY: attributes that were initialised just now.
        result(unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) })?;
        // SAFETY: initialised attributes.
        result(unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) })?;
        // SAFETY: initialised attributes.
        result(unsafe { libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_ERRORCHECK) })?;
        // SAFETY: the place is inside the mapping and aligned (`new`), writable (`new`), and nobody uses it by the function's contract.
        result(unsafe { libc::pthread_mutex_init(self.mutex, attributes) })
    }

    /// Takes it; waits until the deadline, which [`Deadline::after`] zero makes a try.
    ///
    /// `WouldBlock` or `Timeout` when another thread has it, `OwnerDied` when a holder gave it up unrepaired, `InvalidState` when this thread
    /// has it already.
    pub(crate) fn lock(&self, deadline: Deadline) -> Result<Locked> {
        // SAFETY: a mutex that whoever published the place has initialised, kept mapped by `map`.
        let mut code = unsafe { libc::pthread_mutex_trylock(self.mutex) };
        if code == libc::EBUSY && deadline.remaining() != Some(Duration::ZERO) {
            code = match deadline.remaining() {
                // SAFETY: an initialised mutex, kept mapped by `map`.
                None => unsafe { libc::pthread_mutex_lock(self.mutex) },
                Some(left) => {
                    let until = monotonic_after(left);
                    // SAFETY: an initialised mutex, kept mapped by `map`; the time lives across the call.
                    unsafe { pthread_mutex_clocklock(self.mutex, libc::CLOCK_MONOTONIC, &until) }
                }
            };
        }
        let refused = |kind, detail: &str| Err(Error::new(kind, "lock", detail));
        match code {
            0 | libc::EOWNERDEAD => {
                self.map.pin();
                Ok(if code == 0 { Locked::Clean } else { Locked::OwnerDied })
            }
            libc::EBUSY => refused(ErrorKind::WouldBlock, "somebody else has it"),
            libc::ETIMEDOUT => refused(ErrorKind::Timeout, "somebody else kept it until the deadline"),
            libc::ENOTRECOVERABLE => refused(ErrorKind::OwnerDied, "a holder died, and nobody repaired what it protects"),
            libc::EDEADLK => refused(ErrorKind::InvalidState, "this thread has it already"),
            errno => Err(Error::from_os("lock", errno, "cannot be taken")),
        }
    }

    /// Gives it back. `InvalidState` when this thread has not got it. After [`Locked::OwnerDied`] without [`RobustMutex::repair`] nobody gets it
    /// any more.
    pub(crate) fn unlock(&self) -> Result<()> {
        // SAFETY: as in `lock`; the mutex checks that it is this thread's.
        match unsafe { libc::pthread_mutex_unlock(self.mutex) } {
            0 => {
                self.map.unpin();
                Ok(())
            }
            libc::EPERM => Err(Error::new(ErrorKind::InvalidState, "lock", "this thread has not got it")),
            errno => Err(Error::from_os("lock", errno, "cannot be given back")),
        }
    }

    /// Says that what it protects is whole again. Only for the holder, after [`Locked::OwnerDied`]; nothing to do is fine.
    pub(crate) fn repair(&self) {
        // SAFETY: as in `lock`; EINVAL when there is nothing to repair.
        let _ = unsafe { libc::pthread_mutex_consistent(self.mutex) };
    }
}

/// The point on the monotonic clock that is `left` away.
pub(super) fn monotonic_after(left: Duration) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` has room for the struct.
    let _ = check(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) });
    let left = super::poll::timespec(left);
    let nanos = now.tv_nsec + left.tv_nsec;
    let seconds = now.tv_sec.saturating_add(left.tv_sec).saturating_add(nanos / 1_000_000_000);
    libc::timespec { tv_sec: seconds, tv_nsec: nanos % 1_000_000_000 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::shared::{Access, allocate, memfd};
    use std::os::fd::AsFd;

    fn mutex() -> RobustMutex {
        let fd = memfd().unwrap();
        allocate(fd.as_fd(), 4096).unwrap();
        let mutex = RobustMutex::new(&Arc::new(SharedMapping::new(fd.as_fd(), 4096, Access::ReadWrite).unwrap()), 64).unwrap();
        mutex.init().unwrap();
        mutex
    }

    /// E10: the kernel and this libc have robust mutexes, at run time and not by a macro.
    #[test]
    fn a_dead_owner_is_seen() {
        let mutex = mutex();
        let theirs = mutex.clone();
        std::thread::spawn(move || theirs.lock(Deadline::NEVER).unwrap()).join().unwrap();
        assert_eq!(mutex.lock(Deadline::after(Duration::from_secs(20))).unwrap(), Locked::OwnerDied);
        mutex.repair();
        mutex.unlock().unwrap();
        assert_eq!(mutex.lock(Deadline::NEVER).unwrap(), Locked::Clean);
        mutex.unlock().unwrap();
    }

    #[test]
    fn unrepaired_is_lost_for_good() {
        let mutex = mutex();
        let theirs = mutex.clone();
        std::thread::spawn(move || theirs.lock(Deadline::NEVER).unwrap()).join().unwrap();
        assert_eq!(mutex.lock(Deadline::NEVER).unwrap(), Locked::OwnerDied);
        mutex.unlock().unwrap();
        assert_eq!(mutex.lock(Deadline::NEVER).unwrap_err().kind(), ErrorKind::OwnerDied);
    }

    #[test]
    fn misuse_is_an_error() {
        let mutex = mutex();
        assert_eq!(mutex.unlock().unwrap_err().kind(), ErrorKind::InvalidState);
        mutex.lock(Deadline::NEVER).unwrap();
        assert_eq!(mutex.lock(Deadline::NEVER).unwrap_err().kind(), ErrorKind::InvalidState);
        std::thread::scope(|scope| {
            let other = |timeout| {
                let mutex = &mutex;
                scope.spawn(move || mutex.lock(Deadline::after(timeout)).unwrap_err().kind()).join().unwrap()
            };
            assert_eq!(other(Duration::ZERO), ErrorKind::WouldBlock);
            assert_eq!(other(Duration::from_millis(5)), ErrorKind::Timeout);
            assert_eq!(scope.spawn(|| mutex.unlock().unwrap_err().kind()).join().unwrap(), ErrorKind::InvalidState);
        });
        mutex.unlock().unwrap();
    }
}
