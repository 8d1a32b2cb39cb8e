//! Waiting for a child without a thread: a future that needs no runtime, and a call-back.

use super::child::ChildHandle;
use super::status::{Exit, ExitStatus};
use crate::error::Result;
use crate::io::reactor::{Interest, Watch, watch_fd};
use parking_lot::Mutex;
use std::future::Future;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Resolves to the status of a child once it has ended. Needs no runtime; dropping it only stops the waiting.
#[derive(Debug)]
#[must_use = "a future does nothing unless awaited"]
pub struct WaitFuture {
    // Before the handle, so that the watch goes before the descriptor it waits on.
    watch: Option<Watch>,
    handle: ChildHandle,
}

impl WaitFuture {
    pub(super) fn new(handle: ChildHandle) -> WaitFuture {
        WaitFuture { watch: None, handle }
    }
}

impl Future for WaitFuture {
    type Output = Result<ExitStatus>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.watch = None;
        if let Some(status) = self.handle.try_wait()? {
            return Poll::Ready(Ok(status));
        }
        self.watch = Some(watch_fd(self.handle.as_fd(), Interest::Read, cx.waker())?);
        Poll::Pending
    }
}

type Callback = Box<dyn FnOnce(Exit) + Send>;

/// A call-back that waits for its child.
struct OnExit {
    watch: Mutex<Option<Watch>>,
    handle: ChildHandle,
    callback: Mutex<Option<Callback>>,
}

impl Wake for OnExit {
    fn wake(self: Arc<Self>) {
        let spent = self.watch.lock().take();
        drop(spent);
        match self.handle.core.try_wait() {
            Ok(None) => {
                let _ = self.watch_again();
            }
            Ok(Some(exit)) => {
                let callback = self.callback.lock().take();
                if let Some(callback) = callback {
                    callback(exit);
                }
            }
            Err(_) => {}
        }
    }
}

impl OnExit {
    fn watch_again(self: &Arc<Self>) -> Result<()> {
        let waker = Waker::from(Arc::clone(self));
        let mut slot = self.watch.lock();
        *slot = Some(watch_fd(self.handle.as_fd(), Interest::Read, &waker)?);
        Ok(())
    }
}

pub(super) fn call_on_exit(handle: ChildHandle, callback: Callback) -> Result<()> {
    // In a forked copy of the host the call would never come.
    handle.core.process()?;
    let waiting = Arc::new(OnExit { watch: Mutex::new(None), handle, callback: Mutex::new(Some(callback)) });
    waiting.watch_again()
}
