//! One test: its folder, its cookie, its ways to wait.

use super::leak::{Snapshot, cookie_holders};
use super::watchdog::{self, Watchdog};
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long something that must happen may take before its absence is a failure.
const PATIENCE: u64 = 20;

/// What a test is given: a fresh folder, a cookie that all its processes carry, and ways to wait.
pub struct Test {
    name: String,
    param: String,
    dir: PathBuf,
    cookie: String,
    before: RefCell<Snapshot>,
}

impl Test {
    pub(crate) fn new(name: &str, param: &str, dir: PathBuf, cookie: String) -> Test {
        let before = RefCell::new(Snapshot::take());
        Test { name: name.to_owned(), param: param.to_owned(), dir, cookie, before }
    }

    /// The name of the test.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The case of [`Isolation::param`](super::Isolation::param), or empty.
    pub fn param(&self) -> &str {
        &self.param
    }

    /// A fresh, empty folder that vanishes with the test.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The value of `LP_TEST` that every process of this test has in its environment. In isolated tests it is inherited; in others
    /// give it to each child.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Writes an executable file into the folder.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("a file in the test's folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode of a file just written");
        path
    }

    /// Waits until the condition holds; fails when it does not within 20 s (times `PROCS_TEST_SLOW`).
    pub fn wait_until(&self, what: &str, condition: impl FnMut() -> bool) {
        poll_until(what, condition);
    }

    /// Takes what is open now as the state to return to: after a warm-up that starts the library's permanent threads.
    pub fn baseline(&self) {
        *self.before.borrow_mut() = Snapshot::take();
    }

    /// What this process has more than at the start or at the last [`Test::baseline`], in words.
    pub fn leaks(&self) -> Vec<String> {
        Snapshot::take().leaks_since(&self.before.borrow())
    }

    /// Fails when this process still has more than before after 20 s, on any machine; closing may be another thread's work.
    pub(crate) fn assert_nothing_leaked(&self) {
        let end = Instant::now() + Duration::from_secs(PATIENCE);
        loop {
            let leaks = self.leaks();
            if leaks.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{}: left behind:\n  {}", self.name, leaks.join("\n  "));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Waits until the condition holds, asking every 5 ms; fails when it does not within 20 s (times `PROCS_TEST_SLOW`).
///
/// The only way for a test to wait that is not an event of the library.
pub fn poll_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + watchdog::limit(PATIENCE);
    while !condition() {
        assert!(Instant::now() < end, "waited {PATIENCE} s in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A number that no other test has had. Source: random(4), uuid.
pub(crate) fn fresh_cookie() -> String {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").expect("the kernel makes identifiers");
    uuid.trim().to_owned()
}

/// A folder for a test, open to all users because some tests run as nobody.
pub(crate) fn fresh_folder(cookie: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("procs-test-{cookie}"));
    fs::create_dir(&folder).expect("a folder for the test");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("mode of a folder just made");
    folder
}

/// Ends every process that carries the cookie, so that a failed test does not disturb the next.
pub(crate) fn end_holders(cookie: &str) {
    for pid in cookie_holders(cookie) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL);
    }
}

/// Removes the folder and ends the processes of a test, whether it passed or not.
pub(crate) struct CleanUp {
    pub(crate) folder: PathBuf,
    pub(crate) cookie: String,
}

impl Drop for CleanUp {
    fn drop(&mut self) {
        end_holders(&self.cookie);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The processes of a test that are still there after 20 s, in words. Not longer on slow machines: most helpers end by themselves after a minute.
pub(crate) fn remaining_holders(cookie: &str) -> Option<String> {
    let end = Instant::now() + Duration::from_secs(PATIENCE);
    loop {
        let holders = cookie_holders(cookie);
        if holders.is_empty() {
            return None;
        }
        if Instant::now() >= end {
            let show = |pid: &u32| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " "))
            };
            return Some(format!("processes left behind:\n  {}", holders.iter().map(show).collect::<Vec<_>>().join("\n  ")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Fails when a process of the test is still there after 20 s.
pub(crate) fn assert_no_holder(name: &str, cookie: &str) {
    if let Some(left) = remaining_holders(cookie) {
        panic!("{name}: {left}");
    }
}

/// Runs a test inside this process, beside others: fresh folder, watchdog, no process with its cookie left at the end.
///
/// Descriptors and threads cannot be compared here; [`isolated`](super::isolated) does that.
pub fn run<R>(name: &str, body: impl FnOnce(&Test) -> R) -> R {
    let cookie = fresh_cookie();
    let folder = fresh_folder(&cookie);
    let _clean = CleanUp { folder: folder.clone(), cookie: cookie.clone() };
    let _watchdog = Watchdog::start(name, watchdog::test_limit(watchdog::SECONDS), &cookie);
    let result = body(&Test::new(name, "", folder, cookie.clone()));
    assert_no_holder(name, &cookie);
    result
}
