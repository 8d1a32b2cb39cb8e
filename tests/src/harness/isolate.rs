//! A test in a process of its own: for everything process-wide, and for a leak check that means something.

use super::test::{CleanUp, Test, assert_no_holder, fresh_cookie, fresh_folder};
use super::watchdog;
use crate::workspace::{helper, tool};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const OUTER: &str = "LP_TEST_OUTER";
const NAME: &str = "LP_TEST_NAME";
const PARAM: &str = "LP_TEST_PARAM";
const FOLDER: &str = "LP_TEST_FOLDER";
const COOKIE: &str = "LP_TEST";

/// How the fresh process differs from this one.
#[derive(Clone, Debug)]
pub struct Isolation {
    param: String,
    seconds: u64,
    prefix: Vec<OsString>,
    inject: Vec<String>,
    inject_path: Option<PathBuf>,
    env: Vec<(OsString, OsString)>,
    nobody: bool,
}

impl Default for Isolation {
    fn default() -> Isolation {
        Isolation::new()
    }
}

impl Isolation {
    /// The same user, no injection, 60 s.
    pub fn new() -> Isolation {
        Isolation {
            param: String::new(),
            seconds: watchdog::SECONDS,
            prefix: Vec::new(),
            inject: Vec::new(),
            inject_path: None,
            env: Vec::new(),
            nobody: false,
        }
    }

    /// Names one case of a test that calls [`isolated_in`] in a loop; the body reads it with [`Test::param`].
    pub fn param(mut self, case: impl Into<String>) -> Isolation {
        self.param = case.into();
        self
    }

    /// Seconds (times `PROCS_TEST_SLOW`, and ten times that with the full counts) until the test counts as hung.
    pub fn watchdog(mut self, seconds: u64) -> Isolation {
        self.seconds = seconds;
        self
    }

    /// An environment variable of the process.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Isolation {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Runs the whole process under `strace --seccomp-bpf` with this injection, such as `clone3:error=ENOSYS`. Counters (`when=`) start
    /// with the process; [`Test::inject`] is the exact way. Source: strace(1), -e inject.
    pub fn inject(mut self, rule: impl Into<String>) -> Isolation {
        self.inject.push(rule.into());
        self
    }

    /// Limits the injection to calls that name this path, exactly as it is passed to them.
    pub fn inject_on_path(mut self, path: impl Into<PathBuf>) -> Isolation {
        self.inject_path = Some(path.into());
        self
    }

    /// Runs the process as user and group 65534 without groups and capabilities: root is exempt from several limits.
    pub fn nobody(mut self) -> Isolation {
        self.nobody = true;
        self
    }

    /// Runs the process as number 1 of a pid namespace of its own.
    pub fn as_pid1(mut self) -> Isolation {
        self.prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"].map(OsString::from).to_vec();
        self
    }

    /// The command line in front of the test binary.
    fn wrapping(&self, base: &Path) -> Vec<OsString> {
        let mut words = self.prefix.clone();
        if !self.inject.is_empty() {
            words.extend(["strace", "-f", "-qq", "--seccomp-bpf", "-o"].map(OsString::from));
            words.push(base.join("strace.log").into());
            words.extend(injection_args(&self.inject));
            if let Some(path) = &self.inject_path {
                words.extend([OsString::from("-P"), path.clone().into()]);
            }
        }
        if self.nobody {
            let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
            words.extend(as_nobody.map(OsString::from));
        }
        words
    }
}

/// The options of strace for these rules.
pub(crate) fn injection_args(rules: &[String]) -> Vec<OsString> {
    let calls: Vec<&str> = rules.iter().map(|rule| rule.split(':').next().unwrap_or_default()).collect();
    let mut args = vec![OsString::from("-e"), OsString::from(format!("trace={}", calls.join(",")))];
    for rule in rules {
        args.extend([OsString::from("-e"), OsString::from(format!("inject={rule}"))]);
    }
    args
}

/// Runs a test in a fresh process; `name` is the full path of the test function (`module::function`).
pub fn isolated(name: &str, body: impl FnOnce(&Test)) {
    isolated_in(name, &Isolation::new(), body);
}

