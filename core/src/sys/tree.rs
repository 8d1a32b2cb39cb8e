//! The descendants of a process, found in /proc and held by pidfd.

use super::fork::PerProcess;
use super::wait::{group_of, opens_pidfds, pidfd_open, signal_held, signal_number};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

/// A process found in a walk, held so that a reused number is never mistaken for it.
pub(crate) struct Member {
    pub(crate) pid: u32,
    /// Its process group when it was found; it may have left that since.
    group: u32,
    /// When it started, in clock ticks: tells it from a later owner of its number while no descriptor holds it.
    started: u64,
    pidfd: Option<OwnedFd>,
}

impl Member {
    /// Holds a process if it is the one looked for: the number may have changed hands since it was listed.
    fn hold(pid: u32, look: &mut Look, is_wanted: impl FnOnce(&Stat) -> bool) -> Option<Member> {
        let pidfd = if opens_pidfds() { Some(look.noted(pidfd_open(pid))?) } else { None };
        let stat = look.noted(Stat::of(pid))?;
        let mut member = Member { pid, group: stat.group, started: stat.started, pidfd };
        // While it still runs, what was read is about the process that is held.
        let held = is_wanted(&stat) && member.alive();
        if look.thrifty {
            member.let_go();
        }
        held.then_some(member)
    }

    /// Gives its descriptor back.
    pub(crate) fn let_go(&mut self) {
        self.pidfd = None;
    }

    /// Sends a signal; a process that has ended is no error.
    pub(crate) fn signal(&self, signal: i32) {
        if let Some(pidfd) = &self.pidfd {
            let _ = signal_held(pidfd.as_fd(), self.pid, signal);
        } else if !opens_pidfds() {
            // The number alone, for as long as the process that has it started when this one did.
            if self.is_still_itself() {
                let _ = signal_number(self.pid, signal);
            }
        } else if let Ok(pidfd) = pidfd_open(self.pid)
            && self.is_still_itself()
        {
            let _ = signal_held(pidfd.as_fd(), self.pid, signal);
        }
    }

    /// Whether it is in the group that this process leads, now: what is found between fork and exec often leaves it a moment later.
    pub(crate) fn is_in_group_of(&self, leader: u32) -> bool {
        self.group == leader && group_of(self.pid).is_none_or(|now| now == leader)
    }

    /// Whether it still runs (a zombie does not).
    pub(crate) fn alive(&self) -> bool {
        match &self.pidfd {
            Some(pidfd) => super::poll::readable_now(pidfd.as_fd()).is_ok_and(|ended| !ended),
            None => self.is_still_itself(),
        }
    }

    /// The same without a descriptor. Where it cannot be told, it runs.
    fn is_still_itself(&self) -> bool {
        match Stat::of(self.pid) {
            Ok(stat) => stat.started == self.started && !stat.ended,
            Err(error) => is_short(&error),
        }
    }
}

/// How a walk looks, and what kept it from seeing all.
#[derive(Default)]
pub(crate) struct Look {
    /// Members are told by number and time of their start, without a descriptor each.
    pub(crate) thrifty: bool,
    /// Descriptors or memory were short: something may have been missed.
    pub(crate) short: Option<io::Error>,
}

impl Look {
    /// What was read; a process that has ended is none. Other failures are noted.
    fn noted<T>(&mut self, read: io::Result<T>) -> Option<T> {
        match read {
            Ok(value) => return Some(value),
            Err(error) if is_short(&error) => self.short = Some(error),
            Err(_) => {}
        }
        None
    }
}

