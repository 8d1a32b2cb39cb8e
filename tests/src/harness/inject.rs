//! INJ from a chosen moment: attaches strace to this process, so that counters start exactly there.

use super::isolate::injection_args;
use super::test::Test;
use crate::workspace::tool;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

/// A strace that is attached to this process; dropping it detaches.
struct Tracer(Child);

impl Drop for Tracer {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        // On SIGINT strace lets go of what it is attached to; SIGKILL would do the same less orderly.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT);
        let _ = self.0.wait();
    }
}

impl Test {
    /// Runs the body while strace injects into this process and its children: rules as in strace(1), such as
    /// `pipe2:error=EMFILE:when=1`. Counters are per thread and start at zero when the body starts; the calling thread's own count of
    /// futex is the one exception. `-P` paths can be given with [`Test::inject_on_path`].
    pub fn inject<R>(&self, rules: &[&str], body: impl FnOnce() -> R) -> R {
        self.inject_with(rules, None, body)
    }

    /// As [`Test::inject`], but only for calls that name this path exactly.
    pub fn inject_on_path<R>(&self, rules: &[&str], path: &Path, body: impl FnOnce() -> R) -> R {
        self.inject_with(rules, Some(path), body)
    }

    /// What strace saw of the last injection, one call a line, for asserting that it happened (`(INJECTED)`).
    pub fn injection_log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> std::path::PathBuf {
        self.dir().join(".strace.log")
    }

    fn inject_with<R>(&self, rules: &[&str], path: Option<&Path>, body: impl FnOnce() -> R) -> R {
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        let mut command = Command::new(tool("strace"));
        command.args(["-f", "-qq", "-p", &std::process::id().to_string(), "-o"]).arg(self.log_path()).args(injection_args(&rules));
        if let Some(path) = path {
            command.arg("-P").arg(path);
        }
        // Another thread watches the attaching: this one makes no call that a rule could count. Begun and given its files before there is a strace,
        // which would count the clone of this thread and the opening in that one.
        let threads = statuses();
        let (tell, told) = mpsc::channel();
        let watcher = std::thread::spawn(move || {
            if let Ok(tracer) = told.recv() {
                super::test::poll_until("strace is attached to every thread", || threads.iter().all(|status| is_traced(status, tracer)));
            }
            threads
        });
        let tracer = Tracer(command.stdin(Stdio::null()).spawn().expect("start of strace"));
        let _ = tell.send(tracer.0.id());
        let threads = watcher.join().unwrap_or_else(|_| panic!("strace did not attach: may this user trace (ptrace_scope)?"));
        let result = body();
        drop(tracer);
        drop(threads);
        result
    }
}

/// What the system says of each thread of this process.
fn statuses() -> Vec<File> {
    let tasks = fs::read_dir("/proc/self/task").expect("the threads of this process");
    tasks.flatten().filter_map(|task| File::open(task.path().join("status")).ok()).collect()
}

/// Whether a thread is traced by that process, or has ended.
fn is_traced(status: &File, tracer: u32) -> bool {
    let mut text = [0; 4096];
    let Ok(count) = status.read_at(&mut text, 0) else { return true };
    let line = format!("TracerPid:\t{tracer}");
    String::from_utf8_lossy(&text[..count]).lines().any(|found| found == line)
}
