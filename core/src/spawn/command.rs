//! What to run.

mod running;
mod shown;
mod starting;

pub use shown::{CommandArgs, CommandEnvs};
pub(super) use starting::{ExecWait, Limit, StartOptions};

use super::options::RunOptions;
use super::rare::Rare;
use super::stdio::{Stdio, StdioMap};
use crate::sys::exclusive::Exclusive;
use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// One change to the inherited environment, in the order asked for.
#[derive(Clone, Debug)]
pub(crate) enum EnvChange {
    Set(OsString, OsString),
    Remove(OsString),
}

/// A program to run, with its arguments, environment, streams, limits and deadlines.
///
/// Nothing happens before [`spawn`](Command::spawn), [`output`](Command::output) or [`status`](Command::status). A command can be started
/// again; descriptors, input and callbacks given by value are used up by the first start.
///
/// Arguments are passed byte for byte; no shell is involved unless made by [`Command::shell`].
pub struct Command {
    pub(crate) program: OsString,
    /// `None` is the program alone.
    argv: Option<Vec<OsString>>,
    pub(crate) env_clear: bool,
    pub(crate) env: Vec<EnvChange>,
    pub(crate) current_dir: Option<PathBuf>,
    pub(crate) stdio: StdioMap,
    pub(crate) start: Rare<StartOptions>,
    /// Functions among it must not keep threads from sharing the command.
    pub(crate) run: Exclusive<Rare<RunOptions>>,
}

impl Command {
    /// A program by name (searched in the child's PATH) or by path (relative to the host's directory).
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command {
            program: program.as_ref().to_owned(),
            argv: None,
            env_clear: false,
            env: Vec::new(),
            current_dir: None,
            stdio: StdioMap::default(),
            start: Rare::new(),
            run: Exclusive::new(Rare::new()),
        }
    }

    /// A command line for `/bin/sh -c`: the only way to a shell. Never build it from untrusted text.
    pub fn shell(command_line: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(command_line);
        command
    }

    /// The arguments to change; the program alone is written out first.
    pub(crate) fn argv_mut(&mut self) -> &mut Vec<OsString> {
        self.argv.get_or_insert_with(|| vec![self.program.clone()])
    }

    /// Sets argument 0 (default: the program as given).
    pub fn arg0(&mut self, arg0: impl AsRef<OsStr>) -> &mut Command {
        let arg0 = arg0.as_ref().to_owned();
        let argv = self.argv_mut();
        match argv.first_mut() {
            Some(first) => *first = arg0,
            None => argv.push(arg0),
        }
        self
    }

    /// Appends an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Command {
        self.argv_mut().push(arg.as_ref().to_owned());
        self
    }

    /// Appends arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&mut self, args: I) -> &mut Command {
        self.argv_mut().extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Replaces the whole argument vector, argument 0 included. An empty one is refused at the start.
    pub fn raw_argv<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&mut self, argv: I) -> &mut Command {
        self.argv = Some(argv.into_iter().map(|arg| arg.as_ref().to_owned()).collect());
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
        self.start.change(keep, |options| options.keep_control_env = keep);
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
        self.start.change(after, |options| options.program_after_chdir = after);
        self
    }

    /// Also searches empty and relative entries of PATH, which are skipped by default.
    pub fn allow_relative_path(&mut self, allow: bool) -> &mut Command {
        self.start.change(allow, |options| options.allow_relative_path = allow);
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

    /// The lowest number above 2 that means nothing in the child: neither placed by the command nor, if those are kept, open in the host.
    pub(crate) fn free_fd(&self) -> RawFd {
        let taken = |number: RawFd| self.stdio.get(number).is_some() || (self.start.keep_fds && crate::sys::fd::is_open(number));
        (3..).find(|number| !taken(*number)).unwrap_or(3)
    }

    /// A command for one start elsewhere; what can be used only once moves over, the rest stays for the next start.
    pub(crate) fn take_for_start(&mut self) -> Command {
        let mut start = self.start.clone();
        start.caller_mask = Some(crate::sys::signal::current_mask());
        Command {
            program: self.program.clone(),
            argv: self.argv.clone(),
            env_clear: self.env_clear,
            env: self.env.clone(),
            current_dir: self.current_dir.clone(),
            stdio: self.stdio.take(),
            start,
            run: Exclusive::new(self.run.get_mut().take()),
        }
    }
}
