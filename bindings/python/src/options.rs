//! Keyword arguments, already checked and renamed by `procs._options`, as a command and its run options.

use crate::cancel::CancelHandle;
use crate::convert;
use crate::sink;
use procs::{Command, OutputLimit, Resource, RunOptions, SignalPolicy, Stdio, TreeLevel};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::ffi::OsString;

/// One start, ready for the core.
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) run: RunOptions,
    pub(crate) failure: sink::Failure,
    /// Whether anything must be fed, read or bounded while the child runs.
    pub(crate) attended: bool,
}

/// What `subprocess` does by default, in the words of the core.
fn command(argv: Vec<OsString>, executable: Option<OsString>) -> Command {
    let program = executable.or_else(|| argv.first().cloned()).unwrap_or_default();
    let mut command = Command::new(program);
    command.raw_argv(argv).signals(SignalPolicy::RestorePython).program_after_chdir(true).allow_relative_path(true).keep_control_env(true);
    command
}

impl Request {
    /// Reads argument vector and options, and the environment, which Python's lock guards only as long as it is held.
    ///
    /// # Errors
    /// `TypeError` and `ValueError` as the conversion of each value raises them.
    pub(crate) fn new(argv: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Request> {
        let mut request = Request::read(argv, options)?;
        request.command.snapshot_env();
        Ok(request)
    }

    fn read(argv: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Request> {
        let argv = convert::argv(argv).map_err(|error| convert::refused("args", argv, None, error))?;
        let Some(options) = options else {
            return Ok(Request { command: command(argv, None), run: unlimited(), failure: sink::Failure::default(), attended: false });
        };
        let executable = options
            .get_item("executable")?
            .map(|value| convert::path(&value).map_err(|error| convert::refused("executable", &value, None, error)))
            .transpose()?;
        let mut request = Request { command: command(argv, executable), run: unlimited(), failure: sink::Failure::default(), attended: false };
        for (key, value) in options.iter() {
            let key = key.cast::<PyString>()?;
            request.apply(key.to_str()?, &value).map_err(|error| convert::refused(key.to_str().unwrap_or_default(), &value, None, error))?;
        }
        Ok(request)
    }

    /// The command with its run options, for the calls of the core that do everything themselves.
    pub(crate) fn into_command(self) -> Command {
        let Request { mut command, run, .. } = self;
        if let Some(timeout) = run.timeout {
            command.timeout(timeout);
        }
        if let Some(grace) = run.drain_after_exit {
            command.drain_after_exit(grace);
        }
        if let Some(input) = run.input {
            command.input(input);
        }
        command
            .grace(run.grace)
            .drain_grace(run.drain_grace)
            .kill_tree(run.kill_tree)
            .stdout_limit(run.stdout_limit)
            .stderr_limit(run.stderr_limit)
            .stdout_sink(run.stdout_sink)
            .stderr_sink(run.stderr_sink);
        command
    }

    fn apply(&mut self, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if key == "executable" || self.apply_stream(key, value)? || self.apply_start(key, value)? || self.apply_run(key, value)? {
            return Ok(());
        }
        Err(PyTypeError::new_err(format!("spawn: unknown option (name = {key})")))
    }

    /// Streams and other descriptors.
    fn apply_stream(&mut self, key: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        let command = &mut self.command;
        match key {
            "stdin" => command.stdin(stdio(value)?),
            "stdout" | "stderr" => {
                let target = stdio(value)?;
                self.attended |= value.extract::<i32>()? == PIPE;
                command.fd(if key == "stdout" { 1 } else { 2 }, target)
            }
            "fds" => {
                for (child_fd, target) in value.cast::<PyDict>()?.iter() {
                    command.fd(child_fd.extract()?, stdio(&target)?);
                }
                command
            }
            "keep_fds" => command.keep_fds(value.extract()?),
            "pipe_size" => command.pipe_size(value.extract()?),
            _ => return Ok(false),
        };
        Ok(true)
    }

    /// What the child starts with.
    fn apply_start(&mut self, key: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        let command = &mut self.command;
        match key {
            "cwd" => command.current_dir(convert::directory(value)?),
            "env" => {
                command.env_clear();
                for (name, text) in value.cast::<PyDict>()?.iter() {
                    command.env(convert::path(&name)?, convert::path(&text)?);
                }
                command
            }
            "new_session" => command.new_session(value.extract()?),
            "process_group" => command.process_group(value.extract()?),
            "foreground" => command.foreground(value.extract()?),
            "controlling_tty" => command.controlling_tty(value.extract()?),
            "uid" => command.uid(value.extract()?),
            "gid" => command.gid(value.extract()?),
            "groups" => command.groups(&value.extract::<Vec<u32>>()?),
            "umask" => command.umask(value.extract()?),
            "nice" => command.nice(value.extract()?),
            "affinity" => command.affinity(&value.extract::<Vec<usize>>()?),
            "no_new_privs" => command.no_new_privs(value.extract()?),
            "die_with_parent" => command.die_with_parent(value.extract()?),
            "parent_death_signal" => command.parent_death_signal(value.extract()?),
            "signals" => command.signals(signal_policy(value.extract()?)?),
            "offload" => command.offload(value.extract()?),
            "kill_on_drop" => command.kill_on_drop(value.extract()?),
            "tree_level" => command.tree_level(tree_level(value.extract()?)?),
            "limits" => {
                for (name, soft, hard) in value.extract::<Vec<(String, Option<u64>, Option<u64>)>>()? {
                    command.limit(resource(&name)?, soft, hard);
                }
                command
            }
            _ => return Ok(false),
        };
        Ok(true)
    }

    /// How the run is bounded and what is kept of it.
    fn apply_run(&mut self, key: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.attended |= !matches!(key, "kill_tree" | "grace" | "drain_grace");
        let run = &mut self.run;
        match key {
            "timeout" => run.timeout = Some(convert::seconds(value.extract()?)?),
            "grace" => run.grace = convert::seconds(value.extract()?)?,
            "drain_grace" => run.drain_grace = convert::seconds(value.extract()?)?,
            "drain_after_exit" => run.drain_after_exit = Some(convert::seconds(value.extract()?)?),
            "kill_tree" => {
                run.kill_tree = value.extract()?;
                self.command.kill_tree(run.kill_tree);
            }
            "input" => run.input = Some(convert::input(value)?),
            "stdout_limit" => run.stdout_limit = output_limit(value.extract()?)?,
            "stderr_limit" => run.stderr_limit = output_limit(value.extract()?)?,
            "stdout_sink" => run.stdout_sink = sink::sink(value, &self.failure)?,
            "stderr_sink" => run.stderr_sink = sink::sink(value, &self.failure)?,
            "cancel" => run.cancel = Some(value.cast::<CancelHandle>()?.get().handle()),
            "attended" => self.attended = value.extract()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// No cap on the output, as in `subprocess`.
pub(crate) fn unlimited() -> RunOptions {
    RunOptions { stdout_limit: OutputLimit::Unlimited, stderr_limit: OutputLimit::Unlimited, ..RunOptions::default() }
}

/// The run options alone, for a child that was started before.
pub(crate) fn run_options(options: &Bound<'_, PyDict>) -> PyResult<Request> {
    let mut request = Request { command: Command::new(""), run: unlimited(), failure: sink::Failure::default(), attended: false };
    for (key, value) in options.iter() {
        let key = key.cast::<PyString>()?;
        if !request.apply_run(key.to_str()?, &value).map_err(|error| convert::refused(key.to_str().unwrap_or_default(), &value, None, error))? {
            return Err(PyTypeError::new_err(format!("capture: unknown option (name = {key})")));
        }
    }
    Ok(request)
}

/// `subprocess.PIPE`.
const PIPE: i32 = -1;

/// The numbers of `subprocess`: PIPE -1, STDOUT -2, DEVNULL -3, else a descriptor of the host.
fn stdio(value: &Bound<'_, PyAny>) -> PyResult<Stdio> {
    match value.extract::<i32>()? {
        PIPE => Ok(Stdio::piped()),
        -2 => Ok(Stdio::same_as(1)),
        -3 => Ok(Stdio::null()),
        fd if fd >= 0 => Ok(Stdio::borrowed(fd)),
        fd => Err(PyValueError::new_err(format!("spawn: not a descriptor (fd = {fd}, expected 0 or more, PIPE, STDOUT or DEVNULL)"))),
    }
}

fn signal_policy(name: &str) -> PyResult<SignalPolicy> {
    match name {
        "default" => Ok(SignalPolicy::Default),
        "inherit" => Ok(SignalPolicy::Inherit),
        "restore" => Ok(SignalPolicy::RestorePython),
        _ => Err(PyValueError::new_err(format!("spawn: unknown policy (signals = {name}, expected default, inherit or restore)"))),
    }
}

fn tree_level(name: &str) -> PyResult<TreeLevel> {
    TreeLevel::ALL
        .iter()
        .copied()
        .find(|level| level.name() == name)
        .ok_or_else(|| PyValueError::new_err(format!("spawn: unknown level (tree_level = {name}, expected process, group, walk or cgroup)")))
}

fn output_limit((policy, bytes): (String, u64)) -> PyResult<OutputLimit> {
    match policy.as_str() {
        "unlimited" => Ok(OutputLimit::Unlimited),
        "error" => Ok(OutputLimit::Error(bytes)),
        "head" => Ok(OutputLimit::Head(bytes)),
        "tail" => Ok(OutputLimit::Tail(bytes)),
        "spill" => Ok(OutputLimit::Spill(bytes)),
        _ => Err(PyValueError::new_err(format!("run: unknown policy (max_output = {policy}, expected error, head, tail or spill)"))),
    }
}

const RESOURCES: &[(&str, Resource)] = &[
    ("as", Resource::AddressSpace),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::FileSize),
    ("locks", Resource::Locks),
    ("memlock", Resource::MemLock),
    ("msgqueue", Resource::MsgQueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::NoFile),
    ("nproc", Resource::NProc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::RtPrio),
    ("rttime", Resource::RtTime),
    ("sigpending", Resource::SigPending),
    ("stack", Resource::Stack),
];

fn resource(name: &str) -> PyResult<Resource> {
    let found = RESOURCES.iter().find(|(known, _)| *known == name);
    found.map(|(_, resource)| *resource).ok_or_else(|| {
        let known: Vec<&str> = RESOURCES.iter().map(|(known, _)| *known).collect();
        PyValueError::new_err(format!("spawn: unknown resource (limits = {name}, expected one of {})", known.join(", ")))
    })
}
