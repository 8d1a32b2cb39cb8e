//! The host's environment, passed on without copying it.
//!
//! Copying forty variables under a lock costs as much as everything else the library does in a spawn. The array of pointers is compared
//! with the one seen last instead; while it is the same, its filtered copy is handed to exec, and the kernel reads the host's own strings.

use super::fork::PerProcess;
use parking_lot::Mutex;
use std::ffi::{CStr, OsString, c_char};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The host's environment as of some moment: pointers to its strings, less the variables that are not passed on.
pub(crate) struct Snapshot {
    /// The whole array as it was.
    seen: Vec<*const c_char>,
    /// The array for exec, null-terminated.
    passed: Vec<*const c_char>,
    /// What exec counts of those that are passed on.
    size: usize,
    /// The value of PATH.
    path: Option<Vec<u8>>,
    /// The string that PATH was read from.
    path_at: *const c_char,
}

// SAFETY: the pointers are only compared, and read by the kernel; the strings belong to the host's environment, not to a thread.
unsafe impl Send for Snapshot {}
// SAFETY: nothing is changed after construction; through a shared reference the pointers are only compared, and read by the kernel.
unsafe impl Sync for Snapshot {}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} variables)", self.seen.len())
    }
}

impl Snapshot {
    /// The array for exec.
    pub(super) fn pointers(&self) -> *const *const c_char {
        self.passed.as_ptr()
    }

    /// The value of PATH.
    pub(crate) fn path(&self) -> Option<&[u8]> {
        self.path.as_deref()
    }

    /// What exec counts of it: the strings and the array.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The variables that are passed on. For a snapshot of this moment: the strings are the host's.
    pub(crate) fn strings(&self) -> impl Iterator<Item = &[u8]> {
        let passed = self.passed.split_last().map_or(&[][..], |(_, strings)| strings);
        // SAFETY: the pointers are still in the environment, so they lead to its terminated strings; changes by other threads are for the
        // host to avoid, as in `each`.
        passed.iter().map(|pointer| unsafe { CStr::from_ptr(*pointer) }.to_bytes())
    }

    /// Whether this is still the environment. A string that the host gave to putenv(3) may have been changed where it lies: PATH, the only one that
    /// is read here, is compared whole.
    fn holds(&self) -> bool {
        if !unchanged(&self.seen) {
            return false;
        }
        let Some(path) = &self.path else { return true };
        // SAFETY: the pointer is still in the environment, so this is one of its terminated strings.
        let text = unsafe { CStr::from_ptr(self.path_at) }.to_bytes();
        text.strip_prefix(b"PATH=") == Some(path.as_slice())
    }
}

/// Calls `visit` with each pointer of the array until it says stop.
fn each(mut visit: impl FnMut(*const c_char) -> bool) {
    // SAFETY: POSIX gives every process this variable; reading it while another thread calls setenv is for the host to avoid (setenv(3),
    // and `std::env::set_var` demands the same), as for every caller of getenv and exec.
    let mut entry = unsafe { environ };
    if entry.is_null() {
        return;
    }
    loop {
        // SAFETY: the array ends with a null pointer, at which the loop ends; for changes by other threads see above.
        let pointer = unsafe { entry.read_volatile() };
        if pointer.is_null() || !visit(pointer) {
            return;
        }
        entry = entry.wrapping_add(1);
    }
}

fn unchanged(seen: &[*const c_char]) -> bool {
    let mut index = 0;
    let mut same = true;
    each(|pointer| {
        same = seen.get(index) == Some(&pointer);
        index += 1;
        same
    });
    same && index == seen.len()
}

/// Which variables are passed on.
#[derive(Clone, Copy)]
pub(crate) enum Pass {
    All,
    /// All but what announced a channel that this process has taken.
    AllButTaken(fn(&[u8]) -> bool),
    /// All but those that this function names.
    AllBut(fn(&[u8]) -> bool),
}

impl Pass {
    fn slot(self) -> usize {
        match self {
            Pass::All => 0,
            Pass::AllButTaken(_) => 1,
            Pass::AllBut(_) => 2,
        }
    }

    /// Whether the variable of this name is kept back.
    pub(crate) fn hides(self, name: &[u8]) -> bool {
        match self {
            Pass::All => false,
            Pass::AllButTaken(hidden) | Pass::AllBut(hidden) => hidden(name),
        }
    }
}

/// The environment as it is now. `None` when it changed while it was looked at: then a copy
/// has to be made under the lock of the standard library.
pub(crate) fn snapshot(pass: Pass) -> Option<Arc<Snapshot>> {
    static LAST: [PerProcess<Mutex<Option<Arc<Snapshot>>>>; 3] = [PerProcess::new(), PerProcess::new(), PerProcess::new()];
    let mut last = LAST[pass.slot()].get().lock();
    if let Some(snapshot) = last.as_ref()
        && snapshot.holds()
    {
        return Some(Arc::clone(snapshot));
    }
    let mut seen = Vec::new();
    each(|pointer| {
        seen.push(pointer);
        true
    });
    // Walking the strings is only safe while they are the environment: look, let the standard library walk it under its lock, look again.
    let copied = std::env::vars_os().count();
    if !unchanged(&seen) || copied > seen.len() {
        return None;
    }
    let mut snapshot = Snapshot { passed: Vec::with_capacity(seen.len() + 1), seen, size: 0, path: None, path_at: std::ptr::null() };
    for pointer in &snapshot.seen {
        // SAFETY: the array has just been found unchanged around a walk under the lock, so this is a terminated string of the environment.
        let text = unsafe { CStr::from_ptr(*pointer) }.to_bytes();
        let name = text.split(|byte| *byte == b'=').next().unwrap_or(text);
        // The first counts, as for getenv.
        if name == b"PATH" && snapshot.path.is_none() {
            snapshot.path = text.get(5..).map(<[u8]>::to_vec);
            snapshot.path_at = *pointer;
        }
        if !pass.hides(name) {
            snapshot.passed.push(*pointer);
            snapshot.size += text.len() + 1 + size_of::<*const c_char>();
        }
    }
    snapshot.passed.push(std::ptr::null());
    let snapshot = Arc::new(snapshot);
    *last = Some(Arc::clone(&snapshot));
    Some(snapshot)
}

/// A copy of the environment, taken under the lock of the standard library.
pub(crate) fn copy() -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    std::env::vars_os().map(|(key, value): (OsString, OsString)| (key.into_vec(), value.into_vec()))
}
