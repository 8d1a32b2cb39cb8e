//! Many commands, a bounded number at a time.

use super::output::Output;
use super::start;
use crate::error::{Error, ErrorKind, Result};
use crate::spawn::{CancelHandle, Command};
use crossbeam_channel::{Receiver, Sender};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs every command to its end, at most `jobs` at once, and gives their results in the order of the commands. A failure does not stop the
/// others.
///
/// `jobs` = 0 means one for each CPU that this process may use. `progress` is called on the calling thread as each run ends, with its index
/// in `commands`; if it panics, what runs is stopped and what waits is not started. To stop early give all commands one
/// [`CancelHandle`]: runs not started then end with `Cancelled`.
///
/// ```
/// use procs::{Command, run_many};
/// let commands = (0..5).map(|number| { let mut echo = Command::new("echo"); echo.arg(number.to_string()); echo }).collect();
/// let mut ended = 0;
/// let results = run_many(commands, 2, |_, _| ended += 1);
/// assert_eq!(ended, 5);
/// assert_eq!(results[3].as_ref().map(|output| output.stdout.to_vec()).ok(), Some(b"3\n".to_vec()));
/// ```
pub fn run_many(commands: Vec<Command>, jobs: usize, mut progress: impl FnMut(usize, &Result<Output>)) -> Vec<Result<Output>> {
    let count = commands.len();
    let jobs = if jobs == 0 { std::thread::available_parallelism().map_or(1, NonZero::get) } else { jobs }.min(count);
    let mut results: Vec<Option<Result<Output>>> = (0..count).map(|_| None).collect();
    let (queue, todo) = crossbeam_channel::unbounded();
    for entry in commands.into_iter().enumerate() {
        // The receiver lives, so the queue takes all.
        let _ = queue.send(entry);
    }
    drop(queue);
    let (done, ended) = crossbeam_channel::unbounded();
    let stop = StopAll(CancelHandle::new());
    std::thread::scope(|scope| {
        let started = AtomicUsize::new(0);
        for _ in 0..jobs {
            let (todo, done, stop) = (todo.clone(), done.clone(), &stop);
            let builder = std::thread::Builder::new().name("procs-run".into());
            if builder.spawn_scoped(scope, move || work(&todo, &done, stop)).is_ok() {
                started.fetch_add(1, Ordering::Relaxed);
            }
        }
        if started.load(Ordering::Relaxed) == 0 {
            // No thread to be had: one at a time, here.
            work(&todo, &done, &stop);
        }
        drop(done);
        let guard = CancelOnUnwind(&stop);
        for (index, result) in &ended {
            progress(index, &result);
            results[index] = Some(result);
        }
        std::mem::forget(guard);
    });
    let lost = || Err(Error::new(ErrorKind::Panic, "run_many", "the run gave no result"));
    results.into_iter().map(|result| result.unwrap_or_else(lost)).collect()
}

/// Cancels every run of a call.
struct StopAll(Result<CancelHandle>);

struct CancelOnUnwind<'a>(&'a StopAll);

impl Drop for CancelOnUnwind<'_> {
    fn drop(&mut self) {
        if let Ok(cancel) = &self.0.0 {
            cancel.cancel();
        }
    }
}

fn work(todo: &Receiver<(usize, Command)>, done: &Sender<(usize, Result<Output>)>, stop: &StopAll) {
    while let Ok((index, mut command)) = todo.recv() {
        // A callback that panics costs its own run only, like any other failure.
        let result = catch_unwind(AssertUnwindSafe(|| run(&mut command, stop)));
        let result = result.unwrap_or_else(|_| Err(Error::new(ErrorKind::Panic, "run_many", "a callback of this run panicked")));
        if done.send((index, result)).is_err() {
            return;
        }
    }
}

fn run(command: &mut Command, stop: &StopAll) -> Result<Output> {
    let Ok(cancel) = &stop.0 else { return command.output() };
    if cancel.is_cancelled() {
        return Err(Error::new(ErrorKind::Cancelled, "run_many", "cancelled before the child was started"));
    }
    let mut capture = start::start(command)?;
    capture.also_cancelled_by(cancel);
    capture.finish()
}
