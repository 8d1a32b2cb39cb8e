//! Fault rows A21, A22, A23, A28: older kernels, filters, files just written, half-built pipelines.

mod common;

use common::child;
use procs::{Command, ErrorKind, ExitStatus, Pipeline, Stage, Stdio, TreeLevel};
use procs_tests::{Isolation, Random, Test, cookie_holders, count, isolated, isolated_in, kill_loop, limit};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The host of the next test: holds a port and starts children, in every way there is, until it is killed.
#[test]
#[ignore = "a host that another test starts"]
fn a21_host() {
    let Ok(address) = std::env::var("A21_ADDRESS") else {
        return;
    };
    let _listener = TcpListener::bind(address).expect("the port");
    for round in 0.. {
        let mut command = child(&["exit", "0"]);
        match round % 3 {
            0 => {}
            1 => _ = command.groups(&[]),
            _ => _ = command.offload(true),
        }
        command.spawn().expect("a start").wait().expect("an end");
    }
}

#[test]
fn a21_no_helper_keeps_the_hosts_port() {
    isolated_in("a21_no_helper_keeps_the_hosts_port", &Isolation::new().watchdog(120), |t| {
        // An address that no connection of another program leaves from, and a port that the kernel gives to nobody who did not ask for it.
        let mut random = Random::from_env(t.name());
        let address = (0..100)
            .map(|_| (format!("127.{}.{}.7", 1 + random.below(254), random.below(256)), 20_000 + random.below(10_000) as u16))
            .find(|(host, port)| TcpListener::bind((host.as_str(), *port)).is_ok())
            .expect("a free port");
        let start = |_| {
            let mut command = std::process::Command::new(std::env::current_exe().expect("this test"));
            command.args(["--exact", "a21_host", "--ignored", "--nocapture"]).env("A21_ADDRESS", format!("{}:{}", address.0, address.1));
            command
        };
        kill_loop(count(100), Duration::from_millis(30), start, |round| {
            let killed = Instant::now();
            t.wait_until("nothing of the host is left", || cookie_holders(t.cookie()).is_empty());
            assert!(killed.elapsed() < limit(10), "round {round}: helpers lived on for {:?}", killed.elapsed());
            TcpListener::bind((address.0.as_str(), address.1)).expect("the port is free at once");
        });
    });
}

/// Writes a script and starts it at once; how often the start had to be repeated. A child of another thread that stands still between clone and exec
/// keeps the file open for longer than the library waits.
fn write_and_run(t: &Test, number: usize) -> u32 {
    let path = t.dir().join(format!("fresh-{number}"));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(&path).expect("a fresh file");
    file.write_all(b"#!/bin/sh\nexit 7\n").expect("its text");
    drop(file);
    let mut started = Command::new(&path).spawn();
    let mut stalled = 0;
    procs_tests::poll_until("nobody has the file open", || {
        let is_busy = started.as_ref().is_err_and(|error| error.os_error() == Some(libc::ETXTBSY));
        if is_busy {
            stalled += 1;
            started = Command::new(&path).spawn();
        }
        !is_busy
    });
    let mut child = started.unwrap_or_else(|error| panic!("start {number}: {error}"));
    assert_eq!(child.wait().expect("an end"), ExitStatus::Exited(7));
    fs::remove_file(path).expect("its end");
    child.spawn_retries() + stalled
}

#[test]
fn a22_a_fresh_file_can_be_executed() {
    isolated_in("a22_a_fresh_file_can_be_executed", &Isolation::new().watchdog(60), |t| {
        let running = AtomicBool::new(true);
        let total = count(500);
        let retried = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        while running.load(Ordering::Relaxed) {
                            assert!(child(&["exit", "0"]).spawn().expect("a start").wait().expect("an end").success());
                        }
                    })
                })
                .collect();
            (0..total).for_each(|number| {
                retried.fetch_add(usize::from(write_and_run(t, number) > 0), Ordering::Relaxed);
            });
            running.store(false, Ordering::Relaxed);
            others.into_iter().for_each(|thread| thread.join().expect("a thread that spawns"));
        });
        let retried = retried.into_inner();
        assert!(retried <= 1 + total / 5, "{retried} of {total} starts had to be repeated");
    });
}

