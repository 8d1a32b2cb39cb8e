//! Fault rows B01 to B04, B12 to B17: the true status of the right child, once, in time, whoever interferes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procs::{Command, ExitStatus, Stdio, Stop};
use procs_tests::{Isolation, Random, Test, count, helper, host, isolated, isolated_in, rss_bytes};
use std::fs;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

fn child(args: &[&str]) -> Command {
    let mut command = Command::new(helper());
    command.args(args);
    command
}

fn exit_with(code: i32) -> Command {
    child(&["exit", &code.to_string()])
}

/// Starts children that exit with 3 in each way of waiting, and gives their statuses.
fn statuses_of_threes(rounds: usize) -> Vec<ExitStatus> {
    let one = |round: usize| match round % 4 {
        0 => exit_with(3).spawn().expect("a start").wait().expect("a wait"),
        1 => exit_with(3).output().expect("a run").status,
        2 => exit_with(3).spawn().expect("a start").wait_timeout(Duration::from_secs(20)).expect("a wait").expect("an end"),
        _ => exit_with(3).status().expect("a status"),
    };
    (0..rounds).map(one).collect()
}

#[test]
fn b01_a_host_that_ignores_its_children() {
    for (case, set) in [("ignored", (|| host::ignore(libc::SIGCHLD)) as fn()), ("no wait", host::never_wait_for_children)] {
        isolated_in("b01_a_host_that_ignores_its_children", &Isolation::new().param(case), |_| {
            set();
            assert!(procs::engine_info().pidfd_info, "this kernel does not keep the status of a reaped child");
            assert_eq!(statuses_of_threes(count(200)), vec![ExitStatus::Exited(3); count(200)]);
            let status = child(&["die", "TERM"]).spawn().expect("a start").wait().expect("a wait");
            assert_eq!(status, ExitStatus::Signaled { signal: libc::SIGTERM, core_dumped: false });
        });
    }
}

#[test]
fn b01_unknown_is_never_success() {
    let how = Isolation::new().inject("ioctl:error=EINVAL");
    isolated_in("b01_unknown_is_never_success", &how, |_| {
        host::ignore(libc::SIGCHLD);
        assert_eq!(statuses_of_threes(count(200)), vec![ExitStatus::Unknown; count(200)]);
        let output = exit_with(0).output().expect("a run");
        assert_eq!((output.status, output.success(), output.usage), (ExitStatus::Unknown, false, None));
        assert!(output.check().is_err());
        assert_eq!((ExitStatus::Unknown.code(), ExitStatus::Unknown.shell_code(), ExitStatus::Unknown.success()), (None, None, false));
    });
}

#[test]
fn b02_a_host_that_reaps_everything() {
    isolated_in("b02_a_host_that_reaps_everything", &Isolation::new().watchdog(60), |_| {
        let running = AtomicBool::new(true);
        let stolen = AtomicU64::new(0);
        let mut random = Random::from_env("exit codes");
        std::thread::scope(|scope| {
            let thief = scope.spawn(|| {
                while running.load(Ordering::Relaxed) {
                    stolen.fetch_add(u64::from(host::reap_any()), Ordering::Relaxed);
                }
            });
            for round in 0..count(500) {
                let code = random.below(256) as i32;
                let start = Instant::now();
                let mut child = exit_with(code).spawn().expect("a start");
                let status = if round % 2 == 0 { child.wait().expect("a wait") } else { wait_by_future(&child) };
                assert_eq!(status, ExitStatus::Exited(code), "round {round}");
                assert!(start.elapsed() < Duration::from_secs(5), "round {round} took {:?}", start.elapsed());
            }
            running.store(false, Ordering::Relaxed);
            thief.join().expect("the reaping thread");
        });
        assert!(stolen.into_inner() > 0, "nothing was stolen: the test proves nothing");
    });
}

/// Polls the future without an executor: its waker is a channel.
fn wait_by_future(child: &procs::Child) -> ExitStatus {
    struct Send(std::sync::Mutex<std::sync::mpsc::Sender<()>>);
    impl std::task::Wake for Send {
        fn wake(self: std::sync::Arc<Self>) {
            let _ = self.0.lock().expect("no panic under the lock").send(());
        }
    }
    let (sender, woken) = channel();
    let waker = Waker::from(std::sync::Arc::new(Send(std::sync::Mutex::new(sender))));
    let mut future = pin!(child.wait_async());
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(status) => return status.expect("a wait"),
            Poll::Pending => woken.recv_timeout(Duration::from_secs(20)).expect("to be woken"),
        }
    }
}

