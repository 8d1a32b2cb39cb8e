//! Processes that nobody waits for, reaped in the background.

use super::start::LiveCount;
use crate::io::reactor::{Interest, Watch, watch_fd};
use crate::sys::cgroup::Cgroup;
use crate::sys::fork::PerProcess;
use crate::sys::launch::Unwaited;
use crate::sys::wait::{Process, Reaped};
use parking_lot::Mutex;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// What is kept for a process until it has ended.
#[derive(Default)]
pub(super) struct Uses {
    pub(super) _live: Option<LiveCount>,
    pub(super) unwaited: Option<Unwaited>,
    pub(super) _cgroup: Option<Arc<Cgroup>>,
}

/// A process without an owner, reaped by the reactor when it ends.
struct Orphan {
    // Before the process, so that the watch goes before the descriptor it waits on.
    watch: Mutex<Option<Watch>>,
    process: Process,
    uses: Mutex<Uses>,
}

impl Wake for Orphan {
    fn wake(self: Arc<Self>) {
        let spent = self.watch.lock().take();
        drop(spent);
        match self.process.reap() {
            Ok(Reaped::Running) => self.watch_again(),
            Ok(Reaped::Ended(_) | Reaped::Unknown) => {
                let uses = std::mem::take(&mut *self.uses.lock());
                let _ = uses.unwaited.and_then(Unwaited::finish);
            }
            // Nothing is known: what the child may use stays.
            Err(_) => {}
        }
    }
}

impl Orphan {
    fn watch_again(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut slot = self.watch.lock();
        match watch_fd(self.process.as_fd(), Interest::Read, &waker) {
            Ok(watch) => *slot = Some(watch),
            // Out of descriptors or threads.
            Err(_) => {
                let mut unwatched = UNWATCHED.get().lock();
                unwatched.push(Arc::clone(self));
                ANY_UNWATCHED.store(true, Ordering::Release);
            }
        }
    }
}

/// Orphans that could not be watched, looked after at the next start or drop.
static UNWATCHED: PerProcess<Mutex<Vec<Arc<Orphan>>>> = PerProcess::new();

/// Whether there is one: most hosts never have any.
static ANY_UNWATCHED: AtomicBool = AtomicBool::new(false);

/// Reaps or watches the orphans that could not be watched when they were let go.
pub(super) fn look_after_unwatched() {
    if ANY_UNWATCHED.load(Ordering::Acquire) {
        try_again();
    }
}

#[cold]
fn try_again() {
    let unwatched = {
        let mut unwatched = UNWATCHED.get().lock();
        ANY_UNWATCHED.store(false, Ordering::Release);
        std::mem::take(&mut *unwatched)
    };
    for orphan in unwatched {
        orphan.wake();
    }
}

/// Lets the reactor reap a process that nobody will wait for.
pub(super) fn reap_later(process: Process, uses: Uses) {
    look_after_unwatched();
    Arc::new(Orphan { watch: Mutex::new(None), process, uses: Mutex::new(uses) }).watch_again();
}
