//! What to run.

use super::options::{OutputLimit, Resource, RunOptions, SignalPolicy, Sink, TreeLevel};
use super::stdio::Stdio;
use super::{CancelHandle, Input};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One change to the inherited environment, in the order asked for.
#[derive(Clone, Debug)]
pub(crate) enum EnvChange {
    Set(OsString, OsString),
    Remove(OsString),
}

/// A limit to set: resource, soft, hard; `None` is unlimited.
pub(crate) type Limit = (Resource, Option<u64>, Option<u64>);

/// How a child is started: everything that is not the program, its arguments, environment and streams.
#[derive(Clone, Debug, Default)]
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
    pub(crate) no_exec_wait: bool,
    pub(crate) program_after_chdir: bool,
    pub(crate) allow_relative_path: bool,
    pub(crate) keep_control_env: bool,
    pub(crate) env_snapshot: Option<std::sync::Arc<crate::sys::environ::Snapshot>>,
    pub(crate) pipe_size: Option<u32>,
    pub(crate) kill_on_drop: bool,
    pub(crate) tree_level: Option<TreeLevel>,
}

/// A program to run, with its arguments, environment, streams, limits and deadlines.
///
/// Nothing happens before [`spawn`](Command::spawn), [`output`](Command::output) or [`status`](Command::status). A command can be started
/// again; descriptors, input and callbacks given by value are used up by the first start.
///
/// Arguments are passed byte for byte; no shell is involved unless made by [`Command::shell`].
#[derive(Debug)]
pub struct Command {
    pub(crate) program: OsString,
    pub(crate) argv: Vec<OsString>,
    pub(crate) env_clear: bool,
    pub(crate) env: Vec<EnvChange>,
    pub(crate) current_dir: Option<PathBuf>,
    pub(crate) stdio: BTreeMap<RawFd, Stdio>,
    pub(crate) start: StartOptions,
    pub(crate) run: RunOptions,
}

