//! Which processor this thread runs on, and how many it may use.

use std::mem;
use std::sync::atomic::{Ordering, compiler_fence, fence};

/// A number that no processor has: not known.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// The processor this thread runs on now; it may be another one already when the caller looks. Reads a word that the kernel keeps.
#[inline]
pub(crate) fn current() -> u32 {
    // SAFETY: takes nothing, changes nothing.
    let cpu = unsafe { libc::sched_getcpu() };
    u32::try_from(cpu).unwrap_or(UNKNOWN)
}

/// How many processors this thread may run on.
pub(crate) fn allowed() -> usize {
    // SAFETY: a set of processors is plain bits; all zero is the empty one.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the size is that of the set, which lives across the call.
    let result = unsafe { libc::sched_getaffinity(0, mem::size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result == -1 {
        // More processors than the set has room for.
        return std::thread::available_parallelism().map_or(1, usize::from);
    }
    // SAFETY: the kernel has filled the set.
    usize::try_from(unsafe { libc::CPU_COUNT(&set) }).unwrap_or(1)
}

/// Tells the processor that this is a loop that waits.
#[inline]
pub(crate) fn pause() {
    std::hint::spin_loop();
}

/// A full barrier behind the unlocking of a lock: unlocking comes before what is looked at next. On x86-64 it is such a barrier by itself.
#[inline]
pub fn fence_after_unlock() {
    if cfg!(target_arch = "x86_64") {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Lets another thread that waits for this processor run first, if there is one.
#[inline]
pub(crate) fn give_way() {
    std::thread::yield_now();
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_processor_is_one_of_those_allowed() {
        assert!(super::allowed() >= 1);
        assert_ne!(super::current(), super::UNKNOWN);
    }
}
