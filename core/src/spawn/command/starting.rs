//! How a child is started: everything that is not the program, its arguments, environment and streams.

use super::Command;
use crate::spawn::options::{Resource, SignalPolicy, TreeLevel};
use crate::spawn::rare::Standard;
use std::os::fd::RawFd;

/// A limit to set: resource, soft, hard; `None` is unlimited.
pub(crate) type Limit = (Resource, Option<u64>, Option<u64>);

/// Whether a start waits until the program is executing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExecWait {
    Always,
    /// Unless it is a program that this process has executed before, in a start that can fail by nothing else.
    UnlessKnown,
    Never,
}

/// How a child is started: everything that is not the program, its arguments, environment and streams.
#[derive(Clone, Debug)]
pub(crate) struct StartOptions {
    pub(crate) process_group: Option<i32>,
    pub(crate) new_session: bool,
    pub(crate) controlling_tty: Option<RawFd>,
    pub(crate) foreground: bool,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) groups: Option<Vec<u32>>,
    pub(crate) umask: Option<u32>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) nice: Option<i32>,
    pub(crate) affinity: Option<Vec<usize>>,
    pub(crate) no_new_privs: bool,
    pub(crate) die_with_parent: Option<i32>,
    pub(crate) signals: SignalPolicy,
    /// The mask of the thread that asked, once the command was handed to another thread.
    pub(crate) caller_mask: Option<u64>,
    pub(crate) keep_fds: bool,
    pub(crate) blocking_stdio: bool,
    pub(crate) offload: bool,
    pub(crate) exec_wait: ExecWait,
    pub(crate) program_after_chdir: bool,
    pub(crate) allow_relative_path: bool,
    pub(crate) keep_control_env: bool,
    pub(crate) env_snapshot: Option<std::sync::Arc<crate::sys::environ::Snapshot>>,
    pub(crate) pipe_size: Option<u32>,
    pub(crate) kill_on_drop: bool,
    pub(crate) tree_level: Option<TreeLevel>,
}

impl StartOptions {
    /// Whether something is asked for that the child itself has to do, beside its streams, signals and directory.
    pub(crate) fn is_special(&self) -> bool {
        self.die_with_parent.is_some()
            || self.new_session
            || self.process_group.is_some()
            || self.controlling_tty.is_some()
            || self.foreground
            || self.umask.is_some()
            || !self.limits.is_empty()
            || self.nice.is_some()
            || self.affinity.is_some()
            || self.groups.is_some()
            || self.gid.is_some()
            || self.uid.is_some()
            || self.no_new_privs
    }
}

impl Standard for StartOptions {
    const STANDARD: StartOptions = StartOptions {
        process_group: None,
        new_session: false,
        controlling_tty: None,
        foreground: false,
        uid: None,
        gid: None,
        groups: None,
        umask: None,
        limits: Vec::new(),
        nice: None,
        affinity: None,
        no_new_privs: false,
        die_with_parent: None,
        signals: SignalPolicy::Default,
        caller_mask: None,
        keep_fds: false,
        blocking_stdio: false,
        offload: false,
        exec_wait: ExecWait::Always,
        program_after_chdir: false,
        allow_relative_path: false,
        keep_control_env: false,
        env_snapshot: None,
        pipe_size: None,
        kill_on_drop: false,
        tree_level: None,
    };
    const STANDARD_REF: &'static StartOptions = &StartOptions::STANDARD;
}

impl Command {
    /// Leaves the host's descriptors without close-on-exec open in the child (`close_fds=False` of subprocess). Default: false.
    pub fn keep_fds(&mut self, keep: bool) -> &mut Command {
        self.start.change(keep, |options| options.keep_fds = keep);
        self
    }

    /// Clears O_NONBLOCK on the descriptions that become the child's 0 to 2, also where the host shares them: most programs take EAGAIN
    /// for an error. Default: false. Source: uv_spawn of libuv.
    pub fn blocking_stdio(&mut self, blocking: bool) -> &mut Command {
        self.start.change(blocking, |options| options.blocking_stdio = blocking);
        self
    }

    /// Asks for this size of the child's pipes, in bytes; a refusal is ignored. Source: F_SETPIPE_SZ of fcntl(2).
    pub fn pipe_size(&mut self, bytes: u32) -> &mut Command {
        self.start.pipe_size = Some(bytes);
        self
    }

    /// Process group: 0 makes a new one led by the child, another number joins that group.
    pub fn process_group(&mut self, group: i32) -> &mut Command {
        self.start.process_group = Some(group);
        self
    }

    /// Starts a new session (and with it a new process group).
    pub fn new_session(&mut self, new: bool) -> &mut Command {
        self.start.change(new, |options| options.new_session = new);
        self
    }

    /// Makes this descriptor of the child its controlling terminal; implies a new session.
    pub fn controlling_tty(&mut self, child_fd: RawFd) -> &mut Command {
        self.start.controlling_tty = Some(child_fd);
        self
    }

