//! Fault rows B05, B06, B08 to B11: signals reach whom they are meant for, nobody else, and in good order.

mod common;

use common::child;
use procs::{Command, ErrorKind, ExitStatus, Stdio, Stop, StopAction, TreeLevel};
use procs_tests::{Isolation, Test, cookie_holders, count, helper, host, isolated, isolated_in, limit, root, tool};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Waits for the word that the helper prints once it is set up.
fn await_ready(child: &mut procs::Child) {
    let mut word = [0; 6];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut word).expect("the helper's word");
    assert_eq!(&word, b"ready\n");
}

#[test]
fn b05_a_reused_number_is_a_stranger() {
    for level in [TreeLevel::Group, TreeLevel::Walk, TreeLevel::Cgroup] {
        isolated_in("b05_a_reused_number_is_a_stranger", &Isolation::new().watchdog(60).param(level.name()), |t| {
            let mut ended = child(&["exit", "0"]).kill_tree(true).tree_level(level).spawn().expect("a start");
            assert_eq!(ended.wait().expect("an end"), ExitStatus::Exited(0));
            let stranger = t.stranger(ended.id());
            let number = stranger.pid().to_string();
            let act = |rounds: usize| {
                for _ in 0..rounds {
                    ended.kill().expect("nothing to do");
                    let error = ended.send_signal(libc::SIGTERM).expect_err("it has ended");
                    assert_eq!((error.kind(), error.os_error()), (ErrorKind::NotFound, Some(libc::ESRCH)));
                    let report = ended.kill_tree().expect("nothing to do");
                    assert_eq!((report.status, report.ended_by), (Some(ExitStatus::Exited(0)), None));
                    assert!(report.survivors.is_empty(), "{report:?}");
                    let report = ended.handle().stop(&Stop::graceful(Duration::from_millis(10)).tree(true)).expect("nothing to do");
                    assert_eq!(report.ended_by, None);
                }
            };
            act(count(1000));
            let rules = ["kill:delay_enter=1", "tgkill:delay_enter=1", "pidfd_open:delay_enter=1", "pidfd_send_signal:delay_enter=1"];
            t.inject(&rules, || act(3));
            let log = t.injection_log();
            let names_it = log
                .lines()
                .filter_map(|line| line.split_once('('))
                .any(|(_, arguments)| arguments.split([',', ')', ' ', '-']).any(|word| word == number));
            assert!(!names_it, "a call names the stranger {number}:\n{log}");
            assert!(stranger.is_untouched(), "the stranger was hit");
        });
    }
}

#[test]
fn b06_no_signal_by_number_is_linked() {
    let object = newest_rlib();
    let output = Command::new(tool("nm")).arg("-u").arg(&object).max_output(procs::OutputLimit::Unlimited).output().expect("a run of nm");
    let text = String::from_utf8_lossy(&output.stdout);
    let names: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("U ")).collect();
    assert!(names.contains(&"ppoll"), "nm found nothing in {}", object.display());
    let forbidden = ["kill", "killpg", "tgkill", "raise", "system", "popen", "waitpid", "wait", "wait3"];
    let found: Vec<&&str> = names.iter().filter(|name| forbidden.contains(name)).collect();
    assert!(found.is_empty(), "{}: {found:?}", object.display());
    let source = fs::read_to_string(root().join("core/src/sys/wait.rs")).expect("the source");
    assert_eq!(source.matches("SYS_kill").count(), 1, "one place may signal by number, under the lock of an unreaped child");
}

/// A number that was a child's and now is a stranger's, who has a child of his own: `PID CHILD` on its output.
fn stranger_with_child(t: &Test, number: u32) -> (std::process::Child, u32) {
    let mut command = std::process::Command::new(helper());
    command.args(["settid", &number.to_string(), "60", "child"]).stdout(std::process::Stdio::piped());
    let mut keeper = command.spawn().expect("the helper");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(keeper.stdout.take().expect("a pipe")), &mut line).expect("a line");
    let (own, its_child) = line.trim().split_once(' ').unwrap_or_else(|| panic!("no process with the number {number} could be made: {line:?}"));
    assert_eq!(own, number.to_string(), "in {}", t.dir().display());
    (keeper, its_child.parse().expect("a number"))
}

