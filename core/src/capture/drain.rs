//! One loop for a whole run: feeds input, drains output, watches the children, keeps the deadline, stops what has to be stopped.
//!
//! States of the run:
//! ```text
//! Running --deadline, cancel, limit--> Stopping --ladder done: children ended or given up--> Stopped
//!    |                                                                                         |
//!    +-- children ended, and streams closed or drain_after_exit over --> finished <-- streams closed or drain_grace over
//! ```
//! The loop never blocks on anything but its one poll, so it serves a blocking caller (poll with a deadline) and a future (poll without
//! waiting, then the reactor watches) alike.

use super::ending::{Ladders, Survivor};
use super::feed::Feeder;
use super::intake::Intake;
use crate::deadline::{Deadline, interrupted};
use crate::error::{Error, Result};
use crate::io::reactor::{self, Interest, Watch};
use crate::io::transfer::{self, Events, PollFd};
use crate::spawn::{CancelHandle, ChildHandle, ExitStatus, RunOptions, StopReport};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Rounds of a future before it lets its executor run something else.
const ROUNDS_PER_POLL: usize = 64;

/// The rules of a run that the loop needs.
pub(super) struct Rules {
    pub(super) deadline: Deadline,
    pub(super) grace: Duration,
    pub(super) stop_signal: i32,
    pub(super) drain_grace: Duration,
    pub(super) drain_after_exit: Option<Duration>,
    pub(super) tree: bool,
}

impl Rules {
    pub(super) fn new(options: &RunOptions, deadline: Deadline) -> Rules {
        Rules {
            deadline,
            grace: options.grace,
            stop_signal: options.stop_signal,
            drain_grace: options.drain_grace,
            drain_after_exit: options.drain_after_exit,
            tree: options.kill_tree,
        }
    }
}

/// A child of the run.
pub(super) struct Member {
    pub(super) handle: ChildHandle,
    /// Set once its end was seen. With `tree` it is reaped only when the run is over, so that its number stays its own.
    pub(super) ended: Option<Instant>,
    pub(super) status: Option<ExitStatus>,
    pub(super) stopped: Option<StopReport>,
}

/// See the module's page.
pub(super) enum Phase {
    Running,
    Stopping(Arc<Ladders>, Survivor),
    Stopped,
}

/// What a ready descriptor means.
#[derive(Clone, Copy)]
enum Target {
    Child(usize),
    Read(usize),
    Sink(usize),
    Feed,
    Cancel,
    Ladder,
}

/// How a member ended.
pub(super) struct MemberEnd {
    pub(super) status: ExitStatus,
    pub(super) ended: Instant,
}

/// A run in progress. Dropping it before it is finished kills its children.
pub(super) struct Drain {
    /// First, so that no watch outlives the descriptor it watches.
    pub(super) watches: Vec<Watch>,
    pub(super) members: Vec<Member>,
    intakes: Vec<Intake>,
    pub(super) feeder: Option<Feeder>,
    cancels: Vec<CancelHandle>,
    pub(super) rules: Rules,
    pub(super) phase: Phase,
    pub(super) drain_until: Deadline,
    targets: Vec<Target>,
    polls: Vec<PollFd>,
    pub(super) finished: bool,
    pub(super) timed_out: bool,
    pub(super) cancelled: bool,
    pub(super) pipes_left_open: bool,
    pub(super) input_error: Option<Error>,
}

impl Drain {
    pub(super) fn new(handles: Vec<ChildHandle>, intakes: Vec<Intake>, cancels: Vec<CancelHandle>, rules: Rules) -> Drain {
        let member = |handle| Member { handle, ended: None, status: None, stopped: None };
        Drain {
            watches: Vec::new(),
            members: handles.into_iter().map(member).collect(),
            intakes,
            feeder: None,
            cancels,
            rules,
            phase: Phase::Running,
            drain_until: Deadline::NEVER,
            targets: Vec::new(),
            polls: Vec::new(),
            finished: false,
            timed_out: false,
            cancelled: false,
            pipes_left_open: false,
            input_error: None,
        }
    }

