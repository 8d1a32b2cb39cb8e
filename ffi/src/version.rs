//! Versions, what the engine can do here, and names of signals.

use crate::guard::{guard, guard_value};
use crate::ptr::{OutStruct, Sized8, text};
use crate::status::{invalid, procs_status, static_text};
use std::ffi::{c_char, c_int};
use std::os::unix::ffi::OsStrExt;

/// Version of this header, first part.
pub const PROCS_VERSION_MAJOR: u32 = 0;
/// Version of this header, second part.
pub const PROCS_VERSION_MINOR: u32 = 1;
/// Version of this header, third part.
pub const PROCS_VERSION_PATCH: u32 = 0;
/// Version of this header as one number: major x 1,000,000 + minor x 1,000 + patch.
pub const PROCS_VERSION_NUMBER: u32 = 1_000;
/// Number of the binary interface, N of libprocs.so.N: the minor version while the major one is 0, then the major one.
pub const PROCS_ABI_VERSION: u32 = 1;

/// The version of the library that is running, such as "0.1.0". Static text.
#[unsafe(no_mangle)]
pub extern "C" fn procs_version() -> *const c_char {
    static_text(env!("CARGO_PKG_VERSION"))
}

/// The version of the library that is running as one number; compare with PROCS_VERSION_NUMBER.
#[unsafe(no_mangle)]
pub extern "C" fn procs_version_number() -> u32 {
    PROCS_VERSION_NUMBER
}

/// The number of the binary interface of the library that is running; must equal PROCS_ABI_VERSION.
#[unsafe(no_mangle)]
pub extern "C" fn procs_abi_version() -> u32 {
    PROCS_ABI_VERSION
}

/// The name of a signal such as "SIGTERM"; NULL for numbers without a name. Static text.
#[unsafe(no_mangle)]
pub extern "C" fn procs_signal_name(signal: c_int) -> *const c_char {
    procs::signal_name(signal).map_or(std::ptr::null(), static_text)
}

/// The number of a signal named with or without "SIG", such as "SIGTERM" or "TERM"; PROCS_E_INVALID_ARGUMENT (-1) for anything else.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_signal_number(name: *const c_char) -> c_int {
    let operation = "procs_signal_number";
    guard_value(operation, procs_status::PROCS_E_INVALID_ARGUMENT as c_int, || {
        let name = String::from_utf8_lossy(text(operation, "name", name)?.as_bytes());
        procs::signal_number(&name).ok_or_else(|| invalid(operation, format!("not a signal (name = {name})")))
    })
}

/// What the engine uses on this kernel. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_engine_info {
    /// sizeof(procs_engine_info), set by the caller.
    pub size: usize,
    /// How processes are started: "clone3", "clone" or "fork". Static text.
    pub clone_level: *const c_char,
    /// 1 when each child has a descriptor of its own (pidfd), so that no signal can reach a stranger.
    pub pidfd: c_int,
    /// 1 when descriptors are closed in one call.
    pub close_range: c_int,
    /// 1 when trees can be killed as a cgroup.
    pub cgroup: c_int,
    /// 1 when the status of a child that somebody else reaped can still be asked for.
    pub pidfd_info: c_int,
}

// SAFETY: integers and a pointer, the size first; `tests/c/abi.c` asserts that there is no padding.
unsafe impl Sized8 for procs_engine_info {
    const NAME: &'static str = "procs_engine_info";
}

/// Tells what the engine uses on this kernel; probed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_engine(info: *mut procs_engine_info) -> procs_status {
    guard("procs_engine", || {
        let out = OutStruct::new("procs_engine", info)?;
        let engine = procs::engine_info();
        out.set(procs_engine_info {
            size: 0,
            clone_level: static_text(engine.clone_level),
            pidfd: engine.pidfd.into(),
            close_range: engine.close_range.into(),
            cgroup: engine.cgroup.into(),
            pidfd_info: engine.pidfd_info.into(),
        });
        Ok(())
    })
}

/// The most children that the library lets run at once; further starts fail with PROCS_E_EXHAUSTED.
#[unsafe(no_mangle)]
pub extern "C" fn procs_max_children() -> usize {
    procs::max_children()
}

/// Sets the most children that run at once; it does not end any. 0 restores the default: 4096, or half of RLIMIT_NPROC where that is less.
#[unsafe(no_mangle)]
pub extern "C" fn procs_set_max_children(cap: usize) -> procs_status {
    guard("procs_set_max_children", || {
        procs::set_max_children(cap);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_constants_are_those_of_the_package() {
        let parts = [PROCS_VERSION_MAJOR, PROCS_VERSION_MINOR, PROCS_VERSION_PATCH];
        assert_eq!(parts.map(|part| part.to_string()).join("."), env!("CARGO_PKG_VERSION"));
        assert_eq!(PROCS_VERSION_NUMBER, parts[0] * 1_000_000 + parts[1] * 1_000 + parts[2]);
        assert_eq!(PROCS_ABI_VERSION, if parts[0] == 0 { parts[1] } else { parts[0] });
    }
}
