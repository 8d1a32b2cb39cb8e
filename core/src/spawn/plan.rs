//! The options of a command turned into plain data for the clone.

use super::command::StartOptions;
use super::offload::on_spawner;
use super::options::{Resource, SignalPolicy, TreeLevel};
use super::rare::Rare;
use crate::error::{Error, Result, Stage};
use crate::sys::cgroup::{self, Cgroup};
use crate::sys::child::{FdMove, RawLimit};
use crate::sys::reset::ResetSignals;
use crate::sys::setup::{Setup, SpecialSetup};
use crate::sys::{signal, tree};
use std::sync::Arc;

pub(super) fn refuse(detail: String) -> Error {
    Error::invalid("spawn", detail).with_stage(Stage::Prepare)
}

/// Checks the options and turns them into plain data.
pub(super) fn setup(options: &Rare<StartOptions>, kill_tree: bool, moves: Vec<FdMove>) -> Result<Setup> {
    let mut setup = Setup { moves, keep_fds: false, reset_signals: ResetSignals::All, caller_mask: None, special: None };
    if let Some(options) = options.touched() {
        check(options)?;
        setup.keep_fds = options.keep_fds;
        setup.reset_signals = match options.signals {
            SignalPolicy::Default => ResetSignals::All,
            SignalPolicy::Inherit => ResetSignals::None,
            SignalPolicy::RestorePython => ResetSignals::Python,
        };
        setup.caller_mask = options.caller_mask.or_else(|| needs_spawner(options).then(signal::current_mask));
    }
    if kill_tree || options.touched().is_some_and(StartOptions::is_special) {
        setup.special = Some(Box::new(special(options, kill_tree)));
    }
    Ok(setup)
}

#[inline(never)]
fn special(options: &StartOptions, kill_tree: bool) -> SpecialSetup {
    let new_session = options.new_session || options.controlling_tty.is_some();
    let own_group = kill_tree && !new_session && options.process_group.is_none() && options.tree_level != Some(TreeLevel::Process);
    SpecialSetup {
        death_signal: options.die_with_parent.unwrap_or(0),
        new_session,
        process_group: if own_group { Some(0) } else { options.process_group.filter(|_| !new_session) },
        cgroup: (kill_tree && options.tree_level.is_none_or(|level| level == TreeLevel::Cgroup)).then(Cgroup::for_child).flatten().map(Arc::new),
        tty: options.controlling_tty,
        foreground: options.foreground,
        umask: options.umask,
        limits: options.limits.iter().map(raw_limit).collect(),
        nice: options.nice,
        affinity: options.affinity.as_deref().map(cpu_words).unwrap_or_default(),
        groups: options.groups.clone(),
        gid: options.gid,
        uid: options.uid,
        no_new_privs: options.no_new_privs,
    }
}

/// The strongest level that `kill_tree` can use on this child.
pub(super) fn tree_level(options: &StartOptions, setup: &Setup) -> TreeLevel {
    let strongest = match setup.cgroup() {
        Some(_) => TreeLevel::Cgroup,
        None if tree::can_walk() => TreeLevel::Walk,
        None => TreeLevel::Group,
    };
    let level = options.tree_level.map_or(strongest, |cap| cap.min(strongest));
    // Without a group of its own the tree can only be walked, or the child alone be ended.
    if level == TreeLevel::Group && !setup.leads_group() { TreeLevel::Process } else { level }
}

/// Whether the child must or shall be started by a permanent thread that this one is not.
pub(super) fn needs_spawner(options: &StartOptions) -> bool {
    (options.offload || options.die_with_parent.is_some()) && !on_spawner()
}

/// Whether a cgroup could be had here.
pub(super) fn cgroup_available() -> bool {
    cgroup::available()
}

#[inline(never)]
fn check(options: &StartOptions) -> Result<()> {
    if options.uid.is_some() && options.groups.is_none() {
        return Err(refuse("groups must be given with uid (groups missing, expected a list, empty to drop all)".into()));
    }
    for (name, id) in [("uid", options.uid), ("gid", options.gid)] {
        if id == Some(u32::MAX) {
            return Err(refuse(format!("{name} is out of range ({name} = {}, expected 0 to {})", u32::MAX, u32::MAX - 1)));
        }
    }
    if let Some(mask) = options.umask
        && mask > 0o777
    {
        return Err(refuse(format!("umask is out of range (umask = {mask:#o}, expected 0 to 0o777)")));
    }
    if let Some(group) = options.process_group
        && group < 0
    {
        return Err(refuse(format!("process group is negative (process_group = {group}, expected 0 or a group id)")));
    }
    if options.process_group.is_some() && (options.new_session || options.controlling_tty.is_some()) && options.process_group != Some(0) {
        return Err(refuse("a new session cannot join a process group (process_group and new_session, expected one of them)".into()));
    }
    if options.foreground && options.process_group != Some(0) {
        return Err(refuse("foreground needs a process group of its own (expected process_group = 0)".into()));
    }
    for (resource, soft, hard) in &options.limits {
        if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
            return Err(refuse(format!("soft limit exceeds hard limit ({resource:?} = {soft:?}, {hard:?}, expected soft <= hard)")));
        }
    }
    if let Some(nice) = options.nice
        && !(-20..=19).contains(&nice)
    {
        return Err(refuse(format!("nice value is out of range (nice = {nice}, expected -20 to 19)")));
    }
    if let Some(signal) = options.die_with_parent
        && !(1..=64).contains(&signal)
    {
        return Err(refuse(format!("signal is out of range (parent_death_signal = {signal}, expected 1 to 64)")));
    }
    match options.affinity.as_deref() {
        Some([]) => Err(refuse("affinity is empty (expected at least one CPU)".into())),
        Some(cpus) if cpus.iter().any(|cpu| *cpu >= 8192) => {
            Err(refuse(format!("CPU number is out of range (affinity = {cpus:?}, expected below 8192)")))
        }
        _ => Ok(()),
    }
}

fn cpu_words(cpus: &[usize]) -> Vec<u64> {
    let mut words = vec![0u64; cpus.iter().max().map_or(1, |cpu| cpu / 64 + 1)];
    for cpu in cpus {
        words[cpu / 64] |= 1 << (cpu % 64);
    }
    words
}

fn raw_limit((resource, soft, hard): &super::command::Limit) -> RawLimit {
    RawLimit { resource: resource.number(), soft: soft.unwrap_or(u64::MAX), hard: hard.unwrap_or(u64::MAX) }
}

impl Resource {
    fn number(self) -> u32 {
        match self {
            Resource::AddressSpace => libc::RLIMIT_AS,
            Resource::Core => libc::RLIMIT_CORE,
            Resource::Cpu => libc::RLIMIT_CPU,
            Resource::Data => libc::RLIMIT_DATA,
            Resource::FileSize => libc::RLIMIT_FSIZE,
            Resource::Locks => libc::RLIMIT_LOCKS,
            Resource::MemLock => libc::RLIMIT_MEMLOCK,
            Resource::MsgQueue => libc::RLIMIT_MSGQUEUE,
            Resource::Nice => libc::RLIMIT_NICE,
            Resource::NoFile => libc::RLIMIT_NOFILE,
            Resource::NProc => libc::RLIMIT_NPROC,
            Resource::Rss => libc::RLIMIT_RSS,
            Resource::RtPrio => libc::RLIMIT_RTPRIO,
            Resource::RtTime => libc::RLIMIT_RTTIME,
            Resource::SigPending => libc::RLIMIT_SIGPENDING,
            Resource::Stack => libc::RLIMIT_STACK,
        }
    }
}
