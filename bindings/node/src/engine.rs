//! What the engine found on this kernel.

use napi_derive::napi;

/// What the engine found on this kernel.
#[napi(object)]
pub struct EngineInfo {
    /// How processes are started: clone3, clone or fork.
    pub clone_level: String,
    /// Whether children have pidfds.
    pub pidfd: bool,
    /// Whether close_range works.
    pub close_range: bool,
    /// Whether children can have a cgroup of their own.
    pub cgroup: bool,
    /// Whether the kernel tells the status of a child that somebody else reaped.
    pub pidfd_info: bool,
}

/// Probes what was not yet used.
#[napi]
pub fn engine_info() -> EngineInfo {
    let info = procs::engine_info();
    EngineInfo {
        clone_level: info.clone_level.to_owned(),
        pidfd: info.pidfd,
        close_range: info.close_range,
        cgroup: info.cgroup,
        pidfd_info: info.pidfd_info,
    }
}
