//! From the structs of C to the core's `Command` and `RunOptions`.

use crate::cancel::CancelObject;
use crate::channel_options;
use crate::choices::{self, timeout, whole_timeout, yes};
use crate::options::*;
use crate::ptr::{self, InputFn, Operation, UserData};
use crate::slab;
use crate::status::invalid;
use procs::{ChannelOptions, Command, Error, Input, OutputLimit, Result, RunOptions, Sink, Stdio};
use std::ffi::{OsStr, c_void};
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;

/// Options of C, checked and copied: the command and, apart from it, how its output is captured.
pub(crate) struct Plan {
    pub(crate) command: Command,
    /// `None` is as by default.
    pub(crate) run: Option<Box<RunOptions>>,
    /// Whether the options leave standard input, output and error to the function.
    pub(crate) default_stdio: [bool; 3],
    /// The channel that the child is started with.
    pub(crate) channel: Option<ChannelOptions>,
}

impl Plan {
    /// Reads the options of a call.
    pub(crate) fn read(operation: Operation, options: *const procs_spawn_options) -> Result<Plan> {
        let mut room = None;
        let options = ptr::look_at_options(operation, options, const { &DEFAULTS }, &mut room)?;
        let reader = Reader { operation, options };
        let mut command = reader.program()?;
        let (mut run, mut default_stdio, mut channel) = (None, [true; 3], None);
        // Few calls set more than what comes first and `wait_for_exec`: the rest costs two comparisons then.
        let (from, wait, after) = (
            offset_of!(procs_spawn_options, stdin_from),
            offset_of!(procs_spawn_options, wait_for_exec),
            offset_of!(procs_spawn_options, timeout_ms),
        );
        if reader.is_default(from, wait) && reader.is_default(after, size_of::<procs_spawn_options>()) {
            command.wait_for_exec(yes(operation, "wait_for_exec", options.wait_for_exec)?);
        } else {
            reader.search(&mut command)?;
            default_stdio = reader.stdio(&mut command)?;
            reader.identity(&mut command)?;
            reader.session(&mut command)?;
            reader.limits(&mut command)?;
            reader.policy(&mut command)?;
            run = reader.run()?;
            command.kill_tree(yes(operation, "kill_tree", options.kill_tree)?);
            channel = reader.channel()?;
        }
        reader.environment(&mut command)?;
        Ok(Plan { command, run, default_stdio, channel })
    }

    /// The command with the run options inside, for functions that take the command alone.
    pub(crate) fn into_command(self) -> Command {
        let Plan { mut command, run, .. } = self;
        let Some(run) = run else { return command };
        if let Some(timeout) = run.timeout {
            command.timeout(timeout);
        }
        if let Some(grace) = run.drain_after_exit {
            command.drain_after_exit(grace);
        }
        if let Some(input) = run.input {
            command.input(input);
        }
        if let Some(cancel) = &run.cancel {
            command.cancel(cancel);
        }
        command.grace(run.grace).stop_signal(run.stop_signal).drain_grace(run.drain_grace).check(run.check);
        command.stdout_limit(run.stdout_limit).stderr_limit(run.stderr_limit);
        command.stdout_sink(run.stdout_sink).stderr_sink(run.stderr_sink);
        command
    }
}

struct Reader<'a> {
    operation: Operation,
    options: &'a procs_spawn_options,
}

