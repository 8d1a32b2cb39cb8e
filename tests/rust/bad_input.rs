//! The bad-input lists of spawn, wait and kill: each value is refused or handled as documented, and nothing is left behind.

mod common;

use common::child;
use procs::{Command, ErrorKind, ExitStatus, SignalPolicy, Stage, Stdio, Stop, wait_any};
use procs_tests::{Isolation, host, isolated, isolated_in};
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

type Change = fn(&mut Command);

#[test]
fn spawn_options_out_of_range() {
    isolated("spawn_options_out_of_range", |_| {
        let bad: &[(&str, Change)] = &[
            ("fd = -1", |c| _ = c.fd(-1, Stdio::null())),
            ("fd = -2147483648", |c| _ = c.fd(i32::MIN, Stdio::piped())),
            ("uid = 4294967295", |c| _ = c.groups(&[]).uid(u32::MAX)),
            ("gid = 4294967295", |c| _ = c.gid(u32::MAX)),
            ("groups missing", |c| _ = c.uid(1)),
            ("umask = 0o1000", |c| _ = c.umask(0o1000)),
            ("umask = 0o37777777777", |c| _ = c.umask(u32::MAX)),
            ("process_group = -1", |c| _ = c.process_group(-1)),
            ("process_group and new_session", |c| _ = c.process_group(5).new_session(true)),
            ("foreground needs", |c| _ = c.foreground(true)),
            ("soft limit exceeds hard limit", |c| _ = c.limit(procs::Resource::Core, Some(2), Some(1))),
            ("soft limit exceeds hard limit", |c| _ = c.limit(procs::Resource::Core, None, Some(1))),
            ("nice = 20", |c| _ = c.nice(20)),
            ("nice = -21", |c| _ = c.nice(-21)),
            ("parent_death_signal = 0", |c| _ = c.parent_death_signal(0)),
            ("parent_death_signal = 65", |c| _ = c.parent_death_signal(65)),
            ("parent_death_signal = -9", |c| _ = c.parent_death_signal(-9)),
            ("affinity is empty", |c| _ = c.affinity(&[])),
            ("CPU number is out of range", |c| _ = c.affinity(&[8192])),
            ("shall be the same as 9", |c| _ = c.stderr(Stdio::same_as(9))),
        ];
        for (words, change) in bad {
            let mut command = child(&["exit", "0"]);
            change(&mut command);
            let error = command.spawn().expect_err(words);
            assert_eq!(
                (error.kind(), error.os_error(), error.stage()),
                (ErrorKind::InvalidArgument, Some(libc::EINVAL), Some(Stage::Prepare)),
                "{words}: {error:?}"
            );
            assert!(error.to_string().contains(words), "the message does not say {words:?}: {error}");
        }
    });
}

#[test]
fn spawn_values_that_the_system_refuses() {
    isolated("spawn_values_that_the_system_refuses", |t| {
        let mut ended = child(&["exit", "0"]).process_group(0).spawn().expect("a start");
        ended.wait().expect("an end");
        let error = child(&["exit", "0"]).process_group(ended.id() as i32).spawn().expect_err("a group that is gone");
        assert_eq!((error.stage(), error.os_error()), (Some(Stage::ProcessGroup), Some(libc::EPERM)), "{error:?}");
        let error = child(&["exit", "0"]).affinity(&[8191]).spawn().expect_err("no such CPU");
        assert_eq!((error.stage(), error.os_error()), (Some(Stage::Affinity), Some(libc::EINVAL)), "{error:?}");
        let gone = t.dir().join("gone");
        fs::create_dir(&gone).expect("a folder");
        std::env::set_current_dir(&gone).expect("the folder");
        fs::remove_dir(&gone).expect("its end");
        // The host's own folder is gone: that matters only where it is needed.
        assert!(child(&["exit", "0"]).spawn().expect("a start").wait().expect("an end").success());
        let error = child(&["exit", "0"]).current_dir(&gone).spawn().expect_err("no such folder");
        assert_eq!((error.stage(), error.os_error()), (Some(Stage::Directory), Some(libc::ENOENT)));
        let error = Command::new("./tool").current_dir("/").spawn().expect_err("relative to a folder that is gone");
        assert_eq!((error.stage(), error.os_error()), (Some(Stage::Prepare), Some(libc::ENOENT)), "{error:?}");
        std::env::set_current_dir(t.dir()).expect("the folder");
        let script = t.script("long", &format!("#!/{}\n", "x".repeat(300)));
        assert!(Command::new(script).spawn().is_err(), "an interpreter with a name of 300 bytes");
        let error = child(&["exit", "0"]).controlling_tty(0).stdin(Stdio::null()).spawn().expect_err("no terminal");
        assert_eq!((error.stage(), error.os_error()), (Some(Stage::Terminal), Some(libc::ENOTTY)), "{error:?}");
    });
}

