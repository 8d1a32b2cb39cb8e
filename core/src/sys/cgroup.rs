//! A cgroup v2 of its own for one child, where this process may make one: the only means by which nothing escapes.

use super::fd;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory in the cgroup v2 hierarchy that holds one child and its descendants; removed when dropped.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    dir: OwnedFd,
}

/// Our own cgroup v2 directory when children can be put below it.
fn own_dir() -> Option<&'static Path> {
    static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
    DIR.get_or_init(probe).as_deref()
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
    if !dir.join("cgroup.procs").exists() {
        return None;
    }
    sweep(&dir);
    // A group that can be made, killed and removed proves all that is needed.
    let trial = Cgroup::make(&dir).ok()?;
    trial.kill().ok()?;
    Some(dir)
}

/// Removes empty groups that hosts killed with SIGKILL left behind; the kernel refuses those in use.
fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix("procs-")).and_then(|rest| rest.split('-').next()).map(str::to_owned);
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
        let path = parent.join(format!("procs-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&path)?;
        let name = CString::new(path.as_os_str().as_bytes())?;
        match fd::open(&name, libc::O_RDONLY | libc::O_DIRECTORY, 0) {
            Ok(dir) => Ok(Cgroup { path, dir }),
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

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Refused while a survivor lives in it; a later probe sweeps it up.
        let _ = fs::remove_dir(&self.path);
    }
}
