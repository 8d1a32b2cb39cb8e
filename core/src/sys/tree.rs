//! The descendants of a process, found in /proc and held by pidfd.

use super::wait::{pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

/// A process found in a walk, held so that a reused number is never mistaken for it.
pub(crate) struct Member {
    pub(crate) pid: u32,
    /// Its process group when it was found.
    pub(crate) group: u32,
    pidfd: OwnedFd,
}

impl Member {
    /// Holds a process if it is the one looked for: the number may have changed hands since it was listed.
    fn hold(pid: u32, is_wanted: impl FnOnce(&Stat) -> bool) -> Option<Member> {
        let pidfd = pidfd_open(pid).ok()?;
        let stat = Stat::of(pid)?;
        let member = Member { pid, group: stat.group, pidfd };
        // While it still runs, what was read is about the process that is held.
        (is_wanted(&stat) && member.alive()).then_some(member)
    }

    /// Sends a signal; a process that has ended is no error.
    pub(crate) fn signal(&self, signal: i32) {
        let _ = pidfd_send_signal(self.pidfd.as_fd(), signal);
    }

    /// Whether it still runs (a zombie does not).
    pub(crate) fn alive(&self) -> bool {
        super::poll::readable_now(self.pidfd.as_fd()).is_ok_and(|ended| !ended)
    }
}

/// What a walk needs of /proc/PID/stat.
struct Stat {
    parent: u32,
    group: u32,
}

impl Stat {
    fn of(pid: u32) -> Option<Stat> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may contain anything; the fields follow the last parenthesis. Source: proc(5).
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
        let mut fields = rest.split(' ');
        let parent = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some(Stat { parent, group })
    }
}

/// Numbers of the direct children of a process.
fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(list) => found.extend(list.split_ascii_whitespace().filter_map(|number| number.parse::<u32>().ok())),
            Err(_) => return scan(pid),
        }
    }
    found
}

/// The same where the kernel has no `children` files.
fn scan(parent: u32) -> Vec<u32> {
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|pid| Stat::of(*pid).is_some_and(|stat| stat.parent == parent)).collect()
}

/// Whether there is a /proc to walk in. Looked for once.
pub(crate) fn can_walk() -> bool {
    static PROC: OnceLock<bool> = OnceLock::new();
    *PROC.get_or_init(|| Path::new("/proc/self/stat").exists())
}

/// Every process of a group that is not yet in `known`, without its leader. Only while the leader is unreaped is the number the group's own.
pub(crate) fn group_members(leader: u32, known: &[Member]) -> Vec<Member> {
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let strangers = numbers.filter(|pid| *pid != leader && known.iter().all(|member| member.pid != *pid));
    let in_group = strangers.filter(|pid| Stat::of(*pid).is_some_and(|stat| stat.group == leader));
    in_group.filter_map(|pid| Member::hold(pid, |stat| stat.group == leader)).collect()
}

/// Every descendant of the process that is not yet in `known`; the process itself is not included. `root_is_ours` tells whether the number
/// is still the process's own: once it was reaped, a stranger may have it.
pub(crate) fn walk(root: u32, root_is_ours: impl Fn() -> bool, known: &[Member]) -> Vec<Member> {
    let mut seen: BTreeSet<u32> = known.iter().map(|member| member.pid).collect();
    let mut todo: Vec<u32> = seen.iter().copied().collect();
    todo.push(root);
    seen.insert(root);
    let mut found: Vec<Member> = Vec::new();
    while let Some(parent) = todo.pop() {
        let listed = children(parent);
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
            if let Some(member) = Member::hold(pid, |stat| stat.parent == parent || !is_ours(&found)) {
                found.push(member);
                todo.push(pid);
            }
        }
    }
    found
}
