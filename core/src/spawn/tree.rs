//! The processes below a child, as one thing to signal and to end.

use super::life::Core;
use super::options::TreeLevel;
use crate::error::{Error, Result};
use crate::sys::tree::{Look, Member, can_walk, group_members, is_short, walk};

/// A child and what was found below it.
pub(super) struct Tree<'a> {
    core: &'a Core,
    level: TreeLevel,
    members: Vec<Member>,
    look: Look,
}

impl<'a> Tree<'a> {
    pub(super) fn of(core: &'a Core, level: TreeLevel) -> Tree<'a> {
        Tree { core, level, members: Vec::new(), look: Look::default() }
    }

    /// Looks for descendants that are not yet known. Once the child has ended they have another parent: then those of its own group are
    /// found, as long as it is unreaped. Where descriptors are short, those that hold members are given back and it looks once more.
    pub(super) fn find(&mut self) -> Result<usize> {
        let before = self.members.len();
        if self.level >= TreeLevel::Group && can_walk() {
            self.look_around()?;
            if self.look.short.is_some() && !self.look.thrifty {
                self.look = Look { thrifty: true, short: None };
                self.members.iter_mut().for_each(Member::let_go);
                self.look_around()?;
            }
        }
        Ok(self.members.len() - before)
    }

    fn look_around(&mut self) -> Result<()> {
        let root = self.core.process()?.pid() as u32;
        let mut look = std::mem::take(&mut self.look);
        let found = walk(root, || self.is_unreaped(), &self.members, &mut look);
        self.members.extend(found);
        if self.core.tree.leads_group && self.core.has_ended()? {
            // Under the lock of reaping, so that the group's number stays its own meanwhile.
            let found = self.core.while_running(|_| Ok(group_members(root, &self.members, &mut look)))?;
            self.members.extend(found.unwrap_or_default());
        }
        self.look = look;
        Ok(())
    }

    /// Whether all that the level reaches was seen.
    ///
    /// # Errors
    /// `Exhausted` when there was not even a descriptor to look with: then some may be left.
    pub(super) fn seen_all(&mut self) -> Result<()> {
        match self.look.short.take() {
            Some(error) if self.level >= TreeLevel::Walk => Err(Error::from_io("stop", &error, "descendants cannot be looked for, some may be left")),
            _ => Ok(()),
        }
    }

    /// Whether the child's number is still its own.
    fn is_unreaped(&self) -> bool {
        match self.core.while_running(|process| process.signal(0)) {
            // It may have changed its user; it is there all the same.
            Ok(Err(error)) => error.raw_os_error() == Some(libc::EPERM),
            Ok(Ok(())) => true,
            Err(_) => false,
        }
    }

    /// Whether something that the level reaches still runs, besides the child itself.
    pub(super) fn reachable_alive(&self) -> bool {
        let leader = self.core.process().map_or(0, |process| process.pid() as u32);
        let reached = |member: &Member| self.level >= TreeLevel::Walk || member.is_in_group_of(leader);
        self.members.iter().any(|member| reached(member) && member.alive()) || !self.in_cgroup().is_empty()
    }

    fn in_cgroup(&self) -> Vec<u32> {
        let own = self.core.process().map_or(0, |process| process.pid() as u32);
        match &self.core.tree.cgroup {
            Some(cgroup) if self.level == TreeLevel::Cgroup => cgroup.members().into_iter().filter(|pid| *pid != own).collect(),
            _ => Vec::new(),
        }
    }

    /// Sends a signal to the child and everything that the level reaches.
    pub(super) fn signal(&mut self, signal: i32) -> Result<()> {
        if signal != libc::SIGKILL {
            self.core.await_own_signals()?;
        }
        self.find()?;
        let group = self.level >= TreeLevel::Group && self.core.tree.leads_group;
        let sent = self.core.while_running(|process| {
            if !group {
                return process.signal(signal);
            }
            let sent = process.signal_group(signal);
            // It may not have made its group yet (a start that was not waited for), or have left it since.
            if sent.is_ok() && process.is_in_own_group() { sent } else { process.signal(signal) }
        })?;
        if group && sent.is_err() {
            // The leader was reaped; a pidfd still reaches its group on kernels that know how.
            let _ = self.core.process()?.signal_led_group(signal);
        }
        if self.level >= TreeLevel::Walk {
            let leader = self.core.process()?.pid() as u32;
            // SIGKILL may come twice: one that left the group a moment ago has not had the group's.
            for member in self.members.iter().filter(|member| !group || signal == libc::SIGKILL || !member.is_in_group_of(leader)) {
                member.signal(signal);
            }
        }
        Ok(())
    }

    /// Ends everything that the level reaches with SIGKILL. Whatever forks meanwhile is stopped first, then found by the next look.
    pub(super) fn kill(&mut self) -> Result<()> {
        if self.level >= TreeLevel::Walk {
            let mut rounds = 0;
            loop {
                for member in &self.members {
                    member.signal(libc::SIGSTOP);
                }
                let _ = self.core.while_running(|process| process.signal(libc::SIGSTOP))?;
                rounds += 1;
                if self.find()? == 0 || rounds == 100 {
                    break;
                }
            }
        }
        self.signal(libc::SIGKILL)?;
        if self.level == TreeLevel::Cgroup
            && let Some(cgroup) = &self.core.tree.cgroup
        {
            // It reaches what no look has found.
            self.look.short = cgroup.kill().err().filter(is_short);
        }
        Ok(())
    }

    /// Numbers of those that still run, without the child itself.
    pub(super) fn survivors(&self) -> Vec<u32> {
        let mut alive: Vec<u32> = self.members.iter().filter(|member| member.alive()).map(|member| member.pid).collect();
        alive.extend(self.in_cgroup());
        alive.sort_unstable();
        alive.dedup();
        alive
    }
}
