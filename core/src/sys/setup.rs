//! What happens to a child besides program, arguments, environment and directory, as plain data.

use super::cgroup::Cgroup;
use super::child::{self, FdMove, RawLimit, Span};
use super::reset::ResetSignals;
use super::signal::Mask;
use std::sync::Arc;

/// What happens to a child besides program, arguments, environment and directory.
pub(crate) struct Setup {
    /// Ascending by target, each target once. Standard streams that are inherited as they are need no entry.
    pub(crate) moves: Vec<FdMove>,
    pub(crate) keep_fds: bool,
    pub(crate) reset_signals: ResetSignals,
    /// The mask of the thread that asked, when another thread starts the child.
    pub(crate) caller_mask: Option<Mask>,
    /// What few commands ask for.
    pub(crate) special: Option<Box<SpecialSetup>>,
}

/// What few commands ask of a child.
#[derive(Default)]
pub(crate) struct SpecialSetup {
    pub(crate) death_signal: i32,
    pub(crate) new_session: bool,
    pub(crate) process_group: Option<i32>,
    pub(crate) cgroup: Option<Arc<Cgroup>>,
    pub(crate) tty: Option<i32>,
    pub(crate) foreground: bool,
    pub(crate) umask: Option<u32>,
    pub(crate) limits: Vec<RawLimit>,
    pub(crate) nice: Option<i32>,
    pub(crate) affinity: Vec<u64>,
    pub(crate) groups: Option<Vec<u32>>,
    pub(crate) gid: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) no_new_privs: bool,
}

/// What a special setup needs of the host for one attempt: a pidfd of it and the file that takes the child into its cgroup, or -1.
#[derive(Clone, Copy)]
pub(super) struct HostFds {
    pub(super) host_pidfd: i32,
    pub(super) cgroup_procs: i32,
}

impl Setup {
    pub(crate) fn cgroup(&self) -> Option<&Arc<Cgroup>> {
        self.special.as_ref()?.cgroup.as_ref()
    }

    /// Whether the child leads a group of its own from its start.
    pub(crate) fn leads_group(&self) -> bool {
        self.special.as_ref().is_some_and(|special| special.new_session || special.process_group == Some(0))
    }

    pub(super) fn changes_identity(&self) -> bool {
        self.special.as_ref().is_some_and(|special| special.uid.is_some() || special.gid.is_some() || special.groups.is_some())
    }

    pub(super) fn death_signal(&self) -> i32 {
        self.special.as_ref().map_or(0, |special| special.death_signal)
    }

    pub(super) fn foreground(&self) -> bool {
        self.special.as_ref().is_some_and(|special| special.foreground)
    }
}

impl SpecialSetup {
    /// The same with pointers into this value, for the child.
    pub(super) fn raw(&self, fds: HostFds) -> child::Special {
        let span = |values: &[u32]| Span { start: values.as_ptr(), len: values.len() };
        child::Special {
            death_signal: self.death_signal,
            host_pidfd: fds.host_pidfd,
            host_pid: if self.death_signal != 0 { std::process::id() as i32 } else { 0 },
            new_session: self.new_session,
            process_group: self.process_group.unwrap_or(-1),
            cgroup_procs: fds.cgroup_procs,
            tty: self.tty.unwrap_or(-1),
            foreground: self.foreground,
            umask: self.umask.map_or(-1, |mask| mask as i32),
            limits: Span { start: self.limits.as_ptr(), len: self.limits.len() },
            nice: self.nice,
            affinity: Span { start: self.affinity.as_ptr(), len: self.affinity.len() },
            groups: self.groups.as_deref().map(span),
            gid: self.gid,
            uid: self.uid,
            no_new_privs: self.no_new_privs,
        }
    }
}
