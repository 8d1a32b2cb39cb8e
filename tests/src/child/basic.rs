//! Arguments, environment, exit: the plainest subcommands.

use crate::{Args, Outcome, Row, raw};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

pub(crate) const TABLE: &[Row] = &[
    ("echo", "ARGS..: the arguments joined by spaces, and a newline", echo),
    ("argv", "ARGS..: each argument followed by NUL", argv),
    ("argv0", ": argument 0 and a newline", argv0),
    ("env", "[NAMES..]: NAME=VALUE followed by NUL, of all or of these; a missing one is its NAME and NUL", env),
    ("cwd", "[name]: the working directory, or only its last part, and a newline", cwd),
    ("exit", "CODE: exits", exit),
    ("fail", "CODE OUT ERR: OUT to 1, ERR to 2, exits", fail),
    ("die", "SIGNAL: dies of this signal (name or number)", die),
    ("sleep", "SECONDS: sleeps", sleep),
    ("say", "TEXT SECONDS: TEXT to 1, then sleeps", say_and_sleep),
    ("burn", "SECONDS: uses this much CPU time", burn),
    ("touch", "FILE: creates a file", touch),
    ("wait-file", "FILE: waits until it exists", wait_file),
    ("slots", "DIR MAX TEXT: prints TEXT; exit 1 if more than MAX of these run at once with the same DIR", slots),
];

pub(crate) fn put(fd: i32, bytes: &[u8]) -> Result<(), String> {
    raw::write_all(fd, bytes).map_err(|e| format!("write to {fd}: {e}"))
}

pub(crate) fn pause_for(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}

fn echo(args: &Args) -> Outcome {
    let mut line = args.all().join(OsStr::new(" "));
    line.push("\n");
    put(1, line.as_bytes())?;
    Ok(0)
}

fn argv(args: &Args) -> Outcome {
    let mut list = Vec::new();
    for arg in args.all() {
        list.extend_from_slice(arg.as_bytes());
        list.push(0);
    }
    put(1, &list)?;
    Ok(0)
}

fn argv0(_: &Args) -> Outcome {
    let mut line = std::env::args_os().next().unwrap_or_default();
    line.push("\n");
    put(1, line.as_bytes())?;
    Ok(0)
}

fn env(args: &Args) -> Outcome {
    let block = std::fs::read("/proc/self/environ").map_err(|e| e.to_string())?;
    if args.all().is_empty() {
        put(1, &block)?;
        return Ok(0);
    }
    let mut list = Vec::new();
    for name in args.all() {
        let name = name.as_bytes();
        let found = block.split(|byte| *byte == 0).find(|entry| entry.starts_with(name) && entry.get(name.len()) == Some(&b'='));
        list.extend_from_slice(found.unwrap_or(name));
        list.push(0);
    }
    put(1, &list)?;
    Ok(0)
}

fn cwd(args: &Args) -> Outcome {
    let dir = std::env::current_dir().map_err(|e| e.to_string())?;
    let shown = match args.optional(0) {
        Some(_) => dir.file_name().unwrap_or_default(),
        None => dir.as_os_str(),
    };
    put(1, shown.as_bytes())?;
    put(1, b"\n")?;
    Ok(0)
}

fn exit(args: &Args) -> Outcome {
    args.number(0)
}

fn fail(args: &Args) -> Outcome {
    put(1, args.bytes(1)?)?;
    put(2, args.bytes(2)?)?;
    args.number(0)
}

fn die(args: &Args) -> Outcome {
    use nix::sys::resource::{Resource, setrlimit};
    use nix::sys::signal::{SigSet, Signal};
    let text = args.text(0)?;
    let number = match text.parse::<i32>() {
        Ok(number) => number,
        Err(_) => {
            let name = format!("SIG{}", text.trim_start_matches("SIG"));
            name.parse::<Signal>().map_err(|_| format!("no signal {text}"))? as i32
        }
    };
    // No core files of tests; a size of 0 still reports WCOREDUMP truthfully as false.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|e| e.to_string())?;
    if let Ok(signal) = Signal::try_from(number)
        && !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)
    {
        raw::set_disposition(signal, false).map_err(|e| e.to_string())?;
    }
    SigSet::all().thread_unblock().map_err(|e| e.to_string())?;
    raw::raise(number).map_err(|e| e.to_string())?;
    Err(format!("signal {number} did not end the process"))
}

fn sleep(args: &Args) -> Outcome {
    pause_for(args.number(0)?);
    Ok(0)
}

fn say_and_sleep(args: &Args) -> Outcome {
    put(1, args.bytes(0)?)?;
    pause_for(args.number(1)?);
    Ok(0)
}

fn burn(args: &Args) -> Outcome {
    let seconds: f64 = args.number(0)?;
    let mut value = 1_u64;
    loop {
        for _ in 0..100_000 {
            value = std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).map_err(|e| e.to_string())?;
        let used = usage.user_time() + usage.system_time();
        if used.tv_sec() as f64 + used.tv_usec() as f64 / 1e6 >= seconds {
            return Ok(0);
        }
    }
}

fn touch(args: &Args) -> Outcome {
    std::fs::write(OsStr::from_bytes(args.bytes(0)?), b"").map_err(|e| e.to_string())?;
    Ok(0)
}

fn wait_file(args: &Args) -> Outcome {
    let path = Path::new(OsStr::from_bytes(args.bytes(0)?));
    while !path.exists() {
        pause_for(0.005);
    }
    Ok(0)
}

fn slots(args: &Args) -> Outcome {
    let dir = Path::new(OsStr::from_bytes(args.bytes(0)?));
    let max: usize = args.number(1)?;
    std::fs::create_dir_all(dir).map_err(|e| e.to_string())?;
    let mine = dir.join(std::process::id().to_string());
    std::fs::write(&mine, b"").map_err(|e| e.to_string())?;
    // Long enough for a run that starts too many to be seen together.
    pause_for(0.05);
    let count = std::fs::read_dir(dir).map_err(|e| e.to_string())?.count();
    std::fs::remove_file(&mine).map_err(|e| e.to_string())?;
    put(1, args.bytes(2)?)?;
    put(1, b"\n")?;
    Ok(i32::from(count > max))
}
