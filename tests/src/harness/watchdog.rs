//! WD: a test that hangs fails, and shows where.

use super::leak::cookie_holders;
use super::test::end_holders;
use crate::workspace::count;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

/// Seconds that a test may take unless it says otherwise.
pub(crate) const SECONDS: u64 = 60;

/// By how much slower this machine is than the one the limits were set on: `PROCS_TEST_SLOW`, default 1.
pub fn slow_factor() -> f64 {
    std::env::var("PROCS_TEST_SLOW").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0)
}

/// A limit in seconds, stretched for slow machines.
pub fn limit(seconds: u64) -> Duration {
    Duration::from_secs_f64(seconds as f64 * slow_factor())
}

/// Within what time the end of a process must be noticed: 200 ms, three times that on a machine with more to do than it has processors.
pub fn notice_limit() -> Duration {
    let load = std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| text.split(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    Duration::from_secs_f64(0.2 * slow_factor() * if load > cpus as f64 { 3.0 } else { 1.0 })
}

/// How long a test may take that does its rounds in `seconds`: ten times as many with the full counts.
pub(crate) fn test_limit(seconds: u64) -> Duration {
    limit(seconds) * count(10) as u32
}

/// The stacks of all threads of a process as gdb shows them, or what /proc knows where gdb is missing. The process goes on afterwards.
pub fn dump_stacks(pid: u32) -> String {
    // A process that waits in the kernel for its child's exec cannot be attached to. One whose gdb is killed stays stopped, and this
    // program with it if it is its own.
    let gdb = Command::new("sh")
        .args(["-c", "timeout -k 5 60 gdb -p $0 -batch -ex 'thread apply all bt'; kill -CONT $0", &pid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let mut text = match gdb {
        Ok(output) if output.stdout.is_empty() => "no stacks: is gdb installed?\n".to_owned(),
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => format!("no shell ({error})\n"),
    };
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return text;
    };
    for task in tasks.flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default().trim().to_owned();
        let _ = writeln!(text, "thread {:?} {}: waits in {}, system call {}", task.file_name(), read("comm"), read("wchan"), read("syscall"));
    }
    text
}

/// Guards a test that runs inside this process: unless it is dropped in time, prints all stacks and aborts.
pub(crate) struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    /// Whatever carries the cookie is ended first.
    pub(crate) fn start(name: &str, limit: Duration, cookie: &str) -> Watchdog {
        let (alive, ended) = channel::<()>();
        let (name, cookie) = (name.to_owned(), cookie.to_owned());
        let body = move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // Not by the macro, whose text the test runner keeps to itself, and loses at the abort.
                let _ = writeln!(std::io::stderr(), "watchdog: {name} did not end within {limit:?}\n{}", dump_stacks(std::process::id()));
                // Looking takes seconds; a test that was merely slow may have ended in them.
                if ended.try_recv() == Err(TryRecvError::Disconnected) {
                    return;
                }
                end_holders(&cookie);
                std::process::abort();
            }
        };
        // The name keeps it out of the thread counts of tests that run beside this one.
        std::thread::Builder::new().name("procs-watchdog".to_owned()).spawn(body).expect("a thread for the watchdog");
        Watchdog { _alive: alive }
    }
}

/// Runs the command; on a hang collects the stacks of everything that carries the cookie, and ends it.
pub(crate) fn watch(mut command: Command, limit: Duration, cookie: &str) -> (ExitStatus, Option<String>) {
    let mut child = command.spawn().unwrap_or_else(|error| panic!("start of {command:?}: {error}"));
    let (sender, ended) = channel();
    let waiter = std::thread::spawn(move || sender.send(child.wait()));
    let (status, stacks) = match ended.recv_timeout(limit) {
        Ok(status) => (status, None),
        Err(RecvTimeoutError::Timeout) => {
            let stacks = cookie_holders(cookie).iter().map(|pid| format!("process {pid}:\n{}", dump_stacks(*pid))).collect();
            end_holders(cookie);
            (ended.recv().expect("a killed process ends"), Some(stacks))
        }
        Err(RecvTimeoutError::Disconnected) => unreachable!("the waiting thread sends before it ends"),
    };
    let _ = waiter.join();
    (status.expect("wait for the process"), stacks)
}
