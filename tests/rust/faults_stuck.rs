//! Fault rows B14, B15, B16: children that do not end, threads that all wait, calls that are interrupted.

mod common;

use common::child;
use procs::{Command, ExitStatus, Stdio, Stop};
use procs_tests::{Isolation, Test, count, host, isolated_in, limit};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

fn exit_with(code: i32) -> Command {
    child(&["exit", &code.to_string()])
}

/// A cgroup whose members are frozen in the kernel, where no signal reaches them; thawed when dropped, and after 30 s whatever happens,
/// because nothing else could end them.
struct Freezer {
    dir: std::path::PathBuf,
    end: Option<Sender<()>>,
    thawing: Option<JoinHandle<()>>,
}

impl Freezer {
    fn around(t: &Test, pid: u32) -> Freezer {
        let dir = std::path::PathBuf::from("/sys/fs/cgroup/freezer").join(format!("procs-test-{}", t.cookie()));
        fs::create_dir(&dir).expect("a cgroup v1 freezer (as root)");
        fs::write(dir.join("cgroup.procs"), pid.to_string()).expect("its member");
        let state = dir.join("freezer.state");
        fs::write(&state, "FROZEN").expect("its state");
        let (end, ended) = channel::<()>();
        let thawed = state.clone();
        let thawing = std::thread::spawn(move || {
            let _ = ended.recv_timeout(limit(30));
            fs::write(thawed, "THAWED").expect("its state");
        });
        let freezer = Freezer { dir, end: Some(end), thawing: Some(thawing) };
        t.wait_until("the child is frozen", || fs::read_to_string(&state).is_ok_and(|text| text.trim() == "FROZEN"));
        freezer
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thawing.take().map(JoinHandle::join);
        // Busy as long as its member is.
        while fs::remove_dir(&self.dir).is_err() && self.dir.exists() {
            std::thread::yield_now();
        }
    }
}

#[test]
fn b14_a_child_that_kill_does_not_end() {
    isolated_in("b14_a_child_that_kill_does_not_end", &Isolation::new().watchdog(60), |t| {
        let mut stuck = child(&["sleep", "60"]).kill_on_drop(true).spawn().expect("a start");
        let frozen = Freezer::around(t, stuck.id());
        let quick = |what: &str, start: Instant| assert!(start.elapsed() < limit(10), "{what} took {:?}", start.elapsed());
        let start = Instant::now();
        stuck.kill().expect("a signal");
        quick("kill", start);
        assert_eq!(stuck.wait_timeout(Duration::from_millis(200)).expect("a wait"), None, "it is not stuck: the test proves nothing");
        let report = stuck.stop(&Stop::new().step(procs::StopAction::Kill, Duration::from_millis(200))).expect("a stop");
        assert_eq!(report.status, None);
        let start = Instant::now();
        drop(stuck);
        quick("drop", start);
        drop(frozen);
        t.wait_until("it is reaped once it ends", || t.leaks().is_empty());
    });
}

#[test]
fn b14_a_run_gives_up_on_it() {
    isolated_in("b14_a_run_gives_up_on_it", &Isolation::new().watchdog(60), |t| {
        let stuck = child(&["sleep", "60"]).stdout(Stdio::piped()).timeout(Duration::from_millis(300)).spawn().expect("a start");
        let (pid, start) = (stuck.id(), Instant::now());
        let frozen = Freezer::around(t, pid);
        let options = procs::RunOptions { timeout: Some(Duration::from_millis(100)), ..Default::default() };
        let output = stuck.capture(options).expect("a capture").finish().expect("a result");
        assert!(start.elapsed() < limit(20), "{:?}", start.elapsed());
        assert_eq!((output.timed_out, output.status, output.pid), (true, ExitStatus::Unknown, pid));
        drop(frozen);
        t.wait_until("it is reaped once it ends", || t.leaks().is_empty());
    });
}

#[test]
fn b15_sixteen_threads_on_one_child() {
    isolated_in("b15_sixteen_threads_on_one_child", &Isolation::new().watchdog(120), |_| {
        for round in 0..count(2000) {
            let child = if round % 2 == 0 { exit_with(7) } else { child(&["sleep", "60"]) }.spawn().expect("a start");
            let statuses: Vec<ExitStatus> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..16)
                    .map(|number| (number, child.handle().clone()))
                    .map(|(number, handle)| scope.spawn(move || use_handle(number, &handle)))
                    .collect();
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
            let mut lines = child(&["lines", "1000"]).stdout(Stdio::piped()).spawn().expect("a start");
            assert_eq!(lines.lines().expect("its output").count(), 1000);
            lines.wait().expect("a wait");
            assert!(exit_with(0).groups(&[]).spawn().expect("a start").wait().expect("a wait").success());
        }
        let start = Instant::now();
        let mut sleeper = child(&["sleep", "60"]).spawn().expect("a start");
        assert_eq!(sleeper.wait_timeout(Duration::from_millis(300)).expect("a wait"), None);
        let elapsed = start.elapsed();
        assert!(elapsed >= Duration::from_millis(300) && elapsed < limit(20), "300 ms took {elapsed:?}");
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
        let start = || child(&["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a start");
        feed(start());
        // The child is there before the injection begins, so that only the host is interrupted.
        for call in ["ppoll", "waitid", "read", "write"] {
            let cat = start();
            t.inject(&[&format!("{call}:error=EINTR:when=1+2")], || feed(cat));
            assert!(t.injection_log().contains("(INJECTED)"), "{call} was never called");
        }
        for call in ["clone3", "pipe2", "waitid"] {
            let run = || assert_eq!(exit_with(7).stdout(Stdio::piped()).spawn().expect("a start").wait().expect("a wait"), ExitStatus::Exited(7));
            t.inject(&[&format!("{call}:error=EINTR:when=1+2")], run);
            assert!(t.injection_log().contains("(INJECTED)"), "{call} was never called");
        }
    });
}
