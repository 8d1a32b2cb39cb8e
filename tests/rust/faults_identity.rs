//! Fault rows A18, A19, A20, A25, A26: who a child is, what it inherits, and who outlives whom.

mod common;

use common::child;
use procs::{Command, ErrorKind, ExitStatus, Stage, Stdio};
use procs_tests::{Isolation, Test, block_on, cookie_holders, count, helper, host, isolated, isolated_in, kill_loop, limit};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};

fn text_of(command: &mut Command) -> String {
    let output = command.output().expect("a run");
    assert!(output.success(), "{output:?}");
    String::from_utf8(output.stdout.into_vec()).expect("text")
}

#[test]
fn a18_identity_is_changed_wholly_or_not_at_all() {
    isolated("a18_identity_is_changed_wholly_or_not_at_all", |t| {
        // The helper where the other user may reach it.
        let program = t.dir().join("child");
        fs::copy(helper(), &program).expect("a copy");
        let as_nobody = || {
            let mut command = Command::new(&program);
            command.arg("ids").current_dir("/").uid(65534).gid(65534).groups(&[]);
            command
        };
        let text = text_of(&mut as_nobody());
        let expected = "Uid: 65534 65534 65534 65534\nGid: 65534 65534 65534 65534\nGroups:\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("CapPrm: 0000000000000000\nCapEff: 0000000000000000\n"), "{text}");
        let text = text_of(Command::new(&program).arg("ids").current_dir("/").gid(7).groups(&[9, 8]));
        assert!(text.contains("Gid: 7 7 7 7\nGroups: 8 9\n"), "{text}");
        assert_eq!(nix::unistd::getuid().as_raw(), 0, "the host stays who it is");
        let error = Command::new(&program).arg("ids").uid(65534).output().expect_err("no groups");
        assert_eq!((error.kind(), error.stage()), (ErrorKind::InvalidArgument, Some(Stage::Prepare)), "{error:?}");
        for (call, stage) in [("setgroups", Stage::Groups), ("setresgid", Stage::Gid), ("setresuid", Stage::Uid)] {
            let marker = t.dir().join(call);
            let mut command = Command::new(&program);
            command.arg("touch").arg(&marker).uid(65534).gid(65534).groups(&[]);
            let error = t.inject(&[&format!("{call}:error=EPERM")], || command.output()).expect_err("refused");
            assert_eq!((error.stage(), error.os_error()), (Some(stage), Some(libc::EPERM)), "{error:?}");
            assert!(!marker.exists(), "the program ran although {call} failed");
        }
    });
}

#[test]
fn a19_the_starting_thread_may_end() {
    isolated("a19_the_starting_thread_may_end", |t| {
        let warm = || child(&["exit", "0"]).die_with_parent(true).spawn().expect("a start").wait().expect("an end");
        assert!(warm().success());
        t.baseline();
        let start = || child(&["sleep", "30"]).die_with_parent(true).spawn().expect("a start");
        let mut child = std::thread::spawn(start).join().expect("a thread that ends at once");
        assert_eq!(child.wait_timeout(Duration::from_secs(2)).expect("a wait"), None, "it ended with the thread");
        child.kill().expect("a signal");
        child.wait().expect("an end");
    });
}

/// The host of the next test: starts children that shall die with it until it is killed.
#[test]
#[ignore = "a host that another test starts"]
fn a19_host() {
    if std::env::var_os("A19_HOST").is_none() {
        return;
    }
    let identity = std::env::var_os("A19_HOST").is_some_and(|way| way == "identity");
    let mut children = Vec::new();
    loop {
        let mut command = child(&["sleep", "60"]);
        command.die_with_parent(true).stdin(Stdio::null());
        if identity {
            command.groups(&[]).gid(65534).uid(65534);
        }
        children.push(command.spawn().expect("a start"));
        if children.len() > 50 {
            children.clear();
        }
    }
}

/// This test binary again, as the host that the named ignored test is.
fn host_process(test: &str, variable: &str, value: &str) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(variable, value);
    command
}

#[test]
fn a19_no_child_survives_a_killed_host() {
    for way in ["plain", "identity"] {
        isolated_in("a19_no_child_survives_a_killed_host", &Isolation::new().watchdog(120).param(way), |t| {
            let longest = Duration::from_millis(40);
            // Another user must be able to reach it.
            let program = t.dir().join("child");
            fs::copy(helper(), &program).expect("a copy");
            kill_loop(
                count(200),
                longest,
                |_| {
                    let mut host = host_process("a19_host", "A19_HOST", way);
                    host.env("PROCS_TEST_CHILD", &program);
                    host
                },
                |round| {
                    let killed = Instant::now();
                    t.wait_until("every child is gone", || cookie_holders(t.cookie()).is_empty());
                    assert!(killed.elapsed() < limit(10), "round {round}: children lived on for {:?}", killed.elapsed());
                },
            );
        });
    }
}