    /// Makes the child's new process group the foreground group of the terminal on its standard input. Needs `process_group(0)`.
    pub fn foreground(&mut self, foreground: bool) -> &mut Command {
        self.start.change(foreground, |options| options.foreground = foreground);
        self
    }

    /// User id of the child. The groups must be given with it: see [`Command::groups`].
    pub fn uid(&mut self, uid: u32) -> &mut Command {
        self.start.uid = Some(uid);
        self
    }

    /// Group id of the child.
    pub fn gid(&mut self, gid: u32) -> &mut Command {
        self.start.gid = Some(gid);
        self
    }

    /// Supplementary groups of the child; an empty list drops all.
    pub fn groups(&mut self, groups: &[u32]) -> &mut Command {
        self.start.groups = Some(groups.to_vec());
        self
    }

    /// File mode creation mask, 0 to 0o777.
    pub fn umask(&mut self, mask: u32) -> &mut Command {
        self.start.umask = Some(mask);
        self
    }

    /// Sets a resource limit; `None` is unlimited. Units as in setrlimit(2): bytes, seconds or counts.
    pub fn limit(&mut self, resource: Resource, soft: Option<u64>, hard: Option<u64>) -> &mut Command {
        self.start.limits.push((resource, soft, hard));
        self
    }

    /// Nice value, -20 to 19.
    pub fn nice(&mut self, nice: i32) -> &mut Command {
        self.start.nice = Some(nice);
        self
    }

    /// The CPUs that the child may use, by number.
    pub fn affinity(&mut self, cpus: &[usize]) -> &mut Command {
        self.start.affinity = Some(cpus.to_vec());
        self
    }

    /// Forbids the child and its descendants to gain privileges by exec. Source: PR_SET_NO_NEW_PRIVS of prctl(2).
    pub fn no_new_privs(&mut self, forbid: bool) -> &mut Command {
        self.start.change(forbid, |options| options.no_new_privs = forbid);
        self
    }

    /// Sends the child SIGKILL when the host ends for any reason. The child is then started by a permanent thread of the library.
    pub fn die_with_parent(&mut self, die: bool) -> &mut Command {
        self.start.change(die, |options| options.die_with_parent = die.then_some(libc::SIGKILL));
        self
    }

    /// Sends the child this signal when the host ends for any reason; see [`Command::die_with_parent`].
    pub fn parent_death_signal(&mut self, signal: i32) -> &mut Command {
        self.start.die_with_parent = Some(signal);
        self
    }

    /// Signal mask and dispositions of the child. Default: empty mask, everything default.
    pub fn signals(&mut self, policy: SignalPolicy) -> &mut Command {
        self.start.change(policy != SignalPolicy::Default, |options| options.signals = policy);
        self
    }

    /// Starts the child on a spawner thread of the library, so that an exec that hangs on a dead disk blocks only that thread.
    /// The timeout and cancel handle of the command then bound the start as well.
    pub fn offload(&mut self, offload: bool) -> &mut Command {
        self.start.change(offload, |options| options.offload = offload);
        self
    }

    /// Whether `spawn` waits until the program is executing (default). Without, it returns about 25 µs earlier, and why a program could not
    /// be executed is told by `wait` instead of by `spawn`. Ignored where the system or another option does not allow it.
    pub fn wait_for_exec(&mut self, wait: bool) -> &mut Command {
        self.start.change(!wait, |options| options.exec_wait = if wait { ExecWait::Always } else { ExecWait::Never });
        self
    }

    /// As `wait_for_exec(false)` for a program that this process has executed before, as long as its file is unchanged and nothing is asked
    /// for but streams 0 to 2, arguments and environment; else as `wait_for_exec(true)`. For event loops: they are held up only by the first
    /// start of each program. A program that is not executed after all is reported by the functions that wait, as `Err`.
    #[doc(hidden)]
    pub fn wait_for_exec_unless_known(&mut self) -> &mut Command {
        self.start.exec_wait = ExecWait::UnlessKnown;
        self
    }

    /// Kills the child (with `kill_tree`, its tree) when its `Child` is dropped before it ended. Default: the child runs on.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Command {
        self.start.change(kill, |options| options.kill_on_drop = kill);
        self
    }

    /// Whether stopping the child, by `stop`, deadline, cancel or drop, stops all its descendants. The child gets its own process group
    /// (unless one was asked for) and, where the system allows, its own cgroup.
    pub fn kill_tree(&mut self, tree: bool) -> &mut Command {
        self.run.get_mut().change(tree, |options| options.kill_tree = tree);
        self
    }

    /// Caps the means that `kill_tree` uses. Default: the strongest available.
    pub fn tree_level(&mut self, level: TreeLevel) -> &mut Command {
        self.start.tree_level = Some(level);
        self
    }
}
