//! The harness itself: what it must notice, it notices.

use nix::sys::resource::{Resource, getrlimit};
use procs_tests::{Isolation, Random, Test, dump_stacks, fd_walk, helper, isolated, isolated_in, kill_loop, run};
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};

/// Runs an isolated test that must fail, and returns why it did.
fn must_fail(name: &str, how: &Isolation, body: impl FnOnce(&Test)) -> String {
    let result = catch_unwind(AssertUnwindSafe(|| isolated_in(name, how, body)));
    let inner = std::env::var_os("LP_TEST_NAME").is_some();
    match result {
        Ok(()) if inner => String::new(),
        Ok(()) => panic!("{name}: the harness did not notice"),
        Err(panic) if inner => resume_unwind(panic),
        Err(panic) => *panic.downcast::<String>().expect("a message of the harness"),
    }
}

fn assert_mentions(message: &str, words: &str) {
    let inner = std::env::var_os("LP_TEST_NAME").is_some();
    assert!(inner || message.contains(words), "the message does not say {words:?}:\n{message}");
}

#[test]
fn a_clean_test_passes() {
    isolated("a_clean_test_passes", |t| {
        let script = t.script("hello", "#!/bin/sh\necho hello\n");
        let output = Command::new(script).output().expect("a script that runs");
        assert_eq!(output.stdout, b"hello\n");
    });
}

/// The test of the next one.
#[test]
#[ignore = "a hang that another test starts"]
fn hang_in_its_own_process() {
    if std::env::var_os("HANGS").is_some() {
        run("hang_in_its_own_process", |_| std::thread::park());
    }
}

/// The test runner keeps what the macros print, and loses it when the watchdog aborts.
#[test]
fn a_watchdog_is_heard_although_the_runner_captures() {
    isolated("a_watchdog_is_heard_although_the_runner_captures", |_| {
        let mut hang = Command::new(std::env::current_exe().expect("this test"));
        hang.args(["--exact", "hang_in_its_own_process", "--ignored"]).env("HANGS", "1");
        let output = hang.env("PROCS_TEST_SLOW", "0.01").env("PROCS_TEST_FULL", "0").output().expect("a run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("watchdog: hang_in_its_own_process did not end"), "{said}");
    });
}

/// A debugger that is killed leaves what it looked at stopped, and with it the watchdog that lives there.
#[test]
fn a_process_goes_on_after_its_stacks_were_shown() {
    isolated_in("a_process_goes_on_after_its_stacks_were_shown", &Isolation::new().env("PATH", "work:/usr/bin:/bin"), |t| {
        t.script("gdb", "#!/bin/sh\necho 'all stacks'; kill -STOP $2\n");
        // Found from the folder above this test's own.
        std::env::set_current_dir(t.dir().parent().expect("the folder above")).expect("a folder");
        let mut child = Command::new(helper()).args(["sleep", "0.1"]).spawn().expect("the helper");
        assert!(dump_stacks(child.id()).starts_with("all stacks\n"));
        assert!(child.wait().expect("an end").success());
        assert!(dump_stacks(std::process::id()).starts_with("all stacks\n"));
    });
}

#[test]
fn an_open_descriptor_is_a_leak() {
    let why = must_fail("an_open_descriptor_is_a_leak", &Isolation::new(), |_| {
        std::mem::forget(File::open("/dev/zero").expect("the zero device"));
    });
    assert_mentions(&why, "descriptor opened and not closed: /dev/zero");
}

#[test]
fn a_thread_is_a_leak() {
    let why = must_fail("a_thread_is_a_leak", &Isolation::new(), |_| {
        std::thread::spawn(std::thread::park);
    });
    assert_mentions(&why, "threads:");
}

#[test]
fn a_zombie_is_a_leak() {
    let why = must_fail("a_zombie_is_a_leak", &Isolation::new(), |_| {
        std::mem::forget(Command::new(helper()).args(["exit", "0"]).spawn().expect("the helper"));
    });
    assert_mentions(&why, "child left:");
}

#[test]
fn an_escaped_process_is_a_leak() {
    let why = must_fail("an_escaped_process_is_a_leak", &Isolation::new(), |_| {
        let status = Command::new(helper()).args(["tree-step", "0", "60"]).stdout(Stdio::null()).status().expect("the helper");
        assert!(status.success());
    });
    assert_mentions(&why, "processes left behind:");
}

#[test]
fn a_hang_fails_with_stacks() {
    let why = must_fail("a_hang_fails_with_stacks", &Isolation::new().watchdog(2), |_| {
        loop {
            std::thread::park();
        }
    });
    assert_mentions(&why, "did not end within 2 s");
    assert_mentions(&why, "a_hang_fails_with_stacks");
    assert_mentions(&why, "#0 ");
}

#[test]
fn a_wrong_name_fails() {
    let why = must_fail("no_such_test_in_this_file", &Isolation::new(), |_| {});
    assert_mentions(&why, "the body ran 0 times");
}

#[test]
fn injection_counts_from_the_body_on() {
    isolated("injection_counts_from_the_body_on", |t| {
        let file = t.dir().join("file");
        fs::write(&file, "content").expect("a file");
        t.inject(&["openat:error=EMFILE:when=2"], || {
            assert!(File::open(&file).is_ok());
            let error = File::open(&file).expect_err("the second call is injected");
            assert_eq!(error.raw_os_error(), Some(nix::libc::EMFILE));
            assert!(File::open(&file).is_ok());
        });
        assert!(t.injection_log().contains("(INJECTED)"));
        assert!(File::open(&file).is_ok());
    });
}

#[test]
fn injection_from_the_start_reaches_the_whole_process() {
    let how = Isolation::new().inject("mkdir:error=ENOSPC");
    isolated_in("injection_from_the_start_reaches_the_whole_process", &how, |t| {
        let error = fs::create_dir(t.dir().join("new")).expect_err("every call is injected");
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENOSPC));
    });
}

