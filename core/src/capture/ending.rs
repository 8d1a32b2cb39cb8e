//! How a run comes to its end: by itself, or stopped step by step while its output is still drained.
//!
//! A ladder of stop steps waits between its steps, so it climbs on a thread of its own, one for each child; the loop goes on draining (a child
//! that handles SIGTERM may have much to say) and is told through an event descriptor when a ladder is done.

use super::drain::{Drain, Member, MemberEnd, Phase};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::io::transfer::EventFd;
use crate::spawn::offload::run_aside;
use crate::spawn::{ChildHandle, ExitStatus, Stop, StopAction, StopReport};
use parking_lot::Mutex;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the end of a child is awaited after SIGKILL. Only a process stuck in the kernel takes longer; the reactor reaps it one day.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

/// Ladders under way, one for each child.
pub(super) struct Ladders {
    reports: Mutex<Vec<Option<Result<StopReport>>>>,
    done: EventFd,
}

impl Ladders {
    /// Lets each child's ladder climb on a thread of its own, or here when no thread is to be had.
    fn start(handles: impl ExactSizeIterator<Item = ChildHandle>, how: &Stop) -> Result<Arc<Ladders>> {
        let ladders = Arc::new(Ladders { reports: Mutex::new((0..handles.len()).map(|_| None).collect()), done: EventFd::new("stop")? });
        for (index, handle) in handles.enumerate() {
            let climb = {
                let (ladders, how, handle) = (Arc::clone(&ladders), how.clone(), handle.clone());
                move || {
                    // A report must come whatever happens: the loop waits for it.
                    let report = catch_unwind(AssertUnwindSafe(|| handle.stop(&how)));
                    ladders.note(index, report.unwrap_or_else(|_| Err(Error::new(ErrorKind::Panic, "stop", "stopping the child panicked"))));
                }
            };
            if run_aside("procs-stop", climb).is_err() {
                ladders.note(index, handle.stop(how));
            }
        }
        Ok(ladders)
    }

    fn note(&self, index: usize, report: Result<StopReport>) {
        self.reports.lock()[index] = Some(report);
        self.done.signal();
    }

    /// Readable when a ladder is done.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// The reports, once all are there.
    fn take(&self) -> Option<Vec<Result<StopReport>>> {
        self.done.clear();
        let mut reports = self.reports.lock();
        if reports.iter().all(Option::is_some) { Some(reports.drain(..).flatten().collect()) } else { None }
    }
}

/// What becomes of a child that outlives its ladder.
#[derive(Clone, Copy)]
pub(super) enum Survivor {
    /// The run ends without it.
    GivenUp,
    /// The run goes on.
    RunsOn,
}

impl Member {
    /// Keeps what the first ladder that ended it has to say.
    fn note_report(&mut self, mut report: StopReport) {
        if let Some(before) = self.stopped.take() {
            report.ended_by = before.ended_by.or(report.ended_by);
            report.status = before.status.or(report.status);
        }
        self.stopped = Some(report);
    }

    /// Says so, if it ended since its input was closed: maybe before the ladder could look.
    fn ended_by_closed_input(&mut self) {
        if let (Some(report), Some(_)) = (&mut self.stopped, self.ended)
            && report.ended_by.is_none_or(|action| action == StopAction::Wait)
        {
            report.ended_by = Some(StopAction::CloseStdin);
        }
    }
}

impl Drain {
    pub(super) fn child_ended(&mut self, index: usize) -> Result<()> {
        if self.rules.tree {
            // Reaped in `end_of` or by the ladder: until then the number of the group's leader cannot be given to a stranger.
            self.note_end(index, None);
        } else if let Some(status) = self.members[index].handle.try_wait()? {
            self.note_end(index, Some(status));
        }
        Ok(())
    }

    pub(super) fn note_end(&mut self, index: usize, status: Option<ExitStatus>) {
        let member = &mut self.members[index];
        if member.ended.is_some() {
            return;
        }
        member.ended = Some(Instant::now());
        member.status = status;
        if self.all_ended() {
            self.drain_until = match self.phase {
                Phase::Running => Deadline::from_timeout(self.rules.drain_after_exit),
                // The ladder may still be ending descendants that write.
                Phase::Stopping(..) => Deadline::NEVER,
                Phase::Stopped => Deadline::after(self.rules.drain_grace),
            };
        }
    }

