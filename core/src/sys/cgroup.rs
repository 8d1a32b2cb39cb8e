//! A cgroup v2 of its own for one child, where this process may make one: the only means by which nothing escapes.

use super::fd;
use super::fork::{self, PerProcess};
use parking_lot::Mutex;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory in the cgroup v2 hierarchy that holds one child and its descendants; removed when dropped.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    dir: OwnedFd,
    generation: u64,
}

/// Groups that a survivor kept from being removed: tried again when the next one is made.
static LEFT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn remove_left() {
    // Whoever holds the lock does the work, or has left a forked copy without doing it.
    if let Some(mut left) = LEFT.try_lock() {
        left.retain(|path| fs::remove_dir(path).is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY)));
    }
}

/// Our own cgroup v2 directory when children can be put below it.
fn own_dir() -> Option<&'static Path> {
    static DIR: PerProcess<OnceLock<Option<PathBuf>>> = PerProcess::new();
    DIR.get().get_or_init(probe).as_deref()
}

fn probe() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, dir, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(dir))
    })?;
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    let relative = membership.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let dir = mount.join(relative);
    // Whoever puts a child into a group below must be allowed to write here as well. Source: delegation in cgroups(7).
    fs::OpenOptions::new().write(true).open(dir.join("cgroup.procs")).ok()?;
    sweep(&dir);
    let trial = Cgroup::make(&dir).ok()?;
    trial.kill().ok()?;
    Some(dir)
}

/// The beginning of the names of our groups. Hosts in several pid namespaces may share a directory: numbers count in one of them only.
fn prefix() -> String {
    let namespace = fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino());
    format!("procs-{namespace}-")
}

/// Removes empty groups that hosts killed with SIGKILL left behind; the kernel refuses those in use.
fn sweep(dir: &Path) {
    let prefix = prefix();
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(&prefix)).and_then(|rest| rest.split('-').next()).map(str::to_owned);
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Whether children can have a cgroup of their own here. Probed once.
pub(crate) fn available() -> bool {
    own_dir().is_some()
}

impl Cgroup {
    /// Makes a group for one child; `None` where the system does not allow it.
    pub(crate) fn for_child() -> Option<Cgroup> {
        Cgroup::make(own_dir()?).ok()
    }

    fn make(parent: &Path) -> io::Result<Cgroup> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        static PREFIX: OnceLock<String> = OnceLock::new();
        remove_left();
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{}{}-{serial}", PREFIX.get_or_init(prefix), std::process::id()));
        fs::create_dir(&path)?;
        let name = CString::new(path.as_os_str().as_bytes())?;
        match fd::open(&name, libc::O_RDONLY | libc::O_DIRECTORY, 0) {
            Ok(dir) => Ok(Cgroup { path, dir, generation: fork::generation() }),
            Err(error) => {
                let _ = fs::remove_dir(&path);
                Err(error)
            }
        }
    }

    /// Kills everything in the group.
    pub(crate) fn kill(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }

    /// The processes in the group, by id.
    pub(crate) fn members(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// A descriptor of `cgroup.procs`, to which a child of the clone fallback writes itself.
    pub(crate) fn procs_file(&self) -> io::Result<OwnedFd> {
        let name = CString::new(self.path.join("cgroup.procs").as_os_str().as_bytes())?;
        fd::open(&name, libc::O_WRONLY, 0)
    }

    /// The number of the directory's descriptor.
    pub(crate) fn raw_dir(&self) -> i32 {
        self.dir.as_raw_fd()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A forked copy of the host does not own it.
        if self.generation != fork::generation() {
            return;
        }
        let busy = fs::remove_dir(&self.path).is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY));
        if busy && let Some(mut left) = LEFT.try_lock() {
            left.push(std::mem::take(&mut self.path));
        }
    }
}
