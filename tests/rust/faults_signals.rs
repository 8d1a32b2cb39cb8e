//! Fault rows A12, A13, A14, A27: signals, locks, sessions and groups around a start.

mod common;

use common::child;
use procs::{Command, ExitStatus, SignalPolicy, Stdio};
use procs_tests::{Isolation, count, host, isolated, isolated_in};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

static HOST: AtomicI32 = AtomicI32::new(0);
static SEEN: AtomicU64 = AtomicU64::new(0);
static ELSEWHERE: AtomicU64 = AtomicU64::new(0);

extern "C" fn note_where(_: i32) {
    let counter = if host::raw_pid() == HOST.load(Ordering::Relaxed) { &SEEN } else { &ELSEWHERE };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What a case does to a command.
type Change = fn(&mut Command);

/// Starts children while two threads signal this process and its children as fast as they can. SIGURG, because a child that has nothing to
/// do with it ignores it.
fn signal_storm(spawns: usize, set: Change) {
    HOST.store(host::raw_pid(), Ordering::Relaxed);
    nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0)).expect("a group of its own");
    host::handle(libc::SIGURG, note_where);
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    host::block(&[libc::SIGURG]);
                    let group = nix::unistd::Pid::from_raw(0);
                    while running.load(Ordering::Relaxed) {
                        nix::sys::signal::kill(group, nix::sys::signal::Signal::SIGURG).expect("a signal to its group");
                    }
                })
            })
            .collect();
        for _ in 0..spawns {
            let mut command = child(&["exit", "7"]);
            set(&mut command);
            let status = command.spawn().expect("a start").wait().expect("an end");
            assert_eq!(status, ExitStatus::Exited(7));
        }
        running.store(false, Ordering::Relaxed);
        senders.into_iter().for_each(|sender| sender.join().expect("a sender"));
    });
    assert!(SEEN.load(Ordering::Relaxed) > spawns as u64, "no storm: {} signals", SEEN.load(Ordering::Relaxed));
    assert_eq!(ELSEWHERE.load(Ordering::Relaxed), 0, "the host's handler ran in a child");
}

#[test]
fn a12_no_handler_of_the_host_runs_in_a_child() {
    let how = Isolation::new().watchdog(120);
    isolated_in("a12_no_handler_of_the_host_runs_in_a_child", &how, |_| signal_storm(count(3000), |_| {}));
}

#[test]
fn a12_also_on_the_plainer_ways() {
    for (case, rule) in [("clone", "clone3:error=ENOSYS"), ("identity", "clone3:delay_enter=1")] {
        // The injection lowers the level once; strace is gone before the storm begins.
        isolated_in("a12_also_on_the_plainer_ways", &Isolation::new().watchdog(120).param(case), |t| {
            t.inject(&[rule], || child(&["exit", "0"]).spawn().expect("a start").wait().expect("an end"));
            assert_eq!(procs::engine_info().clone_level, if case == "clone" { "clone" } else { "clone3" });
            let set: Change = if case == "clone" {
                |_| {}
            } else {
                |command| {
                    command.groups(&[]);
                }
            };
            signal_storm(count(1000), set);
        });
    }
}

#[test]
fn a13_locks_and_memory_of_other_threads_do_not_matter() {
    isolated_in("a13_locks_and_memory_of_other_threads_do_not_matter", &Isolation::new().watchdog(120), |_| {
        let running = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let busy: Vec<_> = (0..4)
                .map(|number| {
                    let running = &running;
                    scope.spawn(move || {
                        while running.load(Ordering::Relaxed) {
                            let blocks: Vec<Vec<u8>> = (0..50).map(|size| vec![0; 100 << (size % 12)]).collect();
                            (0..20).for_each(|_| host::set_env(&format!("BUSY{number}"), &"x".repeat(blocks.len())));
                        }
                    })
                })
                .collect();
            for round in 0..count(5000) {
                let mut command = child(&["exit", "7"]);
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::same_as(1)).fd(3, Stdio::piped());
                command.current_dir("/").env("A", "b").umask(0o22).nice(1).affinity(&[0]).no_new_privs(true);
                command.limit(procs::Resource::Core, Some(0), Some(0)).process_group(0);
                // Both ways: with the host's memory, and as a copy of the host.
                if round % 4 == 0 {
                    command.groups(&[]).gid(0).uid(0);
                }
                assert_eq!(command.spawn().expect("a start").wait().expect("an end"), ExitStatus::Exited(7));
            }
            running.store(false, Ordering::Relaxed);
            busy.into_iter().for_each(|thread| thread.join().expect("a busy thread"));
        });
    });
}

