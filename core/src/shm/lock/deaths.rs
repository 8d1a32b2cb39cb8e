//! Being told at once that a process or thread which holds something has ended: its pidfd, watched by the thread that waits for descriptors.

use super::Head;
use crate::io::reactor::{Interest, Watch, watch_fd};
use crate::sys::alive::{Owner, Thread};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// Whose death lets others go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mortal {
    Process(Owner),
    Thread(Thread),
}

impl Mortal {
    /// Of the death of its own process nobody needs to be told.
    fn is_self(self) -> bool {
        self == Mortal::Process(Owner::current())
    }

    fn pidfd(self) -> Option<OwnedFd> {
        match self {
            Mortal::Process(owner) => owner.pidfd(),
            Mortal::Thread(thread) => thread.pidfd(),
        }
    }
}

/// What a waiter watches.
pub(super) struct Deaths {
    watched: Vec<Watched>,
    told: Arc<Told>,
}

struct Watched {
    holder: Mortal,
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

    /// Watches these and no others; whether the death of each will be told.
    pub(super) fn watch(&mut self, holders: &[Mortal]) -> bool {
        self.watched.retain(|watched| holders.contains(&watched.holder));
        let mut all = true;
        for holder in holders {
            if holder.is_self() || self.watched.iter().any(|watched| watched.holder == *holder) {
                continue;
            }
            match self.watched(*holder) {
                Some(watched) => self.watched.push(watched),
                None => all = false,
            }
        }
        all
    }

    fn watched(&self, holder: Mortal) -> Option<Watched> {
        let pidfd = holder.pidfd()?;
        let watch = watch_fd(pidfd.as_fd(), Interest::Read, &Waker::from(Arc::clone(&self.told))).ok()?;
        Some(Watched { holder, _watch: watch, _pidfd: pidfd })
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