impl Command {
    /// A program by name (searched in the child's PATH) or by path (relative to the host's directory).
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        let program = program.as_ref().to_owned();
        Command {
            argv: vec![program.clone()],
            program,
            env_clear: false,
            env: Vec::new(),
            current_dir: None,
            stdio: BTreeMap::new(),
            start: StartOptions::default(),
            run: RunOptions::default(),
        }
    }

    /// A command line for `/bin/sh -c`: the only way to a shell. Never build it from untrusted text.
    pub fn shell(command_line: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(command_line);
        command
    }

    /// The program.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// Argument 0 and the arguments.
    pub fn argv(&self) -> &[OsString] {
        &self.argv
    }

    /// The working directory asked for.
    pub fn working_dir(&self) -> Option<&Path> {
        self.current_dir.as_deref()
    }

    /// Sets argument 0 (default: the program as given).
    pub fn arg0(&mut self, arg0: impl AsRef<OsStr>) -> &mut Command {
        let arg0 = arg0.as_ref().to_owned();
        match self.argv.first_mut() {
            Some(first) => *first = arg0,
            None => self.argv.push(arg0),
        }
        self
    }

    /// Appends an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Command {
        self.argv.push(arg.as_ref().to_owned());
        self
    }

    /// Appends arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&mut self, args: I) -> &mut Command {
        self.argv.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Replaces the whole argument vector, argument 0 included. An empty one is refused at the start.
    pub fn raw_argv<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&mut self, argv: I) -> &mut Command {
        self.argv = argv.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        self
    }

    /// Sets an environment variable; the last setting of a name wins.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Command {
        self.env.push(EnvChange::Set(key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets environment variables.
    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Command
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        for (key, value) in vars {
            self.env(key, value);
        }
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Command {
        self.env.push(EnvChange::Remove(key.as_ref().to_owned()));
        self
    }

    /// Starts from an empty environment and forgets the settings made so far.
    pub fn env_clear(&mut self) -> &mut Command {
        self.env_clear = true;
        self.env.clear();
        self
    }

    /// Passes on the variables that are meant for one process only and are not inherited by default: `LISTEN_PID`, `LISTEN_FDS`,
    /// `LISTEN_FDNAMES`, `NOTIFY_SOCKET`, `WATCHDOG_PID`, `WATCHDOG_USEC`, `NODE_CHANNEL_FD`, `NODE_CHANNEL_SERIALIZATION_MODE`,
    /// `NODE_UNIQUE_ID`, `PROCS_CHANNEL_FD`.
    pub fn keep_control_env(&mut self, keep: bool) -> &mut Command {
        self.start.keep_control_env = keep;
        self
    }

    /// Takes the inherited environment as it is now, not as it is when the child starts: for hosts that guard their environment with a lock
    /// of their own, which is not held during the start. Call it last.
    pub fn snapshot_env(&mut self) -> &mut Command {
        self.start.env_snapshot = crate::sys::environ::snapshot(super::image::passed_on(self));
        self
    }

    /// The child's working directory. The program's own path is still relative to the host's directory.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Command {
        self.current_dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Resolves a relative program path after entering the working directory, as subprocess and libuv do.
    pub fn program_after_chdir(&mut self, after: bool) -> &mut Command {
        self.start.program_after_chdir = after;
        self
    }

    /// Also searches empty and relative entries of PATH, which are skipped by default.
    pub fn allow_relative_path(&mut self, allow: bool) -> &mut Command {
        self.start.allow_relative_path = allow;
        self
    }

    /// Standard input. Default: inherited for `spawn` and `status`, /dev/null (or the input) for `output`.
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.fd(0, stdio)
    }

    /// Standard output. Default: inherited for `spawn` and `status`, captured for `output`.
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.fd(1, stdio)
    }

    /// Standard error. Default: inherited for `spawn` and `status`, captured for `output`.
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.fd(2, stdio)
    }

    /// Any descriptor of the child by number. Everything above 2 that is not named is closed in the child.
    pub fn fd(&mut self, child_fd: RawFd, stdio: impl Into<Stdio>) -> &mut Command {
        self.stdio.insert(child_fd, stdio.into());
        self
    }

    /// Leaves the host's descriptors without close-on-exec open in the child (`close_fds=False` of subprocess). Default: false.
    pub fn keep_fds(&mut self, keep: bool) -> &mut Command {
        self.start.keep_fds = keep;
        self
    }

    /// Clears O_NONBLOCK on the descriptions that become the child's 0 to 2, also where the host shares them: most programs take EAGAIN
    /// for an error. Default: false. Source: uv_spawn of libuv.
    pub fn blocking_stdio(&mut self, blocking: bool) -> &mut Command {
        self.start.blocking_stdio = blocking;
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
        self.start.new_session = new;
        self
    }

    /// Makes this descriptor of the child its controlling terminal; implies a new session.
    pub fn controlling_tty(&mut self, child_fd: RawFd) -> &mut Command {
        self.start.controlling_tty = Some(child_fd);
        self
    }

    /// Makes the child's new process group the foreground group of the terminal on its standard input. Needs `process_group(0)`.
    pub fn foreground(&mut self, foreground: bool) -> &mut Command {
        self.start.foreground = foreground;
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
        self.start.no_new_privs = forbid;
        self
    }

    /// Sends the child SIGKILL when the host ends for any reason. The child is then started by a permanent thread of the library.
    pub fn die_with_parent(&mut self, die: bool) -> &mut Command {
        self.start.die_with_parent = die.then_some(libc::SIGKILL);
        self
    }

    /// Sends the child this signal when the host ends for any reason; see [`Command::die_with_parent`].
    pub fn parent_death_signal(&mut self, signal: i32) -> &mut Command {
        self.start.die_with_parent = Some(signal);
        self
    }

    /// Signal mask and dispositions of the child. Default: empty mask, everything default.
    pub fn signals(&mut self, policy: SignalPolicy) -> &mut Command {
        self.start.signals = policy;
        self
    }

    /// Starts the child on a spawner thread of the library, so that an exec that hangs on a dead disk blocks only that thread.
    /// The timeout and cancel handle of the command then bound the start as well.
    pub fn offload(&mut self, offload: bool) -> &mut Command {
        self.start.offload = offload;
        self
    }

    /// Whether `spawn` waits until the program is executing (default). Without, it returns about 25 µs earlier, and why a program could not
    /// be executed is told by `wait` instead of by `spawn`. Ignored where the system or another option does not allow it.
    pub fn wait_for_exec(&mut self, wait: bool) -> &mut Command {
        self.start.no_exec_wait = !wait;
        self
    }

    /// Kills the child (with `kill_tree`, its tree) when its `Child` is dropped before it ended. Default: the child runs on.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Command {
        self.start.kill_on_drop = kill;
        self
    }

    /// Whether stopping the child, by `stop`, deadline, cancel or drop, stops all its descendants. The child gets its own process group
    /// (unless one was asked for) and, where the system allows, its own cgroup.
    pub fn kill_tree(&mut self, tree: bool) -> &mut Command {
        self.run.kill_tree = tree;
        self
    }

    /// Caps the means that `kill_tree` uses. Default: the strongest available.
    pub fn tree_level(&mut self, level: TreeLevel) -> &mut Command {
        self.start.tree_level = Some(level);
        self
    }

    /// Time allowed for the whole run: start, child, descendants and the draining of their pipes. Bounds `output`, `status` and pipelines.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Command {
        self.run.timeout = Some(timeout);
        self
    }

    /// Time between SIGTERM and SIGKILL when a run is stopped. Default: zero, SIGKILL at once.
    pub fn grace(&mut self, grace: Duration) -> &mut Command {
        self.run.grace = grace;
        self
    }

    /// The signal that asks for the end when [`Command::grace`] is not zero. Default: SIGTERM. Source: `killSignal` of child_process.
    pub fn stop_signal(&mut self, signal: i32) -> &mut Command {
        self.run.stop_signal = signal;
        self
    }

    /// How long output is still read after a kill although somebody holds the pipe. Default: 100 ms.
    pub fn drain_grace(&mut self, grace: Duration) -> &mut Command {
        self.run.drain_grace = grace;
        self
    }

    /// How long output is still read after a *normal* exit although somebody holds the pipe. Default: until end of file.
    pub fn drain_after_exit(&mut self, grace: Duration) -> &mut Command {
        self.run.drain_after_exit = Some(grace);
        self
    }

    /// Feeds this to standard input, while output is read.
    pub fn input(&mut self, input: impl Into<Input>) -> &mut Command {
        self.run.input = Some(input.into());
        self
    }

    /// Limit of captured output, for both streams. Default: 64 MiB each, then an error.
    pub fn max_output(&mut self, limit: OutputLimit) -> &mut Command {
        self.run.stdout_limit = limit;
        self.run.stderr_limit = limit;
        self
    }

    /// Limit of captured standard output.
    pub fn stdout_limit(&mut self, limit: OutputLimit) -> &mut Command {
        self.run.stdout_limit = limit;
        self
    }

    /// Limit of captured standard error.
    pub fn stderr_limit(&mut self, limit: OutputLimit) -> &mut Command {
        self.run.stderr_limit = limit;
        self
    }

    /// Where captured standard output goes.
    pub fn stdout_sink(&mut self, sink: Sink) -> &mut Command {
        self.run.stdout_sink = sink;
        self
    }

    /// Where captured standard error goes.
    pub fn stderr_sink(&mut self, sink: Sink) -> &mut Command {
        self.run.stderr_sink = sink;
        self
    }

    /// Lets another thread stop the run.
    pub fn cancel(&mut self, handle: &CancelHandle) -> &mut Command {
        self.run.cancel = Some(handle.clone());
        self
    }

    /// Makes anything but exit code 0 an error that carries the output. Default: false.
    pub fn check(&mut self, check: bool) -> &mut Command {
        self.run.check = check;
        self
    }

    /// The lowest number above 2 that means nothing in the child: neither placed by the command nor, if those are kept, open in the host.
    pub(crate) fn free_fd(&self) -> RawFd {
        let taken = |number: RawFd| self.stdio.contains_key(&number) || (self.start.keep_fds && crate::sys::fd::is_open(number));
        (3..).find(|number| !taken(*number)).unwrap_or(3)
    }

    /// A command for one start elsewhere; what can be used only once moves over, the rest stays for the next start.
    pub(crate) fn take_for_start(&mut self) -> Command {
        let stdio = self.stdio.iter_mut().map(|(child_fd, stdio)| (*child_fd, stdio.take())).collect();
        Command {
            program: self.program.clone(),
            argv: self.argv.clone(),
            env_clear: self.env_clear,
            env: self.env.clone(),
            current_dir: self.current_dir.clone(),
            stdio,
            start: StartOptions { caller_mask: Some(crate::sys::signal::current_mask()), ..self.start.clone() },
            run: self.run.take(),
        }
    }
}
