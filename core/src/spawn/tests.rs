//! Ends that come before the program runs, and starts that are tried again or refused.

use super::streams::Streams;
use super::tree::Tree;
use super::{Command, Stdio, Stop, StopAction, TreeLevel};
use crate::error::{ErrorKind, Stage};
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A path of this test process alone.
fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("procs-{}-{name}", std::process::id()))
}

#[test]
fn a_child_that_has_not_yet_made_its_group_is_stopped_at_once() {
    for round in 0..50 {
        let level = [TreeLevel::Group, TreeLevel::Walk][round % 2];
        let begun = Instant::now();
        let mut command = Command::new("sleep");
        command.arg("60").kill_tree(true).tree_level(level).timeout(Duration::ZERO);
        let error = command.status().expect_err("no time was given");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(begun.elapsed() < Duration::from_secs(5), "round {round} took {:?}", begun.elapsed());
    }
}

#[test]
fn a_run_is_stopped_by_the_signal_that_was_chosen() {
    let begun = Instant::now();
    let mut command = Command::shell("trap '' TERM; trap 'exit 3' INT; while :; do sleep 0.01; done");
    command.timeout(Duration::from_millis(300)).grace(Duration::from_secs(30)).stop_signal(libc::SIGINT);
    assert_eq!(command.status().expect_err("it runs for ever").kind(), ErrorKind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(15), "the whole grace was used up: {:?}", begun.elapsed());
}

#[test]
fn a_busy_program_is_reported_although_a_descriptor_is_good_for_one_start() {
    let program = scratch("busy");
    fs::copy("/bin/true", &program).expect("a copy");
    let writer = fs::OpenOptions::new().append(true).open(&program).expect("a writer");
    let mut command = Command::new(&program);
    command.stdout(Stdio::fd(fs::File::open("/dev/null").expect("a descriptor")));
    let error = command.status().expect_err("it is open for writing");
    drop(writer);
    fs::remove_file(&program).expect("removed");
    assert_eq!((error.stage(), error.os_error()), (Some(Stage::Exec), Some(libc::ETXTBSY)), "{error}");
}

#[test]
fn a_failure_that_is_told_late_names_the_program() {
    let mut command = Command::new("/nowhere/to/be/found");
    command.wait_for_exec(false);
    // Where the start is waited for all the same, the failure comes at once.
    let error = command.spawn().and_then(|mut child| child.wait()).expect_err("there is no such program");
    assert_eq!((error.kind(), error.stage()), (ErrorKind::NotFound, Some(Stage::Exec)));
    assert_eq!(error.path(), Some("/nowhere/to/be/found".as_ref()));
}

#[test]
fn argument_0_can_be_set_on_an_empty_vector() {
    let mut command = Command::new("true");
    command.raw_argv::<_, &str>([]).arg0("zero");
    assert_eq!(command.argv(), ["zero"]);
}

#[test]
fn a_ladder_with_an_impossible_signal_is_refused_before_anything_is_done() {
    let mut child = Command::new("sleep").arg("60").spawn().expect("a start");
    for signal in [-1, 0, 65, i32::MAX] {
        let ladder = Stop::new().step(StopAction::Signal(signal), Duration::ZERO).step(StopAction::Kill, Duration::ZERO);
        assert_eq!(child.stop(&ladder).expect_err("no such signal").kind(), ErrorKind::InvalidArgument);
        assert_eq!(child.try_wait().expect("an answer"), None);
    }
    child.kill().expect("killed");
    assert_eq!(child.wait().expect("an end").signal(), Some(libc::SIGKILL));
}

/// What /proc says of a process and field 5 of its stat: its group.
fn group_of(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split(' ').nth(3).map(str::to_owned)
}

#[test]
fn what_leaves_the_group_after_it_was_found_is_signalled_all_the_same() {
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        let mut command = Command::shell("exec 3<&0; (read line <&3; exec setsid sleep 61) & echo $!; wait");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_tree(true).tree_level(TreeLevel::Walk);
        let mut child = command.spawn().expect("a start");
        let line = child.lines().expect("its output").next().expect("a line").expect("a number");
        let pid = String::from_utf8(line).expect("digits");
        let handle = child.handle().clone();
        let mut tree = Tree::of(&handle.core, TreeLevel::Walk);
        assert_eq!(tree.find().expect("a look"), 1);
        child.stdin.as_mut().expect("a pipe").write_all(b"go\n").expect("written");
        let deadline = Instant::now() + Duration::from_secs(20);
        let wait_until = |what: &str, happened: &dyn Fn() -> bool| {
            while !happened() {
                assert!(Instant::now() < deadline, "{what}, in vain");
                std::thread::yield_now();
            }
        };
        wait_until("it leaves the group", &|| group_of(&pid).as_ref() == Some(&pid));
        tree.signal(signal).expect("signalled");
        wait_until("it ends", &|| tree.survivors().is_empty());
        child.wait().expect("an end");
    }
}

#[test]
fn same_as_leads_through_several_descriptors_and_never_in_a_circle() {
    let mut command = Command::shell("echo one; echo two >&2; echo three >&3");
    command.stdout(Stdio::piped()).fd(2, Stdio::same_as(3)).fd(3, Stdio::same_as(1));
    assert_eq!(command.output().unwrap().stdout, b"one\ntwo\nthree\n");
    let mut circle = Command::new("true");
    circle.fd(3, Stdio::same_as(4)).fd(4, Stdio::same_as(3));
    let error = circle.spawn().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("shall be the same as"), "{error}");
}

#[test]
fn one_dev_null_serves_all_streams_of_a_start() {
    for blocking in [false, true] {
        let mut command = Command::new("true");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).blocking_stdio(blocking);
        let streams = Streams::open(&mut command, [Stdio::inherit(), Stdio::inherit(), Stdio::inherit()]).expect("streams");
        let [null] = &streams.childs[..] else { panic!("{} descriptors were opened", streams.childs.len()) };
        let sources: Vec<_> = streams.moves.iter().map(|entry| (entry.target, entry.source)).collect();
        assert_eq!(sources, [(0, null.as_raw_fd()), (1, null.as_raw_fd()), (2, null.as_raw_fd())]);
    }
}