impl Reader<'_> {
    fn channel(&self) -> Result<Option<ChannelOptions>> {
        if self.options.channel.is_null() {
            return Ok(None);
        }
        if self.operation != "procs_spawn" {
            return Err(invalid(self.operation, "a run to the end has no channel (channel is for procs_spawn, expected NULL)"));
        }
        channel_options::read(self.operation, self.options.channel).map(Some)
    }

    /// Whether the fields from byte `from` up to byte `to` have their defaults.
    fn is_default(&self, from: usize, to: usize) -> bool {
        ptr::same_part(self.options, const { &DEFAULTS }, from, to)
    }

    fn program(&self) -> Result<Command> {
        let (op, o) = (self.operation, self.options);
        if let Some(line) = ptr::optional_text(op, "shell", o.shell)? {
            if !o.program.is_null() || !o.argv.is_null() {
                return Err(invalid(op, "a command line and a program are given (shell and program or argv, expected one of them)"));
            }
            return Ok(Command::shell(line));
        }
        let program = ptr::optional_text(op, "program", o.program)?;
        let nothing = || invalid(op, "nothing to run (program = NULL, argv is empty, shell = NULL)");
        if o.argv.is_null() {
            return Ok(Command::new(program.ok_or_else(nothing)?));
        }
        let argv = ptr::text_list(op, "argv", o.argv)?;
        let mut command = match (program, argv.first()) {
            (Some(program), _) => Command::new(program),
            (None, Some(first)) => Command::new(first),
            (None, None) => return Err(nothing()),
        };
        command.raw_argv(argv);
        Ok(command)
    }

    /// How the program is found and which environment it starts from.
    fn search(&self, command: &mut Command) -> Result<()> {
        let (op, o) = (self.operation, self.options);
        command.program_after_chdir(yes(op, "program_after_chdir", o.program_after_chdir)?);
        command.allow_relative_path(yes(op, "allow_relative_path", o.allow_relative_path)?);
        match o.env_mode {
            mode if mode == procs_env_mode::PROCS_ENV_INHERIT as i32 => {}
            mode if mode == procs_env_mode::PROCS_ENV_CLEAR as i32 => {
                command.env_clear();
            }
            mode => return Err(choices::unknown(op, "env_mode", mode)),
        }
        command.keep_control_env(yes(op, "keep_control_env", o.keep_control_env)?);
        Ok(())
    }

    fn environment(&self, command: &mut Command) -> Result<()> {
        let (op, o) = (self.operation, self.options);
        if !o.env.is_null() {
            for entry in ptr::text_list(op, "env", o.env)? {
                let bytes = entry.as_bytes();
                match bytes.iter().position(|&byte| byte == b'=') {
                    Some(at) => command.env(OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..])),
                    None => command.env_remove(&entry),
                };
            }
        }
        if let Some(dir) = ptr::optional_text(op, "cwd", o.cwd)? {
            command.current_dir(dir);
        }
        Ok(())
    }

    fn stdio(&self, command: &mut Command) -> Result<[bool; 3]> {
        let (op, o) = (self.operation, self.options);
        let mut left = [false; 3];
        for (fd, from) in [(0, &o.stdin_from), (1, &o.stdout_to), (2, &o.stderr_to)] {
            match stream(op, from)? {
                Some(stdio) => {
                    command.fd(fd, stdio);
                }
                None => left[fd as usize] = true,
            }
        }
        let extra = ptr::array(op, "extra_fds", o.extra_fds, o.extra_fd_count)?;
        for (index, entry) in extra.iter().enumerate() {
            choices::reserved(op, "extra_fds[].reserved", entry.reserved)?;
            if entry.child_fd < 3 {
                return Err(invalid(
                    op,
                    format!("a descriptor has its own field or is negative (extra_fds[{index}].child_fd = {}, expected 3 or more)", entry.child_fd),
                ));
            }
            if extra[..index].iter().any(|other| other.child_fd == entry.child_fd) {
                return Err(invalid(op, format!("a descriptor is given twice (extra_fds[{index}].child_fd = {})", entry.child_fd)));
            }
            match stream(op, &entry.stdio)? {
                Some(stdio) => command.fd(entry.child_fd, stdio),
                None => return Err(invalid(op, format!("PROCS_STDIO_DEFAULT means nothing here (extra_fds[{index}].stdio.kind = 0)"))),
            };
        }
        Ok(left)
    }

    fn identity(&self, command: &mut Command) -> Result<()> {
        let (op, o) = (self.operation, self.options);
        if let Some(uid) = choices::id(op, "uid", o.uid)? {
            command.uid(uid);
        }
        if let Some(gid) = choices::id(op, "gid", o.gid)? {
            command.gid(gid);
        }
        if !o.groups.is_null() || o.group_count > 0 {
            command.groups(ptr::array(op, "groups", o.groups, o.group_count)?);
        }
        command.no_new_privs(yes(op, "no_new_privs", o.no_new_privs)?);
        Ok(())
    }

    fn session(&self, command: &mut Command) -> Result<()> {
        let (op, o) = (self.operation, self.options);
        match o.process_group {
            -1 => {}
            group if group < -1 => return Err(invalid(op, format!("not a process group (process_group = {group}, expected -1 or more)"))),
            group => {
                command.process_group(group);
            }
        }
        match o.controlling_tty {
            -1 => {}
            fd if fd < -1 => return Err(choices::not_an_fd(op, "controlling_tty", fd)),
            fd => {
                command.controlling_tty(fd);
            }
        }
        command.new_session(yes(op, "new_session", o.new_session)?).foreground(yes(op, "foreground", o.foreground)?);
        Ok(())
    }

    fn limits(&self, command: &mut Command) -> Result<()> {
        let (op, o) = (self.operation, self.options);
        let limit = |value: u64| (value != PROCS_UNLIMITED).then_some(value);
        for entry in ptr::array(op, "rlimits", o.rlimits, o.rlimit_count)? {
            choices::reserved(op, "rlimits[].reserved", entry.reserved)?;
            let resource = choices::resource(op, entry.resource)?;
            command.limit(resource, limit(entry.soft), limit(entry.hard));
        }
        if o.nice != PROCS_UNCHANGED {
            command.nice(o.nice);
        }
        match o.umask {
            -1 => {}
            mask => {
                let checked = u32::try_from(mask).ok().filter(|mask| *mask <= 0o777);
                command.umask(checked.ok_or_else(|| invalid(op, format!("not a file mode mask (umask = {mask:#o}, expected 0 to 0777)")))?);
            }
        }
        let cpus: Vec<usize> = ptr::array(op, "cpus", o.cpus, o.cpu_count)?.iter().map(|&cpu| cpu as usize).collect();
        if !cpus.is_empty() {
            command.affinity(&cpus);
        }
        if o.pipe_size > 0 {
            let size = u32::try_from(o.pipe_size).map_err(|_| invalid(op, format!("too large for a pipe (pipe_size = {})", o.pipe_size)))?;
            command.pipe_size(size);
        }
        Ok(())
    }

    fn policy(&self, command: &mut Command) -> Result<()> {
        let (op, o) = (self.operation, self.options);
        command.signals(choices::signal_policy(op, o.signals)?);
        command.keep_fds(yes(op, "keep_fds", o.keep_fds)?);
        command.offload(yes(op, "offload", o.offload)?);
        command.wait_for_exec(yes(op, "wait_for_exec", o.wait_for_exec)?);
        command.kill_on_drop(yes(op, "kill_on_free", o.kill_on_free)?);
        command.die_with_parent(yes(op, "die_with_parent", o.die_with_parent)?);
        if o.parent_death_signal != 0 {
            command.parent_death_signal(choices::signal(op, "parent_death_signal", o.parent_death_signal)?);
        }
        if let Some(level) = choices::tree_level(op, o.tree_level)? {
            command.tree_level(level);
        }
        Ok(())
    }

    fn run(&self) -> Result<Option<Box<RunOptions>>> {
        let (op, o) = (self.operation, self.options);
        let choices = self.is_default(offset_of!(procs_spawn_options, check), offset_of!(procs_spawn_options, wait_for_exec));
        if choices && o.kill_tree == 0 && self.is_default(offset_of!(procs_spawn_options, timeout_ms), size_of::<procs_spawn_options>()) {
            return Ok(None);
        }
        let cancel = match o.cancel.is_null() {
            true => None,
            false => Some(slab::get::<CancelObject>(op, o.cancel)?.0.clone()),
        };
        Ok(Some(Box::new(RunOptions {
            timeout: timeout(op, "timeout_ms", o.timeout_ms)?,
            grace: whole_timeout(op, "grace_ms", o.grace_ms)?,
            stop_signal: choices::signal(op, "stop_signal", o.stop_signal)?,
            drain_grace: whole_timeout(op, "drain_grace_ms", o.drain_grace_ms)?,
            drain_after_exit: timeout(op, "drain_after_exit_ms", o.drain_after_exit_ms)?,
            kill_tree: yes(op, "kill_tree", o.kill_tree)?,
            input: input(op, o.input, o.input_len, (o.input_callback, o.input_user_data))?,
            stdout_limit: limit(op, &o.stdout_limit)?,
            stderr_limit: limit(op, &o.stderr_limit)?,
            stdout_sink: sink(op, &o.stdout_sink)?,
            stderr_sink: sink(op, &o.stderr_sink)?,
            cancel,
            check: yes(op, "check", o.check)?,
        })))
    }
}