/// Whether an error tells that descriptors or memory are short.
pub(crate) fn is_short(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

/// What a walk needs of /proc/PID/stat.
struct Stat {
    parent: u32,
    group: u32,
    started: u64,
    ended: bool,
}

impl Stat {
    fn of(pid: u32) -> io::Result<Stat> {
        Stat::parse(&fs::read(format!("/proc/{pid}/stat"))?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(text: &[u8]) -> Option<Stat> {
        // The name in parentheses may contain anything; the fields follow the last parenthesis. Source: proc(5).
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
        let mut fields = rest.split(' ');
        let ended = matches!(fields.next()?, "Z" | "X" | "x");
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        // Fields 3 to 5 are behind us, the time of the start is field 22.
        let started = fields.nth(16)?.parse().ok()?;
        Some(Stat { parent, group, started, ended })
    }
}

/// Numbers of the direct children of a process.
fn children(pid: u32, look: &mut Look) -> Vec<u32> {
    let Some(tasks) = look.noted(fs::read_dir(format!("/proc/{pid}/task"))) else { return Vec::new() };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(list) => found.extend(list.split_ascii_whitespace().filter_map(|number| number.parse::<u32>().ok())),
            Err(error) if is_short(&error) => look.short = Some(error),
            Err(_) => return scan(look, |stat| stat.parent == pid),
        }
    }
    found
}

/// Numbers of all processes that are wanted.
fn scan(look: &mut Look, is_wanted: impl Fn(&Stat) -> bool) -> Vec<u32> {
    let Some(all) = look.noted(fs::read_dir("/proc")) else { return Vec::new() };
    let numbers = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|pid| look.noted(Stat::of(*pid)).is_some_and(|stat| is_wanted(&stat))).collect()
}

/// Whether there is a /proc to walk in, and one with the numbers that this process uses: in a pid namespace whose /proc is that of another, they are of
/// strangers. Asked until there is an answer: where memory or descriptors are short for a moment, the walk says so itself.
pub(crate) fn can_walk() -> bool {
    // A forked copy may be in a namespace of its own.
    static PROC: PerProcess<OnceLock<bool>> = PerProcess::new();
    if let Some(known) = PROC.get().get() {
        return *known;
    }
    let found = match fs::read_link("/proc/self") {
        Ok(number) => number.to_str() == Some(std::process::id().to_string().as_str()),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::EACCES | libc::EPERM)) => false,
        Err(_) => return true,
    };
    *PROC.get().get_or_init(|| found)
}

/// Every process of a group that is not yet in `known`, without its leader. Only while the leader is unreaped is the number the group's own.
pub(crate) fn group_members(leader: u32, known: &[Member], look: &mut Look) -> Vec<Member> {
    let in_group = scan(look, |stat| stat.group == leader);
    let strangers = in_group.into_iter().filter(|pid| *pid != leader && known.iter().all(|member| member.pid != *pid));
    strangers.filter_map(|pid| Member::hold(pid, look, |stat| stat.group == leader)).collect()
}

/// Every descendant of the process that is not yet in `known`; the process itself is not included. `root_is_ours` tells whether the number
/// is still the process's own: once it was reaped, a stranger may have it.
pub(crate) fn walk(root: u32, root_is_ours: impl Fn() -> bool, known: &[Member], look: &mut Look) -> Vec<Member> {
    let mut seen: BTreeSet<u32> = known.iter().map(|member| member.pid).collect();
    let mut todo: Vec<u32> = seen.iter().copied().collect();
    todo.push(root);
    seen.insert(root);
    let mut found: Vec<Member> = Vec::new();
    while let Some(parent) = todo.pop() {
        let listed = children(parent, look);
        let is_ours = |found: &[Member]| match known.iter().chain(found).find(|member| member.pid == parent) {
            Some(member) => member.alive(),
            None => root_is_ours(),
        };
        // Asked after the listing: the list is that of our process, not of a later owner of its number.
        if !is_ours(&found) {
            continue;
        }
        for pid in listed {
            if !seen.insert(pid) {
                continue;
            }
            // A parent that has just ended cannot be asked any more, and its children have another one.
            if let Some(member) = Member::hold(pid, look, |stat| stat.parent == parent || !is_ours(&found)) {
                found.push(member);
                todo.push(pid);
            }
        }
    }
    found
}
