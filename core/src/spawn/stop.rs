//! The ladder that ends a child: ask, terminate, kill, whole tree.

use super::child::{Child, ChildHandle};
use super::life::Core;
use super::options::TreeLevel;
use super::status::ExitStatus;
use super::tree::Tree;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::io::PipeWriter;
use crate::sys::tree::can_walk;
use std::time::Duration;

/// One step of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopAction {
    /// Waits without doing anything.
    Wait,
    /// Closes the child's standard input, if this `Child` still holds it.
    CloseStdin,
    /// Sends a signal, followed by SIGCONT so that a stopped process handles it.
    Signal(i32),
    /// Sends SIGKILL.
    Kill,
}

/// How to end a child: actions tried in order, each with the time it is given.
///
/// The default is SIGTERM, 5 s, SIGKILL. Source: TimeoutStopSec of systemd, stop actions of reproc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub(crate) steps: Vec<(StopAction, Duration)>,
    pub(crate) tree: Option<bool>,
}

impl Default for Stop {
    fn default() -> Stop {
        Stop::graceful(Duration::from_secs(5))
    }
}

impl Stop {
    /// No steps yet.
    pub fn new() -> Stop {
        Stop { steps: Vec::new(), tree: None }
    }

    /// SIGTERM, then SIGKILL after `grace`.
    pub fn graceful(grace: Duration) -> Stop {
        Stop::new().step(StopAction::Signal(libc::SIGTERM), grace).step(StopAction::Kill, Duration::from_secs(10))
    }

    /// SIGKILL at once.
    pub fn kill() -> Stop {
        Stop::new().step(StopAction::Kill, Duration::from_secs(10))
    }

    /// Appends an action and the time it is given before the next.
    pub fn step(mut self, action: StopAction, wait: Duration) -> Stop {
        self.steps.push((action, wait));
        self
    }

    /// Whether descendants are stopped as well. Default: as the command said with `kill_tree`.
    pub fn tree(mut self, tree: bool) -> Stop {
        self.tree = Some(tree);
        self
    }
}

/// What a stop did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopReport {
    /// How the child ended; `None` when it outlived the last step.
    pub status: Option<ExitStatus>,
    /// The action after which it ended; `None` when it had ended before.
    pub ended_by: Option<StopAction>,
    /// The means that were used on the tree.
    pub level: TreeLevel,
    /// Processes of the tree that were seen alive afterwards, as process ids.
    pub survivors: Vec<u32>,
}

/// How often a tree is looked at while its members are given time: they are no children of ours, so there is no event to wait for.
const LOOK: Duration = Duration::from_millis(2);

/// How long a stop waits until a child that has ended can be reaped.
const REAP_PATIENCE: Duration = Duration::from_secs(1);

impl ChildHandle {
    /// Ends the child by the given ladder and waits for it. `CloseStdin` does nothing here, because a handle owns no streams.
    ///
    /// Succeeds when the child has ended already; with a tree its remaining descendants are then still ended as far as the level reaches.
    ///
    /// # Errors
    /// `InvalidArgument` for a signal outside 1 to 64, before anything is done; `InvalidState` in a forked copy of the host; `Exhausted` when
    /// a walk found no free descriptor to look for descendants with: the child was stopped all the same.
    pub fn stop(&self, how: &Stop) -> Result<StopReport> {
        self.stop_with(how, &mut None)
    }

    /// Ends the child and all its descendants with SIGKILL, by the strongest means there is.
    pub fn kill_tree(&self) -> Result<StopReport> {
        self.stop(&Stop::kill().tree(true))
    }

