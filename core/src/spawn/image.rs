//! Program, arguments, environment and directory of a command, checked and copied into an image.

use super::command::{Command, EnvChange, ExecWait};
use crate::error::{Error, Result, Stage};
use crate::sys::environ::{self, Pass};
use crate::sys::exec::Image;
use crate::sys::inherit;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where a bare name is searched when the child has no PATH. Source: confstr(3), `_CS_PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Variables that are meant for the process that got them, not for its children.
const CONTROL: [&[u8]; 10] = [
    b"LISTEN_PID",
    b"LISTEN_FDS",
    b"LISTEN_FDNAMES",
    b"NOTIFY_SOCKET",
    b"WATCHDOG_PID",
    b"WATCHDOG_USEC",
    b"NODE_CHANNEL_FD",
    b"NODE_CHANNEL_SERIALIZATION_MODE",
    b"NODE_UNIQUE_ID",
    b"PROCS_CHANNEL_FD",
];

fn is_control(name: &[u8]) -> bool {
    CONTROL.contains(&name)
}

/// Variables that announce a channel: they say something false once it was taken, because its descriptor is not inherited any more.
fn announces_channel(name: &[u8]) -> bool {
    [b"PROCS_CHANNEL_FD".as_slice(), b"NODE_CHANNEL_FD", b"NODE_CHANNEL_SERIALIZATION_MODE"].contains(&name)
}

fn refuse(detail: String) -> Error {
    Error::invalid("spawn", detail).with_stage(Stage::Prepare)
}

fn no_nul(what: &str, value: &OsStr) -> Result<()> {
    if memchr::memchr(0, value.as_bytes()).is_some() {
        return Err(refuse(format!("{what} contains a NUL byte ({what} = {value:?}, expected none)")));
    }
    Ok(())
}

/// Fills the image; nothing has happened when it fails.
pub(super) fn fill(image: &mut Image, command: &Command) -> Result<()> {
    if command.program.is_empty() {
        return Err(refuse("program is empty (program = \"\", expected a name or path)".into()));
    }
    no_nul("program", &command.program)?;
    if command.argv().is_empty() {
        return Err(refuse("argument vector is empty (argv = [], expected at least argument 0)".into()));
    }
    for arg in command.argv() {
        no_nul("argument", arg)?;
        image.arg(arg.as_bytes());
    }
    let path = environment(image, command)?;
    candidates(image, command, path.as_deref())?;
    if let Some(dir) = &command.current_dir {
        no_nul("current_dir", dir.as_os_str())?;
        image.cwd(dir.as_os_str().as_bytes());
    }
    Ok(())
}

/// Which inherited variables the command passes on.
pub(super) fn passed_on(command: &Command) -> Pass {
    match (command.start.keep_control_env, inherit::taken()) {
        (false, _) => Pass::AllBut(is_control),
        (true, true) => Pass::AllButTaken(announces_channel),
        (true, false) => Pass::All,
    }
}

/// Writes the child's environment; gives its PATH.
fn environment(image: &mut Image, command: &Command) -> Result<Option<Vec<u8>>> {
    if command.env.is_empty()
        && !command.env_clear
        && let Some(snapshot) = command.start.env_snapshot.clone().or_else(|| environ::snapshot(passed_on(command)))
    {
        let searched = !command.program.as_bytes().contains(&b'/');
        let path = snapshot.path().filter(|_| searched).map(<[u8]>::to_vec);
        // The kernel may read the strings after the start has returned, when the host may change them.
        if command.start.exec_wait != ExecWait::Always && command.start.env_snapshot.is_none() {
            snapshot.strings().for_each(|variable| image.variable(variable));
        } else {
            image.inherit(snapshot);
        }
        return Ok(path);
    }
    let mut path = None;
    let changes = final_changes(&command.env)?;
    if !command.env_clear {
        for (key, value) in environ::copy() {
            if passed_on(command).hides(&key) || changes.contains_key(key.as_slice()) {
                continue;
            }
            image.env(&key, &value);
            if key == b"PATH" && path.is_none() {
                path = Some(value);
            }
        }
    }
    for (index, change) in command.env.iter().enumerate() {
        let EnvChange::Set(key, value) = change else { continue };
        if changes.get(key.as_bytes()) != Some(&index) {
            continue;
        }
        if key == "PATH" {
            path = Some(value.as_bytes().to_vec());
        }
        image.env(key.as_bytes(), value.as_bytes());
    }
    Ok(path)
}

/// For each name the index of the change that counts: the last.
fn final_changes(changes: &[EnvChange]) -> Result<HashMap<&[u8], usize>> {
    let mut last = HashMap::new();
    for (index, change) in changes.iter().enumerate() {
        let key = match change {
            EnvChange::Set(key, value) => {
                no_nul("environment value", value)?;
                key
            }
            EnvChange::Remove(key) => key,
        };
        no_nul("environment name", key)?;
        if key.is_empty() || key.as_bytes().contains(&b'=') {
            return Err(refuse(format!("environment name is empty or contains '=' (name = {key:?}, expected a plain name)")));
        }
        last.insert(key.as_bytes(), index);
    }
    Ok(last)
}

/// The paths to try, in order.
fn candidates(image: &mut Image, command: &Command, path: Option<&[u8]>) -> Result<()> {
    let program = command.program.as_bytes();
    if program.contains(&b'/') {
        let after_chdir = command.start.program_after_chdir || command.current_dir.is_none();
        if program[0] == b'/' || after_chdir {
            image.candidate(&[program]);
        } else {
            let here = std::env::current_dir()
                .map_err(|error| Error::from_io("spawn", &error, "cannot find the host's directory").with_stage(Stage::Prepare))?;
            image.candidate(&[here.as_os_str().as_bytes(), b"/", program]);
        }
        return Ok(());
    }
    let mut any = false;
    for dir in path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':') {
        if dir.first() == Some(&b'/') {
            image.candidate(&[dir, b"/", program]);
        } else if command.start.allow_relative_path && dir.is_empty() {
            image.candidate(&[program]);
        } else if command.start.allow_relative_path {
            image.candidate(&[dir, b"/", program]);
        } else {
            continue;
        }
        any = true;
    }
    if any {
        return Ok(());
    }
    let detail = format!("cannot find program: PATH has no absolute entry (program = {:?})", command.program);
    Err(Error::from_os("spawn", libc::ENOENT, detail).with_stage(Stage::Exec).with_path(Path::new(&command.program)))
}

#[cold]
/// What a failed start says, with the argument that caused it.
pub(super) fn explain(command: &Command, stage: Stage, error: &std::io::Error) -> Error {
    let program = Path::new(&command.program);
    let errno = error.raw_os_error().unwrap_or(0);
    let text = match stage {
        Stage::Exec => format!("cannot execute program (program = {:?}){}", command.program, exec_hint(program, errno)),
        Stage::Directory => format!("cannot enter directory (current_dir = {:?})", command.current_dir.as_deref().unwrap_or(Path::new(""))),
        Stage::Clone => format!("cannot start a process{}", clone_hint(errno)),
        Stage::Descriptors => {
            format!(
                "cannot place descriptors (fds = {:?}, expected below RLIMIT_NOFILE)",
                command.stdio.iter().map(|entry| entry.0).collect::<Vec<_>>()
            )
        }
        Stage::Terminal => {
            format!("cannot take the terminal (controlling_tty = {:?}, foreground = {:?})", command.start.controlling_tty, command.start.foreground)
        }
        Stage::ParentDeath => format!("cannot arm the parent-death signal (parent_death_signal = {:?})", command.start.die_with_parent.unwrap_or(0)),
        Stage::ProcessGroup => format!("cannot set the process group (process_group = {:?})", command.start.process_group.unwrap_or(0)),
        Stage::Limits => format!("cannot set a resource limit (limits = {:?})", command.start.limits),
        Stage::Nice => format!("cannot set the nice value (nice = {})", command.start.nice.unwrap_or(0)),
        Stage::Affinity => format!("cannot set the CPU affinity (affinity = {:?})", command.start.affinity.as_deref().unwrap_or(&[])),
        Stage::Groups => format!("cannot set the groups (groups = {:?})", command.start.groups.as_deref().unwrap_or(&[])),
        Stage::Gid => format!("cannot set the group id (gid = {})", command.start.gid.unwrap_or(0)),
        Stage::Uid => format!("cannot set the user id (uid = {})", command.start.uid.unwrap_or(0)),
        other => format!("failed at step {}", other.name()),
    };
    let mut failure = Error::from_os("spawn", errno, text).with_stage(stage);
    failure = match stage {
        Stage::Directory => failure.with_path(command.current_dir.clone().unwrap_or_default()),
        _ => failure,
    };
    if stage == Stage::Exec { failure.with_path(program) } else { failure }
}

/// Why an exec of an existing file says "not found", and which limit is behind "too large".
fn exec_hint(program: &Path, errno: i32) -> String {
    match errno {
        libc::ENOENT => interpreter(program).map_or(String::new(), |name| format!(", its interpreter {name:?} does not exist")),
        libc::ENOEXEC => ", it is neither a binary for this machine nor has it a #! line; no shell is tried".into(),
        libc::E2BIG => ", one argument or variable is 128 KiB or more, or all together exceed a quarter of the stack limit".into(),
        libc::ETXTBSY => ", the file is open for writing".into(),
        _ => String::new(),
    }
}

/// The interpreter named on the first line of a script.
fn interpreter(program: &Path) -> Option<String> {
    use std::io::Read;
    // A bare name was searched in PATH, not here; and opening anything but a file might block.
    if !program.as_os_str().as_bytes().contains(&b'/') || !program.metadata().ok()?.is_file() {
        return None;
    }
    let mut head = [0; 256];
    let count = std::fs::File::open(program).ok()?.read(&mut head).ok()?;
    let line = head[..count].split(|byte| *byte == b'\n').next()?.strip_prefix(b"#!")?;
    let name = line.split(|byte| byte.is_ascii_whitespace()).find(|word| !word.is_empty())?;
    Some(String::from_utf8_lossy(name).into_owned())
}

fn clone_hint(errno: i32) -> &'static str {
    match errno {
        libc::EAGAIN => " (limit = RLIMIT_NPROC of the user or pids.max of the cgroup)",
        libc::EMFILE => " (limit = RLIMIT_NOFILE)",
        libc::ENFILE => " (limit = fs.file-max)",
        _ => "",
    }
}
