//! Being told at once that a process which holds something has ended: its pidfd, watched by the thread that waits for descriptors.

use super::Head;
use crate::io::reactor::{Interest, Watch, watch_fd};
use crate::sys::alive::Owner;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// What a waiter watches.
pub(super) struct Deaths {
    watched: Vec<Watched>,
    told: Arc<Told>,
}

struct Watched {
    owner: Owner,
    // Before its descriptor, so that it goes first.
    _watch: Watch,
    _pidfd: OwnedFd,
}

/// Wakes the waiters of a lock.
struct Told {
    head: Head,
    happened: AtomicBool,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.happened.store(true, Ordering::SeqCst);
        self.head.changed();
    }
}

impl Deaths {
    pub(super) fn new(head: &Head) -> Deaths {
        Deaths { watched: Vec::new(), told: Arc::new(Told { head: head.clone(), happened: AtomicBool::new(false) }) }
    }

    /// Watches these processes and no others; whether the death of each will be told.
    pub(super) fn watch(&mut self, owners: &[Owner]) -> bool {
        self.watched.retain(|watched| owners.contains(&watched.owner));
        let mut all = true;
        for owner in owners {
            // Of this process' own death nobody here needs to be told.
            if *owner == Owner::current() || self.watched.iter().any(|watched| watched.owner == *owner) {
                continue;
            }
            match self.watched(*owner) {
                Some(watched) => self.watched.push(watched),
                None => all = false,
            }
        }
        all
    }

    fn watched(&self, owner: Owner) -> Option<Watched> {
        let pidfd = owner.pidfd()?;
        let watch = watch_fd(pidfd.as_fd(), Interest::Read, &Waker::from(Arc::clone(&self.told))).ok()?;
        Some(Watched { owner, _watch: watch, _pidfd: pidfd })
    }

    /// Whether one has ended since the last call.
    pub(super) fn happened(&mut self) -> bool {
        let happened = self.told.happened.swap(false, Ordering::SeqCst);
        if happened {
            // A watch is spent once it has told.
            self.watched.clear();
        }
        happened
    }
}
