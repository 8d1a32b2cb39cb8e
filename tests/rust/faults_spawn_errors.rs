//! Fault rows A07 to A11: what cannot be started says exactly why, and nothing else is started instead.

mod common;

use common::child;
use procs::{Command, Error, ErrorKind, Stage, Stdio};
use procs_tests::{Isolation, Test, host, isolated, isolated_in, root};
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn refused(mut command: Command) -> Error {
    match command.output() {
        Ok(output) => panic!("{command:?} ran: {output:?}"),
        Err(error) => error,
    }
}

fn assert_exact(name: &str, command: Command, (stage, errno): (Stage, i32)) -> Error {
    let error = refused(command);
    assert_eq!((error.stage(), error.os_error()), (Some(stage), Some(errno)), "{name}: {error:?}");
    assert_eq!(error.operation(), "spawn", "{name}");
    error
}

fn file(t: &Test, name: &str, mode: u32, text: &str) -> std::path::PathBuf {
    let path = t.dir().join(name);
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
    path
}

#[test]
fn a07_every_cause_is_told_apart() {
    isolated("a07_every_cause_is_told_apart", |t| {
        let dir = t.dir();
        let missing = dir.join("missing");
        let plain = file(t, "plain", 0o644, "#!/bin/sh\n");
        let error = assert_exact("missing program", Command::new(&missing), (Stage::Exec, libc::ENOENT));
        assert_eq!((error.kind(), error.path()), (ErrorKind::NotFound, Some(missing.as_path())));
        let with_dir = |path: &Path| {
            let mut command = child(&["exit", "0"]);
            command.current_dir(path);
            command
        };
        let error = assert_exact("missing directory", with_dir(&missing), (Stage::Directory, libc::ENOENT));
        assert_eq!((error.kind(), error.path()), (ErrorKind::NotFound, Some(missing.as_path())));
        assert_exact("directory is a file", with_dir(&plain), (Stage::Directory, libc::ENOTDIR));
        assert_exact("program is a directory", Command::new(dir), (Stage::Exec, libc::EACCES));
        let error = assert_exact("not executable", Command::new(&plain), (Stage::Exec, libc::EACCES));
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let script = t.script("bad-interpreter", "#!/missing/interpreter -x\n");
        let error = assert_exact("bad interpreter", Command::new(&script), (Stage::Exec, libc::ENOENT));
        assert!(error.to_string().contains("\"/missing/interpreter\""), "{error}");
        assert_exact("no format", Command::new(t.script("no-format", "echo pwned\n")), (Stage::Exec, libc::ENOEXEC));
        let open = OpenOptions::new().write(true).open(t.script("busy", "#!/bin/sh\n")).expect("the script");
        assert_exact("open for writing", Command::new(dir.join("busy")), (Stage::Exec, libc::ETXTBSY));
        drop(open);
        symlink("loop", dir.join("loop")).expect("a link");
        assert_exact("a loop of links", Command::new(dir.join("loop")), (Stage::Exec, libc::ELOOP));
        let long = format!("/{}", "x".repeat(300));
        assert_eq!(assert_exact("a long name", Command::new(long), (Stage::Exec, libc::ENAMETOOLONG)).kind(), ErrorKind::TooLarge);
        assert_exact("a large argument", child(&["echo", &"x".repeat(131_072)]), (Stage::Exec, libc::E2BIG));
        let mut command = child(&["exit", "0"]);
        command.env("LARGE", "x".repeat(3 << 20));
        assert_exact("a large variable", command, (Stage::Exec, libc::E2BIG));
        assert_exact("an empty name", Command::new(""), (Stage::Prepare, libc::EINVAL));
    });
}

#[test]
fn a07_a_closed_directory() {
    isolated_in("a07_a_closed_directory", &Isolation::new().nobody(), |t| {
        let closed = t.dir().join("closed");
        fs::create_dir(&closed).expect("a folder");
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).expect("its mode");
        let mut command = child(&["exit", "0"]);
        command.current_dir(&closed);
        let error = assert_exact("a closed directory", command, (Stage::Directory, libc::EACCES));
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("its mode");
    });
}

/// What a case does to a command.
type Change = fn(&mut Command);

