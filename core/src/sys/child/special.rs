//! What few commands ask of a child: session, group, terminal, limits, identity, death with the parent. Kept apart so that a plain start
//! steps over all of it at once.

use super::{NO_ARGS, RawLimit, Span, Step, call, step};
use crate::error::Stage;

/// What is asked for, as plain numbers and pointers into memory of the parent.
#[repr(C)]
pub(in crate::sys) struct Special {
    /// Death signal, and a pidfd of the host to check that it still lives; negative where the kernel has none, then by its number.
    pub(in crate::sys) death_signal: i32,
    pub(in crate::sys) host_pidfd: i32,
    pub(in crate::sys) host_pid: i32,
    pub(in crate::sys) new_session: bool,
    pub(in crate::sys) foreground: bool,
    pub(in crate::sys) no_new_privs: bool,
    /// Group to join; negative is none.
    pub(in crate::sys) process_group: i32,
    pub(in crate::sys) cgroup_procs: i32,
    /// Descriptor of the child that becomes its controlling terminal; negative is none.
    pub(in crate::sys) tty: i32,
    /// File mode mask; negative is unchanged.
    pub(in crate::sys) umask: i32,
    pub(in crate::sys) limits: Span<RawLimit>,
    pub(in crate::sys) nice: Option<i32>,
    pub(in crate::sys) affinity: Span<u64>,
    pub(in crate::sys) groups: Option<Span<u32>>,
    pub(in crate::sys) gid: Option<u32>,
    pub(in crate::sys) uid: Option<u32>,
}

impl Special {
    /// What comes before the descriptors; gives the parent that the child was born under.
    pub(super) fn begin(&self) -> Result<isize, (Stage, isize)> {
        self.arm_parent_death()?;
        let born_under = if self.death_signal != 0 { call(libc::SYS_getppid, NO_ARGS) } else { 0 };
        if self.new_session {
            step(Stage::Session, call(libc::SYS_setsid, NO_ARGS))?;
        }
        if self.process_group >= 0 {
            step(Stage::ProcessGroup, call(libc::SYS_setpgid, [0, self.process_group as usize, 0, 0, 0]))?;
        }
        if self.cgroup_procs >= 0 {
            let zero = b"0";
            step(Stage::Clone, call(libc::SYS_write, [self.cgroup_procs as usize, zero.as_ptr() as usize, 1, 0, 0]))?;
        }
        Ok(born_under)
    }

    /// What comes after the directory was entered.
    pub(super) fn finish(&self, born_under: isize) -> Step {
        self.set_limits()?;
        self.set_identity()?;
        if self.death_signal != 0 && (self.uid.is_some() || self.gid.is_some()) {
            self.rearm_parent_death(born_under)?;
        }
        if self.no_new_privs {
            step(Stage::NoNewPrivs, call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0]))?;
        }
        Ok(())
    }

    /// Asks for the death signal, then makes sure that the host had not died before. Its children have another parent from the moment its last
    /// thread ends, its pidfd is readable a moment later; but a parent in another pid namespace is always 0, and there the pidfd has to do.
    fn arm_parent_death(&self) -> Step {
        if self.death_signal == 0 {
            return Ok(());
        }
        let args = [libc::PR_SET_PDEATHSIG as usize, self.death_signal as usize, 0, 0, 0];
        step(Stage::ParentDeath, call(libc::SYS_prctl, args))?;
        if self.host_pidfd >= 0 {
            let mut poll = libc::pollfd { fd: self.host_pidfd, events: libc::POLLIN, revents: 0 };
            let zero = [0i64; 2];
            let ready = call(libc::SYS_ppoll, [&raw mut poll as usize, 1, zero.as_ptr() as usize, 0, 8]);
            if ready > 0 {
                return Err((Stage::ParentDeath, -(libc::ESRCH as isize)));
            }
        }
        let parent = call(libc::SYS_getppid, NO_ARGS);
        if parent != self.host_pid as isize && parent != 0 {
            return Err((Stage::ParentDeath, -(libc::ESRCH as isize)));
        }
        Ok(())
    }

    /// A change of credentials clears the death signal: ask again, and compare the parent with the one seen while it was armed.
    fn rearm_parent_death(&self, born_under: isize) -> Step {
        let args = [libc::PR_SET_PDEATHSIG as usize, self.death_signal as usize, 0, 0, 0];
        step(Stage::ParentDeath, call(libc::SYS_prctl, args))?;
        if call(libc::SYS_getppid, NO_ARGS) != born_under {
            return Err((Stage::ParentDeath, -(libc::ESRCH as isize)));
        }
        Ok(())
    }

    pub(super) fn take_terminal(&self) -> Step {
        if self.tty >= 0 {
            step(Stage::Terminal, call(libc::SYS_ioctl, [self.tty as usize, libc::TIOCSCTTY as usize, 0, 0, 0]))?;
        }
        if self.foreground {
            // From a background group this raises SIGTTOU unless blocked; the parent has blocked everything for this.
            let group = call(libc::SYS_getpgid, [0; 5]) as i32;
            let args = [0, libc::TIOCSPGRP as usize, &raw const group as usize, 0, 0];
            step(Stage::Terminal, call(libc::SYS_ioctl, args))?;
        }
        Ok(())
    }

    fn set_limits(&self) -> Step {
        if self.umask >= 0 {
            call(libc::SYS_umask, [self.umask as usize, 0, 0, 0, 0]);
        }
        let mut index = 0;
        while let Some(limit) = self.limits.get(index) {
            let args = [0, limit.resource as usize, &raw const limit as usize, 0, 0];
            step(Stage::Limits, call(libc::SYS_prlimit64, args))?;
            index += 1;
        }
        if let Some(nice) = self.nice {
            step(Stage::Nice, call(libc::SYS_setpriority, [libc::PRIO_PROCESS as usize, 0, nice as usize, 0, 0]))?;
        }
        if self.affinity.len > 0 {
            let args = [0, self.affinity.len * 8, self.affinity.start as usize, 0, 0];
            step(Stage::Affinity, call(libc::SYS_sched_setaffinity, args))?;
        }
        Ok(())
    }

    /// Groups, then group, then user: afterwards the right to change the others is gone. Raw calls, because libc's would signal all threads.
    fn set_identity(&self) -> Step {
        if let Some(groups) = self.groups {
            step(Stage::Groups, call(libc::SYS_setgroups, [groups.len, groups.start as usize, 0, 0, 0]))?;
        }
        if let Some(gid) = self.gid {
            let gid = gid as usize;
            step(Stage::Gid, call(libc::SYS_setresgid, [gid, gid, gid, 0, 0]))?;
        }
        if let Some(uid) = self.uid {
            let uid = uid as usize;
            step(Stage::Uid, call(libc::SYS_setresuid, [uid, uid, uid, 0, 0]))?;
        }
        Ok(())
    }
}
