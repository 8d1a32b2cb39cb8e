//! Noticing that the host forked without exec: threads are gone and shared pages have two owners.

use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);
static REGISTER: Once = Once::new();

extern "C" fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// A number that differs in a forked copy of the host. An atomic load.
#[inline]
pub(crate) fn generation() -> u64 {
    REGISTER.call_once(|| {
        // SAFETY: `forked` only touches an atomic, which is allowed in a forked child.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    });
    GENERATION.load(Ordering::Relaxed)
}

/// A value that a forked copy of the host makes anew: the inherited one may be locked by a thread that the copy does not have, or half
/// changed by it. It is never freed.
pub struct PerProcess<T>(AtomicPtr<Made<T>>);

struct Made<T> {
    generation: u64,
    value: T,
}

impl<T: Default + Sync> PerProcess<T> {
    /// One that nobody has looked at.
    #[allow(clippy::new_without_default, reason = "only statics are of this type")]
    pub const fn new() -> PerProcess<T> {
        PerProcess(AtomicPtr::new(ptr::null_mut()))
    }

    /// The value of this process; the default at first.
    pub fn get(&'static self) -> &'static T {
        let generation = generation();
        loop {
            let current = self.0.load(Ordering::Acquire);
            // SAFETY: null, or from `Box::into_raw` below, initialised before it was published and never freed.
            if let Some(made) = unsafe { current.as_ref() }
                && made.generation == generation
            {
                return &made.value;
            }
            let fresh = Box::into_raw(Box::new(Made { generation, value: T::default() }));
            if self.0.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: just made by `Box::into_raw` and not published: another thread was faster.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
    }
}
