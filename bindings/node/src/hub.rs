//! The state of one environment: its ways back to JavaScript, and what it started.

use crate::blocks::Blocks;
use crate::children::Children;
use crate::event::{AnswerArgs, Event, Wake};
use crate::executor::Executor;
use crate::incoming::Channels;
use crate::keeper::Keeper;
use crate::link::Links;
use crate::memory::Slab;
use crate::receiver::Receiver;
use crate::start::Starter;
use crate::waiter::Waiter;
use napi::Env;
use napi::bindgen_prelude::{Function, Object, Uint8ArraySlice};
use napi_derive::napi;
use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

/// Everything that one environment owns natively.
#[napi]
pub struct Hub {
    pub(crate) wake: Arc<Wake>,
    pub(crate) children: Rc<Children>,
    pub(crate) links: Rc<Links>,
    pub(crate) channels: Rc<Channels>,
    /// Made for the first large stream.
    pub(crate) blocks: OnceCell<Rc<Blocks>>,
    executor: OnceCell<Executor>,
    pub(crate) waiter: Rc<Waiter>,
    pub(crate) keeper: Rc<Keeper>,
}

fn refused(error: &procs::Error) -> napi::Error {
    napi::Error::from_reason(error.to_string())
}

/// Opens the hub of this environment. `receive` is called with the number and the answer of each outstanding thing, once; `notice` with the
/// number of a child, what happened (`NOTICE` in lib/hub.js) and its figures.
#[napi]
pub fn open_hub(env: Env, receive: Function<'_, AnswerArgs, ()>, notice: Function<'_, (), ()>) -> napi::Result<Hub> {
    let wake = receive
        .build_threadsafe_function::<Event>()
        .weak::<true>()
        .callee_handled::<false>()
        .build_callback(|context| context.value.into_args(&context.env))?;
    let keeper = Rc::<Keeper>::default();
    let children = Rc::new(Children::new(&keeper).map_err(|error| refused(&error))?);
    let receiver = Receiver::new(&env, "procs", &notice)?;
    let wake = Arc::new(wake);
    let waiter = Rc::new(Waiter::start(&env, &children, receiver, &wake)?);
    let by = Rc::downgrade(&waiter);
    keeper.begin(move |keep| {
        if let Some(waiter) = by.upgrade() {
            waiter.keep(&env, keep);
        }
    });
    let (blocks, executor) = (OnceCell::new(), OnceCell::new());
    Ok(Hub { wake, children, links: Rc::default(), channels: Rc::default(), blocks, executor, waiter, keeper })
}

impl Hub {
    /// The draining thread, started with the first run.
    pub(crate) fn executor(&self) -> procs::Result<&Executor> {
        if let Some(executor) = self.executor.get() {
            return Ok(executor);
        }
        let executor = Executor::start()?;
        Ok(self.executor.get_or_init(|| executor))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // What is dropped with it may hold the loop, which is over.
        self.keeper.end();
    }
}

#[napi]
impl Hub {
    /// Functions that know this hub, for starts and for what every message needs: finding the hub behind a method costs as much as all that a message does.
    #[napi]
    pub fn quick<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let mut calls = Object::new(env)?;
        self.links.quick(env, &mut calls)?;
        self.channels.quick(env, &mut calls)?;
        Starter { children: self.children.clone(), channels: self.channels.clone() }.quick(env, &mut calls)?;
        Ok(calls)
    }

    /// Puts small messages of channels there from now on.
    #[napi]
    pub fn use_slab(&self, env: Env, memory: Uint8ArraySlice<'_>) -> napi::Result<()> {
        self.channels.slab.replace(Some(Slab::new(&env, &memory)?));
        Ok(())
    }

    /// Keeps the environment's event loop alive until the matching `let_go`.
    #[napi]
    pub fn hold(&self) {
        self.keeper.change(true);
    }

    /// Undoes one `hold`.
    #[napi]
    pub fn let_go(&self) {
        self.keeper.change(false);
    }

    /// Tells what has happened to children, as a thread asked by the number 0 of `receive`.
    #[napi]
    pub fn look(&self) {
        self.waiter.look();
    }
}