#[test]
fn a22_a_file_that_stays_open_is_an_error() {
    isolated("a22_a_file_that_stays_open_is_an_error", |t| {
        let path = t.script("busy", "#!/bin/sh\nexit 7\n");
        let file = fs::OpenOptions::new().write(true).open(&path).expect("the script");
        let start = Instant::now();
        let error = Command::new(&path).spawn().expect_err("open for writing");
        assert_eq!((error.os_error(), error.stage()), (Some(libc::ETXTBSY), Some(Stage::Exec)), "{error:?}");
        let elapsed = start.elapsed();
        assert!(elapsed >= Duration::from_millis(30) && elapsed < limit(10), "three pauses of 10 ms took {elapsed:?}");
        drop(file);
        // Closed while the start is being repeated: it succeeds and says so. A busy machine may close too late, or before the first try.
        t.wait_until("a start was repeated", || {
            let file = fs::OpenOptions::new().write(true).open(&path).expect("the script");
            let start = Instant::now();
            let closer = std::thread::spawn(move || {
                while start.elapsed() < Duration::from_millis(5) {
                    std::thread::yield_now();
                }
                drop(file);
            });
            let started = Command::new(&path).spawn();
            closer.join().expect("the closing thread");
            let mut child = match started {
                Ok(child) => child,
                Err(error) => {
                    assert_eq!(error.os_error(), Some(libc::ETXTBSY), "{error:?}");
                    return false;
                }
            };
            assert_eq!(child.wait().expect("an end"), ExitStatus::Exited(7));
            (1..=3).contains(&child.spawn_retries())
        });
    });
}

/// What must work on every kernel.
fn battery(t: &Test) {
    assert_eq!(child(&["echo", "hello"]).output().expect("a run").stdout, b"hello\n");
    for code in [0, 1, 7, 255] {
        assert_eq!(child(&["exit", &code.to_string()]).output().expect("a run").status, ExitStatus::Exited(code));
    }
    assert_eq!(child(&["die", "TERM"]).output().expect("a run").status.signal(), Some(libc::SIGTERM));
    let error = Command::new("/missing/program").spawn().expect_err("missing");
    assert_eq!((error.stage(), error.os_error()), (Some(Stage::Exec), Some(libc::ENOENT)));
    let error = child(&["exit", "0"]).current_dir("/missing").spawn().expect_err("missing");
    assert_eq!((error.stage(), error.os_error()), (Some(Stage::Directory), Some(libc::ENOENT)));
    battery_of_streams(t);
    battery_of_ends(t);
}

fn battery_of_streams(t: &Test) {
    let open = fs::File::open("/").expect("the root folder");
    let foreign = procs_tests::host::own(procs_tests::host::copy_above(std::os::fd::AsRawFd::as_raw_fd(&open), 100));
    let output = child(&["fds"]).fd(9, Stdio::piped()).output().expect("a run");
    let text = String::from_utf8(output.stdout.into_vec()).expect("text");
    assert_eq!(text.lines().filter_map(|line| line.split(' ').next()).collect::<Vec<_>>(), ["0", "1", "2", "9"], "{text}");
    drop(foreign);
    let output = child(&["mask"]).output().expect("a run");
    assert_eq!(output.stdout, b"SigBlk: 0000000000000000\nSigIgn: 0000000000000000\nSigCgt: 0000000000000000\n", "{output:?}");
    let output = child(&["stderr-then-stdout", "200000", "10", "200000"]).input(vec![b'x'; 5 << 20]).output().expect("a run");
    assert_eq!((output.stderr.len(), output.stdout.len()), (200_000, 200_010 + "read 5242880\n".len()));
    let list = t.dir().join("list");
    child(&["interleave", "100"]).stdout(Stdio::write_file(&list)).stderr(Stdio::same_as(1)).output().expect("a run");
    assert_eq!(fs::read_to_string(list).expect("the list").lines().count(), 200);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| assert!(child(&["exit", "0"]).spawn().expect("a start").wait().expect("an end").success())));
        }
    });
}

