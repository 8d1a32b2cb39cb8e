//! Pipelines beside the event loop.

use crate::error::{Failure, catch, guard};
use crate::event::Event;
use crate::hub::Hub;
use crate::options::SpawnRequest;
use crate::run::RunRequest;
use napi::bindgen_prelude::Either;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use procs::{CancelHandle, Command, Pipeline};

/// A pipeline in progress.
#[napi]
pub struct NativePipeline {
    /// Until it is over: a handle has a descriptor, and JavaScript lets go of this when it likes.
    cancel: Option<CancelHandle>,
}

#[napi]
impl NativePipeline {
    /// Stops every stage; the result says `cancelled`.
    #[napi]
    pub fn cancel(&self) {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }

    /// The result has been told: there is nothing to cancel any more.
    #[napi]
    pub fn over(&mut self) {
        self.cancel = None;
    }
}

#[napi]
impl Hub {
    /// Runs commands joined by pipes on a thread of their own. The result arrives as an event of this number.
    #[napi]
    pub fn pipeline(&self, id: u32, stages: Vec<SpawnRequest>, run: RunRequest) -> Either<NativePipeline, Failure> {
        guard(|| {
            let commands = stages.iter().map(SpawnRequest::command).collect::<procs::Result<Vec<Command>>>()?;
            let cancel = CancelHandle::new()?;
            let mut pipeline = Pipeline::new(commands);
            configure(&mut pipeline, &run);
            pipeline.cancel(&cancel);
            let wake = self.wake.clone();
            let work = move || {
                let result = catch(|| pipeline.output());
                wake.call(Event::Pipeline(id, result), ThreadsafeFunctionCallMode::NonBlocking);
            };
            std::thread::Builder::new()
                .name("procs-pipeline".to_owned())
                .spawn(work)
                .map_err(|error| procs::Error::from_io("pipeline", &error, "cannot start a thread"))?;
            Ok(NativePipeline { cancel: Some(cancel) })
        })
    }
}

fn configure(pipeline: &mut Pipeline, run: &RunRequest) {
    let options = run.options();
    if let Some(timeout) = options.timeout {
        pipeline.timeout(timeout);
    }
    if let Some(input) = options.input {
        pipeline.input(input);
    }
    pipeline.grace(options.grace).kill_tree(options.kill_tree).max_output(options.stdout_limit);
}
