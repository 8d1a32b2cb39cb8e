//! FDWALK: what happens when descriptors run out, at every step.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::{self, File};
use std::os::fd::AsRawFd;

/// This process with all holes below its highest descriptor filled and only a few numbers left; dropping it restores the limit.
pub struct FdWalk {
    fillers: Vec<File>,
    old: (u64, u64),
}

impl FdWalk {
    /// Leaves exactly `free` descriptors.
    pub fn leave(free: u64) -> FdWalk {
        let old = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit on descriptors");
        let highest = highest_fd();
        let mut fillers = Vec::new();
        let next = loop {
            let file = File::open("/dev/null").expect("the null device");
            // The lowest free number is given out first: the first one above the highest says that no hole is left.
            if file.as_raw_fd() > highest {
                break file.as_raw_fd() as u64;
            }
            fillers.push(file);
        };
        setrlimit(Resource::RLIMIT_NOFILE, next + free, old.1).expect("a lower limit on descriptors");
        FdWalk { fillers, old }
    }
}

impl Drop for FdWalk {
    fn drop(&mut self) {
        self.fillers.clear();
        setrlimit(Resource::RLIMIT_NOFILE, self.old.0, self.old.1).expect("the old limit on descriptors");
    }
}

fn highest_fd() -> i32 {
    let numbers = fs::read_dir("/proc/self/fd").expect("the list of descriptors").flatten();
    let open = numbers.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    open.filter(|number| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok()).max().unwrap_or(2)
}

/// Runs the body with 0, 1, … `most` free descriptors. Only in isolated tests: the limit is the process's.
pub fn fd_walk(most: u64, mut body: impl FnMut(u64)) {
    for free in 0..=most {
        let walk = FdWalk::leave(free);
        body(free);
        drop(walk);
    }
}