fn battery_of_ends(t: &Test) {
    let mut sleeper = child(&["sleep", "60"]).spawn().expect("a start");
    assert_eq!(sleeper.try_wait().expect("an answer"), None);
    assert_eq!(sleeper.wait_timeout(Duration::from_millis(10)).expect("a wait"), None);
    sleeper.send_signal(libc::SIGTERM).expect("a signal");
    assert_eq!(sleeper.wait().expect("an end").signal(), Some(libc::SIGTERM));
    assert_eq!(sleeper.send_signal(libc::SIGTERM).expect_err("ended").os_error(), Some(libc::ESRCH));
    let output = child(&["grandchild-wait", "60"]).timeout(Duration::from_millis(300)).kill_tree(true).output().expect("a run");
    assert!(output.timed_out, "{output:?}");
    t.wait_until("the tree is gone", || !cookie_holders(t.cookie()).iter().any(|pid| is_holder(*pid)));
    // A session of its own is found by the walk alone.
    let mut tree = Command::shell("setsid sleep 61 & echo ready; wait");
    let mut tree = tree.stdout(Stdio::piped()).kill_tree(true).tree_level(TreeLevel::Walk).spawn().expect("a start");
    assert!(tree.lines().expect("its output").next().is_some_and(|line| line.is_ok()));
    let report = tree.kill_tree().expect("its end");
    assert_eq!((report.level, report.survivors), (TreeLevel::Walk, vec![]));
    t.wait_until("the session is gone", || !cookie_holders(t.cookie()).iter().any(|pid| runs(*pid, b"sleep\x0061\0")));
    dropped(child(&["sleep", "60"]).kill_on_drop(true).spawn().expect("a start"));
    let (sender, ended) = std::sync::mpsc::channel();
    let quick = child(&["exit", "7"]).spawn().expect("a start");
    quick.on_exit(move |exit| sender.send(exit.status).expect("a listener")).expect("a call-back");
    assert_eq!(ended.recv_timeout(Duration::from_secs(20)).expect("the call"), ExitStatus::Exited(7));
    let mut command = child(&["ids"]);
    if nix::unistd::getuid().is_root() {
        command.groups(&[]).gid(0).uid(0);
    }
    assert!(command.output().expect("a run").success());
    assert!(child(&["exit", "0"]).die_with_parent(true).spawn().expect("a start").wait().expect("an end").success());
    let (mut reader, start) = (child(&["say", "x", "60"]).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("a start"), Instant::now());
    let mut byte = [0];
    reader.stdout.as_mut().expect("a pipe").read_exact(&mut byte).expect("a byte");
    assert!(byte == *b"x" && start.elapsed() < Duration::from_secs(20));
    dropped(reader);
}

/// Drops a child that dies of it, and waits for its end so that nothing of it is left.
fn dropped(child: procs::Child) {
    let handle = child.handle().clone();
    drop(child);
    assert_eq!(handle.wait().expect("an end").signal(), Some(libc::SIGKILL));
}

fn is_holder(pid: u32) -> bool {
    runs(pid, b"hold\0")
}

/// Whether these bytes are in its command line.
fn runs(pid: u32, words: &[u8]) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.windows(words.len()).any(|part| part == words)
}

/// A warm-up that makes what lives as long as the process, then the battery.
fn whole_battery(t: &Test) {
    battery(t);
    t.baseline();
    battery(t);
}

