//! Programs that this process has executed before. That one of them can be executed again is as good as known, so its start need not wait
//! to see it, and the caller goes on while the kernel loads it.

use super::command::Command;
use crate::sys::exec::Image;
use crate::sys::file_state::FileState;
use crate::sys::fork::PerProcess;
use crate::sys::setup::Setup;
use parking_lot::Mutex;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Programs that are remembered; the one that was not started for longest makes room.
const CAPACITY: usize = 64;
/// A change of a file that is younger than this may not be its last with the same time: the clock of file systems ticks every 1 to 10 ms.
const SETTLED: Duration = Duration::from_millis(50);
/// Bytes of arguments and environment that every limit allows: the kernel grants 128 KiB at least. Source: execve(2).
const SMALL: usize = 64 << 10;

/// A program that was executed, as it was then.
#[derive(Debug)]
pub(super) struct Program {
    path: CString,
    state: FileState,
}

/// The most recently started first.
static KNOWN: PerProcess<Mutex<Vec<Program>>> = PerProcess::new();

/// What a look at the program of a start shows.
#[derive(Debug)]
pub(super) enum Sight {
    /// It is as it was when it was executed before.
    Known,
    /// It is to be remembered once it was executed.
    New(Program),
}

/// Whether nothing but the execution of the program could fail in the child: its streams are open, and it has nothing else to do.
pub(super) fn is_plain(command: &Command, setup: &Setup, image: &Image) -> bool {
    setup.special.is_none() && command.current_dir.is_none() && setup.moves.iter().all(|entry| entry.target <= 2) && image.size() <= SMALL
}

/// Looks at the file that the child will execute: the first candidate that is there.
pub(super) fn look(image: &Image) -> Option<Sight> {
    let (path, state) = image.candidates().find_map(|path| Some((path, FileState::of(path)?)))?;
    let mut known = KNOWN.get().lock();
    if let Some(index) = known.iter().position(|program| program.state == state && *program.path == *path) {
        known[..=index].rotate_right(1);
        return Some(Sight::Known);
    }
    state.unchanged_for(SETTLED).then(|| Sight::New(Program { path: path.to_owned(), state }))
}

/// Remembers a program that was executed.
pub(super) fn remember(program: Program) {
    let mut known = KNOWN.get().lock();
    known.retain(|other| other.path != program.path);
    known.truncate(CAPACITY - 1);
    known.insert(0, program);
}

/// Forgets programs: one of them could not be executed after all, so what was concluded from the look of its file does not hold any more.
#[cold]
pub(super) fn forget(paths: &[PathBuf]) {
    KNOWN.get().lock().retain(|program| !paths.iter().any(|path| program.is_at(path)));
}

impl Program {
    fn is_at(&self, path: &Path) -> bool {
        self.path.as_bytes() == path.as_os_str().as_bytes()
    }
}

#[cfg(test)]
mod tests;
