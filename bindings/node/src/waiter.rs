//! How an environment hears of its children: in its own event loop, or by a thread where the runtime hides that loop.

use crate::children::{Children, Notice};
use crate::event::{Event, Wake};
use crate::poller::{Poller, Turn, When};
use crate::receiver::{Receiver, refer};
use napi::Env;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use procs::{Deadline, ReadySet};
use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::PipeWriter;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Turns, Sender, channel};

/// `thread` makes every environment wait by a thread, as if the runtime hid its loop.
const CHOICE: &str = "PROCS_NODE_WAIT";
/// The number of the descriptor that ends the thread; no child has it.
const END: u64 = u64::MAX;

/// Waits for the children of one environment and for its channels.
pub(crate) struct Waiter {
    by: By,
    children: Rc<Children>,
    /// Channels that the loop waits for.
    links: RefCell<HashMap<u32, Poller>>,
    /// What is to be done when something comes by a channel, where a thread waits.
    tells: Rc<RefCell<HashMap<u32, Tell>>>,
}

/// Takes what has come by a channel and gives it to JavaScript.
pub(crate) type Tell = Rc<dyn Fn(Turn)>;

enum By {
    /// The loop itself waits.
    Loop(Poller),
    /// A thread waits, and JavaScript answers each wake-up by a look.
    Thread(Thread),
}

/// The environment's side of the thread. Dropped with the environment, which ends the thread.
pub(crate) struct Thread {
    wake: Arc<Wake>,
    /// Tells one thing. True when there are others.
    look: Box<dyn Fn() -> bool>,
    /// Lets the thread wait again.
    looked: Sender<()>,
    /// Closed to end the thread.
    _end: PipeWriter,
}

impl Waiter {
    /// Tells `receiver` what happens to the children.
    pub(crate) fn start(env: &Env, children: &Rc<Children>, receiver: Receiver, wake: &Arc<Wake>) -> napi::Result<Waiter> {
        let tells = Rc::<RefCell<HashMap<u32, Tell>>>::default();
        let (watched, told) = (children.clone(), tells.clone());
        let notify = move |notice: Notice| match notice {
            Notice::Link(id) => {
                let tell = told.borrow().get(&id).cloned();
                if let Some(tell) = tell {
                    tell(Turn::HIDDEN);
                }
                false
            }
            notice => receiver.call(notice.numbers()),
        };
        let asked = std::env::var_os(CHOICE).is_some_and(|choice| choice == "thread");
        let by = if !asked && Poller::is_possible() {
            let look = move |_| watched.look(&notify);
            By::Loop(Poller::start(env, (children.as_fd(), Box::new(children.clone())), When::Last, look)?)
        } else {
            let look = move || watched.look_at_one(&notify);
            let thread = Thread::start(children.set(), Box::new(look), wake.clone());
            By::Thread(thread.map_err(|error| napi::Error::from_reason(error.to_string()))?)
        };
        Ok(Waiter { by, children: children.clone(), links: RefCell::default(), tells })
    }

    /// Calls `tell` whenever something has come by a channel from now on. `owner` keeps the descriptor open.
    pub(crate) fn watch(&self, env: &Env, id: u32, (fd, owner): (BorrowedFd<'_>, Box<dyn Any>), tell: Tell) -> procs::Result<()> {
        if matches!(self.by, By::Thread(_)) {
            self.children.add_link(id, &fd)?;
            self.tells.borrow_mut().insert(id, tell);
            return Ok(());
        }
        // As libuv does with its own pipes: what a child has written is told before its end.
        let poller = Poller::start(env, (fd, owner), When::AtOnce, move |turn| tell(turn));
        let poller = poller.map_err(|error| procs::Error::new(procs::ErrorKind::Exhausted, "channel", error.reason.clone()))?;
        if let Some(before) = self.links.borrow_mut().insert(id, poller) {
            before.close();
        }
        Ok(())
    }

    /// Ends that, before the descriptor is closed.
    pub(crate) fn unwatch(&self, id: u32, fd: BorrowedFd<'_>) {
        match self.by {
            By::Thread(_) => {
                self.children.remove_link(&fd);
                self.tells.borrow_mut().remove(&id);
            }
            By::Loop(_) => {
                if let Some(poller) = self.links.borrow_mut().remove(&id) {
                    poller.close();
                }
            }
        }
    }

    /// Keeps the loop alive, or lets it end.
    pub(crate) fn keep(&self, env: &Env, keep: bool) {
        match &self.by {
            By::Loop(poller) if keep => poller.hold(),
            By::Loop(poller) => poller.let_go(),
            By::Thread(thread) => refer(env, thread.wake.raw(), keep),
        }
    }

    /// The answer to a wake-up of the thread.
    pub(crate) fn look(&self) {
        let By::Thread(thread) = &self.by else { return };
        if (thread.look)() {
            // One thing in each wake-up, as in the loop itself: the runtime's ticks come between them, so that messages are told before an end.
            thread.wake.call(Event::Ready, ThreadsafeFunctionCallMode::NonBlocking);
        } else {
            // The thread is gone only when the set can no longer be waited for.
            let _ = thread.looked.send(());
        }
    }
}

impl Thread {
    fn start(set: &Arc<ReadySet>, look: Box<dyn Fn() -> bool>, wake: Arc<Wake>) -> procs::Result<Thread> {
        let failed = |error: &std::io::Error| procs::Error::from_io("hub", error, "cannot wait by a thread");
        let (ended, end) = std::io::pipe().map_err(|error| failed(&error))?;
        set.add(&ended, END)?;
        let (looked, turns) = channel();
        let (waited, tell) = (set.clone(), wake.clone());
        std::thread::Builder::new()
            .name("procs-wait".to_owned())
            .spawn(move || {
                wait(&waited, &tell, &turns);
                drop(ended);
            })
            .map_err(|error| failed(&error))?;
        Ok(Thread { wake, look, looked, _end: end })
    }
}

/// Wakes JavaScript whenever something is ready, and waits for its look before the next time.
fn wait(set: &ReadySet, wake: &Wake, turns: &Turns<()>) {
    while set.wait(Deadline::NEVER).is_ok() {
        wake.call(Event::Ready, ThreadsafeFunctionCallMode::NonBlocking);
        if turns.recv().is_err() {
            return;
        }
    }
}
