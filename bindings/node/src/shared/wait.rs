//! A wait of the core that the environment looks at again whenever its number is answered.

use crate::error::{Failure, catch};
use crate::event::{Event, Wake as Answers};
use crate::hub::Hub;
use napi::bindgen_prelude::{Either3, Null};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use procs::{Error, ErrorKind, Result};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Milliseconds to wait at most; negative for ever.
pub(crate) fn timeout(ms: f64) -> Option<Duration> {
    (ms >= 0.0).then(|| Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX))
}

/// Answers a number, once.
pub(crate) struct Bell {
    id: u32,
    rung: AtomicBool,
    answers: Arc<Answers>,
}

impl Bell {
    pub(crate) fn new(hub: &Hub, id: u32) -> Arc<Bell> {
        Arc::new(Bell { id, rung: AtomicBool::new(false), answers: hub.wake.clone() })
    }

    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.answers.call(Event::Written(self.id), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.ring();
    }
}

type Wish = Pin<Box<dyn Future<Output = Result<bool>> + Send>>;

enum State {
    Waiting(Wish),
    Done(Result<bool>),
    Over,
}

/// A wait under way. Dropping it withdraws the wish.
#[napi]
pub struct LockWait {
    state: Mutex<State>,
    /// Rung when the wish is withdrawn: somebody waits for its answer.
    bell: Mutex<Option<Arc<Bell>>>,
}

impl LockWait {
    pub(crate) fn new(future: impl Future<Output = Result<bool>> + Send + 'static) -> LockWait {
        LockWait { state: Mutex::new(State::Waiting(Box::pin(future))), bell: Mutex::new(None) }
    }
}

#[napi]
impl LockWait {
    /// Looks, and answers the number `id` when there is a reason to call `result`, or to look again.
    #[napi]
    pub fn look(&self, hub: &Hub, id: u32) {
        let bell = Bell::new(hub, id);
        *self.bell.lock().unwrap_or_else(PoisonError::into_inner) = Some(bell.clone());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Waiting(future) = &mut *state {
            let waker = Waker::from(bell.clone());
            match catch(|| Ok(future.as_mut().poll(&mut Context::from_waker(&waker)))) {
                Ok(Poll::Pending) => return,
                Ok(Poll::Ready(result)) => *state = State::Done(result),
                Err(error) => *state = State::Done(Err(error)),
            }
        }
        bell.ring();
    }

    /// The result, once; null while there is none.
    #[napi]
    pub fn result(&self) -> Either3<bool, Failure, Null> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Over) {
            State::Done(Ok(value)) => Either3::A(value),
            State::Done(Err(error)) => Either3::B(Failure::from(&error)),
            State::Over => Either3::B(Failure::from(&Error::new(ErrorKind::Cancelled, "wait", "it was withdrawn"))),
            waiting => {
                *state = waiting;
                Either3::C(Null)
            }
        }
    }

    /// Withdraws the wish.
    #[napi]
    pub fn cancel(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Over;
        if let Some(bell) = self.bell.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bell.ring();
        }
    }
}
