//! One output of a child while it is read here: ahead of whoever will want it, to be kept, or to be thrown away.

use crate::keeper::Hold;
use procs::{Collector, Deadline, OutputLimit, PipeReader, ReadySet};
use std::time::Duration;

/// Bytes of an output that nobody asked for yet which are read ahead, so that a child is not held up: what a socket pair and a stream of
/// child_process hold together.
const READ_AHEAD: usize = 256 << 10;
/// Reads of one stream in one turn of the loop.
const READS_A_TURN: u32 = 8;
/// The largest read of a collector.
const BLOCK: usize = 256 << 10;

/// What is done with an output.
pub(crate) enum Task {
    /// Read until somebody wants it, at most [`READ_AHEAD`].
    Ahead,
    /// Kept up to this many bytes for whoever asks at its end.
    Keep(usize),
    /// Thrown away.
    Discard,
}

/// Standard output or standard error while it is read here.
pub(crate) struct Stream {
    pub(crate) collector: Collector,
    pub(crate) task: Task,
    /// Bytes before the read that exceeded the limit.
    pub(crate) within: usize,
    watched: bool,
    /// Keeps the loop alive until the end of what is read for good is told: as a stream of child_process would.
    pub(crate) hold: Option<Hold>,
}

/// Why an output is not read any more.
pub(crate) enum Stop {
    Ended,
    /// There was more than is kept.
    Exceeded,
}

impl Stream {
    pub(crate) fn new(set: &ReadySet, pipe: PipeReader, number: u64, task: Task) -> procs::Result<Stream> {
        set.add(&pipe, number)?;
        let limit = if matches!(task, Task::Discard) { OutputLimit::Head(0) } else { OutputLimit::Unlimited };
        Ok(Stream { collector: Collector::new(pipe, limit)?, task, within: 0, watched: true, hold: None })
    }

    /// Whether its end is told.
    pub(crate) fn is_told(&self) -> bool {
        matches!(self.task, Task::Keep(_) | Task::Discard)
    }

    pub(crate) fn unwatch(&mut self, set: &ReadySet) {
        if std::mem::take(&mut self.watched)
            && let Some(pipe) = self.collector.pipe()
        {
            let _ = set.remove(pipe);
        }
    }

    /// Reads what there is, within reason: why no more is read, if that is to be told.
    pub(crate) fn read_on(&mut self, set: &ReadySet) -> Option<Stop> {
        // The set may have told of it before it was taken out.
        if !self.watched {
            return None;
        }
        for _ in 0..READS_A_TURN {
            let before = self.collector.bytes().len();
            // Closing alone does not take it out: a child that is being started may hold it for a moment.
            let count = self.collector.read_to(|pipe| drop(set.remove(&pipe)));
            if self.collector.pipe().is_none() {
                self.watched = false;
                self.hold = None;
                return self.is_told().then_some(Stop::Ended);
            }
            let held = self.collector.bytes().len();
            match self.task {
                Task::Keep(limit) if held > limit => {
                    self.within = before;
                    self.unwatch(set);
                    self.hold = None;
                    return Some(Stop::Exceeded);
                }
                Task::Ahead if held >= READ_AHEAD => {
                    self.unwatch(set);
                    return None;
                }
                _ => {}
            }
            if count < BLOCK {
                return None;
            }
            let more = self.collector.pipe().is_some_and(|pipe| pipe.wait_readable(Deadline::after(Duration::ZERO)).unwrap_or(false));
            if !more {
                return None;
            }
        }
        None
    }
}

/// Throws away what is in a pipe now; gives it back unless it has ended.
pub(crate) fn drain(pipe: PipeReader) -> procs::Result<Option<PipeReader>> {
    let mut rest = Collector::new(pipe, OutputLimit::Head(0))?;
    while let Some(pipe) = rest.pipe() {
        if !pipe.wait_readable(Deadline::after(Duration::ZERO))? {
            return Ok(rest.take_pipe());
        }
        rest.read();
    }
    Ok(None)
}
