//! Fault rows A04, A05, A06: descriptors, memory and processes run out, at every step of a start.

mod common;
#[path = "common/warm_up.rs"]
mod warm_up;

use common::child;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use procs::{Command, Error, ErrorKind, Stage, Stdio, set_max_children};
use procs_tests::{Isolation, Test, count, fd_walk, isolated, isolated_in};
use std::fs;
use std::path::{Path, PathBuf};
use warm_up::warm_up;

/// What a case does to a command.
type Change = fn(&mut Command);

const SHAPES: [(&str, Change); 4] = [
    ("inherit", |_| {}),
    ("null", |command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    }),
    ("pipes", |command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }),
    ("pipes and a socket pair", |command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).fd(3, Stdio::piped());
    }),
];

#[test]
fn a04_descriptors_run_out_at_every_step() {
    isolated("a04_descriptors_run_out_at_every_step", |t| {
        warm_up(t);
        for (shape, set) in SHAPES {
            let (mut good, mut bad) = (0, 0);
            fd_walk(12, |free| {
                let mut command = child(&["exit", "7"]);
                set(&mut command);
                match command.spawn() {
                    Ok(mut child) => {
                        good += 1;
                        assert_eq!(child.wait().expect("an end").code(), Some(7), "{shape} with {free} free");
                    }
                    Err(error) => {
                        bad += 1;
                        assert_eq!(good, 0, "{shape}: {free} free fail although fewer were enough: {error}");
                        assert_eq!((error.os_error(), error.kind()), (Some(libc::EMFILE), ErrorKind::Exhausted), "{shape} with {free} free: {error}");
                        assert!(matches!(error.stage(), Some(Stage::Stdio | Stage::Clone)), "{shape} with {free} free: {error:?}");
                    }
                }
            });
            assert!(good > 0 && bad > 0, "{shape}: {good} starts with few descriptors, {bad} refusals");
            assert_eq!(t.leaks(), Vec::<String>::new(), "{shape}");
        }
    });
}

/// One system call of a start, the stage that its failure must name, and what makes the start use it.
struct Step {
    call: &'static str,
    stage: Stage,
    set: fn(&mut Command),
    /// Errors after which another way is tried, so that the start succeeds.
    survives: &'static [i32],
}

const fn step(call: &'static str, stage: Stage, set: fn(&mut Command)) -> Step {
    Step { call, stage, set, survives: &[] }
}

const STEPS: &[Step] = &[
    step("pipe2", Stage::Stdio, |command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
    }),
    step("socketpair", Stage::Stdio, |command| {
        command.fd(3, Stdio::piped()).fd(4, Stdio::piped());
    }),
    step("openat", Stage::Stdio, |command| {
        command.stdin(Stdio::null()).stdout(Stdio::null());
    }),
    Step { call: "clone3", stage: Stage::Clone, set: |_| {}, survives: &[libc::EPERM] },
    step("close_range", Stage::Descriptors, |_| {}),
    step("dup3", Stage::Descriptors, |command| {
        command.stdin(Stdio::null()).stdout(Stdio::null());
    }),
    step("setsid", Stage::Session, |command| {
        command.new_session(true);
    }),
    step("setpgid", Stage::ProcessGroup, |command| {
        command.process_group(0);
    }),
    step("chdir", Stage::Directory, |command| {
        command.current_dir("/");
    }),
    step("prlimit64", Stage::Limits, |command| {
        command.limit(procs::Resource::Core, Some(0), Some(0)).limit(procs::Resource::NoFile, Some(100), Some(100));
    }),
    step("setpriority", Stage::Nice, |command| {
        command.nice(1);
    }),
    step("sched_setaffinity", Stage::Affinity, |command| {
        command.affinity(&[0]);
    }),
    step("setgroups", Stage::Groups, |command| {
        command.groups(&[]);
    }),
    step("setresgid", Stage::Gid, |command| {
        command.gid(0);
    }),
    step("setresuid", Stage::Uid, |command| {
        // The same user: any other may not reach a clone in somebody's home.
        command.groups(&[]).uid(0);
    }),
    step("prctl", Stage::NoNewPrivs, |command| {
        command.no_new_privs(true);
    }),
    step("prctl", Stage::ParentDeath, |command| {
        command.die_with_parent(true);
    }),
    step("execve", Stage::Exec, |_| {}),
];

