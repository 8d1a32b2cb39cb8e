//! Fault row B07: whole trees are ended by each of the declared means, and the report is the truth.

use procs::{Command, ErrorKind, Stdio, Stop, StopAction, StopReport, TreeLevel};
use procs_tests::{FdWalk, Isolation, Test, cookie_holders, count, helper, isolated, isolated_in, limit};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// 31 processes: sessions of their own, daemons without a parent, plain ones; `PID KIND` of each.
fn tree(t: &Test, level: TreeLevel) -> (procs::Child, BTreeMap<u32, String>) {
    let list = t.dir().join("list");
    let mut command = Command::new(helper());
    command.args(["tree", "4", "60"]).arg(t.dir().join("stop")).stdout(Stdio::append_file(&list));
    let root = command.kill_tree(true).tree_level(level).spawn().expect("a start");
    let lines = || fs::read_to_string(&list).expect("the list");
    t.wait_until("all 31 have said so", || lines().lines().count() == 31);
    let members =
        lines().lines().filter_map(|line| line.split_once(' ')).map(|(pid, kind)| (pid.parse().expect("a number"), kind.to_owned())).collect();
    fs::remove_file(list).expect("the list");
    (root, members)
}

fn is_running(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn still_running(members: &BTreeMap<u32, String>) -> Vec<u32> {
    members.keys().copied().filter(|pid| is_running(*pid)).collect()
}

/// Lets what escaped end by itself.
fn release(t: &Test) {
    let stop = t.dir().join("stop");
    fs::write(&stop, "").expect("the stop file");
    t.wait_until("all have ended", || cookie_holders(t.cookie()).is_empty());
    fs::remove_file(stop).expect("the stop file");
}

#[test]
fn b07_nothing_escapes_a_cgroup() {
    isolated_in("b07_nothing_escapes_a_cgroup", &Isolation::new().watchdog(120), |t| {
        assert!(procs::engine_info().cgroup, "no cgroup can be made here: run this row as root on cgroup v2");
        for round in 0..count(50) {
            let (root, members) = tree(t, TreeLevel::Cgroup);
            assert_eq!(root.tree_level(), TreeLevel::Cgroup);
            let start = Instant::now();
            let report = root.kill_tree().expect("a stop");
            t.wait_until("all 31 are gone", || still_running(&members).is_empty());
            assert!(start.elapsed() < limit(10), "round {round}: {:?}", start.elapsed());
            assert_eq!((report.level, report.ended_by), (TreeLevel::Cgroup, Some(StopAction::Kill)));
            assert_eq!(report.survivors, Vec::<u32>::new(), "the report of round {round}");
        }
    });
}

/// Whom the report names lives, and if the level cannot reach somebody it can see, it names somebody.
fn assert_truthful(report: &StopReport, members: &BTreeMap<u32, String>) {
    for pid in &report.survivors {
        assert!(members.contains_key(pid) && is_running(*pid), "{pid} is named as a survivor: {report:?}");
    }
}

#[test]
fn b07_a_walk_reaches_sessions() {
    isolated_in("b07_a_walk_reaches_sessions", &Isolation::new().watchdog(120), |t| {
        for _ in 0..count(50) {
            let (root, members) = tree(t, TreeLevel::Walk);
            let report = root.kill_tree().expect("a stop");
            assert_eq!(report.level, TreeLevel::Walk);
            // Daemons have left the tree before the walk; whatever is reached through a living parent is gone.
            let alive = still_running(&members);
            let escaped = alive.iter().filter(|pid| members[pid] == "root").count();
            assert_eq!(escaped, 0, "{report:?}");
            assert_truthful(&report, &members);
            let parents_gone = alive.iter().filter(|pid| parent_of(**pid).is_some_and(|parent| parent == root.id())).count();
            assert_eq!(parents_gone, 0, "a child of the root survived: {report:?}");
            assert!(alive.len() < 31 - 8, "only {} of 31 were ended", 31 - alive.len());
            release(t);
        }
    });
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[test]
fn b07_a_group_names_its_survivors() {
    isolated_in("b07_a_group_names_its_survivors", &Isolation::new().watchdog(120), |t| {
        for _ in 0..count(50) {
            let (root, members) = tree(t, TreeLevel::Group);
            let stop = Stop::new().step(StopAction::Kill, Duration::from_millis(500)).tree(true);
            let report = root.handle().stop(&stop).expect("a stop");
            assert_eq!((report.level, report.ended_by), (TreeLevel::Group, Some(StopAction::Kill)));
            let alive = still_running(&members);
            assert!(!alive.is_empty() && !alive.contains(&root.id()), "sessions escape a group: the tree is not what the test needs");
            assert_truthful(&report, &members);
            assert!(!report.survivors.is_empty(), "{} survive and none is named: {report:?}", alive.len());
            release(t);
        }
    });
}

#[test]
fn b07_numbers_of_another_namespace_are_not_walked() {
    isolated_in("b07_numbers_of_another_namespace_are_not_walked", &Isolation::new().watchdog(60).as_pid1(), |_| {
        // Under the /proc of this namespace lies that of the one outside.
        let plain = |words: &[&str]| assert!(std::process::Command::new(words[0]).args(&words[1..]).status().expect("it runs").success());
        plain(&["umount", "/proc"]);
        let number = fs::read_link("/proc/self").expect("the /proc outside");
        let sleep = Command::new("/bin/sleep").arg("60").kill_tree(true).tree_level(TreeLevel::Walk).spawn().expect("a start");
        let level = sleep.tree_level();
        let report = sleep.handle().stop(&Stop::new().step(StopAction::Kill, Duration::from_secs(10)).tree(true)).expect("a stop");
        plain(&["mount", "-t", "proc", "proc", "/proc"]);
        assert_ne!(number.to_str(), Some("1"));
        assert_eq!((level, report.level, report.survivors.len()), (TreeLevel::Group, TreeLevel::Group, 0));
    });
}

#[test]
fn b07_a_look_at_proc_that_fails_once_gives_up_no_walk() {
    isolated("b07_a_look_at_proc_that_fails_once_gives_up_no_walk", |t| {
        let stop = Stop::new().step(StopAction::Kill, Duration::from_secs(10)).tree(true);
        let child = || Command::new("/bin/sleep").arg("60").kill_tree(true).tree_level(TreeLevel::Walk).spawn().expect("a start");
        let first = t.inject(&["readlink,readlinkat:error=ENOMEM"], child);
        assert!(t.injection_log().contains("(INJECTED)"), "nothing was looked at");
        for child in [first, child()] {
            assert!(child.tree_level() >= TreeLevel::Walk, "the failure of a moment was taken for an answer");
            assert!(child.handle().stop(&stop).expect("a stop").level >= TreeLevel::Walk);
        }
    });
}

#[test]
fn b07_without_descriptors_nothing_is_left_untold() {
    isolated_in("b07_without_descriptors_nothing_is_left_untold", &Isolation::new().watchdog(120), |t| {
        for (free, level) in (0..=12).flat_map(|free| [(free, TreeLevel::Walk), (free, TreeLevel::Cgroup)]) {
            let (root, members) = tree(t, level);
            let short = FdWalk::leave(free);
            let stopped = root.kill_tree();
            drop(short);
            let has_root = |pid: &u32| parent_of(*pid) == Some(root.id()) || members[pid] == "root";
            match stopped {
                // Daemons have left the tree before a walk.
                Ok(report) => {
                    assert_truthful(&report, &members);
                    let left: Vec<u32> = still_running(&members).into_iter().filter(|pid| level == TreeLevel::Cgroup || has_root(pid)).collect();
                    assert_eq!(left, Vec::<u32>::new(), "{free} free: {report:?}");
                    let ended = 31 - still_running(&members).len();
                    assert!(ended >= 8, "{free} free, and only {ended} of 31 were ended: {report:?}");
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
                    assert!(free < 4, "{free} are enough: {error}");
                }
            }
            assert!(!is_running(root.id()), "{free} free: the child itself is stopped whatever is short");
            release(t);
        }
    });
}