#[test]
fn b05_the_children_of_a_stranger_are_his() {
    for level in [TreeLevel::Group, TreeLevel::Walk, TreeLevel::Cgroup] {
        isolated_in("b05_the_children_of_a_stranger_are_his", &Isolation::new().param(level.name()), |t| {
            let mut ended = child(&["exit", "0"]).kill_tree(true).tree_level(level).spawn().expect("a start");
            ended.wait().expect("an end");
            let (mut keeper, its_child) = stranger_with_child(t, ended.id());
            for _ in 0..count(50) {
                ended.kill_tree().expect("nothing to do");
                ended.stop(&Stop::graceful(Duration::from_millis(10)).tree(true)).expect("nothing to do");
            }
            assert!(is_running(ended.id()) && is_running(its_child), "the stranger or his child was hit");
            for pid in [its_child, ended.id()] {
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL).expect("it is there");
            }
            keeper.wait().expect("an end");
        });
    }
}

/// The core as built beside this test.
fn newest_rlib() -> std::path::PathBuf {
    let folder = procs_tests::build_dir().join("deps");
    let paths = fs::read_dir(&folder).expect("the build").flatten().map(|entry| entry.path());
    let is_core = |path: &std::path::PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libprocs-") && name.ends_with(".rlib"))
    };
    let newest = paths.filter(is_core).max_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).ok());
    newest.unwrap_or_else(|| panic!("no built library in {}", folder.display()))
}

#[test]
fn b06_bad_numbers_hit_nobody() {
    isolated("b06_bad_numbers_hit_nobody", |_| {
        let mut canaries: Vec<_> = (0..3).map(|_| child(&["sleep", "60"]).spawn().expect("a start")).collect();
        let ended = child(&["exit", "0"]).spawn().expect("a start");
        ended.handle().wait().expect("an end");
        for signal in [-1, 65, i32::MAX, i32::MIN] {
            for target in [&ended, &canaries[0]] {
                let error = target.send_signal(signal).expect_err("no such signal");
                assert_eq!((error.kind(), error.os_error()), (ErrorKind::InvalidArgument, Some(libc::EINVAL)));
            }
        }
        // In a forked copy a child is not its own: nothing it does reaches it.
        let pid = host::fork(|| {
            let refused = canaries
                .iter()
                .all(|canary| canary.kill().is_err_and(|error| error.kind() == ErrorKind::InvalidState) && canary.handle().kill_tree().is_err());
            i32::from(!refused)
        });
        assert_eq!(host::wait_for(pid).expect("the copy's end"), 0, "a forked copy signalled a child");
        for canary in &mut canaries {
            assert_eq!(canary.try_wait().expect("an answer"), None);
            canary.kill().expect("a signal");
            canary.wait().expect("an end");
        }
    });
}

/// A leader that has ended while members of its group live on; gives their numbers.
fn orphaned_group(t: &Test, level: TreeLevel) -> (procs::Child, Vec<u32>) {
    let mut command = Command::shell("for i in 1 2 3; do sleep 60 & echo $!; done; exit 0");
    let leader = command.stdout(Stdio::write_file(t.dir().join("members"))).kill_tree(true).tree_level(level).spawn().expect("a start");
    t.wait_until("the leader has ended", || fs::read_to_string(format!("/proc/{}/stat", leader.id())).is_ok_and(|stat| stat.contains(") Z ")));
    let list = fs::read_to_string(t.dir().join("members")).expect("the list");
    (leader, list.lines().map(|line| line.parse().expect("a number")).collect())
}