const ERRNOS: [(&str, i32); 6] = [
    ("EMFILE", libc::EMFILE),
    ("ENFILE", libc::ENFILE),
    ("EAGAIN", libc::EAGAIN),
    ("ENOMEM", libc::ENOMEM),
    ("EINTR", libc::EINTR),
    ("EPERM", libc::EPERM),
];

/// One injection into one start: the error is exact, or the start succeeds where it must.
fn injected(t: &Test, step: &Step, (name, errno): (&str, i32), when: usize) {
    let mut command = child(&["exit", "7"]);
    command.stderr(Stdio::null());
    (step.set)(&mut command);
    let rule = format!("{}:error={name}:when={when}", step.call);
    // The program opens files, too, as soon as it runs.
    let result = match step.call {
        "openat" => t.inject_on_path(&[&rule], Path::new("/dev/null"), || command.spawn()),
        _ => t.inject(&[&rule], || command.spawn()),
    };
    let hit = t.injection_log().contains("(INJECTED)");
    assert!(hit || when > 1, "{rule}: never called");
    match result {
        Ok(mut child) => {
            let expected = !hit || errno == libc::EINTR || step.survives.contains(&errno);
            assert!(expected, "{rule}: the start succeeded all the same");
            assert_eq!(child.wait().expect("an end").code(), Some(7), "{rule}");
        }
        Err(error) => {
            assert!(hit && errno != libc::EINTR, "{rule}: {error:?}");
            assert_eq!((error.os_error(), error.stage()), (Some(errno), Some(step.stage)), "{rule}: {error:?}");
        }
    }
    assert_eq!(t.leaks(), Vec::<String>::new(), "{rule}");
}

#[test]
fn a05_every_step_fails_exactly() {
    isolated_in("a05_every_step_fails_exactly", &Isolation::new().watchdog(120), |t| {
        warm_up(t);
        child(&["exit", "0"]).die_with_parent(true).spawn().expect("a start").wait().expect("an end");
        t.baseline();
        let all = count(10) == 10;
        for (index, step) in STEPS.iter().enumerate() {
            for (position, errno) in ERRNOS.into_iter().enumerate() {
                // A refused clone3 is never tried again: that case comes last.
                let spoils = step.survives.contains(&errno.1);
                if !spoils && (all || position == index % ERRNOS.len() || errno.1 == libc::EINTR) {
                    for when in 1..=2 {
                        injected(t, step, errno, when);
                    }
                }
            }
        }
        for step in STEPS {
            for errno in ERRNOS.into_iter().filter(|errno| step.survives.contains(&errno.1)) {
                injected(t, step, errno, 1);
                assert_eq!(procs::engine_info().clone_level, "clone");
            }
        }
    });
}

#[test]
fn a05_no_memory_for_the_stack() {
    isolated("a05_no_memory_for_the_stack", |t| {
        // Nothing has been started in this process: the stack and the report page are still to be mapped.
        for when in 1..=2 {
            let rule = format!("mmap:error=ENOMEM:when={when}");
            let mut command = child(&["exit", "7"]);
            let error = t.inject(&[&rule], || command.spawn()).expect_err("no memory");
            assert_eq!((error.os_error(), error.stage(), error.kind()), (Some(libc::ENOMEM), Some(Stage::Prepare), ErrorKind::Exhausted));
        }
        assert_eq!(child(&["exit", "7"]).spawn().expect("memory again").wait().expect("an end").code(), Some(7));
    });
}

#[test]
fn a05_the_reactor_cannot_watch() {
    isolated("a05_the_reactor_cannot_watch", |t| {
        warm_up(t);
        for name in ["ENOMEM", "ENOSPC"] {
            let mut sleeper = child(&["sleep", "30"]).spawn().expect("a start");
            let rule = format!("epoll_ctl:error={name}:when=1");
            let error = t.inject(&[&rule], || sleeper.on_exit(|_| {})).expect_err("the descriptor cannot be watched");
            assert_eq!(error.kind(), ErrorKind::Exhausted, "{error:?}");
            sleeper.kill().expect("a signal");
            assert_eq!(sleeper.wait().expect("an end").signal(), Some(libc::SIGKILL));
        }
    });
}