/// The bytes or the function that feed standard input.
///
/// # Errors
/// `Exhausted` where there is no memory for a copy.
pub(crate) fn input(op: Operation, data: *const c_void, len: usize, callback: (procs_input_fn, *mut c_void)) -> Result<Option<Input>> {
    let bytes: &'static [u8] = ptr::array(op, "input", data.cast::<u8>(), len)?;
    match (data.is_null(), callback.0) {
        (true, None) => Ok(None),
        // The caller's bytes are there until this call returns, and by then it has let go of its input.
        (false, None) if RUN_TO_THE_END.contains(&op) => Ok(Some(Input::Lent(Box::new(bytes)))),
        (false, None) => {
            let mut copy = Vec::new();
            let no_memory = |_| Error::from_os(op, libc::ENOMEM, format!("no memory for a copy of the input (input_len = {len})"));
            copy.try_reserve_exact(len).map_err(no_memory)?;
            copy.extend_from_slice(bytes);
            Ok(Some(Input::Bytes(copy)))
        }
        (false, Some(_)) => Err(invalid(op, "the input is given twice (input and input_callback, expected one of them)")),
        (true, Some(function)) => {
            let user = UserData(callback.1);
            Ok(Some(Input::Callback(Box::new(move |buffer| supply(function, buffer, user)))))
        }
    }
}

/// The calls that return only when all that they started, threads included, has let go of its input.
const RUN_TO_THE_END: [Operation; 2] = ["procs_run", "procs_run_many"];

