//! What the blocking calls need beside a capture: small limits as child_process counts them, unread input, pipes above 2.

use napi::bindgen_prelude::Uint8Array;
use procs::{CancelHandle, Input, OutputLimit, Sink};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// child_process reads this much at a time and keeps the whole read that crosses the limit.
const READ: usize = 64 << 10;

/// From this limit on, the exact limit of the core: its output needs no copy, and 64 KiB more or less are nothing to it.
const EXACT_FROM: f64 = (16 << 20) as f64;

/// Bytes taken in beside the core.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// Whether there was no memory for some. What came later is dropped as well, so that there is no hole.
    lost: bool,
}

impl Kept {
    fn add(&mut self, bytes: &[u8]) {
        self.lost = self.lost || self.bytes.try_reserve(bytes.len()).is_err();
        if !self.lost {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

fn locked(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The limit of one stream of a blocking call.
#[derive(Clone)]
pub(crate) struct Limited {
    kept: Arc<Mutex<Kept>>,
    limit: usize,
}

impl Limited {
    /// For a small limit; `None` when there is none or the core's own serves.
    pub(crate) fn new(max_buffer: Option<f64>) -> Option<Limited> {
        let limit = max_buffer.filter(|limit| *limit < EXACT_FROM)?;
        Some(Limited { kept: Arc::default(), limit: limit as usize })
    }

    /// Takes the stream in; cancels the run as soon as there is more than the limit.
    pub(crate) fn sink(&self, cancel: &CancelHandle) -> Sink {
        let (kept, limit, cancel) = (self.kept.clone(), self.limit, cancel.clone());
        Sink::Callback(Box::new(move |chunk| {
            let mut kept = locked(&kept);
            if kept.bytes.len() > limit {
                return;
            }
            let most = (limit / READ + 1) * READ;
            let room = most.saturating_sub(kept.bytes.len());
            kept.add(&chunk[..chunk.len().min(room)]);
            if kept.bytes.len() > limit {
                cancel.cancel();
            }
        }))
    }

    pub(crate) fn exceeded(&self) -> bool {
        locked(&self.kept).bytes.len() > self.limit
    }

    /// Whether there was no memory for some of it.
    pub(crate) fn lost(&self) -> bool {
        locked(&self.kept).lost
    }

    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut locked(&self.kept).bytes)
    }
}

/// The core's limit for what [`Limited`] does not do.
pub(crate) fn exact(max_buffer: Option<f64>) -> OutputLimit {
    match max_buffer {
        Some(limit) if limit >= EXACT_FROM => OutputLimit::Error(limit as u64),
        _ => OutputLimit::Unlimited,
    }
}

/// Input that knows how much of it was not asked for: a child that ends before it has read everything is an error to child_process.
pub(crate) fn counted(bytes: Uint8Array, unread: Arc<AtomicUsize>) -> Input {
    unread.store(bytes.len(), Ordering::Relaxed);
    let mut at = 0;
    Input::Callback(Box::new(move |buffer| {
        let count = buffer.len().min(bytes.len() - at);
        buffer[..count].copy_from_slice(&bytes[at..at + count]);
        at += count;
        unread.store(bytes.len() - at, Ordering::Relaxed);
        Ok(count)
    }))
}

/// A thread that reads what the child writes to one of its pipes above 2.
pub(crate) struct Extra {
    fd: usize,
    kept: Arc<Mutex<Kept>>,
    thread: JoinHandle<()>,
}

impl Extra {
    pub(crate) fn start(fd: usize, end: OwnedFd) -> procs::Result<Extra> {
        let kept = Arc::<Mutex<Kept>>::default();
        let sink = kept.clone();
        let thread = std::thread::Builder::new()
            .name("procs-extra".to_owned())
            .spawn(move || read_all(File::from(end), &sink))
            .map_err(|error| procs::Error::from_io("spawnSync", &error, "cannot start a thread"))?;
        Ok(Extra { fd, kept, thread })
    }

    /// Descriptor and what was read of it: all, or, when the child had to be stopped, what had arrived. A descendant may hold the other end for long.
    /// `None` in place of the bytes when there was no memory for some.
    pub(crate) fn finish(self, stopped: bool) -> (usize, Option<Vec<u8>>) {
        if !stopped {
            // The thread cannot panic; a poisoned lock still holds the bytes.
            let _ = self.thread.join();
        }
        let mut kept = locked(&self.kept);
        (self.fd, if kept.lost { None } else { Some(std::mem::take(&mut kept.bytes)) })
    }
}

fn read_all(mut end: File, sink: &Mutex<Kept>) {
    let mut block = vec![0; READ];
    // A reset connection ends the stream like its end does; what came before is kept.
    while let Ok(count @ 1..) = end.read(&mut block) {
        locked(sink).add(&block[..count]);
    }
}
