//! What JavaScript waits for on a channel: a message, the replies to a call, and what has to block elsewhere.

use crate::error::Failure;
use crate::hub::Hub;
use crate::message_parts::{VALUES, put};
use crate::shared::wait::LockWait;
use napi::Env;
use napi::bindgen_prelude::{Array, Either3, Null};
use napi_derive::napi;
use procs::{CallStream, Channel, Error, ErrorKind, Message, Result};
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A wait that brings a message.
#[napi]
pub struct MessageWait {
    wait: LockWait,
    message: Arc<Mutex<Option<Message>>>,
}

impl MessageWait {
    pub(crate) fn new(future: impl Future<Output = Result<Option<Message>>> + Send + 'static) -> MessageWait {
        let message = Arc::new(Mutex::new(None));
        let place = message.clone();
        let wait = LockWait::new(async move {
            let found = future.await?;
            let came = found.is_some();
            *lock(&place) = found;
            Ok(came)
        });
        MessageWait { wait, message }
    }
}

#[napi]
impl MessageWait {
    /// As that of `LockWait`.
    #[napi]
    pub fn look(&self, hub: &Hub, id: u32) {
        self.wait.look(hub, id);
    }

    /// As that of `LockWait`; whether there is a message.
    #[napi]
    pub fn result(&self) -> Either3<bool, Failure, Null> {
        self.wait.result()
    }

    /// As that of `LockWait`.
    #[napi]
    pub fn cancel(&self) {
        self.wait.cancel();
    }

    /// The values of the message.
    #[napi]
    pub fn take<'env>(&self, env: &'env Env) -> napi::Result<Array<'env>> {
        let mut array = env.create_array(VALUES)?;
        if let Some(message) = lock(&self.message).take() {
            put(env, &mut array, 0, message)?;
        }
        Ok(array)
    }
}

/// Does what blocks on a thread of its own.
pub(crate) fn on_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> impl Future<Output = Result<T>> + Send {
    struct Slot<T> {
        done: Option<Result<T>>,
        waker: Option<Waker>,
    }
    let slot = Arc::new(Mutex::new(Slot { done: None, waker: None }));
    let theirs = slot.clone();
    let started = std::thread::Builder::new().name("procs-channel".to_owned()).spawn(move || {
        let done = crate::error::catch(work);
        let mut slot = lock(&theirs);
        slot.done = Some(done);
        if let Some(waker) = slot.waker.take() {
            drop(slot);
            waker.wake();
        }
    });
    let mut refused = started.err().map(|error| Error::from_io("channel", &error, "cannot start a thread"));
    poll_fn(move |context| {
        if let Some(error) = refused.take() {
            return Poll::Ready(Err(error));
        }
        let mut slot = lock(&slot);
        match slot.done.take() {
            Some(done) => Poll::Ready(done),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
}

/// The replies to one call, as the core has them.
pub(crate) enum Replies {
    /// Not called yet: the call may have to wait for room.
    Unasked(Arc<Channel>, Message),
    Open(CallStream),
    Over,
}

impl Replies {
    /// The next reply, or `Timeout`.
    fn next(&mut self, timeout: Duration) -> Result<Option<Message>> {
        if let Replies::Unasked(channel, message) = self {
            let (channel, message) = (channel.clone(), std::mem::take(message));
            *self = Replies::Open(channel.call_stream(message)?);
        }
        match self {
            Replies::Open(stream) => stream.next_timeout(Some(timeout)),
            _ => Ok(None),
        }
    }
}

/// The replies to one call.
#[napi]
pub struct ReplyStream {
    pub(crate) replies: Arc<Mutex<Replies>>,
}

#[napi]
impl ReplyStream {
    /// Waits for the next one.
    #[napi]
    pub fn next(&self) -> MessageWait {
        if let Replies::Open(stream) = &mut *lock(&self.replies) {
            match stream.next_timeout(Some(Duration::ZERO)) {
                Err(error) if error.kind() == ErrorKind::Timeout => {}
                found => return MessageWait::new(async move { found }),
            }
        }
        let replies = self.replies.clone();
        MessageWait::new(on_thread(move || {
            loop {
                // Gives the lock up now and then, so that `end` is not kept waiting.
                match lock(&replies).next(Duration::from_millis(100)) {
                    Err(error) if error.kind() == ErrorKind::Timeout => {}
                    found => return found,
                }
            }
        }))
    }

    /// Tells the other side that no more is wanted.
    #[napi]
    pub fn end(&self) {
        if let Ok(mut replies) = self.replies.try_lock() {
            *replies = Replies::Over;
            return;
        }
        let replies = self.replies.clone();
        let ended = std::thread::Builder::new().name("procs-channel".to_owned()).spawn(move || *lock(&replies) = Replies::Over);
        drop(ended);
    }
}
