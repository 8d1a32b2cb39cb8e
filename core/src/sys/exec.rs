//! The prepared image of a program: every string and pointer array that exec needs, made before the clone.

use super::environ::Snapshot;
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;

/// Program paths to try, arguments and environment in one block of memory, reused from spawn to spawn.
#[derive(Default)]
pub(crate) struct Image {
    bytes: Vec<u8>,
    candidates: Vec<usize>,
    argv: Vec<usize>,
    envp: Vec<usize>,
    cwd: Option<usize>,
    /// The host's environment, used instead of `envp`.
    inherited: Option<Arc<Snapshot>>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers are derived from `bytes` anew in `pointers()` before every use and never read otherwise.
unsafe impl Send for Image {}

/// Pointers into an [`Image`], valid until it changes.
pub(super) struct Pointers {
    pub(super) candidates: *const *const c_char,
    pub(super) argv: *const *const c_char,
    pub(super) envp: *const *const c_char,
    pub(super) cwd: *const c_char,
}

impl Image {
    /// Empties it, keeping the memory unless it was unusually large.
    pub(crate) fn clear(&mut self) {
        if self.bytes.capacity() > 1 << 20 {
            *self = Image::default();
        }
        self.bytes.clear();
        self.candidates.clear();
        self.argv.clear();
        self.envp.clear();
        self.cwd = None;
        self.inherited = None;
    }

    /// Passes the host's environment on as it is.
    pub(crate) fn inherit(&mut self, environment: Arc<Snapshot>) {
        self.inherited = Some(environment);
    }

    /// Stores the parts as one C string. The caller has refused NUL bytes.
    fn store(&mut self, parts: &[&[u8]]) -> usize {
        let start = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.push(0);
        start
    }

    /// Adds a path to try, given in parts that are joined.
    pub(crate) fn candidate(&mut self, parts: &[&[u8]]) {
        let start = self.store(parts);
        self.candidates.push(start);
    }

    /// Adds an argument.
    pub(crate) fn arg(&mut self, arg: &[u8]) {
        let start = self.store(&[arg]);
        self.argv.push(start);
    }

    /// Adds an environment variable.
    pub(crate) fn env(&mut self, key: &[u8], value: &[u8]) {
        let start = self.store(&[key, b"=", value]);
        self.envp.push(start);
    }

    /// Adds an environment variable as it stands in an environment.
    pub(crate) fn variable(&mut self, variable: &[u8]) {
        let start = self.store(&[variable]);
        self.envp.push(start);
    }

    /// Sets the working directory.
    pub(crate) fn cwd(&mut self, dir: &[u8]) {
        self.cwd = Some(self.store(&[dir]));
    }

    /// The paths to try, in order.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = &CStr> {
        self.candidates.iter().filter_map(|start| CStr::from_bytes_until_nul(self.bytes.get(*start..)?).ok())
    }

    /// What exec counts of the arguments and the environment, or somewhat more.
    pub(crate) fn size(&self) -> usize {
        let inherited = self.inherited.as_ref().map_or(0, |environment| environment.size());
        self.bytes.len() + inherited + (self.argv.len() + self.envp.len()) * size_of::<usize>()
    }

    /// The paths to try, to keep.
    pub(super) fn tried(&self) -> Vec<PathBuf> {
        self.candidates().map(|path| PathBuf::from(OsStr::from_bytes(path.to_bytes()))).collect()
    }

    /// Builds the null-terminated arrays.
    pub(super) fn pointers(&mut self) -> Pointers {
        let base = self.bytes.as_ptr().cast::<c_char>();
        self.pointers.clear();
        for list in [&self.candidates, &self.argv, &self.envp] {
            self.pointers.extend(list.iter().map(|offset| base.wrapping_add(*offset)));
            self.pointers.push(ptr::null());
        }
        let candidates = self.pointers.as_ptr();
        let argv = candidates.wrapping_add(self.candidates.len() + 1);
        let envp = match &self.inherited {
            Some(environment) => environment.pointers(),
            None => argv.wrapping_add(self.argv.len() + 1),
        };
        Pointers { candidates, argv, envp, cwd: self.cwd.map_or(ptr::null(), |offset| base.wrapping_add(offset)) }
    }
}