/// Runs a test in a fresh process that differs as told. May be called several times in one test with different parameters.
///
/// The process is this test binary, asked for exactly this test. It is a fault if it leaves a descriptor, thread, child, process or
/// hangs, and also if it did not run the body exactly once.
pub fn isolated_in(name: &str, how: &Isolation, body: impl FnOnce(&Test)) {
    match std::env::var(NAME) {
        Ok(inner) if inner == name && started_by_outer() => {
            // Another case of the same test has a process of its own.
            if std::env::var(PARAM).unwrap_or_default() == how.param {
                inner_part(name, how, body);
            }
        }
        _ => outer_part(name, how),
    }
}

/// Whether the process named by the variable is an ancestor, or hidden behind a pid namespace: the variable alone may be inherited.
fn started_by_outer() -> bool {
    let outer: u32 = std::env::var(OUTER).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut pid = std::process::id();
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        match parent {
            0 => return std::process::id() == 1,
            found if found == outer => return true,
            other => pid = other,
        }
    }
}

fn inner_part(name: &str, how: &Isolation, body: impl FnOnce(&Test)) {
    let base = PathBuf::from(std::env::var_os(FOLDER).expect("the outer process names the folder"));
    let cookie = std::env::var(COOKIE).expect("the outer process gives a cookie");
    let mut marker = OpenOptions::new().append(true).open(base.join("ran")).expect("the marker that the outer process made");
    marker.write_all(b"x").expect("a byte for the marker");
    drop(marker);
    let test = Test::new(name, &how.param, base.join("work"), cookie);
    body(&test);
    test.assert_nothing_leaked();
}

fn outer_part(name: &str, how: &Isolation) {
    let cookie = fresh_cookie();
    let base = fresh_folder(&cookie);
    let _clean = CleanUp { folder: base.clone(), cookie: cookie.clone() };
    let shown = if how.param.is_empty() { name.to_owned() } else { format!("{name} [{}]", how.param) };
    prepare(&base);
    let mut command = command_for(name, how, &base);
    command.env(COOKIE, &cookie);
    let (status, hung) = watchdog::watch(command, watchdog::test_limit(how.seconds), &cookie);
    let output = fs::read(base.join("output")).unwrap_or_default();
    let output = String::from_utf8_lossy(&output);
    if let Some(stacks) = hung {
        panic!("{shown}: did not end within {} s\n{output}\n{stacks}", how.seconds);
    }
    assert!(status.success(), "{shown}: {status} in its own process\n{output}");
    let runs = fs::read(base.join("ran")).map_or(0, |marks| marks.len());
    assert!(runs == 1, "{shown}: the body ran {runs} times: is the name the full path of the test?\n{output}");
    assert_no_holder(&shown, &cookie);
}

/// Makes what the inner process uses; open to all users, because it may run as nobody.
fn prepare(base: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir(base.join("work")).expect("the test's folder");
    for file in ["ran", "output"] {
        File::create(base.join(file)).expect("a file for the inner process");
        fs::set_permissions(base.join(file), fs::Permissions::from_mode(0o666)).expect("mode of a file just made");
    }
    fs::set_permissions(base.join("work"), fs::Permissions::from_mode(0o777)).expect("mode of a folder just made");
}

fn command_for(name: &str, how: &Isolation, base: &Path) -> Command {
    let (mut program, mut child) = (std::env::current_exe().expect("a running program has a path"), helper());
    if how.nobody {
        program = copy_for_nobody(&program, base);
        child = copy_for_nobody(&child, base);
    }
    let mut words = how.wrapping(base);
    if let Some(first) = words.first() {
        tool(first.to_str().expect("names of tools are text"));
    }
    words.push(program.into());
    words.extend(["--exact", name, "--nocapture", "--test-threads=1", "--include-ignored"].map(OsString::from));
    let output = OpenOptions::new().append(true).open(base.join("output")).expect("the output file just made");
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).envs(how.env.iter().map(|(key, value)| (key, value)));
    command.env(OUTER, std::process::id().to_string()).env(NAME, name).env(PARAM, &how.param).env(FOLDER, base);
    command.env("PROCS_TEST_CHILD", child).current_dir(base.join("work"));
    command.stdin(Stdio::null()).stdout(output.try_clone().expect("a second descriptor")).stderr(output);
    command
}

/// A copy that other users may execute, whatever the modes of the folders above the build.
fn copy_for_nobody(program: &Path, base: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let copy = base.join(program.file_name().expect("a program has a name"));
    fs::copy(program, &copy).expect("a copy of the program");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("mode of a file just copied");
    copy
}