#[test]
fn cases_run_in_processes_of_their_own() {
    for case in ["one", "two", "three"] {
        isolated_in("cases_run_in_processes_of_their_own", &Isolation::new().param(case), |t| {
            assert_eq!(t.param(), case);
            assert_eq!(fs::read_dir(t.dir()).expect("a fresh folder").count(), 0);
            fs::write(t.dir().join("file"), case).expect("a file");
        });
    }
}

#[test]
fn nobody_has_no_rights() {
    isolated_in("nobody_has_no_rights", &Isolation::new().nobody(), |t| {
        let output = Command::new(helper()).arg("ids").output().expect("the copied helper");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.contains("Uid: 65534 65534 65534 65534\nGid: 65534 65534 65534 65534\nGroups:\n"), "{text}");
        assert!(text.contains("CapEff: 0000000000000000"), "{text}");
        fs::write(t.dir().join("file"), "mine").expect("the test's folder is writable");
    });
}

#[test]
fn number_one_of_a_namespace() {
    isolated_in("number_one_of_a_namespace", &Isolation::new().as_pid1(), |_| assert_eq!(std::process::id(), 1));
}

#[test]
fn descriptors_run_out_exactly() {
    isolated("descriptors_run_out_exactly", |_| {
        let before = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        let hole = File::open("/dev/null").expect("the null device");
        let _above = File::open("/dev/null").expect("the null device");
        drop(hole);
        fd_walk(4, |free| {
            let opened: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
            assert_eq!(opened.len() as u64, free);
        });
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).expect("a limit"), before);
    });
}

#[test]
fn a_stranger_takes_a_number_that_was_used() {
    isolated("a_stranger_takes_a_number_that_was_used", |t| {
        let mut child = Command::new(helper()).args(["exit", "0"]).spawn().expect("the helper");
        let number = child.id();
        child.wait().expect("its end");
        let stranger = t.stranger(number);
        assert_eq!(stranger.pid(), number);
        assert!(stranger.is_untouched());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(number as i32), nix::sys::signal::Signal::SIGKILL).expect("it is there");
        t.wait_until("the stranger is gone", || !stranger.is_untouched());
    });
}

#[test]
fn kill_loops_kill_and_repeat_with_their_seed() {
    run("kill_loops_kill_and_repeat_with_their_seed", |t| {
        let start = |_| {
            let mut command = Command::new(helper());
            command.args(["sleep", "60"]).env("LP_TEST", t.cookie());
            command
        };
        let mut rounds = Vec::new();
        kill_loop(5, std::time::Duration::from_millis(5), start, |round| rounds.push(round));
        assert_eq!(rounds, [0, 1, 2, 3, 4]);
        assert_eq!(procs_tests::cookie_holders(t.cookie()), Vec::<u32>::new());
    });
    let mut random = Random::from_env("two numbers");
    assert_ne!(random.next_number(), random.next_number());
}

#[test]
fn the_tree_has_all_its_kinds() {
    run("the_tree_has_all_its_kinds", |t| {
        let stop = t.dir().join("stop");
        let mut command = Command::new(helper());
        command.args(["tree", "4", "60"]).arg(&stop).env("LP_TEST", t.cookie()).stdout(File::create(t.dir().join("list")).expect("a file"));
        let mut root = command.spawn().expect("the helper");
        let list = || fs::read_to_string(t.dir().join("list")).expect("the list");
        t.wait_until("all processes of the tree have said so", || list().lines().count() == 31);
        for kind in ["root", "plain", "session", "daemon"] {
            assert!(list().lines().any(|line| line.ends_with(kind)), "no {kind} in\n{}", list());
        }
        assert_eq!(procs_tests::cookie_holders(t.cookie()).len(), 31);
        fs::write(stop, "").expect("the stop file");
        root.wait().expect("its end");
    });
}

#[test]
fn a_name_in_shared_memory_is_a_leak() {
    let why = must_fail("a_name_in_shared_memory_is_a_leak", &Isolation::new(), |t| {
        let path = format!("/dev/shm/procs-{}", t.cookie());
        fs::write(&path, "").expect("a file in /dev/shm");
        // The check at the end would find the same; asked for here so that the name can be removed.
        let leaks = t.leaks();
        fs::remove_file(path).expect("the file just made");
        panic!("{}", leaks.join("\n"));
    });
    assert_mentions(&why, "name left in /dev/shm: procs-");
}
