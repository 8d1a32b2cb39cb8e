//! A captured run for async code.

use super::output::Output;
use super::run::Capture;
use super::start;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::io::reactor::{self, Interest, Watch};
use crate::spawn::offload::run_on_spawner;
use crate::spawn::{CancelHandle, Command};
use parking_lot::Mutex;
use std::future::Future;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Where the spawner thread leaves the started run.
enum Slot {
    Waiting(Option<Waker>),
    Started(Result<Box<Capture>>),
    /// The future is gone: what is still started is dropped, which kills it.
    Abandoned,
}

enum State {
    New(Box<Command>),
    Starting(Start),
    Running(Box<Capture>),
    Done,
}

/// A start under way on a spawner thread.
struct Start {
    /// First, so that no watch outlives the cancel handle's descriptor.
    watches: Vec<Watch>,
    slot: Arc<Mutex<Slot>>,
    deadline: Deadline,
    cancel: Option<CancelHandle>,
}

impl Drop for Start {
    fn drop(&mut self) {
        self.watches.clear();
        let left = std::mem::replace(&mut *self.slot.lock(), Slot::Abandoned);
        drop(left);
    }
}

/// The result of [`Command::output_async`]; needs no runtime.
///
/// # Drop
/// Before it is complete, kills the child (with `kill_tree`, its tree), also when the start is still under way. The child is reaped by a
/// thread of the library.
pub struct OutputFuture {
    state: State,
}

impl OutputFuture {
    pub(super) fn new(command: &mut Command) -> OutputFuture {
        OutputFuture { state: State::New(Box::new(command.take_for_start())) }
    }
}

impl Start {
    fn new(mut command: Box<Command>) -> Result<Start> {
        let slot = Arc::new(Mutex::new(Slot::Waiting(None)));
        let deadline = Deadline::from_timeout(command.run.get_mut().timeout);
        let cancel = command.run.get_mut().cancel.clone();
        let shared = Arc::clone(&slot);
        run_on_spawner(move || {
            let result = start::start(&mut command).map(Box::new);
            let mut slot = shared.lock();
            match std::mem::replace(&mut *slot, Slot::Abandoned) {
                Slot::Waiting(waker) => {
                    *slot = Slot::Started(result);
                    drop(slot);
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                }
                _ => {
                    // Unlocked first: killing takes its time.
                    drop(slot);
                    drop(result);
                }
            }
        })?;
        Ok(Start { watches: Vec::new(), slot, deadline, cancel })
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<Box<Capture>>> {
        self.watches.clear();
        {
            let mut slot = self.slot.lock();
            match std::mem::replace(&mut *slot, Slot::Waiting(Some(cx.waker().clone()))) {
                Slot::Started(result) => return Poll::Ready(result),
                Slot::Waiting(_) | Slot::Abandoned => {}
            }
        }
        if self.cancel.as_ref().is_some_and(CancelHandle::is_cancelled) {
            return Poll::Ready(Err(Error::new(ErrorKind::Cancelled, "run", "cancelled while the child was being started")));
        }
        if self.deadline.passed() {
            return Poll::Ready(Err(Error::new(ErrorKind::Timeout, "run", "the timeout passed while the child was being started")));
        }
        self.watch(cx.waker()).map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
    }

    fn watch(&mut self, waker: &Waker) -> Result<()> {
        if let Some(at) = self.deadline.instant() {
            self.watches.push(reactor::watch_time(at, waker)?);
        }
        if let Some(cancel) = &self.cancel {
            self.watches.push(reactor::watch_fd(cancel.as_fd(), Interest::Read, waker)?);
        }
        Ok(())
    }
}

impl Future for OutputFuture {
    type Output = Result<Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Output>> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Done) {
                State::New(command) => State::Starting(Start::new(command)?),
                State::Starting(mut start) => match start.poll(cx) {
                    Poll::Ready(capture) => State::Running(capture?),
                    Poll::Pending => {
                        self.state = State::Starting(start);
                        return Poll::Pending;
                    }
                },
                State::Running(mut capture) => match capture.poll_run(cx) {
                    Poll::Ready(result) => return Poll::Ready(result.and_then(|()| capture.into_output())),
                    Poll::Pending => {
                        self.state = State::Running(capture);
                        return Poll::Pending;
                    }
                },
                State::Done => {
                    return Poll::Ready(Err(Error::new(ErrorKind::InvalidState, "run", "the future was polled after it was complete")));
                }
            };
        }
    }
}

impl std::fmt::Debug for OutputFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.state {
            State::New(_) => "new",
            State::Starting(_) => "starting",
            State::Running(_) => "running",
            State::Done => "done",
        };
        f.debug_struct("OutputFuture").field("state", &state).finish()
    }
}
