//! Streams and options of a command turned into plain data for the clone.

use super::command::{Command, StartOptions};
use super::offload::on_spawner;
use super::options::{Resource, SignalPolicy, TreeLevel};
use super::stdio::{Kind, Stdio};
use crate::error::{Error, Result, Stage};
use crate::sys::cgroup::Cgroup;
use crate::sys::child::{FdMove, RawLimit};
use crate::sys::clone::Setup;
use crate::sys::reset::ResetSignals;
use crate::sys::{cgroup, fd, signal, socket, tree};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

fn refuse(detail: String) -> Error {
    Error::invalid("spawn", detail).with_stage(Stage::Prepare)
}

/// The descriptors of a start: what the child gets, and what the host keeps.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) moves: Vec<FdMove>,
    /// Ends that are the child's, closed in the host once it runs.
    pub(super) childs: Vec<OwnedFd>,
    /// The host's ends of pipes, by the child's number.
    pub(super) hosts: BTreeMap<RawFd, OwnedFd>,
    /// Descriptors that copy another one of the child: (number, of).
    same: Vec<(RawFd, RawFd)>,
    pipe_size: Option<u32>,
    /// Whether the start may outlive the call that asked for it, and with it the descriptors that the caller lends.
    outlives_call: bool,
}

impl Streams {
    /// Makes and opens everything. Descriptors given by value move out of the command.
    pub(super) fn open(command: &mut Command, defaults: [Stdio; 3]) -> Result<Streams> {
        let mut streams = Streams { pipe_size: command.start.pipe_size, outlives_call: needs_spawner(&command.start), ..Streams::default() };
        for (target, default) in (0..3).zip(defaults) {
            if !command.stdio.contains_key(&target) {
                streams.add(target, default)?;
            }
        }
        for target in command.stdio.keys().copied().collect::<Vec<_>>() {
            if target < 0 {
                return Err(refuse(format!("descriptor number is negative (fd = {target}, expected 0 or more)")));
            }
            let Some(stdio) = command.stdio.get_mut(&target) else { continue };
            let taken = match &stdio.0 {
                Kind::Fd(_) => std::mem::replace(&mut stdio.0, Kind::Used),
                Kind::Used => {
                    let detail = format!("the descriptor given for {target} was used up by an earlier start");
                    return Err(Error::new(crate::error::ErrorKind::InvalidState, "spawn", detail).with_stage(Stage::Stdio));
                }
                other => other.copy(),
            };
            streams.add(target, Stdio(taken))?;
        }
        for (target, of) in std::mem::take(&mut streams.same) {
            let source = streams.source_of(target, of)?;
            streams.moves.push(FdMove { source, target });
        }
        streams.moves.sort_by_key(|entry| entry.target);
        Ok(streams)
    }

