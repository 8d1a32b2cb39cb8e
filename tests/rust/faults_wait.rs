//! Fault rows B01 to B04, B12, B13: the true status of the right child, once, whoever interferes.

mod common;

use common::child;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procs::{Command, ExitStatus};
use procs_tests::{Isolation, Random, count, host, isolated_in, limit, rss_bytes};
use std::fs;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

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
            let end = Instant::now() + Duration::from_secs(40);
            // Until one was stolen, else the test proves nothing.
            for round in 0.. {
                if round >= count(500) && (stolen.load(Ordering::Relaxed) > 0 || Instant::now() > end) {
                    break;
                }
                let code = random.below(256) as i32;
                let start = Instant::now();
                let mut child = exit_with(code).spawn().expect("a start");
                let status = if round % 2 == 0 { child.wait().expect("a wait") } else { wait_by_future(&child) };
                assert_eq!(status, ExitStatus::Exited(code), "round {round}");
                assert!(start.elapsed() < limit(20), "round {round} took {:?}", start.elapsed());
            }
            running.store(false, Ordering::Relaxed);
            thief.join().expect("the reaping thread");
        });
        assert!(stolen.into_inner() > 0, "nothing was stolen");
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
                    if number.is_multiple_of(2) {
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
        assert!(dropped.elapsed() < limit(10), "the last zombie went after {:?}", dropped.elapsed());
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
        let handle_of_waiting = waiting.handle().clone();
        let (sender, ended) = channel();
        waiting.on_exit(move |exit| sender.send(exit.status).expect("a listener")).expect("a call-back");
        let stat = format!("/proc/{pid}/stat");
        let mut stop_and_go = || {
            for _ in 0..count(500) {
                kill(pid, Signal::SIGSTOP).expect("a stop");
                while !fs::read_to_string(&stat).is_ok_and(|state| state.contains(") T ")) {
                    std::thread::yield_now();
                }
                assert_eq!(waiting.try_wait().expect("an answer"), None);
                kill(pid, Signal::SIGCONT).expect("a continue");
                assert_eq!(waiting.wait_timeout(Duration::ZERO).expect("a wait"), None);
            }
        };
        stop_and_go();
        let handle = handle_of_waiting.clone();
        let waiter = std::thread::spawn(move || handle.wait().expect("a wait"));
        stop_and_go();
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