/// The SigBlk, SigIgn and SigCgt lines as masks.
fn masks(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let wanted = lines.filter(|(name, _)| ["SigBlk", "SigIgn", "SigCgt"].contains(name));
    wanted.map(|(name, value)| (name.to_owned(), u64::from_str_radix(value.trim(), 16).expect("a mask"))).collect()
}

fn masks_of_child(set: impl FnOnce(&mut Command)) -> BTreeMap<String, u64> {
    let mut command = child(&["mask"]);
    set(&mut command);
    let output = command.output().expect("a run");
    masks(&String::from_utf8(output.stdout.into_vec()).expect("text"))
}

fn masks_of_known_child() -> BTreeMap<String, u64> {
    let mut child = child(&["mask"]).stdout(Stdio::piped()).wait_for_exec_unless_known().spawn().expect("a start");
    let text = std::io::read_to_string(child.stdout.take().expect("a pipe")).expect("text");
    assert_eq!(child.wait().expect("an end"), ExitStatus::Exited(0));
    masks(&text)
}

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

#[test]
fn a14_mask_and_dispositions_are_reset() {
    isolated("a14_mask_and_dispositions_are_reset", |test| {
        let real_time = libc::SIGRTMIN() + 3;
        host::block(&[libc::SIGTERM, libc::SIGUSR1, real_time]);
        [libc::SIGHUP, libc::SIGPIPE, libc::SIGCHLD, libc::SIGTRAP, real_time + 1].into_iter().for_each(host::ignore);
        host::handle(libc::SIGUSR2, note_where);
        let clean = BTreeMap::from(["SigBlk", "SigIgn", "SigCgt"].map(|name| (name.to_owned(), 0)));
        let ways: [(&str, Change); 3] = [
            ("plain", |_| {}),
            ("on another thread", |command| {
                command.offload(true);
            }),
            ("as a copy", |command| {
                command.groups(&[]);
            }),
        ];
        // Read of the calling thread: the mask is a thread's own.
        let own = masks(&fs::read_to_string("/proc/thread-self/status").expect("own status"));
        assert_eq!(own["SigBlk"], bit(libc::SIGTERM) | bit(libc::SIGUSR1) | bit(real_time));
        for (way, set) in ways {
            assert_eq!(masks_of_child(set), clean, "{way}");
            let inherited = masks_of_child(|command| {
                set(command);
                command.signals(SignalPolicy::Inherit);
            });
            assert_eq!((inherited["SigBlk"], inherited["SigIgn"]), (own["SigBlk"], own["SigIgn"]), "{way}, inherited");
            assert_eq!(inherited["SigCgt"], 0, "{way}: a handler cannot outlive exec");
            let python = masks_of_child(|command| {
                set(command);
                command.signals(SignalPolicy::RestorePython);
            });
            assert_eq!((python["SigBlk"], python["SigIgn"]), (own["SigBlk"], own["SigIgn"] & !bit(libc::SIGPIPE)), "{way}, as Python");
        }
        // Not waited for, each alone, then close together: either the child asks which signals are ignored, or the host.
        let mut last = Instant::now();
        for pause in [2, 2, 2, 0, 0, 0, 0].map(Duration::from_millis) {
            test.wait_until("the last start is long ago", || last.elapsed() >= pause);
            last = Instant::now();
            assert_eq!(masks_of_known_child(), clean, "a known program, {pause:?} after the last");
        }
        let after = masks(&fs::read_to_string("/proc/thread-self/status").expect("own status"));
        assert_eq!(after, own, "the host's own state changed");
    });
}

fn child_of_group(group: i32) -> procs::Child {
    child(&["sleep", "30"]).process_group(group).spawn().expect("a second member")
}