#[test]
fn b03_the_hosts_own_children_stay_its_own() {
    isolated_in("b03_the_hosts_own_children_stay_its_own", &Isolation::new().watchdog(60), |_| {
        let own: Vec<i32> = (0..50).map(|code| host::fork(move || code)).collect();
        for round in 0..count(500) {
            assert_eq!(exit_with(7).spawn().expect("a start").wait().expect("a wait"), ExitStatus::Exited(7));
            drop(exit_with(0).spawn().expect("a start"));
            if round % 10 == 0 {
                assert!(exit_with(0).output().expect("a run").success());
            }
        }
        for (code, pid) in own.into_iter().enumerate() {
            let status = host::wait_for(pid).expect("the library took the host's child");
            assert_eq!(libc::WEXITSTATUS(status), code as i32);
        }
    });
}

#[test]
fn b04_dropped_handles_leave_no_zombies() {
    isolated_in("b04_dropped_handles_leave_no_zombies", &Isolation::new().watchdog(120), |t| {
        drop(exit_with(0).spawn().expect("a start"));
        t.wait_until("the first one is reaped", || t.leaks().is_empty());
        let mut random = Random::from_env("states");
        let mut round = |number: usize| {
            let mut child = child(&["sleep", "0.01"]).spawn().expect("a start");
            match random.below(5) {
                0 => drop(child),
                1 => _ = child.try_wait().expect("an answer"),
                2 => _ = child.wait_timeout(Duration::from_micros(random.below(20_000))).expect("a wait"),
                3 => child.detach(),
                _ => {
                    let mut future = pin!(child.wait_async());
                    let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    if number % 2 == 0 {
                        drop(child);
                    }
                }
            }
        };
        (0..100).for_each(&mut round);
        t.wait_until("all are reaped", || t.leaks().is_empty());
        let before = rss_bytes();
        (0..count(1000)).for_each(&mut round);
        let dropped = Instant::now();
        t.wait_until("all are reaped", || t.leaks().is_empty());
        assert!(dropped.elapsed() < Duration::from_secs(3), "the last zombie went after {:?}", dropped.elapsed());
        assert!(rss_bytes().saturating_sub(before) <= 2 << 20, "{} bytes more", rss_bytes() - before);
    });
}

#[test]
fn b04_cancelled_runs_leave_no_zombies() {
    isolated_in("b04_cancelled_runs_leave_no_zombies", &Isolation::new().watchdog(120), |t| {
        child(&["exit", "0"]).offload(true).spawn().expect("a start").wait().expect("a wait");
        for round in 0..count(1000) {
            let mut command = child(&["sleep", "60"]);
            let mut future = Box::pin(command.output_async());
            let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if round % 2 == 0 {
                let (sender, woken) = channel::<()>();
                drop(sender);
                let _ = woken.recv();
            }
            drop(future);
        }
        t.wait_until("all were killed and reaped", || t.leaks().is_empty());
    });
}

#[test]
fn b12_stops_are_no_ends() {
    isolated_in("b12_stops_are_no_ends", &Isolation::new().watchdog(60), |t| {
        let ready = t.dir().join("go");
        let mut waiting = child(&["wait-file"]).arg(&ready).spawn().expect("a start");
        let pid = Pid::from_raw(waiting.id() as i32);
        let (sender, ended) = channel();
        waiting.on_exit(move |exit| sender.send(exit.status).expect("a listener")).expect("a call-back");
        let handle = waiting.handle().clone();
        let waiter = std::thread::spawn(move || handle.wait().expect("a wait"));
        for _ in 0..count(1000) {
            kill(pid, Signal::SIGSTOP).expect("a stop");
            assert_eq!(waiting.try_wait().expect("an answer"), None);
            kill(pid, Signal::SIGCONT).expect("a continue");
            assert_eq!(waiting.wait_timeout(Duration::ZERO).expect("a wait"), None);
        }
        assert!(ended.try_recv().is_err(), "a stop was taken for the end");
        fs::write(&ready, "").expect("the file");
        assert_eq!(waiting.wait().expect("a wait"), ExitStatus::Exited(0));
        assert_eq!(waiter.join().expect("the waiting thread"), ExitStatus::Exited(0));
        assert_eq!(ended.recv_timeout(Duration::from_secs(20)), Ok(ExitStatus::Exited(0)));
        assert!(ended.recv_timeout(Duration::from_millis(50)).is_err(), "the end was reported twice");
    });
}