    fn add(&mut self, target: RawFd, stdio: Stdio) -> Result<()> {
        let failed =
            |error: io::Error| Error::from_io("spawn", &error, format!("cannot make descriptor {target} of the child")).with_stage(Stage::Stdio);
        let source = match stdio.0 {
            Kind::Inherit => return self.inherit(target),
            Kind::Same(of) => {
                self.same.push((target, of));
                return Ok(());
            }
            Kind::Null => self.childs_end(fd::open(c"/dev/null", libc::O_RDWR, 0).map_err(failed)?),
            Kind::Pipe => {
                let (host, child) = pipe_for(target, self.pipe_size).map_err(failed)?;
                self.hosts.insert(target, host);
                self.childs_end(child)
            }
            Kind::Fd(fd) => self.childs_end(fd::above_stdio(fd).map_err(failed)?),
            Kind::Borrowed(number) if fd::is_open(number) && self.outlives_call => self.childs_end(fd::duplicate(number, 3).map_err(failed)?),
            Kind::Borrowed(number) if fd::is_open(number) => number,
            Kind::Borrowed(number) => {
                let detail = format!("descriptor is not open (fd {target} = {number}, expected an open descriptor)");
                return Err(Error::from_os("spawn", libc::EBADF, detail).with_stage(Stage::Stdio));
            }
            Kind::Open { path, flags, mode } => {
                let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| refuse(format!("path contains a NUL byte (path = {path:?})")))?;
                let open = fd::open(&name, flags, mode).map_err(|error| {
                    Error::from_io("spawn", &error, format!("cannot open file (path = {path:?})")).with_stage(Stage::Stdio).with_path(&path)
                })?;
                self.childs_end(open)
            }
            Kind::Used => -1,
        };
        self.moves.push(FdMove { source, target });
        Ok(())
    }

    /// Makes the descriptions behind 0 to 2 blocking.
    pub(super) fn make_blocking(&self) -> Result<()> {
        for entry in self.moves.iter().filter(|entry| entry.target <= 2) {
            let number = if entry.source < 0 { entry.target } else { entry.source };
            fd::make_blocking(number).map_err(|error| {
                Error::from_io("spawn", &error, format!("cannot make descriptor {} of the child blocking", entry.target)).with_stage(Stage::Stdio)
            })?;
        }
        Ok(())
    }

    fn childs_end(&mut self, fd: OwnedFd) -> RawFd {
        let number = fd.as_raw_fd();
        self.childs.push(fd);
        number
    }

    /// The host's descriptor of the same number; a standard stream that the host has closed becomes /dev/null.
    fn inherit(&mut self, target: RawFd) -> Result<()> {
        let source = match fd::is_close_on_exec(target) {
            Some(false) => -1,
            Some(true) => target,
            None if target <= 2 => {
                let null = fd::open(c"/dev/null", libc::O_RDWR, 0)
                    .map_err(|error| Error::from_io("spawn", &error, "cannot open /dev/null").with_stage(Stage::Stdio))?;
                self.childs_end(null)
            }
            None => {
                let detail = format!("descriptor to inherit is not open (fd = {target}, expected an open descriptor)");
                return Err(Error::from_os("spawn", libc::EBADF, detail).with_stage(Stage::Stdio));
            }
        };
        self.moves.push(FdMove { source, target });
        Ok(())
    }

    /// The host's descriptor behind another descriptor of the child.
    fn source_of(&self, target: RawFd, of: RawFd) -> Result<RawFd> {
        match self.moves.iter().find(|entry| entry.target == of) {
            Some(entry) if entry.source < 0 => Ok(of),
            Some(entry) => Ok(entry.source),
            None => Err(refuse(format!("descriptor {target} shall be the same as {of}, which is not set (expected a descriptor of this child)"))),
        }
    }
}

/// The host's end and the child's end. Standard streams are pipes (a child may reopen /dev/stdout), from 3 up socket pairs, as in Node.
fn pipe_for(target: RawFd, size: Option<u32>) -> io::Result<(OwnedFd, OwnedFd)> {
    if target > 2 {
        return socket::pair();
    }
    let (read, write) = fd::pipe()?;
    if let Some(size) = size {
        fd::grow_pipe(read.as_fd(), size as usize);
    }
    Ok(if target == 0 { (write, read) } else { (read, write) })
}

/// Checks the options and turns them into plain data.
pub(super) fn setup(options: &StartOptions, kill_tree: bool, moves: Vec<FdMove>) -> Result<Setup> {
    check(options)?;
    let new_session = options.new_session || options.controlling_tty.is_some();
    let own_group = kill_tree && !new_session && options.process_group.is_none() && options.tree_level != Some(TreeLevel::Process);
    Ok(Setup {
        moves,
        keep_fds: options.keep_fds,
        reset_signals: match options.signals {
            SignalPolicy::Default => ResetSignals::All,
            SignalPolicy::Inherit => ResetSignals::None,
            SignalPolicy::RestorePython => ResetSignals::Python,
        },
        caller_mask: options.caller_mask.or_else(|| needs_spawner(options).then(signal::current_mask)),
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
    })
}

/// The strongest level that `kill_tree` can use on this child.
pub(super) fn tree_level(options: &StartOptions, setup: &Setup) -> TreeLevel {
    let strongest = match &setup.cgroup {
        Some(_) => TreeLevel::Cgroup,
        None if tree::can_walk() => TreeLevel::Walk,
        None => TreeLevel::Group,
    };
    options.tree_level.map_or(strongest, |cap| cap.min(strongest))
}

/// Whether the child must or shall be started by a permanent thread that this one is not.
pub(super) fn needs_spawner(options: &StartOptions) -> bool {
    (options.offload || options.die_with_parent.is_some()) && !on_spawner()
}

/// Whether a cgroup could be had here.
pub(super) fn cgroup_available() -> bool {
    cgroup::available()
}

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
