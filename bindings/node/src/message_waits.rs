//! What JavaScript waits for on a channel: a message.

use crate::error::Failure;
use crate::hub::Hub;
use crate::message_parts::{VALUES, put};
use crate::shared::wait::LockWait;
use napi::Env;
use napi::bindgen_prelude::{Array, Either3, Null};
use napi_derive::napi;
use procs::{Message, Result};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

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
            put(env, &mut array, 0, message, false)?;
        }
        Ok(array)
    }
}