/// Children of this process, other than the strace that injects.
fn children_besides_strace() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("own threads").flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let numbers: Vec<String> = lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    numbers.iter().filter(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() != "strace")).count()
}

/// With the slow program's exec held up for 3 s (times `PROCS_TEST_SLOW`): starts it, expects the timeout, and that others are not held up.
fn slow_exec(t: &Test, run_slow: impl FnOnce(&mut Command) -> procs::Error) {
    let slow = t.dir().join("slow");
    fs::copy(helper(), &slow).expect("a copy");
    let delay = limit(3);
    t.inject_on_path(&[&format!("execve:delay_enter={}", delay.as_micros())], &slow, || {
        let start = Instant::now();
        let mut command = Command::new(&slow);
        command.args(["sleep", "60"]).timeout(Duration::from_millis(500)).stdin(Stdio::null());
        let error = run_slow(&mut command);
        let elapsed = start.elapsed();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        assert!(elapsed >= Duration::from_millis(500) && elapsed < delay / 2, "the timeout came after {elapsed:?}");
        // Whichever of them is held up ends with the slow one at the earliest.
        for number in 0..20 {
            let began = Instant::now();
            if number > 0 && start.elapsed() > delay * 2 / 3 {
                break;
            }
            let status = child(&["exit", "0"]).offload(true).spawn().expect("a start").wait().expect("an end");
            assert!(status.success() && began.elapsed() < delay / 3, "start {number} took {:?}", began.elapsed());
        }
        t.wait_until("the abandoned child appeared, was killed and reaped", || children_besides_strace() == 0);
        assert!(start.elapsed() >= delay, "the slow program was never started");
    });
}

#[test]
fn a20_a_hanging_exec_blocks_nobody() {
    isolated_in("a20_a_hanging_exec_blocks_nobody", &Isolation::new().watchdog(60), |t| {
        slow_exec(t, |command| command.offload(true).spawn().expect_err("too late"));
    });
}

#[test]
fn a20_a_future_bounds_a_hanging_exec() {
    isolated_in("a20_a_future_bounds_a_hanging_exec", &Isolation::new().watchdog(60), |t| {
        child(&["exit", "0"]).offload(true).spawn().expect("a start").wait().expect("an end");
        slow_exec(t, |command| block_on(command.output_async()).expect_err("too late"));
    });
}

#[test]
fn a20_a_cancelled_start_is_undone() {
    isolated_in("a20_a_cancelled_start_is_undone", &Isolation::new().watchdog(60), |t| {
        let slow = t.dir().join("slow");
        fs::copy(helper(), &slow).expect("a copy");
        let cancel = procs::CancelHandle::new().expect("a handle");
        t.inject_on_path(&[&format!("execve:delay_enter={}", limit(2).as_micros())], &slow, || {
            let later = cancel.clone();
            let canceller = std::thread::spawn(move || later.cancel());
            let error = Command::new(&slow).args(["sleep", "60"]).cancel(&cancel).offload(true).spawn().expect_err("cancelled");
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
            canceller.join().expect("the cancelling thread");
            t.wait_until("the abandoned child is gone", || children_besides_strace() == 0);
        });
    });
}

type Change = fn(&mut Command);