/// Starts sleepers until one is refused; ends them all.
fn start_until_refused(most: usize) -> (usize, Option<Error>) {
    let mut started = Vec::new();
    let mut refusal = None;
    for _ in 0..most {
        match child(&["sleep", "60"]).spawn() {
            Ok(child) => {
                assert!(refusal.is_none(), "a start succeeded after {refusal:?}");
                started.push(child);
            }
            Err(error) => refusal = Some(error),
        }
    }
    for child in &mut started {
        child.kill().expect("a signal");
        assert_eq!(child.wait().expect("an end").signal(), Some(libc::SIGKILL));
    }
    (started.len(), refusal)
}

fn assert_limit_hint(refusal: Option<Error>) {
    let error = refusal.expect("a refusal");
    assert_eq!((error.os_error(), error.stage(), error.kind()), (Some(libc::EAGAIN), Some(Stage::Clone), ErrorKind::Exhausted), "{error:?}");
    assert!(error.to_string().contains("RLIMIT_NPROC") && error.to_string().contains("pids.max"), "no hint at the limit: {error}");
}

/// Processes and threads of this user.
fn tasks_of_this_user() -> u64 {
    let own = format!("Uid:\t{}\t", nix::unistd::getuid());
    let status = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("status")).ok();
    let all = fs::read_dir("/proc").expect("the list of processes").flatten().filter_map(status);
    let threads = |text: &str| text.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse::<u64>().ok()).unwrap_or(1);
    all.filter(|text| text.contains(&own)).map(|text| threads(&text)).sum()
}

#[test]
fn a06_the_users_process_limit() {
    isolated_in("a06_the_users_process_limit", &Isolation::new().nobody(), |t| {
        warm_up(t);
        let limit = tasks_of_this_user() + 5;
        let old = getrlimit(Resource::RLIMIT_NPROC).expect("a limit");
        setrlimit(Resource::RLIMIT_NPROC, limit, old.1).expect("a lower limit");
        set_max_children(1000);
        let (started, refusal) = start_until_refused(20);
        // Whoever else is this user may end or start meanwhile; the cgroup below is exact.
        assert!((1..20).contains(&started), "{started} children with room for about 5");
        assert_limit_hint(refusal);
        assert_eq!(child(&["exit", "7"]).spawn().expect("room again").wait().expect("an end").code(), Some(7));
    });
}

/// A cgroup with a limit on processes that this process moved into; leaves and removes it when dropped.
struct PidsGroup {
    dir: PathBuf,
    back: PathBuf,
}

impl PidsGroup {
    fn enter(name: &str, limit: usize) -> PidsGroup {
        let root = PathBuf::from("/sys/fs/cgroup/pids");
        let own = fs::read_to_string("/proc/self/cgroup").expect("own groups");
        let (root, own) = match own.lines().find_map(|line| line.split_once(":pids:")) {
            Some((_, path)) => (root, path.trim_start_matches('/').to_owned()),
            None => panic!("no cgroup v1 with the pids controller: run this row on a machine that has one (as root)"),
        };
        let group = PidsGroup { dir: root.join(format!("procs-test-{name}")), back: root.join(own) };
        fs::create_dir(&group.dir).expect("a cgroup (as root)");
        fs::write(group.dir.join("pids.max"), limit.to_string()).expect("its limit");
        fs::write(group.dir.join("cgroup.procs"), std::process::id().to_string()).expect("its first member");
        group
    }
}

impl Drop for PidsGroup {
    fn drop(&mut self) {
        let _ = fs::write(self.back.join("cgroup.procs"), std::process::id().to_string());
        let _ = fs::remove_dir(&self.dir);
    }
}

#[test]
fn a06_the_cgroups_process_limit() {
    isolated("a06_the_cgroups_process_limit", |t| {
        warm_up(t);
        let group = PidsGroup::enter(t.cookie(), 20);
        let threads = fs::read_dir("/proc/self/task").expect("own threads").count();
        let (started, refusal) = start_until_refused(30);
        assert_eq!(started, 20 - threads, "with {threads} threads of the host in the group");
        assert_limit_hint(refusal);
        drop(group);
    });
}