const LACKS: [(&str, &str); 6] = [
    ("close_range", "close_range:error=ENOSYS"),
    ("pidfd_open", "pidfd_open:error=ENOSYS"),
    ("pidfd_send_signal", "pidfd_send_signal:error=ENOSYS"),
    // Counted per thread: the first one, which asks by pidfd, is refused; later ones ask by number, which no kernel refuses.
    ("waitid", "waitid:error=ENOSYS:when=1"),
    ("ioctl", "ioctl:error=ENOTTY"),
    ("openat2", "openat2:error=ENOSYS"),
];

#[test]
fn a23_each_call_may_be_missing() {
    for (name, rule) in LACKS {
        for errno in ["ENOSYS", "EPERM"] {
            let rule = rule.replace("ENOSYS", errno);
            let how = Isolation::new().watchdog(60).inject(rule).param(format!("{name} {errno}"));
            isolated_in("a23_each_call_may_be_missing", &how, whole_battery);
        }
    }
}

#[test]
fn a23_clone3_may_be_missing() {
    for errno in ["ENOSYS", "EPERM", "EINVAL"] {
        isolated_in("a23_clone3_may_be_missing", &Isolation::new().watchdog(60).param(errno), |t| {
            t.inject(&[&format!("clone3:error={errno}")], || child(&["exit", "0"]).spawn().expect("a start").wait().expect("an end"));
            assert_eq!(procs::engine_info().clone_level, "clone");
            whole_battery(t);
        });
    }
}

#[test]
fn a23_all_may_be_missing() {
    let rules = LACKS.iter().map(|(_, rule)| *rule).filter(|rule| !rule.contains("when")).chain(["clone3:error=ENOSYS"]);
    let how = rules.fold(Isolation::new().watchdog(60), |how, rule| how.inject(rule));
    isolated_in("a23_all_may_be_missing", &how, |t| {
        whole_battery(t);
        let info = procs::engine_info();
        assert_eq!((info.clone_level, info.close_range, info.pidfd, info.pidfd_info), ("clone", false, false, false));
    });
}

#[test]
fn a23_sharing_memory_may_be_refused() {
    isolated_in("a23_sharing_memory_may_be_refused", &Isolation::new().watchdog(60), |t| {
        t.inject(&["clone3:error=EPERM", "clone:error=EINVAL:when=1"], || child(&["exit", "0"]).spawn().expect("a start").wait().expect("an end"));
        assert_eq!(procs::engine_info().clone_level, "fork");
        whole_battery(t);
    });
}

#[test]
fn a23_as_number_one() {
    isolated_in("a23_as_number_one", &Isolation::new().watchdog(60).as_pid1(), |t| {
        assert_eq!(std::process::id(), 1);
        whole_battery(t);
        // Number one inherits orphans; reaping those is the host's own affair.
        let no_child = || !t.leaks().iter().any(|leak| leak.starts_with("child left"));
        t.wait_until("the orphans are reaped", || !procs_tests::host::reap_any() && no_child());
    });
}

#[test]
fn a23_as_nobody() {
    isolated_in("a23_as_nobody", &Isolation::new().watchdog(60).nobody(), whole_battery);
}

#[test]
fn a28_a_half_built_pipeline_is_taken_down() {
    isolated_in("a28_a_half_built_pipeline_is_taken_down", &Isolation::new().watchdog(60), |t| {
        let stages = || [child(&["sleep", "60"]), child(&["cat"]), Command::new("/missing/third")];
        child(&["sleep", "60"]).kill_on_drop(true).spawn().expect("a start");
        for round in 0..count(100) {
            let error = if round % 2 == 0 {
                Pipeline::new(stages()).output().expect_err("no third stage")
            } else {
                Pipeline::new(stages()).spawn().expect_err("no third stage")
            };
            assert_eq!((error.kind(), error.stage(), error.os_error()), (ErrorKind::NotFound, Some(Stage::Exec), Some(libc::ENOENT)), "{error:?}");
            let text = error.to_string();
            assert!(text.contains('3') && text.contains("/missing/third"), "the stage is not named: {text}");
            t.wait_until("the first two stages are gone", || t.leaks().is_empty());
        }
    });
}
