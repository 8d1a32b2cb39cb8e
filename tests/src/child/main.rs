//! The one helper child of all suites: small subcommands named by effect, no libprocs inside.
//!
//! It has no Rust runtime start-up (`no_main`): std would ignore SIGPIPE, catch SIGSEGV and reopen closed descriptors before `main`,
//! and the tests want to see what the parent gave. For the same reason it writes through descriptors, without buffers.

#![no_main]
#![deny(unsafe_code)]

mod basic;
mod output;
mod raw;
mod signals;
mod state;
mod tree;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// What a subcommand answers: its exit code, or why it could not be done.
type Outcome = Result<i32, String>;

/// One subcommand: name, arguments for the usage text, function.
type Row = (&'static str, &'static str, fn(&Args) -> Outcome);

/// Exit code for a call that makes no sense. Source: EX_USAGE of sysexits.h.
const USAGE: i32 = 64;
/// Exit code for a subcommand that met an error.
const FAILED: i32 = 70;

/// The arguments after the subcommand.
struct Args(Vec<OsString>);

impl Args {
    fn all(&self) -> &[OsString] {
        &self.0
    }

    fn bytes(&self, index: usize) -> Result<&[u8], String> {
        self.0.get(index).map(|arg| arg.as_bytes()).ok_or(format!("argument {index} is missing"))
    }

    fn text(&self, index: usize) -> Result<&str, String> {
        self.0.get(index).and_then(|arg| arg.to_str()).ok_or(format!("argument {index} is missing or not text"))
    }

    fn number<T: std::str::FromStr>(&self, index: usize) -> Result<T, String> {
        self.text(index)?.parse().map_err(|_| format!("argument {index} is not a number of the right kind"))
    }

    /// An argument that may be left out.
    fn number_or<T: std::str::FromStr>(&self, index: usize, default: T) -> Result<T, String> {
        if index < self.0.len() { self.number(index) } else { Ok(default) }
    }

    fn optional(&self, index: usize) -> Option<&OsString> {
        self.0.get(index)
    }
}

fn tables() -> impl Iterator<Item = &'static Row> {
    [basic::TABLE, output::TABLE, signals::TABLE, state::TABLE, tree::TABLE].into_iter().flatten()
}

fn usage() -> String {
    let mut text = String::from("usage: procs-child SUBCOMMAND ARGUMENTS\n");
    for (name, arguments, _) in tables() {
        text.push_str(&format!("  {name} {arguments}\n"));
    }
    text
}

fn dispatch() -> i32 {
    let mut args = std::env::args_os().skip(1);
    let name = args.next().unwrap_or_default();
    let Some((_, _, run)) = tables().find(|row| name == row.0) else {
        say(2, usage().as_bytes());
        return USAGE;
    };
    match run(&Args(args.collect())) {
        Ok(code) => code,
        Err(why) => {
            say(2, format!("procs-child {}: {why}\n", name.to_string_lossy()).as_bytes());
            FAILED
        }
    }
}

/// Writes without reporting: for messages whose reader may be gone.
fn say(fd: i32, bytes: &[u8]) {
    let _ = raw::write_all(fd, bytes);
}

/// Where the C start-up code enters.
#[allow(unsafe_code, reason = "the C entry point, so that std's start-up does not run")]
// SAFETY: no other symbol `main` is linked: std provides none under no_main.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: i32, _argv: *const *const std::ffi::c_char) -> i32 {
    dispatch()
}
