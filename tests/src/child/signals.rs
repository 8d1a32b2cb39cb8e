//! Subcommands about signals: taking them, ignoring them, showing what was inherited.

use crate::basic::{pause_for, put};
use crate::{Args, Outcome, Row, raw};
use nix::sys::signal::{SigSet, Signal};

pub(crate) const TABLE: &[Row] = &[
    ("ignore-term", "[READYFILE [SECONDS]]: ignores SIGTERM, creates READYFILE, prints `ready`, sleeps (30)", ignore_term),
    ("on-term", "CODE [MILLISECONDS [FILE]]: prints `ready`; on SIGTERM works that long, then writes `done` to FILE, exits CODE", on_term),
    ("stopped", "[CODE]: prints `ready` and stops itself; once continued exits with CODE (0)", stopped),
    ("mask", ": the SigBlk, SigIgn and SigCgt lines of /proc/self/status", mask),
    ("ignore-all", "SECONDS: ignores every signal that can be, prints `ready`, sleeps", ignore_all),
];

fn ready() -> Result<(), String> {
    put(1, b"ready\n")
}

fn ignore_term(args: &Args) -> Outcome {
    raw::set_disposition(Signal::SIGTERM, true).map_err(|e| e.to_string())?;
    if let Some(file) = args.optional(0).filter(|file| !file.is_empty()) {
        std::fs::write(file, b"").map_err(|e| e.to_string())?;
    }
    ready()?;
    pause_for(args.number_or(1, 30.0)?);
    Ok(0)
}

fn on_term(args: &Args) -> Outcome {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.thread_block().map_err(|e| e.to_string())?;
    ready()?;
    set.wait().map_err(|e| e.to_string())?;
    pause_for(args.number_or(1, 0.0)? / 1000.0);
    if let Some(file) = args.optional(2) {
        std::fs::write(file, b"done\n").map_err(|e| e.to_string())?;
    }
    args.number(0)
}

fn stopped(args: &Args) -> Outcome {
    ready()?;
    raw::raise(libc::SIGSTOP).map_err(|e| e.to_string())?;
    args.number_or(0, 0)
}

fn mask(_: &Args) -> Outcome {
    put(1, &crate::state::status_lines(&["SigBlk", "SigIgn", "SigCgt"])?)?;
    Ok(0)
}

fn ignore_all(args: &Args) -> Outcome {
    for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)) {
        raw::set_disposition(signal, true).map_err(|e| e.to_string())?;
    }
    ready()?;
    pause_for(args.number(0)?);
    Ok(0)
}
