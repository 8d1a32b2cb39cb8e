//! The one thread that drains the captured runs of this process, so that an event loop never does.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    job: Mutex<Option<Job>>,
    ready: Sender<Arc<Task>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let ready = self.ready.clone();
        // The thread is gone only when the process ends.
        let _ = ready.send(self);
    }
}

/// A thread that polls futures until the executor is dropped.
pub(crate) struct Executor {
    ready: Sender<Arc<Task>>,
}

impl Executor {
    /// Starts the thread.
    pub(crate) fn start() -> procs::Result<Executor> {
        let (ready, queue) = channel::<Arc<Task>>();
        std::thread::Builder::new()
            .name("procs-node".to_owned())
            .spawn(move || {
                for task in queue {
                    poll(&task);
                }
            })
            .map_err(|error| procs::Error::from_io("run", &error, "cannot start the draining thread"))?;
        Ok(Executor { ready })
    }

    /// Runs the future on the thread.
    pub(crate) fn run(&self, job: impl Future<Output = ()> + Send + 'static) {
        let task = Arc::new(Task { job: Mutex::new(Some(Box::pin(job))), ready: self.ready.clone() });
        // As in `wake`: the receiver lives as long as a sender does.
        let _ = self.ready.send(task);
    }
}

fn poll(task: &Arc<Task>) {
    let mut slot = task.job.lock().unwrap_or_else(PoisonError::into_inner);
    // A wake after the end finds the slot empty.
    let Some(mut job) = slot.take() else { return };
    let waker = Waker::from(task.clone());
    if job.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Pending {
        *slot = Some(job);
    }
}
