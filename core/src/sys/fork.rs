//! Noticing that the host forked without exec: threads are gone and shared pages have two owners.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);
static REGISTER: Once = Once::new();

extern "C" fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// A number that differs in a forked copy of the host. An atomic load.
pub(crate) fn generation() -> u64 {
    REGISTER.call_once(|| {
        // SAFETY: `forked` only touches an atomic, which is allowed in a forked child.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    });
    GENERATION.load(Ordering::Relaxed)
}