#[test]
fn a08_no_shell_for_a_file_without_a_format() {
    isolated("a08_no_shell_for_a_file_without_a_format", |t| {
        let marker = t.dir().join("pwned");
        let path = t.script("no-format", &format!("echo pwned > {}\n", marker.display()));
        let ways: [(&str, Change); 6] = [
            ("plain", |_| {}),
            ("with a directory", |command| {
                command.current_dir("/");
            }),
            ("with a session", |command| {
                command.new_session(true);
            }),
            ("with limits", |command| {
                command.umask(0o77).nice(1).limit(procs::Resource::Core, Some(0), Some(0));
            }),
            ("with another user", |command| {
                command.groups(&[]).gid(0).uid(0);
            }),
            ("on another thread", |command| {
                command.offload(true);
            }),
        ];
        for (name, set) in ways {
            let mut command = Command::new(&path);
            set(&mut command);
            assert_exact(name, command, (Stage::Exec, libc::ENOEXEC));
            let mut command = Command::new("no-format");
            command.env("PATH", t.dir());
            set(&mut command);
            assert_exact(name, command, (Stage::Exec, libc::ENOEXEC));
        }
        assert!(!marker.exists(), "a shell ran the file");
    });
}

#[test]
fn a09_sizes_are_the_kernels() {
    isolated("a09_sizes_are_the_kernels", |_| {
        let largest = "x".repeat(131_071);
        let output = child(&["argv", &largest]).output().expect("the largest argument");
        assert_eq!(output.stdout.len(), 131_072);
        let tells_limit = |error: Error| assert!(error.to_string().contains("128 KiB") && error.to_string().contains("stack limit"), "{error}");
        tells_limit(assert_exact("one too large", child(&["argv", &format!("{largest}x")]), (Stage::Exec, libc::E2BIG)));
        let mut command = child(&["argv"]);
        command.args(vec!["x".repeat(64); 40_000]);
        tells_limit(assert_exact("too many", command, (Stage::Exec, libc::E2BIG)));
        let mut command = child(&["argv"]);
        command.envs((0..30).map(|index| (format!("LARGE{index}"), "x".repeat(100 << 10))));
        tells_limit(assert_exact("3 MiB of variables", command, (Stage::Exec, libc::E2BIG)));
    });
}

fn bad_inputs() -> Vec<(&'static str, Command)> {
    let mut list: Vec<(&'static str, Command)> = vec![
        ("program is empty", Command::new("")),
        ("program contains a NUL byte", Command::new("/bin/tr\0ue")),
        ("argument contains a NUL byte", child(&["echo", "a\0b"])),
    ];
    let mut with = |field, set: fn(&mut Command)| {
        let mut command = child(&["exit", "0"]);
        set(&mut command);
        list.push((field, command));
    };
    with("argument vector is empty", |command| {
        command.raw_argv::<_, &str>([]);
    });
    with("argument contains a NUL byte", |command| {
        command.arg0("a\0b");
    });
    with("environment name is empty", |command| {
        command.env("", "value");
    });
    with("environment name is empty or contains '='", |command| {
        command.env("A=B", "value");
    });
    with("environment name contains a NUL byte", |command| {
        command.env("A\0B", "value");
    });
    with("environment value contains a NUL byte", |command| {
        command.env("A", "a\0b");
    });
    with("environment name is empty", |command| {
        command.env_remove("");
    });
    with("current_dir contains a NUL byte", |command| {
        command.current_dir("/tmp\0");
    });
    with("path contains a NUL byte", |command| {
        command.stdout(Stdio::write_file("/tmp/a\0b"));
    });
    list
}

