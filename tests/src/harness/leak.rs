//! LEAK0: what was there before a test and what is there after it.

use std::fs;
use std::path::Path;

/// Descriptors that the library's own permanent threads keep, each at most this often.
const SERVICE_FDS: &[(&str, usize)] = &[("anon_inode:[eventpoll]", 1), ("anon_inode:[eventfd]", 1), ("anon_inode:[timerfd]", 1)];
/// What a thread of the library may hold for a moment after the end of a child was told: that it is gone later is no descriptor of the host closed.
const PASSING_FD: &str = "anon_inode:[pidfd]";
/// What the library would name memory after, if it named any.
const OWN_NAME: &str = "procs";
/// Permanent threads of the library carry this prefix; they are not leaks.
const SERVICE_THREADS: &str = "procs-";

/// The descriptors, threads and children of this process.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    fds: Vec<String>,
    threads: Vec<String>,
    service_threads: usize,
    children: Vec<String>,
    shared_names: Vec<String>,
}

impl Snapshot {
    /// What this process has now.
    pub fn take() -> Snapshot {
        let mut snapshot = Snapshot { fds: open_fds(), children: children(), shared_names: shared_names(), ..Snapshot::default() };
        for task in entries("/proc/self/task") {
            let name = fs::read_to_string(format!("/proc/self/task/{task}/comm")).unwrap_or_default().trim().to_owned();
            if name.starts_with(SERVICE_THREADS) {
                snapshot.service_threads += 1;
            } else {
                snapshot.threads.push(name);
            }
        }
        snapshot.threads.sort();
        snapshot
    }

    /// What `self` has that `before` had not, in words; empty when nothing leaked.
    pub fn leaks_since(&self, before: &Snapshot) -> Vec<String> {
        let mut leaks = Vec::new();
        let mut missing = before.fds.clone();
        let mut allowance: Vec<(&str, usize)> = if self.service_threads > 0 { SERVICE_FDS.to_vec() } else { Vec::new() };
        for fd in &self.fds {
            if let Some(index) = missing.iter().position(|old| old == fd) {
                missing.swap_remove(index);
            } else if let Some(service) = allowance.iter_mut().find(|(name, left)| name == fd && *left > 0) {
                service.1 -= 1;
            } else {
                leaks.push(format!("descriptor opened and not closed: {fd}"));
            }
        }
        leaks.extend(missing.iter().filter(|fd| *fd != PASSING_FD).map(|fd| format!("descriptor of the host closed: {fd}")));
        if self.threads.len() > before.threads.len() {
            leaks.push(format!("threads: {:?} before, {:?} after", before.threads, self.threads));
        }
        let new_names = self.shared_names.iter().filter(|name| !before.shared_names.contains(name));
        leaks.extend(new_names.map(|name| format!("name left in /dev/shm: {name}")));
        leaks.extend(self.children.iter().filter(|child| !before.children.contains(child)).map(|child| format!("child left: {child}")));
        leaks
    }
}

fn entries(folder: &str) -> Vec<String> {
    let Ok(read) = fs::read_dir(folder) else { return Vec::new() };
    read.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Targets of all open descriptors, sorted, without the one that lists them. Inode numbers are dropped: they differ for the same thing.
fn open_fds() -> Vec<String> {
    let own = format!("/proc/{}/fd", std::process::id());
    let mut targets: Vec<String> = entries("/proc/self/fd")
        .into_iter()
        .filter_map(|number| fs::read_link(format!("/proc/self/fd/{number}")).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .filter(|target| *target != own)
        .map(|target| match target.split_once(":[") {
            Some((kind @ ("pipe" | "socket"), _)) => kind.to_owned(),
            _ => target,
        })
        .collect();
    targets.sort();
    targets
}

/// Names of shared memory that could be ours; other programs of the machine make theirs at any time.
fn shared_names() -> Vec<String> {
    entries("/dev/shm").into_iter().filter(|name| name.contains(OWN_NAME)).collect()
}

/// `PID STATE NAME` of each child of any thread, zombies included.
fn children() -> Vec<String> {
    let mut found = Vec::new();
    for task in entries("/proc/self/task") {
        let list = fs::read_to_string(format!("/proc/self/task/{task}/children")).unwrap_or_default();
        for pid in list.split_whitespace() {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let name = stat.split(['(', ')']).nth(1).unwrap_or("?");
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?');
            found.push(format!("{pid} {state} {name}"));
        }
    }
    found
}

/// Processes of the whole system, other than this one, whose environment holds the cookie: finds what escaped from the tree.
pub fn cookie_holders(cookie: &str) -> Vec<u32> {
    let needle = format!("LP_TEST={cookie}").into_bytes();
    let holds = |pid: &u32| {
        let environ = fs::read(Path::new("/proc").join(pid.to_string()).join("environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| entry == needle)
    };
    let own = std::process::id();
    entries("/proc").iter().filter_map(|name| name.parse().ok()).filter(|pid| *pid != own).filter(holds).collect()
}

/// The resident set of this process, in bytes.
pub fn rss_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).expect("/proc/self/statm has a resident field");
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    pages * page as u64
}