fn supply(function: InputFn, buffer: &mut [u8], user: UserData) -> std::io::Result<usize> {
    let count = ptr::call_input(function, buffer, user);
    match usize::try_from(count) {
        Ok(count) if count <= buffer.len() => Ok(count),
        Ok(_) => Err(std::io::Error::from_raw_os_error(libc::EMSGSIZE)),
        Err(_) => Err(std::io::Error::from_raw_os_error(i32::try_from(count.saturating_neg()).unwrap_or(libc::EIO))),
    }
}

/// The limit of a captured stream.
pub(crate) fn limit(op: Operation, limit: &procs_output_limit) -> Result<OutputLimit> {
    use procs_limit_policy as Policy;
    choices::reserved(op, "procs_output_limit.reserved", limit.reserved)?;
    Ok(match choices::find(op, "procs_output_limit.policy", limit.policy, choices::LIMITS)? {
        Policy::PROCS_LIMIT_ERROR => OutputLimit::Error(limit.bytes),
        Policy::PROCS_LIMIT_NONE => OutputLimit::Unlimited,
        Policy::PROCS_LIMIT_HEAD => OutputLimit::Head(limit.bytes),
        Policy::PROCS_LIMIT_TAIL => OutputLimit::Tail(limit.bytes),
        Policy::PROCS_LIMIT_SPILL => OutputLimit::Spill(limit.bytes),
    })
}

/// Where a captured stream goes.
pub(crate) fn sink(op: Operation, first: &procs_sink) -> Result<Sink> {
    let mut sinks = vec![one_sink(op, first)?];
    let mut next = first.also;
    while !next.is_null() {
        if sinks.len() == MOST_SINKS {
            return Err(invalid(op, format!("too many sinks, or a circle (procs_sink.also, expected at most {MOST_SINKS} in all)")));
        }
        let sink = ptr::array(op, "procs_sink.also", next, 1)?;
        sinks.push(one_sink(op, &sink[0])?);
        next = sink[0].also;
    }
    Ok(if sinks.len() == 1 { sinks.remove(0) } else { Sink::Tee(sinks) })
}

/// More than anybody needs: a longer chain is a mistake.
const MOST_SINKS: usize = 64;

fn one_sink(op: Operation, sink: &procs_sink) -> Result<Sink> {
    use procs_sink_kind as Kind;
    let path = || ptr::text(op, "procs_sink.path", sink.path);
    Ok(match choices::find(op, "procs_sink.kind", sink.kind, choices::SINKS)? {
        Kind::PROCS_SINK_BUFFER => Sink::Buffer,
        Kind::PROCS_SINK_DISCARD => Sink::Discard,
        Kind::PROCS_SINK_FD => Sink::Fd(ptr::duplicate_fd(op, sink.fd)?),
        Kind::PROCS_SINK_FILE => Sink::File(path()?.into()),
        Kind::PROCS_SINK_APPEND => Sink::Append(path()?.into()),
        Kind::PROCS_SINK_CALLBACK => {
            let function = sink.callback.ok_or_else(|| invalid(op, "a function is missing (procs_sink.callback = NULL)"))?;
            let user = UserData(sink.user_data);
            Sink::Callback(Box::new(move |data: &[u8]| ptr::call_output(function, data, user)))
        }
    })
}

/// Where one of the child's descriptors comes from or leads to; `None` is the function's default.
pub(crate) fn stream(op: Operation, from: &procs_stdio) -> Result<Option<Stdio>> {
    use procs_stdio_kind as Kind;
    let path = || ptr::text(op, "procs_stdio.path", from.path);
    let stdio = match choices::find(op, "procs_stdio.kind", from.kind, choices::STDIO)? {
        Kind::PROCS_STDIO_DEFAULT => return Ok(None),
        Kind::PROCS_STDIO_INHERIT => Stdio::inherit(),
        Kind::PROCS_STDIO_NULL => Stdio::null(),
        Kind::PROCS_STDIO_PIPE => Stdio::piped(),
        Kind::PROCS_STDIO_FD if from.fd < 0 => return Err(choices::not_an_fd(op, "procs_stdio.fd", from.fd)),
        Kind::PROCS_STDIO_FD => Stdio::borrowed(from.fd),
        Kind::PROCS_STDIO_READ_FILE => Stdio::read_file(path()?),
        Kind::PROCS_STDIO_WRITE_FILE => Stdio::write_file(path()?),
        Kind::PROCS_STDIO_APPEND_FILE => Stdio::append_file(path()?),
        Kind::PROCS_STDIO_SAME_AS if from.fd < 0 => return Err(choices::not_an_fd(op, "procs_stdio.fd", from.fd)),
        Kind::PROCS_STDIO_SAME_AS => Stdio::same_as(from.fd),
    };
    Ok(Some(stdio))
}
