//! What tells one state of a file from another, without opening it.

use super::{check, retry};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime};

/// A file at some moment. Another file, and the same one after a change of its content, its mode or its owner, compares as different:
/// every such change sets the time of change, which nobody can set back. Source: inode(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    device: u64,
    inode: u64,
    mode: u32,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileState {
    /// The file that a path leads to, links followed; `None` where there is nothing that can be looked at.
    pub(crate) fn of(path: &CStr) -> Option<FileState> {
        let mut stat = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the path ends with NUL, the result has room for the structure.
        retry(|| check(unsafe { libc::stat(path.as_ptr(), stat.as_mut_ptr()) })).ok()?;
        // SAFETY: stat succeeded, so it filled the structure.
        let stat = unsafe { stat.assume_init() };
        Some(FileState {
            device: stat.st_dev,
            inode: stat.st_ino,
            mode: stat.st_mode,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        })
    }

    /// Whether its last change is at least this long ago. A file that was changed just now may be changed again within the same tick of the
    /// clock, which no later look would show.
    pub(crate) fn unchanged_for(&self, time: Duration) -> bool {
        let (seconds, nanos) = self.changed;
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u64::try_from(nanos)) else { return false };
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(nanos);
        changed.elapsed().is_ok_and(|age| age >= time)
    }
}