#[test]
fn a27_the_group_is_there_when_spawn_returns() {
    isolated("a27_the_group_is_there_when_spawn_returns", |_| {
        for round in 0..count(1000) {
            let mut command = child(&["sleep", "30"]);
            if round % 2 == 0 {
                command.process_group(0)
            } else {
                command.new_session(true)
            };
            let mut child = command.spawn().expect("a start");
            let pid = nix::unistd::Pid::from_raw(child.id() as i32);
            assert_eq!(nix::unistd::getpgid(Some(pid)), Ok(pid));
            if round % 2 == 1 {
                assert_eq!(nix::unistd::getsid(Some(pid)), Ok(pid));
            }
            if round % 2 == 0 {
                let mut second = child_of_group(pid.as_raw());
                assert_eq!(nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(second.id() as i32))), Ok(pid));
                second.kill().expect("a signal");
                second.wait().expect("an end");
            }
            child.kill().expect("a signal");
            child.wait().expect("an end");
        }
    });
}

/// The fields that the helper's `session` printed.
fn session_fields(text: &str) -> BTreeMap<String, i64> {
    text.lines().filter_map(|line| line.split_once(' ')).map(|(name, value)| (name.to_owned(), value.trim().parse().expect("a number"))).collect()
}

#[test]
fn a27_a_session_on_a_terminal() {
    isolated("a27_a_session_on_a_terminal", |_| {
        let (user, path) = host::terminal();
        let line = fs::OpenOptions::new().read(true).write(true).custom_flags_no_tty().open(&path).expect("the terminal");
        let mut command = child(&["session"]);
        command.stdin(Stdio::fd(line)).controlling_tty(0);
        let output = command.output().expect("a run");
        let fields = session_fields(&String::from_utf8(output.stdout.into_vec()).expect("text"));
        assert_eq!((fields["pgid"], fields["sid"], fields["tpgid"]), (fields["pid"], fields["pid"], fields["pid"]), "{fields:?}");
        assert_ne!(fields["tty"], 0, "{fields:?}");
        drop(user);
    });
}

/// Opening a terminal without making it one's own.
trait NoTty {
    fn custom_flags_no_tty(&mut self) -> &mut Self;
}

impl NoTty for fs::OpenOptions {
    fn custom_flags_no_tty(&mut self) -> &mut Self {
        std::os::unix::fs::OpenOptionsExt::custom_flags(self, libc::O_NOCTTY)
    }
}

/// What runs on the terminal in the test below: the leader of its session, which starts a child in the foreground.
#[test]
#[ignore = "a host that another test starts"]
fn a27_host_on_a_terminal() {
    let Some(result) = std::env::var_os("A27_RESULT") else { return };
    // A leader that is not in the foreground group would be stopped by SIGTTOU; a child that makes itself the foreground is not.
    let output = child(&["session"]).stdin(Stdio::inherit()).process_group(0).foreground(true).output().expect("a run");
    fs::write(result, output.stdout).expect("the result");
}

#[test]
fn a27_a_child_becomes_the_foreground() {
    isolated_in("a27_a_child_becomes_the_foreground", &Isolation::new().watchdog(60), |t| {
        for round in 0..count(20) {
            let (user, path) = host::terminal();
            let line = fs::OpenOptions::new().read(true).write(true).custom_flags_no_tty().open(&path).expect("the terminal");
            let result = t.dir().join(format!("result-{round}"));
            let mut command = Command::new(std::env::current_exe().expect("this test"));
            command.args(["--exact", "a27_host_on_a_terminal", "--ignored", "--nocapture"]);
            command.env("A27_RESULT", &result).stdin(Stdio::fd(line)).controlling_tty(0);
            let output = command.output().expect("a run");
            assert!(output.success(), "{output:?}");
            let fields = session_fields(&fs::read_to_string(&result).expect("the result"));
            assert_eq!((fields["pgid"], fields["tpgid"]), (fields["pid"], fields["pid"]), "{fields:?}");
            assert_ne!(fields["sid"], fields["pid"]);
            assert!(user.as_raw_fd() > 2);
        }
    });
}
