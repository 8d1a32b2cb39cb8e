//! What the blocking calls need beside a capture: small limits as child_process counts them, unread input, pipes above 2.

use napi::bindgen_prelude::Uint8Array;
use procs::{CancelHandle, Input, OutputLimit, Sink};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// child_process reads this much at a time and keeps the whole read that crosses the limit.
const READ: usize = 64 << 10;

/// From this limit on, the exact limit of the core: its output needs no copy, and 64 KiB more or less are nothing to it.
const EXACT_FROM: f64 = (16 << 20) as f64;

/// The limit of one stream of a blocking call.
#[derive(Clone)]
pub(crate) struct Limited {
    kept: Arc<Mutex<Vec<u8>>>,
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
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() > limit {
                return;
            }
            let most = (limit / READ + 1) * READ;
            let room = most.saturating_sub(kept.len());
            kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if kept.len() > limit {
                cancel.cancel();
            }
        }))
    }

    pub(crate) fn exceeded(&self) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).len() > self.limit
    }

    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
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
    pub(crate) fd: usize,
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Extra {
    pub(crate) fn start(fd: usize, end: OwnedFd) -> procs::Result<Extra> {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let sink = bytes.clone();
        let thread = std::thread::Builder::new()
            .name("procs-extra".to_owned())
            .spawn(move || read_all(File::from(end), &sink))
            .map_err(|error| procs::Error::from_io("spawnSync", &error, "cannot start a thread"))?;
        Ok(Extra { fd, bytes, thread })
    }

    /// What was read: all of it, or, when the child had to be stopped, what had arrived. A descendant may hold the other end for long.
    pub(crate) fn finish(self, stopped: bool) -> Vec<u8> {
        if !stopped {
            // The thread cannot panic; a poisoned lock still holds the bytes.
            let _ = self.thread.join();
        }
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read_all(mut end: File, sink: &Mutex<Vec<u8>>) {
    let mut block = vec![0; READ];
    // A reset connection ends the stream like its end does; what came before is kept.
    while let Ok(count @ 1..) = end.read(&mut block) {
        sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&block[..count]);
    }
}