#[test]
fn spawn_descriptors_of_every_kind() {
    isolated("spawn_descriptors_of_every_kind", |t| {
        let closed = host::copy_above(0, 200);
        host::close(closed);
        for number in [closed, 1 << 20, i32::MAX, -1] {
            let error = child(&["exit", "0"]).stdin(Stdio::borrowed(number)).spawn().expect_err("not open");
            assert_eq!((error.stage(), error.os_error()), (Some(Stage::Stdio), Some(libc::EBADF)), "{number}: {error:?}");
            assert!(error.to_string().contains(&number.to_string()), "{error}");
        }
        let error = child(&["exit", "0"]).fd(closed, Stdio::inherit()).spawn().expect_err("not open");
        assert_eq!((error.stage(), error.os_error()), (Some(Stage::Stdio), Some(libc::EBADF)), "{error:?}");
        // A number beyond the limit on descriptors cannot be made in the child.
        let error = child(&["exit", "0"]).fd(i32::MAX, Stdio::null()).spawn().expect_err("too high");
        assert_eq!((error.stage(), error.os_error()), (Some(Stage::Descriptors), Some(libc::EBADF)), "{error:?}");
        // A folder, a path-only descriptor: the child gets them as they are.
        let path_only = fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/").expect("a path");
        let output = child(&["fds"]).fd(3, Stdio::fd(File::open("/").expect("a folder"))).fd(4, Stdio::fd(path_only)).output().expect("a run");
        let text = String::from_utf8(output.stdout.into_vec()).expect("text");
        assert!(text.contains("\n3 /\n4 /\n"), "{text}");
        // Named twice, the last counts.
        let (first, second) = (t.dir().join("first"), t.dir().join("second"));
        let status = child(&["writes", "1"]).stdout(Stdio::write_file(&first)).stdout(Stdio::write_file(&second)).status().expect("a status");
        assert!(status.success() && !first.exists() && fs::read(second).is_ok_and(|text| text == b"1\n"));
        let error = child(&["exit", "0"]).stdout(Stdio::read_file(t.dir().join("missing"))).spawn().expect_err("no such file");
        assert_eq!((error.stage(), error.os_error(), error.kind()), (Some(Stage::Stdio), Some(libc::ENOENT), ErrorKind::NotFound));
    });
}

#[test]
fn spawn_with_the_numbers_the_library_uses() {
    isolated("spawn_with_the_numbers_the_library_uses", |_| {
        // Whatever number a descriptor of the library has in the host, the child may want that number for itself.
        for first in 3..40 {
            let mut command = child(&["fds"]);
            command.fd(first, Stdio::piped()).fd(first + 1, Stdio::null()).stdin(Stdio::piped()).process_group(0);
            let text = String::from_utf8(command.output().expect("a run").stdout.into_vec()).expect("text");
            let numbers: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
            assert_eq!(numbers, ["0", "1", "2", &first.to_string(), &(first + 1).to_string()]);
        }
    });
}

#[test]
fn spawn_twice_with_what_is_used_up() {
    isolated("spawn_twice_with_what_is_used_up", |t| {
        let mut command = child(&["cat"]);
        command.stdin(Stdio::fd(File::open("/dev/null").expect("the null device")));
        assert!(command.output().expect("the first").success());
        let error = command.output().expect_err("used up");
        assert_eq!((error.kind(), error.stage()), (ErrorKind::InvalidState, Some(Stage::Stdio)), "{error:?}");
        let mut command = child(&["cat"]);
        command.input("once");
        assert_eq!(command.output().expect("the first").stdout, b"once");
        assert_eq!(command.output().expect("the second has no input").stdout, b"");
        let error = child(&["cat"]).stdin(Stdio::null()).input("x").output().expect_err("twice");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let mut command = child(&["mask"]);
        command.signals(SignalPolicy::Inherit).stdout(Stdio::write_file(t.dir().join("mask")));
        assert!((0..3).all(|_| command.status().is_ok_and(ExitStatus::success)), "a command can be started again");
    });
}

#[test]
fn timeouts_of_every_size() {
    isolated_in("timeouts_of_every_size", &Isolation::new().watchdog(60), |_| {
        let start = Instant::now();
        let output = child(&["sleep", "60"]).timeout(Duration::ZERO).output().expect("a run");
        assert!(output.timed_out && start.elapsed() < procs_tests::limit(20));
        for long in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 40)] {
            let output = child(&["exit", "7"]).timeout(long).grace(long).drain_grace(long).drain_after_exit(long).output().expect("a run");
            assert_eq!((output.status, output.timed_out), (ExitStatus::Exited(7), false), "{long:?}");
            assert_eq!(child(&["exit", "7"]).spawn().expect("a start").wait_timeout(long).expect("a wait"), Some(ExitStatus::Exited(7)));
        }
        let mut sleeper = child(&["sleep", "60"]).spawn().expect("a start");
        assert_eq!(sleeper.wait_timeout(Duration::ZERO).expect("a wait"), None);
        assert_eq!(wait_any(&[sleeper.handle()], Some(Duration::ZERO)).expect("a wait"), None);
        // A stop without steps asks nothing of the child.
        let report = sleeper.stop(&Stop::new()).expect("nothing to do");
        assert_eq!((report.status, report.ended_by), (None, None));
        let report = sleeper.stop(&Stop::graceful(Duration::MAX)).expect("a stop");
        assert_eq!(report.status.and_then(ExitStatus::signal), Some(libc::SIGTERM));
        // A grace longer than the timeout: the timeout starts the ladder, the grace is given.
        let output = child(&["sleep", "60"]).timeout(Duration::from_millis(50)).grace(Duration::from_secs(20)).output().expect("a run");
        assert_eq!((output.timed_out, output.status.signal()), (true, Some(libc::SIGTERM)));
    });
}

