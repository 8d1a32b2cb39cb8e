//! Processes that nobody waits for, reaped in the background.

use super::start::LiveCount;
use crate::io::reactor::{Interest, Watch, watch_fd};
use crate::sys::clone::Unwaited;
use crate::sys::wait::{Process, Reaped};
use parking_lot::Mutex;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// A process without an owner, reaped by the reactor when it ends.
struct Orphan {
    process: Process,
    _live: Option<LiveCount>,
    unwaited: Mutex<Option<Unwaited>>,
    watch: Mutex<Option<Watch>>,
}

impl Wake for Orphan {
    fn wake(self: Arc<Self>) {
        let spent = self.watch.lock().take();
        drop(spent);
        if let Ok(Reaped::Running) = self.process.reap() {
            self.watch_again();
        } else if let Some(unwaited) = self.unwaited.lock().take() {
            let _ = unwaited.finish();
        }
    }
}

impl Orphan {
    fn watch_again(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut slot = self.watch.lock();
        // Without a reactor the zombie stays until the host ends; nothing better is possible.
        *slot = watch_fd(self.process.as_fd(), Interest::Read, &waker).ok();
    }
}

/// Lets the reactor reap a process that nobody will wait for.
pub(super) fn reap_later(process: Process, live: Option<LiveCount>, unwaited: Option<Unwaited>) {
    Arc::new(Orphan { process, _live: live, unwaited: Mutex::new(unwaited), watch: Mutex::new(None) }).watch_again();
}
