//! How an environment hears of its children: in its own event loop, or by a thread where the runtime hides that loop.

use crate::children::{Children, Notice};
use crate::event::{Event, Wake};
use crate::message_channel::Channels;
use crate::poller::{Poller, Receiver, Turn, refer};
use napi::Env;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use procs::{Deadline, ReadySet};
use std::io::PipeWriter;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Turns, Sender, channel};

/// `thread` makes every environment wait by a thread, as if the runtime hid its loop.
const CHOICE: &str = "PROCS_NODE_WAIT";
/// The number of the descriptor that ends the thread; no child has it.
const END: u64 = u64::MAX;

/// Waits for the children of one environment.
pub(crate) enum Waiter {
    /// The loop itself waits.
    Loop(Poller),
    /// A thread waits, and JavaScript answers each wake-up by a look.
    Thread(Thread),
}

/// The environment's side of the thread. Dropped with the environment, which ends the thread.
pub(crate) struct Thread {
    wake: Arc<Wake>,
    look: Box<dyn Fn()>,
    /// Lets the thread wait again.
    looked: Sender<()>,
    /// Closed to end the thread.
    _end: PipeWriter,
}

impl Waiter {
    /// Tells `receiver` what happens to the children.
    pub(crate) fn start(env: &Env, of: (&Rc<Children>, &Rc<Channels>), receiver: Receiver, wake: &Arc<Wake>) -> napi::Result<Waiter> {
        let (children, channels) = (of.0.clone(), of.1.clone());
        let watched = children.clone();
        let look = move |turn| {
            watched.look(|notice| {
                let answer = receiver.call(notice.numbers());
                if let Notice::Link(id) = notice {
                    channels.settle(id, turn, || {
                        receiver.call(notice.numbers());
                    });
                }
                answer
            });
        };
        let asked = std::env::var_os(CHOICE).is_some_and(|choice| choice == "thread");
        if !asked && Poller::is_possible() {
            return Poller::start(env, children.as_fd(), look).map(Waiter::Loop);
        }
        Thread::start(children.set(), Box::new(move || look(Turn::HIDDEN)), wake.clone())
            .map(Waiter::Thread)
            .map_err(|error| napi::Error::from_reason(error.to_string()))
    }

    /// Keeps the loop alive until `let_go`.
    pub(crate) fn hold(&self, env: &Env) {
        match self {
            Waiter::Loop(poller) => poller.hold(),
            Waiter::Thread(thread) => refer(env, thread.wake.raw(), true),
        }
    }

    /// Lets the loop end.
    pub(crate) fn let_go(&self, env: &Env) {
        match self {
            Waiter::Loop(poller) => poller.let_go(),
            Waiter::Thread(thread) => refer(env, thread.wake.raw(), false),
        }
    }

    /// The answer to a wake-up of the thread.
    pub(crate) fn look(&self) {
        if let Waiter::Thread(thread) = self {
            (thread.look)();
            // The thread is gone only when the set can no longer be waited for.
            let _ = thread.looked.send(());
        }
    }
}

impl Thread {
    fn start(set: &Arc<ReadySet>, look: Box<dyn Fn()>, wake: Arc<Wake>) -> procs::Result<Thread> {
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