#[test]
fn a10_bad_input_starts_nothing() {
    isolated("a10_bad_input_starts_nothing", |t| {
        child(&["exit", "0"]).output().expect("a good start");
        // The rules change nothing; they make strace write down each call.
        let watch = ["clone3:delay_enter=1", "clone:delay_enter=1", "fork:delay_enter=1", "vfork:delay_enter=1"];
        let inputs = bad_inputs();
        assert!(inputs.len() >= 10);
        t.inject(&watch, || {
            for (field, command) in inputs {
                let error = refused(command);
                let found = (error.kind(), error.os_error(), error.stage());
                assert_eq!(found, (ErrorKind::InvalidArgument, Some(libc::EINVAL), Some(Stage::Prepare)), "{field}: {error:?}");
                assert!(error.to_string().contains(field), "the message does not say {field:?}: {error}");
            }
        });
        assert!(!t.injection_log().contains("clone"), "a process was started:\n{}", t.injection_log());
        t.inject(&watch, || child(&["exit", "0"]).output().expect("a good start"));
        assert!(t.injection_log().contains("clone3("), "strace did not see a good start");
    });
}

/// Runs `tool` with this PATH in a folder full of traps, and gives what it printed.
fn search(t: &Test, path: Option<&str>) -> Result<Vec<u8>, Error> {
    let mut command = Command::new("tool");
    command.current_dir(t.dir());
    match path {
        Some(path) => command.env("PATH", path),
        None => command.env_remove("PATH"),
    };
    command.output().map(|output| output.stdout.into_vec())
}

#[test]
fn a11_no_program_from_the_directory_it_starts_in() {
    isolated("a11_no_program_from_the_directory_it_starts_in", |t| {
        for folder in ["bin", "good", "other"] {
            fs::create_dir(t.dir().join(folder)).expect("a folder");
            t.script(&format!("{folder}/tool"), &format!("#!/bin/sh\necho {folder}\n"));
        }
        t.script("tool", "#!/bin/sh\necho evil\n");
        std::env::set_current_dir(t.dir()).expect("the folder");
        let good = t.dir().join("good").display().to_string();
        for path in [":", "", ".", "bin", "..", "./bin:.", "::"] {
            let error = search(t, Some(path)).expect_err("only traps");
            assert_eq!((error.stage(), error.os_error()), (Some(Stage::Exec), Some(libc::ENOENT)), "{path:?}: {error:?}");
        }
        for path in [format!(":{good}"), format!(".:{good}"), format!("bin:{good}:"), format!("{good}/missing:{good}")] {
            assert_eq!(search(t, Some(&path)).expect("an absolute entry"), b"good\n", "{path:?}");
        }
        assert!(search(t, None).is_err(), "without PATH only the system's folders are searched");
        // The PATH that counts is the child's own, given here; the host's says otherwise.
        host::set_env("PATH", &t.dir().join("bin").display().to_string());
        assert_eq!(search(t, Some(&good)).expect("the child's PATH"), b"good\n");
    });
}

#[test]
fn a11_a_relative_program_is_the_hosts() {
    isolated("a11_a_relative_program_is_the_hosts", |t| {
        fs::create_dir(t.dir().join("elsewhere")).expect("a folder");
        t.script("elsewhere/tool", "#!/bin/sh\necho child\n");
        t.script("tool", "#!/bin/sh\necho host\n");
        std::env::set_current_dir(t.dir()).expect("the folder");
        let run = |after| {
            let mut command = Command::new("./tool");
            command.current_dir("elsewhere").program_after_chdir(after);
            command.output().expect("a run").stdout.into_vec()
        };
        assert_eq!(run(false), b"host\n");
        assert_eq!(run(true), b"child\n");
        let mut command = Command::new("tool");
        command.env("PATH", ":elsewhere").allow_relative_path(true).current_dir("elsewhere");
        assert_eq!(command.output().expect("a run").stdout, b"child\n", "relative entries are the child's when asked for");
    });
}

#[test]
fn a26_only_one_place_makes_a_shell() {
    let core = root().join("core/src");
    let mut found = Vec::new();
    let mut todo = vec![core];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).expect("the sources").flatten() {
            let path = entry.path();
            if path.ends_with("tests") || path.to_string_lossy().ends_with("tests.rs") {
                continue;
            }
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let code = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
                found.extend(code.filter(|line| line.contains("bin/sh") || line.contains("\"sh\"")).map(str::to_owned));
            }
        }
    }
    assert_eq!(found, ["let mut command = Command::new(\"/bin/sh\");"], "the only shell is Command::shell's");
    assert!(File::open(root().join("core/src/spawn/command.rs")).is_ok());
}