#[test]
fn wait_and_kill_at_the_wrong_time() {
    isolated("wait_and_kill_at_the_wrong_time", |_| {
        let mut ended = child(&["exit", "7"]).spawn().expect("a start");
        for _ in 0..3 {
            assert_eq!(ended.wait().expect("a wait"), ExitStatus::Exited(7));
            assert_eq!(ended.try_wait().expect("an answer"), Some(ExitStatus::Exited(7)));
        }
        for signal in [0, 1, libc::SIGCONT, libc::SIGKILL, 64] {
            let error = ended.send_signal(signal).expect_err("it has ended");
            assert_eq!((error.kind(), error.os_error()), (ErrorKind::NotFound, Some(libc::ESRCH)), "signal {signal}");
        }
        ended.kill().expect("nothing to do");
        assert_eq!(wait_any(&[], None).expect_err("an empty list").kind(), ErrorKind::InvalidArgument);
        assert_eq!(wait_any(&[ended.handle()], None).expect("a wait"), Some(0), "one that has been waited for counts as ended");
        let sleeper = child(&["sleep", "60"]).kill_on_drop(true).spawn().expect("a start");
        sleeper.send_signal(0).expect("it is there");
        sleeper.send_signal(libc::SIGCONT).expect("it runs anyway");
        assert_eq!(wait_any(&[sleeper.handle(), sleeper.handle(), ended.handle()], None).expect("a wait"), Some(2));
        let handle = sleeper.handle().clone();
        drop(sleeper);
        assert_eq!(handle.wait().expect("a handle outlives its child").signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn wait_from_inside_the_end() {
    isolated("wait_from_inside_the_end", |_| {
        let (sender, told) = std::sync::mpsc::channel();
        let ending = child(&["exit", "7"]).spawn().expect("a start");
        let handle = ending.handle().clone();
        let inner = handle.clone();
        let later = sender.clone();
        handle
            .on_exit(move |exit| {
                assert_eq!(inner.wait().expect("a wait"), exit.status);
                inner.kill().expect("nothing to do");
                // A call-back of a call-back, on a child that has ended.
                inner.on_exit(move |exit| later.send(exit.status).expect("a listener")).expect("a call-back");
                sender.send(exit.status).expect("a listener");
            })
            .expect("a call-back");
        for _ in 0..2 {
            assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(ExitStatus::Exited(7)));
        }
        // One that panics ends neither the waiting thread nor the others.
        let (sender, told) = std::sync::mpsc::channel();
        std::panic::set_hook(Box::new(|_| {}));
        child(&["exit", "0"]).spawn().expect("a start").on_exit(|_| panic!("on purpose")).expect("a call-back");
        child(&["sleep", "0.1"]).spawn().expect("a start").on_exit(move |_| sender.send(()).expect("a listener")).expect("a call-back");
        told.recv_timeout(Duration::from_secs(20)).expect("the second call");
        let _ = std::panic::take_hook();
    });
}

#[test]
fn children_of_a_forked_copy_are_not_its_own() {
    isolated("children_of_a_forked_copy_are_not_its_own", |_| {
        let mut sleeper = child(&["sleep", "60"]).kill_on_drop(true).spawn().expect("a start");
        let copy = host::fork(|| {
            let kinds = [
                sleeper.kill().map_err(|error| error.kind()),
                sleeper.wait_timeout(Duration::ZERO).map(drop).map_err(|error| error.kind()),
                sleeper.try_wait().map(drop).map_err(|error| error.kind()),
                sleeper.stop(&Stop::kill()).map(drop).map_err(|error| error.kind()),
                sleeper.on_exit(|_| {}).map_err(|error| error.kind()),
            ];
            let refused = kinds.iter().filter(|kind| **kind == Err(ErrorKind::InvalidState)).count();
            // Its own children it can have.
            let own = child(&["exit", "7"]).spawn().and_then(|mut child| child.wait());
            // Dropping the copy's handle must not kill the host's child.
            drop(sleeper);
            i32::from(!own.is_ok_and(|status| status.code() == Some(7))) * 16 + (5 - refused as i32)
        });
        let status = host::wait_for(copy).expect("the copy's end");
        assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 0), "calls not refused, or no own children (16)");
    });
}