    /// Starts to stop the run by its own rules, unless that has begun.
    pub(super) fn begin_stop(&mut self) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        self.feeder = None;
        let mut how = Stop::new();
        if !self.rules.grace.is_zero() && !self.all_ended() {
            how = how.step(StopAction::Signal(self.rules.stop_signal), self.rules.grace);
        }
        self.climb(how.step(StopAction::Kill, KILL_PATIENCE), Survivor::GivenUp);
    }

    /// Lets every child climb down a ladder.
    fn climb(&mut self, how: Stop, survivor: Survivor) {
        let how = how.tree(self.rules.tree);
        self.drain_until = Deadline::NEVER;
        match Ladders::start(self.members.iter().map(|member| member.handle.clone()), &how) {
            Ok(ladders) => self.phase = Phase::Stopping(ladders, survivor),
            Err(_) => {
                // Out of descriptors: the children are stopped all the same, only not drained meanwhile.
                let reports = self.members.iter().map(|member| member.handle.stop(&how)).collect();
                self.note_reports(reports, survivor);
            }
        }
    }

    /// Takes the reports of the ladders, once all are done.
    pub(super) fn ladder_done(&mut self) {
        let Phase::Stopping(ladders, survivor) = &self.phase else { return };
        let (Some(reports), survivor) = (ladders.take(), *survivor) else {
            return;
        };
        self.note_reports(reports, survivor);
    }

    fn note_reports(&mut self, reports: Vec<Result<StopReport>>, survivor: Survivor) {
        self.phase = Phase::Stopped;
        for (index, report) in reports.into_iter().enumerate() {
            // A refused signal (the child changed its user) reads as a child that outlived the ladder.
            let level = self.members[index].handle.tree_level();
            let report = report.unwrap_or(StopReport { status: None, ended_by: None, level, survivors: Vec::new() });
            match (report.status, survivor) {
                (None, Survivor::RunsOn) => {}
                (status, _) => self.note_end(index, Some(status.unwrap_or(ExitStatus::Unknown))),
            }
            self.members[index].note_report(report);
        }
        if self.all_ended() {
            self.drain_until = Deadline::after(self.rules.drain_grace);
        } else {
            self.phase = Phase::Running;
        }
    }

    /// Stops every child by a ladder of the caller's, draining meanwhile; one report for each. Children that outlive it run on.
    pub(super) fn stop(&mut self, how: &Stop) -> Result<Vec<StopReport>> {
        self.watches.clear();
        self.rules.tree = how.tree.unwrap_or(self.rules.tree);
        let mut rest = how.steps.as_slice();
        while let Some(closing) = rest.iter().position(|(action, _)| *action == StopAction::CloseStdin) {
            // The input is ours, so this step is done here, and its time is given as a wait.
            self.climb_and_wait(&rest[..closing])?;
            let running: Vec<bool> = self.members.iter().map(|member| member.ended.is_none()).collect();
            self.feeder = None;
            self.climb_and_wait(&[(StopAction::Wait, rest[closing].1)])?;
            for (member, _) in self.members.iter_mut().zip(running).filter(|(_, ran)| *ran) {
                member.ended_by_closed_input();
            }
            rest = &rest[closing + 1..];
        }
        self.climb_and_wait(rest)?;
        let missing = || Error::invalid("stop", "the ladder has no steps (expected at least one)");
        self.members.iter().map(|member| member.stopped.clone().ok_or_else(missing)).collect()
    }

    fn climb_and_wait(&mut self, steps: &[(StopAction, Duration)]) -> Result<()> {
        self.run_through_stop()?;
        let over = self.all_ended() && self.members.iter().all(|member| member.stopped.is_some());
        if steps.is_empty() || over {
            return Ok(());
        }
        self.climb(Stop { steps: steps.to_vec(), tree: None }, Survivor::RunsOn);
        self.run_through_stop()
    }

    /// Lets the children run on when this is dropped.
    pub(super) fn release(&mut self) {
        self.finished = true;
    }

    /// Kills at once what has not ended, without waiting.
    pub(super) fn abandon(&mut self) {
        let kill = Stop::new().step(StopAction::Kill, Duration::ZERO).tree(self.rules.tree);
        for member in self.members.iter().filter(|member| member.status.is_none()) {
            let _ = member.handle.stop(&kill);
        }
    }

    /// How a child ended, reaping it now if that was put off. Only after its end was seen.
    pub(super) fn end_of(&mut self, index: usize) -> Result<MemberEnd> {
        let member = &mut self.members[index];
        let status = match member.status {
            Some(status) => status,
            None => member.handle.try_wait()?.unwrap_or(ExitStatus::Unknown),
        };
        member.status = Some(status);
        Ok(MemberEnd { status, ended: member.ended.unwrap_or_else(Instant::now) })
    }

    /// What stopping did, when the run had to be stopped: to the last of the children that it ended.
    pub(super) fn take_report(&mut self) -> Option<StopReport> {
        let mut reports: Vec<StopReport> = self.members.iter_mut().filter_map(|member| member.stopped.take()).collect();
        let last = reports.iter().rposition(|report| report.ended_by.is_some()).unwrap_or(0);
        (last < reports.len()).then(|| reports.swap_remove(last))
    }
}