/// What a child with only these changes must find, in this order.
const EXACT: &[(Change, &[u8])] = &[
    (|_| {}, b""),
    (|c| _ = c.env("A", "b"), b"A=b\0"),
    (|c| _ = c.env("A", ""), b"A=\0"),
    (|c| _ = c.env("A", "=b="), b"A==b=\0"),
    (|c| _ = c.env("A", "b\nc"), b"A=b\nc\0"),
    (|c| _ = c.env("A", " b "), b"A= b \0"),
    (|c| _ = c.env("A", "$B"), b"A=$B\0"),
    (|c| _ = c.env("A B", "c"), b"A B=c\0"),
    (|c| _ = c.env("a-b.c", "d"), b"a-b.c=d\0"),
    (|c| _ = c.env("A", "1").env("A", "2"), b"A=2\0"),
    (|c| _ = c.env("A", "1").env("B", "2").env("A", "3"), b"B=2\0A=3\0"),
    (|c| _ = c.env("A", "1").env_remove("A"), b""),
    (|c| _ = c.env_remove("A").env("A", "1"), b"A=1\0"),
    (|c| _ = c.env("A", "1").env_remove("B"), b"A=1\0"),
    (|c| _ = c.env("A", "1").env_clear().env("B", "2"), b"B=2\0"),
    (|c| _ = c.env("Z", "1").env("A", "2").env("M", "3"), b"Z=1\0A=2\0M=3\0"),
    (|c| _ = c.env("A", OsStr::from_bytes(b"\xff\xfe")), b"A=\xff\xfe\0"),
    (|c| _ = c.env(OsStr::from_bytes(b"\xc3\x28"), "x"), b"\xc3\x28=x\0"),
    (|c| _ = c.env("\u{20ac}", "\u{1f600}"), b"\xe2\x82\xac=\xf0\x9f\x98\x80\0"),
    (|c| _ = c.env("A", "\x01\x7f"), b"A=\x01\x7f\0"),
    (|c| _ = c.env("LISTEN_FDS", "1"), b"LISTEN_FDS=1\0"),
    (|c| _ = c.env("LD_PRELOAD", ""), b"LD_PRELOAD=\0"),
    (|c| _ = c.envs([("A", "1"), ("B", "2")]), b"A=1\0B=2\0"),
    (|c| _ = c.envs([("A", "1"), ("A", "2")]), b"A=2\0"),
    (|c| _ = c.env("PATH", ""), b"PATH=\0"),
    (|c| _ = c.env("A", "()  { :;}; echo pwned"), b"A=()  { :;}; echo pwned\0"),
];

#[test]
fn a25_the_environment_is_exact() {
    isolated("a25_the_environment_is_exact", |_| {
        for (index, (change, expected)) in EXACT.iter().enumerate() {
            let mut command = child(&["env"]);
            change(command.env_clear());
            let output = command.output().expect("a run");
            assert_eq!(output.stdout, *expected, "case {index}: {:?}", output.stdout);
        }
        let mut command = child(&["env"]);
        let error = command.env("LARGE", "x".repeat(1 << 20)).output().expect_err("1 MiB is too large");
        assert_eq!((error.os_error(), error.stage()), (Some(libc::E2BIG), Some(Stage::Exec)));
    });
}

#[test]
fn a25_what_is_inherited_and_what_is_not() {
    isolated("a25_what_is_inherited_and_what_is_not", |_| {
        let control = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "NODE_CHANNEL_FD", "NODE_UNIQUE_ID", "PROCS_CHANNEL_FD"];
        control.iter().for_each(|name| host::set_env(name, "7"));
        host::set_env("OWN", "kept");
        let entries = |command: &mut Command| -> BTreeSet<Vec<u8>> {
            let output = command.output().expect("a run");
            output.stdout.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).map(<[u8]>::to_vec).collect()
        };
        let own: BTreeSet<Vec<u8>> = std::env::vars_os()
            .map(|(name, value)| {
                let mut entry = name.into_vec();
                entry.push(b'=');
                entry.extend(value.into_vec());
                entry
            })
            .collect();
        let without: BTreeSet<Vec<u8>> =
            own.iter().filter(|entry| !control.iter().any(|name| entry.starts_with(format!("{name}=").as_bytes()))).cloned().collect();
        assert_eq!(own.len(), without.len() + control.len());
        assert_eq!(entries(&mut child(&["env"])), without);
        assert_eq!(entries(child(&["env"]).keep_control_env(true)), own);
        let asked = entries(child(&["env"]).env("LISTEN_FDS", "2").env_remove("OWN"));
        assert!(asked.contains(&b"LISTEN_FDS=2"[..]) && !asked.contains(&b"OWN=kept"[..]));
    });
}

#[test]
fn a26_arguments_arrive_byte_for_byte() {
    isolated("a26_arguments_arrive_byte_for_byte", |_| {
        let mut words: Vec<OsString> =
            ["", " ", "a b", "$(id)", "`id`", ";", "; id", "a\nb", "'", "\"", "*", "?", "~", "-rf", "--", "\\", "%PATH%", "^&|<>", "!x"]
                .map(OsString::from)
                .to_vec();
        words.extend((1..=255u8).map(|byte| OsString::from_vec(vec![byte])));
        words.push(OsString::from_vec((1..=255).collect()));
        let output = child(&["argv"]).args(&words).output().expect("a run");
        let expected: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        assert_eq!(output.stdout, expected);
        // The one explicit shell does what a shell does.
        let output = Command::shell("echo $((6 * 7)); exit 3").output().expect("a run");
        assert_eq!((&*output.stdout, output.status), (&b"42\n"[..], ExitStatus::Exited(3)));
    });
}
