//! A whole program as a test: fresh folder, watchdog, nothing left behind.

use super::test::{CleanUp, fresh_cookie, fresh_folder, remaining_holders};
use super::watchdog;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// What a program did.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to standard output.
    pub stdout: Vec<u8>,
    /// All it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// Runs a program that `make` prepares, given a fresh folder that becomes its working directory; its processes carry a cookie.
///
/// After its end `release` is called with the folder, to end processes that outlive it on purpose. Its streams are files, so that
/// nobody who keeps them open delays the result.
///
/// # Errors
/// The program hung (with stacks) or left a process behind, in words.
pub fn run_program(make: impl FnOnce(&Path) -> Command, release: impl FnOnce(&Path)) -> Result<Finished, String> {
    let cookie = fresh_cookie();
    let base = fresh_folder(&cookie);
    let _clean = CleanUp { folder: base.clone(), cookie: cookie.clone() };
    let work = base.join("work");
    fs::create_dir(&work).map_err(|error| error.to_string())?;
    let file = |name: &str| File::create(base.join(name)).map_err(|error| error.to_string());
    let mut command = make(&work);
    command.env("LP_TEST", &cookie).current_dir(&work).stdin(Stdio::null()).stdout(file("stdout")?).stderr(file("stderr")?);
    let (status, hung) = watchdog::watch(command, watchdog::test_limit(watchdog::SECONDS), &cookie);
    let read = |name: &str| fs::read(base.join(name)).map_err(|error| error.to_string());
    let finished = Finished { status, stdout: read("stdout")?, stderr: read("stderr")? };
    if let Some(stacks) = hung {
        return Err(format!("did not end within {} s\n{}\n{stacks}", watchdog::SECONDS, String::from_utf8_lossy(&finished.stderr)));
    }
    release(&work);
    match remaining_holders(&cookie) {
        Some(left) => Err(left),
        None => Ok(finished),
    }
}
