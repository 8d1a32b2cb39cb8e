//! The state of one environment: its way back to JavaScript, and what it starts.

use crate::child::NativeChild;
use crate::error::{Failure, guard};
use crate::event::{AnswerArgs, Event, Wake};
use crate::executor::Executor;
use crate::options::SpawnRequest;
use napi::bindgen_prelude::{Either, Function};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use std::cell::OnceCell;
use std::sync::Arc;

/// Everything that one environment owns natively.
#[napi]
pub struct Hub {
    pub(crate) wake: Arc<Wake>,
    executor: OnceCell<Executor>,
}

/// Opens the hub of this environment. `receive` is called with the number and the answer of each outstanding thing, once.
#[napi]
pub fn open_hub(receive: Function<'_, AnswerArgs, ()>) -> napi::Result<Hub> {
    let wake = receive
        .build_threadsafe_function::<Event>()
        .weak::<true>()
        .callee_handled::<false>()
        .build_callback(|context| context.value.into_args(&context.env))?;
    Ok(Hub { wake: Arc::new(wake), executor: OnceCell::new() })
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

#[napi]
impl Hub {
    /// Starts a child here and now. Its end arrives as an event of this number.
    #[napi]
    pub fn spawn(&self, id: u32, request: SpawnRequest) -> Either<NativeChild, Failure> {
        guard(|| {
            let child = request.start()?;
            let wake = self.wake.clone();
            let notify = move |exit| {
                wake.call(Event::Exit(id, exit), ThreadsafeFunctionCallMode::NonBlocking);
            };
            if let Err(error) = child.on_exit(notify) {
                // A child whose end nobody would hear of is not handed out.
                child.kill()?;
                return Err(error);
            }
            Ok(NativeChild::new(child, self.wake.clone()))
        })
    }
}