    /// Feeds this to the first child; a small input is written at once.
    pub(super) fn feed(&mut self, feeder: Feeder) {
        self.feeder = Some(feeder);
        self.feed_once();
    }

    /// Lets one more handle stop the run.
    pub(super) fn add_cancel(&mut self, cancel: CancelHandle) {
        self.cancels.push(cancel);
    }

    /// Runs until finished (true) or until `deadline` (false); nothing is lost in between.
    pub(super) fn run(&mut self, deadline: Deadline) -> Result<bool> {
        self.watches.clear();
        loop {
            self.tick();
            if self.is_finished() {
                return Ok(true);
            }
            if self.only_the_end_is_missing() {
                let ended = self.members[0].handle.wait_deadline(deadline.min(self.next_timer()))?;
                if let Some(status) = ended {
                    self.note_end(0, Some(status));
                    continue;
                }
            } else {
                self.collect();
                let count = self.poll(deadline.min(self.next_timer()))?;
                self.dispatch(count)?;
            }
            if deadline.passed() || interrupted() {
                self.tick();
                return Ok(self.is_finished());
            }
        }
    }

    /// As [`Drain::run`] for a future: never blocks, wakes the task when there is more to do.
    pub(super) fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.watches.clear();
        for _ in 0..ROUNDS_PER_POLL {
            self.tick();
            if self.is_finished() {
                return Poll::Ready(Ok(()));
            }
            self.collect();
            match self.poll(Deadline::after(Duration::ZERO)).and_then(|count| self.dispatch(count).map(|()| count)) {
                Ok(0) => return self.register(cx).map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Runs until a stop that is under way is done; streams may still be open then.
    pub(super) fn run_through_stop(&mut self) -> Result<()> {
        self.watches.clear();
        while matches!(self.phase, Phase::Stopping(..)) {
            self.collect();
            let count = self.poll(Deadline::NEVER)?;
            self.dispatch(count)?;
        }
        Ok(())
    }

    pub(super) fn all_ended(&self) -> bool {
        self.members.iter().all(|member| member.ended.is_some())
    }

    fn is_finished(&mut self) -> bool {
        let stopping = matches!(self.phase, Phase::Stopping(..));
        if !self.finished && !stopping && self.all_ended() && self.intakes.iter().all(Intake::is_closed) {
            self.feeder = None;
            self.finished = true;
        }
        self.finished
    }

    /// Whether waiting for one child is all that is left, so that no poll set is needed.
    fn only_the_end_is_missing(&self) -> bool {
        matches!(self.phase, Phase::Running)
            && self.members.len() == 1
            && self.members[0].ended.is_none()
            && self.feeder.is_none()
            && self.cancels.is_empty()
            && self.intakes.iter().all(Intake::is_closed)
    }

    /// The next point in time at which [`Drain::tick`] has something to do.
    fn next_timer(&self) -> Deadline {
        match self.phase {
            Phase::Running => self.rules.deadline.min(self.drain_until),
            Phase::Stopping(..) | Phase::Stopped => self.drain_until,
        }
    }

    /// Does what is due by the clock.
    fn tick(&mut self) {
        if self.next_timer() == Deadline::NEVER || !self.next_timer().passed() || self.is_finished() {
            return;
        }
        if self.drain_until.passed() {
            self.give_up_streams();
            return;
        }
        self.timed_out = true;
        self.begin_stop();
    }

    fn give_up_streams(&mut self) {
        self.pipes_left_open |= self.intakes.iter().any(Intake::is_open);
        self.drain_until = Deadline::NEVER;
        self.finished = true;
        self.feeder = None;
        self.intakes.iter_mut().for_each(Intake::close);
    }

    /// Lists what to wait for.
    fn collect(&mut self) {
        self.targets.clear();
        self.polls.clear();
        for (index, member) in self.members.iter().enumerate() {
            if member.ended.is_none() {
                self.targets.push(Target::Child(index));
                self.polls.push(PollFd::new(member.handle.as_fd(), Events::Read));
            }
        }
        for (index, intake) in self.intakes.iter().enumerate() {
            if let Some(fd) = intake.readable() {
                self.targets.push(Target::Read(index));
                self.polls.push(PollFd::new(fd, Events::Read));
            } else if let Some(fd) = intake.blocked_on() {
                self.targets.push(Target::Sink(index));
                self.polls.push(PollFd::new(fd, Events::Write));
            }
        }
        if let Some(feeder) = &self.feeder {
            self.targets.push(Target::Feed);
            self.polls.push(PollFd::new(feeder.writable(), Events::Write));
        }
        match &self.phase {
            Phase::Running => {
                for cancel in &self.cancels {
                    self.targets.push(Target::Cancel);
                    self.polls.push(PollFd::new(cancel.as_fd(), Events::Read));
                }
            }
            Phase::Stopping(ladders, _) => {
                self.targets.push(Target::Ladder);
                self.polls.push(PollFd::new(ladders.event(), Events::Read));
            }
            Phase::Stopped => {}
        }
    }

    fn poll(&mut self, deadline: Deadline) -> Result<usize> {
        transfer::poll(&mut self.polls, deadline).map_err(|error| Error::from_io("capture", &error, "cannot wait for the child"))
    }

    fn dispatch(&mut self, count: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        // Streams before ends: what a child wrote before it ended is read first.
        for slot in (0..self.polls.len()).rev() {
            let entry = self.polls[slot];
            if !entry.ready() {
                continue;
            }
            match self.targets[slot] {
                Target::Read(index) if entry.ended() => self.intakes[index].close(),
                Target::Read(index) => {
                    self.intakes[index].read();
                    if self.intakes[index].exceeded() {
                        self.begin_stop();
                    }
                }
                Target::Sink(index) => self.intakes[index].flush(),
                Target::Feed => self.feed_once(),
                Target::Cancel => {
                    self.cancelled |= matches!(self.phase, Phase::Running);
                    self.begin_stop();
                }
                Target::Ladder => self.ladder_done(),
                Target::Child(index) => self.child_ended(index)?,
            }
        }
        Ok(())
    }

    fn feed_once(&mut self) {
        match self.feeder.as_mut().map(Feeder::feed) {
            Some(Ok(false)) | None => {}
            Some(Ok(true)) => self.feeder = None,
            Some(Err(error)) => {
                self.feeder = None;
                self.input_error.get_or_insert(error);
            }
        }
    }

    fn register(&mut self, cx: &Context<'_>) -> Result<()> {
        let timer = self.next_timer().instant();
        if let Some(at) = timer {
            self.watches.push(reactor::watch_time(at, cx.waker())?);
        }
        for slot in 0..self.targets.len() {
            let interest = match self.targets[slot] {
                Target::Feed | Target::Sink(_) => Interest::Write,
                _ => Interest::Read,
            };
            if let Some(fd) = self.descriptor(self.targets[slot], slot) {
                let watch = reactor::watch_fd(fd, interest, cx.waker())?;
                self.watches.push(watch);
            }
        }
        Ok(())
    }

    fn descriptor(&self, target: Target, slot: usize) -> Option<BorrowedFd<'_>> {
        match target {
            Target::Child(index) => Some(self.members[index].handle.as_fd()),
            Target::Read(index) => self.intakes[index].readable(),
            Target::Sink(index) => self.intakes[index].blocked_on(),
            Target::Feed => self.feeder.as_ref().map(Feeder::writable),
            Target::Ladder => match &self.phase {
                Phase::Stopping(ladders, _) => Some(ladders.event()),
                _ => None,
            },
            Target::Cancel => {
                // Cancel handles are the last entries, in order.
                let first = self.targets.len() - self.cancels.len();
                self.cancels.get(slot - first).map(AsFd::as_fd)
            }
        }
    }

    /// The handle of a child.
    pub(super) fn handle(&self, index: usize) -> &ChildHandle {
        &self.members[index].handle
    }

    /// What is kept of a stream so far.
    pub(super) fn bytes(&self, index: usize) -> &[u8] {
        self.intakes.get(index).map_or(&[], Intake::bytes)
    }

    /// Takes the streams of a finished run.
    pub(super) fn take_intakes(&mut self) -> Vec<Intake> {
        std::mem::take(&mut self.intakes)
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.watches.clear();
        if !self.finished {
            self.abandon();
        }
    }
}
