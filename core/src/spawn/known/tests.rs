//! Starts of programs that were executed before, and of files that have changed since.

use super::{CAPACITY, KNOWN, SETTLED};
use crate::error::{Error, ErrorKind, Stage};
use crate::spawn::{Child, Command, Stdio};
use crate::sys::file_state::FileState;
use parking_lot::{Mutex, MutexGuard};
use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One test at a time: they share what is remembered.
static ALONE: Mutex<()> = Mutex::new(());

/// A folder of one test, removed with it.
struct Scratch(PathBuf, #[allow(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("procs-known-{}-{name}", std::process::id()));
        let alone = ALONE.lock();
        fs::create_dir(&folder).expect("a folder");
        Scratch(folder, alone)
    }

    /// A file with this text or copied from there, executable, once its times will not serve another state of it.
    fn program(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("written");
        set_mode(&path, 0o755);
        settle(&path);
        path
    }

    fn copy(&self, name: &str, of: &str) -> PathBuf {
        self.program(name, &fs::read(of).expect("a program"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// Waits until the file can be remembered.
fn settle(path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    while !FileState::of(&name).expect("a file").unchanged_for(SETTLED) {
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn knows(path: &Path) -> bool {
    KNOWN.get().lock().iter().any(|program| program.is_at(path))
}

fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).wait_for_exec_unless_known();
    command
}

fn is_unwaited(child: &Child) -> bool {
    child.handle().core.is_unwaited()
}

/// Starts it twice; the second start is not waited for.
fn make_known(program: &Path) {
    let mut first = quiet(program).spawn().expect("a start");
    assert!(!is_unwaited(&first), "nothing was known of it");
    assert!(first.wait().expect("an end").success());
    let mut second = quiet(program).spawn().expect("a start");
    assert!(is_unwaited(&second), "it was executed before");
    assert!(second.wait().expect("an end").success());
}

/// The start is waited for, and fails.
fn refused(program: &Path) -> Error {
    quiet(program).spawn().expect_err("it cannot be executed")
}

/// The start is not waited for, and why the program was not executed is told by the wait.
fn fails_late(program: &Path) -> Error {
    let mut child = quiet(program).spawn().expect("a start");
    assert!(is_unwaited(&child));
    child.wait().expect_err("it cannot be executed")
}

#[test]
fn a_program_that_was_executed_before_is_not_waited_for() {
    let scratch = Scratch::new("hit");
    let program = scratch.copy("program", "/bin/cat");
    make_known(&program);
    let mut command = quiet(&program);
    command.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("a start");
    assert!(is_unwaited(&child));
    // Streams are there at once.
    std::io::Write::write_all(child.stdin.as_mut().expect("a pipe"), b"early").expect("written");
    child.stdin = None;
    let mut text = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("read");
    assert_eq!(text, "early");
    assert!(child.wait().expect("an end").success());
}

#[test]
fn a_program_found_in_path_is_known_by_its_file() {
    let scratch = Scratch::new("path");
    scratch.copy("program-of-path", "/bin/true");
    let start = || {
        let mut command = quiet(Path::new("program-of-path"));
        command.env("PATH", format!("/nowhere:{}", scratch.0.display()));
        command.spawn().expect("a start")
    };
    let mut first = start();
    assert!(!is_unwaited(&first));
    assert!(first.wait().expect("an end").success());
    let mut second = start();
    assert!(is_unwaited(&second));
    assert!(second.wait().expect("an end").success());
}

#[test]
fn a_file_that_has_changed_is_waited_for_again() {
    let scratch = Scratch::new("changed");
    let program = scratch.copy("program", "/bin/true");
    make_known(&program);
    scratch.program("program", b"no program");
    assert_eq!(refused(&program).os_error(), Some(libc::ENOEXEC));
    scratch.copy("program", "/bin/true");
    make_known(&program);
    set_mode(&program, 0o644);
    assert_eq!(refused(&program).os_error(), Some(libc::EACCES));
    set_mode(&program, 0o755);
    settle(&program);
    make_known(&program);
    fs::remove_file(&program).expect("removed");
    assert_eq!(refused(&program).kind(), ErrorKind::NotFound);
    scratch.copy("program", "/bin/true");
    make_known(&program);
    fs::remove_file(&program).expect("removed");
    fs::create_dir(&program).expect("a folder");
    assert_eq!(refused(&program).os_error(), Some(libc::EACCES));
}

#[test]
fn a_file_that_was_written_just_now_is_not_remembered() {
    let scratch = Scratch::new("young");
    let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    let young = (0..100).map(|round| scratch.0.join(round.to_string())).any(|program| {
        fs::copy("/bin/true", &program).expect("a copy");
        assert!(quiet(&program).spawn().and_then(|mut child| child.wait()).expect("a run").success());
        // On a machine that stands still meanwhile it is not young any more.
        let young = !FileState::of(&name(&program)).expect("a file").unchanged_for(SETTLED);
        assert!(!(young && knows(&program)));
        young
    });
    assert!(young, "no run was quick enough");
}

#[test]
fn a_known_program_that_is_busy_is_reported_by_the_wait_and_forgotten() {
    let scratch = Scratch::new("busy");
    let program = scratch.copy("program", "/bin/true");
    make_known(&program);
    // Opening it changes none of its times.
    let writer = fs::OpenOptions::new().append(true).open(&program).expect("a writer");
    let error = fails_late(&program);
    assert_eq!((error.stage(), error.os_error()), (Some(Stage::Exec), Some(libc::ETXTBSY)), "{error}");
    assert_eq!(error.path(), Some(program.as_path()));
    assert!(!knows(&program));
    assert_eq!(refused(&program).os_error(), Some(libc::ETXTBSY));
    drop(writer);
    make_known(&program);
}

#[test]
fn a_known_script_whose_interpreter_is_gone_is_reported_by_the_wait() {
    let scratch = Scratch::new("script");
    let interpreter = scratch.copy("interpreter", "/bin/true");
    let script = scratch.program("script", format!("#!{}\n", interpreter.display()).as_bytes());
    make_known(&script);
    fs::remove_file(&interpreter).expect("removed");
    let error = fails_late(&script);
    assert_eq!((error.stage(), error.kind()), (Some(Stage::Exec), ErrorKind::NotFound), "{error}");
    assert_eq!(refused(&script).kind(), ErrorKind::NotFound);
}

#[test]
fn a_start_that_asks_for_more_is_waited_for() {
    let scratch = Scratch::new("plain");
    let program = scratch.copy("program", "/bin/true");
    make_known(&program);
    let large = "x".repeat(super::SMALL);
    let changes: [&dyn Fn(&mut Command); 6] = [
        &|command| {
            command.current_dir("/");
        },
        &|command| {
            command.new_session(true);
        },
        &|command| {
            command.fd(3, Stdio::null());
        },
        &|command| {
            command.umask(0o22);
        },
        &|command| {
            command.arg(&large);
        },
        &|command| {
            command.env("LARGE", &large);
        },
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut command = quiet(&program);
        change(&mut command);
        let mut child = command.spawn().expect("a start");
        assert!(!is_unwaited(&child), "change {index}");
        assert!(child.wait().expect("an end").success());
    }
}

#[test]
fn only_so_many_programs_are_remembered() {
    let scratch = Scratch::new("many");
    let source = scratch.copy("source", "/bin/true");
    for index in 0..CAPACITY + 8 {
        let program = scratch.0.join(index.to_string());
        fs::hard_link(&source, &program).expect("a link");
    }
    settle(&source);
    for index in 0..CAPACITY + 8 {
        let mut child = quiet(&scratch.0.join(index.to_string())).spawn().expect("a start");
        assert!(child.wait().expect("an end").success());
    }
    assert!(KNOWN.get().lock().len() <= CAPACITY);
}

#[test]
fn starts_from_many_threads_with_failures_between_them_leave_nothing_behind() {
    let scratch = Scratch::new("mixed");
    let good = scratch.copy("good", "/bin/true");
    let flickering = scratch.copy("flickering", "/bin/true");
    let start = |round: usize| {
        let program = if round.is_multiple_of(3) { &flickering } else { &good };
        match quiet(program).spawn().and_then(|mut child| child.wait()) {
            Ok(status) => assert!(status.success(), "{status}"),
            Err(error) => assert!(program == &flickering && error.stage() == Some(Stage::Exec), "{error}"),
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..250).for_each(start));
        }
        scope.spawn(|| {
            for round in 0..60 {
                set_mode(&flickering, [0o644, 0o755][round % 2]);
                start(1);
            }
        });
    });
    assert!(quiet(&good).spawn().and_then(|mut child| child.wait()).expect("a run").success());
}