fn is_running(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn b08_the_group_of_a_leader_that_ended() {
    for level in [TreeLevel::Group, TreeLevel::Walk, TreeLevel::Cgroup] {
        isolated_in("b08_the_group_of_a_leader_that_ended", &Isolation::new().watchdog(120).param(level.name()), |t| {
            for _ in 0..count(200) {
                let (leader, members) = orphaned_group(t, level);
                assert!(members.len() == 3 && members.iter().all(|pid| is_running(*pid)), "{members:?}");
                leader.kill_tree().expect("a stop");
                t.wait_until("every member is gone", || !members.iter().any(|pid| is_running(*pid)));
            }
        });
    }
}

#[test]
fn b08_a_group_number_that_was_reused() {
    isolated_in("b08_a_group_number_that_was_reused", &Isolation::new().watchdog(60), |t| {
        let mut leader = child(&["exit", "0"]).process_group(0).kill_tree(true).tree_level(TreeLevel::Group).spawn().expect("a start");
        leader.wait().expect("an end");
        let stranger = t.stranger(leader.id());
        for _ in 0..count(200) {
            leader.kill_tree().expect("nothing to do");
            leader.stop(&Stop::graceful(Duration::ZERO).tree(true)).expect("nothing to do");
        }
        assert!(stranger.is_untouched(), "the stranger was hit");
    });
}

#[test]
fn b09_a_stopped_child_obeys() {
    isolated("b09_a_stopped_child_obeys", |_| {
        let mut stopped = child(&["stopped"]).stdout(Stdio::piped()).spawn().expect("a start");
        await_ready(&mut stopped);
        let start = Instant::now();
        let report = stopped.stop(&Stop::graceful(limit(30))).expect("a stop");
        assert_eq!(report.status, Some(ExitStatus::Signaled { signal: libc::SIGTERM, core_dumped: false }));
        assert_eq!(report.ended_by, Some(StopAction::Signal(libc::SIGTERM)));
        assert!(start.elapsed() < limit(10), "{:?}", start.elapsed());
    });
}

#[test]
fn b09_one_that_ignores_is_killed_after_its_grace() {
    isolated("b09_one_that_ignores_is_killed_after_its_grace", |_| {
        for tree in [false, true] {
            let mut deaf = child(&["ignore-term"]).stdout(Stdio::piped()).kill_tree(tree).spawn().expect("a start");
            await_ready(&mut deaf);
            let start = Instant::now();
            let report = deaf.stop(&Stop::graceful(Duration::from_millis(500))).expect("a stop");
            let elapsed = start.elapsed();
            assert_eq!((report.status.and_then(ExitStatus::signal), report.ended_by), (Some(libc::SIGKILL), Some(StopAction::Kill)));
            assert!(elapsed >= Duration::from_millis(500) && elapsed < limit(10), "{elapsed:?}");
        }
    });
}

#[test]
fn b10_the_grace_is_given_whole() {
    isolated_in("b10_the_grace_is_given_whole", &Isolation::new().watchdog(120), |t| {
        let (running, dir) = (AtomicBool::new(true), t.dir());
        std::thread::scope(|scope| {
            let running = &running;
            let busy: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        while running.load(Ordering::Relaxed) {
                            std::hint::spin_loop()
                        }
                    })
                })
                .collect();
            let rounds = count(100).div_ceil(10);
            let stoppers: Vec<_> =
                (0..10).map(|number| scope.spawn(move || (0..rounds).for_each(|round| stop_a_slow_one(dir, number, round)))).collect();
            stoppers.into_iter().for_each(|stopper| stopper.join().expect("every file is complete"));
            running.store(false, Ordering::Relaxed);
            busy.into_iter().for_each(|thread| thread.join().expect("a busy thread"));
        });
    });
}

/// Needs 300 ms to obey and is given 30 s: the file tells that nobody interfered.
fn stop_a_slow_one(dir: &Path, number: usize, round: usize) {
    let file = dir.join(format!("file-{number}-{round}"));
    let mut slow = child(&["on-term", "3", "300"]).arg(&file).stdout(Stdio::piped()).spawn().expect("a start");
    await_ready(&mut slow);
    let report = slow.stop(&Stop::graceful(limit(30))).expect("a stop");
    assert_eq!((report.status, report.ended_by), (Some(ExitStatus::Exited(3)), Some(StopAction::Signal(libc::SIGTERM))));
    assert_eq!(fs::read(file).expect("the file"), b"done\n");
}

#[test]
fn b11_a_timeout_ends_what_the_shell_started() {
    isolated_in("b11_a_timeout_ends_what_the_shell_started", &Isolation::new().watchdog(60), |t| {
        for _ in 0..count(50) {
            let start = Instant::now();
            let output = Command::shell("sleep 100 & sleep 100").timeout(Duration::from_millis(300)).kill_tree(true).output().expect("a run");
            assert!(output.timed_out && start.elapsed() < limit(10), "{:?}: {output:?}", start.elapsed());
            t.wait_until("both are gone", || cookie_holders(t.cookie()).is_empty());
        }
    });
}