    pub(crate) fn stop_with(&self, how: &Stop, stdin: &mut Option<PipeWriter>) -> Result<StopReport> {
        for (action, _) in &how.steps {
            if let StopAction::Signal(signal) = action
                && !(1..=64).contains(signal)
            {
                return Err(Error::invalid("stop", format!("signal is out of range (signal = {signal}, expected 1 to 64)")));
            }
        }
        let core = &*self.core;
        let tree = how.tree.unwrap_or(core.tree.kill);
        let level = match (tree, core.tree.level) {
            (false, _) => TreeLevel::Process,
            // Started without kill_tree there is still the walk.
            (true, TreeLevel::Process) if !core.tree.kill && can_walk() => TreeLevel::Walk,
            (true, level) => level,
        };
        let mut ladder = Ladder { core, tree: Tree::of(core, level), level };
        let ended_by = ladder.climb(how, stdin)?;
        let survivors = ladder.tree.survivors();
        // Its end was seen; a debugger may put off the reaping.
        let reaped = if core.has_ended()? { core.wait_deadline(Deadline::after(REAP_PATIENCE))? } else { None };
        let status = reaped.map(|exit| exit.status);
        ladder.tree.seen_all()?;
        Ok(StopReport { status, ended_by, level, survivors })
    }

    /// Kills at once and does not wait; for drops.
    pub(super) fn kill_now(&self) -> Result<()> {
        let core = &*self.core;
        let level = if core.tree.kill { core.tree.level } else { TreeLevel::Process };
        Tree::of(core, level).kill()
    }
}

impl Child {
    /// Ends the child by the given ladder and waits for it; see [`ChildHandle::stop`].
    pub fn stop(&mut self, how: &Stop) -> Result<StopReport> {
        let handle = self.handle().clone();
        handle.stop_with(how, &mut self.stdin)
    }

    /// Ends the child and all its descendants with SIGKILL; see [`ChildHandle::kill_tree`].
    pub fn kill_tree(&self) -> Result<StopReport> {
        self.handle().kill_tree()
    }
}

struct Ladder<'a> {
    core: &'a Core,
    tree: Tree<'a>,
    level: TreeLevel,
}

impl Ladder<'_> {
    /// Takes the steps until all has ended; gives the step that did it.
    fn climb(&mut self, how: &Stop, stdin: &mut Option<PipeWriter>) -> Result<Option<StopAction>> {
        let mut ended_by = None;
        self.tree.find()?;
        if self.over()? {
            return Ok(None);
        }
        for (action, wait) in &how.steps {
            let before = self.core.has_ended()?;
            self.act(*action, stdin)?;
            let over = self.wait(Deadline::after(*wait))?;
            if !before && self.core.has_ended()? {
                ended_by = Some(*action);
            }
            if over {
                break;
            }
        }
        Ok(ended_by)
    }

    fn act(&mut self, action: StopAction, stdin: &mut Option<PipeWriter>) -> Result<()> {
        match action {
            StopAction::Wait => Ok(()),
            StopAction::CloseStdin => {
                *stdin = None;
                Ok(())
            }
            StopAction::Signal(signal) => {
                self.tree.signal(signal)?;
                // A stopped process keeps the signal pending for ever. Source: SendSIGCONT behaviour of systemd.kill(5).
                if signal != libc::SIGSTOP && signal != libc::SIGTSTP { self.tree.signal(libc::SIGCONT) } else { Ok(()) }
            }
            StopAction::Kill => self.tree.kill(),
        }
    }

    /// Whether the child and all that is known below it, and that the level reaches, have ended.
    fn over(&mut self) -> Result<bool> {
        Ok(self.core.has_ended()? && (self.level == TreeLevel::Process || !self.tree.reachable_alive()))
    }

    /// Waits until all is over or the deadline passes; whether it is over.
    fn wait(&mut self, deadline: Deadline) -> Result<bool> {
        loop {
            if self.over()? {
                return Ok(true);
            }
            if deadline.passed() {
                return Ok(false);
            }
            if self.core.has_ended()? {
                std::thread::sleep(deadline.remaining().unwrap_or(LOOK).min(LOOK));
            } else {
                let waited = self.core.process()?.wait_ended(deadline);
                waited.map_err(|error| Error::from_io("stop", &error, "cannot wait for the child"))?;
            }
        }
    }
}