#[test]
fn b13_every_status_makes_the_round_trip() {
    isolated_in("b13_every_status_makes_the_round_trip", &Isolation::new().watchdog(60), |_| {
        let step = if count(10) == 10 { 1 } else { 5 };
        for code in (0..=255).step_by(step).chain([255, 127, 128, 129, 137]) {
            let status = exit_with(code).spawn().expect("a start").wait().expect("a wait");
            assert_eq!((status, status.code(), status.signal(), status.shell_code()), (ExitStatus::Exited(code), Some(code), None, Some(code)));
        }
        // Those that do not end a process by default: CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH.
        let deadly = (1..=31).filter(|signal| !(17..=23).contains(signal) && *signal != 28).chain([34, 64]);
        for signal in deadly {
            let status = child(&["die", &signal.to_string()]).spawn().expect("a start").wait().expect("a wait");
            assert_eq!((status.code(), status.signal(), status.shell_code()), (None, Some(signal), Some(128 + signal)), "{status}");
        }
    });
}

/// A cgroup whose members can be frozen in the kernel, where no signal reaches them.
struct Freezer(std::path::PathBuf);

impl Freezer {
    fn around(t: &Test, pid: u32) -> Freezer {
        let dir = std::path::PathBuf::from("/sys/fs/cgroup/freezer").join(format!("procs-test-{}", t.cookie()));
        fs::create_dir(&dir).expect("a cgroup v1 freezer (as root)");
        fs::write(dir.join("cgroup.procs"), pid.to_string()).expect("its member");
        fs::write(dir.join("freezer.state"), "FROZEN").expect("its state");
        t.wait_until("the child is frozen", || fs::read_to_string(dir.join("freezer.state")).is_ok_and(|state| state.trim() == "FROZEN"));
        Freezer(dir)
    }

    fn thaw(self) {
        fs::write(self.0.join("freezer.state"), "THAWED").expect("its state");
        while fs::remove_dir(&self.0).is_err() {
            std::thread::yield_now();
        }
    }
}

#[test]
fn b14_a_child_that_kill_does_not_end() {
    isolated_in("b14_a_child_that_kill_does_not_end", &Isolation::new().watchdog(60), |t| {
        let mut stuck = child(&["sleep", "60"]).kill_on_drop(true).spawn().expect("a start");
        let frozen = Freezer::around(t, stuck.id());
        let quick = |what: &str, start: Instant| assert!(start.elapsed() < Duration::from_secs(2), "{what} took {:?}", start.elapsed());
        let start = Instant::now();
        stuck.kill().expect("a signal");
        quick("kill", start);
        assert_eq!(stuck.wait_timeout(Duration::from_millis(200)).expect("a wait"), None, "it is not stuck: the test proves nothing");
        let report = stuck.stop(&Stop::new().step(procs::StopAction::Kill, Duration::from_millis(200))).expect("a stop");
        assert_eq!(report.status, None);
        let start = Instant::now();
        drop(stuck);
        quick("drop", start);
        frozen.thaw();
        t.wait_until("it is reaped once it ends", || t.leaks().is_empty());
    });
}

#[test]
fn b14_a_run_gives_up_on_it() {
    isolated_in("b14_a_run_gives_up_on_it", &Isolation::new().watchdog(60), |t| {
        let stuck = child(&["sleep", "60"]).stdout(Stdio::pipe()).timeout(Duration::from_millis(300)).spawn().expect("a start");
        let (pid, start) = (stuck.id(), Instant::now());
        let frozen = Freezer::around(t, pid);
        let options = procs::RunOptions { timeout: Some(Duration::from_millis(100)), ..Default::default() };
        let output = stuck.capture(options).expect("a capture").finish().expect("a result");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!((output.timed_out, output.status, output.pid), (true, ExitStatus::Unknown, pid));
        frozen.thaw();
        t.wait_until("it is reaped once it ends", || t.leaks().is_empty());
    });
}

