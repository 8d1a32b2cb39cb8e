//! What happens when the process ends by itself.

/// Calls this when the process ends by `exit` or a return from `main`, not when it is killed; other threads still run then. False when the system
/// has no place for it.
pub(crate) fn at_exit(body: extern "C" fn()) -> bool {
    // SAFETY: `body` is a function of this library, which is there as long as the process: a library with threads is never unloaded.
    unsafe { libc::atexit(body) == 0 }
}
