//! How a run comes to its end: by itself, or stopped step by step while its output is still drained.

use super::drain::{Drain, MemberEnd, Phase};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::spawn::{ExitStatus, Stop, StopAction, StopReport};
use std::time::{Duration, Instant};

/// How long the end of a child is awaited after SIGKILL. Only a process stuck in the kernel takes longer; the reactor reaps it one day.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

impl Drain {
    pub(super) fn child_ended(&mut self, index: usize) -> Result<()> {
        if self.rules.tree {
            // Reaped in `end_of`: until then the number of the group's leader cannot be given to a stranger.
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
        member.ended_by = match self.phase {
            _ if status == Some(ExitStatus::Unknown) => None,
            Phase::Running => None,
            Phase::Terminating { .. } => Some(StopAction::Signal(self.rules.stop_signal)),
            Phase::Killed { .. } => Some(StopAction::Kill),
        };
        if self.all_ended() {
            self.all_have_ended();
        }
    }

    fn all_have_ended(&mut self) {
        match self.phase {
            Phase::Running => self.drain_until = Deadline::from_timeout(self.rules.drain_after_exit),
            Phase::Terminating { .. } => {
                // The leader obeyed; what is left of its tree does not outlive it.
                if self.rules.tree {
                    self.kill();
                }
                self.drain_until = Deadline::after(self.rules.drain_grace);
                self.phase = Phase::Killed { give_up: Deadline::NEVER };
            }
            Phase::Killed { .. } => self.drain_until = Deadline::after(self.rules.drain_grace),
        }
    }

    /// Starts to stop the run, unless that has begun.
    pub(super) fn begin_stop(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        self.feeder = None;
        self.report = Some(StopReport {
            status: None,
            ended_by: None,
            level: self.members[0].handle.tree_level(),
            survivors: Vec::new(),
        });
        if self.all_ended() {
            if self.rules.tree {
                self.kill();
            }
            self.phase = Phase::Killed { give_up: Deadline::NEVER };
            self.drain_until = Deadline::after(self.rules.drain_grace);
        } else if self.rules.grace.is_zero() {
            self.kill();
        } else {
            self.phase = Phase::Terminating { kill_at: Deadline::after(self.rules.grace) };
            self.signal(StopAction::Signal(self.rules.stop_signal));
        }
    }

    /// Sends a step of a ladder to every child that has not ended, without waiting. A refusal (the child changed its user) shows in the
    /// report: the child has not ended.
    fn signal(&mut self, action: StopAction) {
        let stop = Stop::new().step(action, Duration::ZERO).tree(self.rules.tree);
        for member in self.members.iter().filter(|member| member.ended.is_none()) {
            let _ = member.handle.stop(&stop);
        }
    }

    pub(super) fn kill(&mut self) {
        self.phase = Phase::Killed { give_up: Deadline::after(KILL_PATIENCE) };
        for index in 0..self.members.len() {
            let handle = &self.members[index].handle;
            if self.rules.tree {
                if let (Ok(tree), Some(report)) = (handle.kill_tree(), &mut self.report) {
                    report.level = tree.level;
                    report.survivors.extend(tree.survivors);
                }
            } else if self.members[index].ended.is_none() {
                let _ = handle.kill();
            }
        }
    }

    /// Stops the run by a ladder of the caller's, draining meanwhile.
    pub(super) fn stop(&mut self, how: &Stop) -> Result<StopReport> {
        let tree = how.tree.unwrap_or(self.rules.tree);
        let mut ended_by = None;
        for (action, wait) in &how.steps {
            if self.all_ended() {
                break;
            }
            match action {
                StopAction::Wait => {}
                StopAction::CloseStdin => self.feeder = None,
                action => self.signal(*action),
            }
            self.run_until_ended(Deadline::after(*wait))?;
            if self.all_ended() {
                ended_by = Some(*action);
            }
        }
        let mut report = StopReport { status: None, ended_by, level: self.members[0].handle.tree_level(), survivors: Vec::new() };
        if tree && !how.steps.is_empty() {
            for member in &self.members {
                let rest = member.handle.kill_tree()?;
                report.level = rest.level;
                report.survivors.extend(rest.survivors);
            }
        }
        if self.all_ended() {
            self.drain_until = self.drain_until.min(Deadline::after(self.rules.drain_grace));
            report.status = Some(self.end_of(0)?.status);
        }
        self.report = Some(report.clone());
        Ok(report)
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

    /// What stopping did, when the run had to be stopped.
    pub(super) fn take_report(&mut self) -> Result<Option<StopReport>> {
        let Some(mut report) = self.report.take() else { return Ok(None) };
        let last = self.members.iter().rev().find(|member| member.ended_by.is_some());
        report.ended_by = report.ended_by.or(last.and_then(|member| member.ended_by));
        let status = self.end_of(self.members.len() - 1)?.status;
        report.status = (status != ExitStatus::Unknown).then_some(status);
        Ok(Some(report))
    }
}