#[test]
fn b15_sixteen_threads_on_one_child() {
    isolated_in("b15_sixteen_threads_on_one_child", &Isolation::new().watchdog(120), |_| {
        for round in 0..count(2000) {
            let child = if round % 2 == 0 { exit_with(7) } else { child(&["sleep", "60"]) }.spawn().expect("a start");
            let statuses: Vec<ExitStatus> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..16).map(|number| (number, child.handle().clone())).map(|(number, handle)| scope.spawn(move || use_handle(number, &handle))).collect();
                threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
            });
            assert!(statuses.iter().all(|status| *status == statuses[0]), "round {round}: {statuses:?}");
            assert!(matches!(statuses[0], ExitStatus::Exited(7) | ExitStatus::Signaled { signal: libc::SIGKILL, .. }), "{statuses:?}");
        }
    });
}

fn use_handle(number: usize, handle: &procs::ChildHandle) -> ExitStatus {
    match number % 4 {
        0 => handle.wait().expect("a wait"),
        1 => loop {
            if let Some(status) = handle.try_wait().expect("an answer") {
                break status;
            }
            std::thread::yield_now();
        },
        2 => {
            handle.kill().expect("a signal, or it has ended");
            handle.clone().wait_timeout(Duration::from_secs(20)).expect("a wait").expect("an end")
        }
        _ => {
            drop(handle.clone());
            handle.stop(&Stop::kill()).expect("a stop").status.expect("an end")
        }
    }
}

static TICKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn tick(_: i32) {
    TICKS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn b16_signals_interrupt_every_call() {
    isolated_in("b16_signals_interrupt_every_call", &Isolation::new().watchdog(120), |_| {
        // Other threads of the test program do not restart their calls: only this one takes the signal.
        host::handle(libc::SIGALRM, tick);
        host::interval_timer(1000);
        for _ in 0..count(100) {
            assert_eq!(exit_with(7).spawn().expect("a start").wait().expect("a wait"), ExitStatus::Exited(7));
            let output = child(&["cat"]).input(vec![b'x'; 1 << 20]).output().expect("a run");
            assert_eq!((output.stdout.len(), output.success()), (1 << 20, true));
            let mut lines = child(&["lines", "1000"]).stdout(Stdio::pipe()).spawn().expect("a start");
            assert_eq!(lines.lines().expect("its output").count(), 1000);
            lines.wait().expect("a wait");
            assert!(exit_with(0).groups(&[]).spawn().expect("a start").wait().expect("a wait").success());
        }
        let start = Instant::now();
        let mut sleeper = child(&["sleep", "60"]).spawn().expect("a start");
        assert_eq!(sleeper.wait_timeout(Duration::from_millis(300)).expect("a wait"), None);
        let elapsed = start.elapsed();
        assert!(elapsed >= Duration::from_millis(300) && elapsed < Duration::from_secs(2), "300 ms took {elapsed:?}");
        sleeper.kill().expect("a signal");
        sleeper.wait().expect("a wait");
        host::interval_timer(0);
        assert!(TICKS.load(Ordering::Relaxed) > 50, "{} interruptions", TICKS.load(Ordering::Relaxed));
    });
}

#[test]
fn b16_every_blocking_call_may_be_interrupted() {
    isolated_in("b16_every_blocking_call_may_be_interrupted", &Isolation::new().watchdog(60), |t| {
        let feed = |cat: procs::Child| {
            let options = procs::RunOptions { input: Some(vec![b'x'; 300_000].into()), timeout: Some(Duration::from_secs(20)), ..Default::default() };
            let output = cat.capture(options).expect("a capture").finish().expect("a result");
            assert_eq!((output.stdout.len(), output.success()), (300_000, true), "{output:?}");
        };
        let start = || child(&["cat"]).stdin(Stdio::pipe()).stdout(Stdio::pipe()).spawn().expect("a start");
        feed(start());
        // The child is there before the injection begins, so that only the host is interrupted.
        for call in ["ppoll", "waitid", "read", "write"] {
            let cat = start();
            t.inject(&[&format!("{call}:error=EINTR:when=1+2")], || feed(cat));
            assert!(t.injection_log().contains("(INJECTED)"), "{call} was never called");
        }
        for call in ["clone3", "pipe2", "waitid"] {
            let run = || assert_eq!(exit_with(7).stdout(Stdio::pipe()).spawn().expect("a start").wait().expect("a wait"), ExitStatus::Exited(7));
            t.inject(&[&format!("{call}:error=EINTR:when=1+2")], run);
            assert!(t.injection_log().contains("(INJECTED)"), "{call} was never called");
        }
    });
}
