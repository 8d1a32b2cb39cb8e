//! From the request objects of `lib/request.js` to commands.

use crate::message_channel::ChannelSettings;
use napi::bindgen_prelude::{Either, Uint8Array};
use napi_derive::napi;
use procs::{Channel, Child, Command, Error, ErrorKind, Resource, Stage, Stdio};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Text as a string, or as bytes where a string cannot carry them.
pub(crate) type Text = Either<String, Uint8Array>;

const FLAG_DETACHED: u32 = 1;
const FLAG_KILL_TREE: u32 = 2;
const FLAG_DIE_WITH_PARENT: u32 = 4;
const FLAG_NO_NEW_PRIVS: u32 = 8;
const FLAG_SETSID: u32 = 16;

const ENOEXEC: i32 = 8;
const SHELL: &str = "/bin/sh";

const STDIO_PIPE: i32 = -1;
const STDIO_IGNORE: i32 = -2;
/// Added to a code when it is packed into a byte.
const STDIO_OFFSET: i32 = 2;
/// No stream is set.
const STDIO_UNSET: u32 = u32::MAX;

/// One resource limit.
#[napi(object)]
pub struct LimitRequest {
    /// Name of the resource, such as `"noFile"`.
    pub resource: String,
    /// Soft limit; absent is unlimited.
    pub soft: Option<f64>,
    /// Hard limit; absent is unlimited.
    pub hard: Option<f64>,
}

/// What is seldom asked for of a start.
#[napi(object)]
#[derive(Default)]
pub struct SpawnExtra {
    /// Per descriptor, when there are others than 0 to 2 or large numbers: -1 pipe, -2 ignore, else a descriptor of this process.
    pub stdio: Option<Vec<i32>>,
    /// Working directory.
    pub cwd: Option<Text>,
    /// Bits of `FLAGS` in lib/request.js.
    pub flags: Option<u32>,
    /// Standard error goes where standard output goes.
    pub merge_stderr: Option<bool>,
    /// User id.
    pub uid: Option<i32>,
    /// Group id.
    pub gid: Option<i32>,
    /// Supplementary groups.
    pub groups: Option<Vec<u32>>,
    /// Process group to join; 0 makes a new one.
    pub process_group: Option<i32>,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// Nice value.
    pub nice: Option<i32>,
    /// CPUs by number.
    pub affinity: Option<Vec<u32>>,
    /// Resource limits.
    pub limits: Option<Vec<LimitRequest>>,
    /// A channel to the child.
    pub channel: Option<ChannelSettings>,
}

/// What to start.
#[napi(object, object_to_js = false)]
pub struct SpawnRequest {
    /// The program, by name or path; absent where it is argument 0.
    pub file: Option<Text>,
    /// Argument 0 and the arguments, joined by NUL.
    pub argv: Text,
    /// Codes of descriptors 0 to 2, one byte each, unless `extra` has them.
    pub stdio: u32,
    /// The whole environment as `KEY=VALUE`, joined by NUL; absent inherits.
    pub env: Option<Text>,
    /// Everything else.
    pub extra: Option<SpawnExtra>,
}

pub(crate) fn bytes_of(text: &Text) -> &[u8] {
    match text {
        Either::A(text) => text.as_bytes(),
        Either::B(bytes) => bytes,
    }
}

fn parts(text: &Text) -> impl Iterator<Item = &OsStr> {
    bytes_of(text).split(|byte| *byte == 0).map(OsStr::from_bytes)
}

impl SpawnRequest {
    fn file(&self) -> &[u8] {
        match &self.file {
            Some(file) => bytes_of(file),
            None => bytes_of(&self.argv).split(|byte| *byte == 0).next().unwrap_or_default(),
        }
    }

    /// The code of each descriptor.
    pub(crate) fn codes(&self) -> Vec<i32> {
        if self.stdio == STDIO_UNSET {
            return Vec::new();
        }
        let packed = |index: u32| (self.stdio >> (8 * index) & 0xff) as i32 - STDIO_OFFSET;
        self.extra.as_ref().and_then(|extra| extra.stdio.clone()).unwrap_or_else(|| vec![packed(0), packed(1), packed(2)])
    }

    /// The command, with the defaults of child_process.
    pub(crate) fn command(&self) -> procs::Result<Command> {
        let mut command = Command::new(OsStr::from_bytes(self.file()));
        if self.file() != bytes_of(&self.argv) {
            command.raw_argv(parts(&self.argv));
        }
        self.configure(&mut command)?;
        Ok(command)
    }

    /// Starts the child.
    pub(crate) fn start(&self) -> procs::Result<Child> {
        self.start_with(Command::spawn)
    }

    /// Starts the child, with a channel to it where one was asked for; gives that with its number. A program that was executed before may
    /// turn out at its end not to have been executed.
    pub(crate) fn start_with_channel(&self) -> procs::Result<(Child, Option<(u32, Channel)>)> {
        let Some(settings) = self.extra.as_ref().and_then(|extra| extra.channel.as_ref()) else {
            return Ok((self.start_with(|command| command.wait_for_exec_unless_known().spawn())?, None));
        };
        let options = settings.options()?;
        let (child, channel) = self.start_with(|command| command.fork_with(&options))?;
        Ok((child, Some((settings.id, channel))))
    }

    /// As execvp does for child_process, a file that is executable but in no known format is run by /bin/sh.
    fn start_with<T>(&self, start: impl Fn(&mut Command) -> procs::Result<T>) -> procs::Result<T> {
        let error = match start(&mut self.command()?) {
            Err(error) if error.os_error() == Some(ENOEXEC) && error.stage() == Some(Stage::Exec) => error,
            result => return result,
        };
        let Some(script) = self.find_program() else { return Err(error) };
        let mut shell = Command::new(SHELL);
        shell.raw_argv([OsStr::new(SHELL), script.as_os_str()].into_iter().chain(parts(&self.argv).skip(1)));
        self.configure(&mut shell)?;
        start(&mut shell)
    }

    fn configure(&self, command: &mut Command) -> procs::Result<()> {
        command.program_after_chdir(true).allow_relative_path(true).keep_control_env(true).blocking_stdio(true);
        if let Some(env) = &self.env {
            set_environment(command, env);
        }
        let merge = self.extra.as_ref().is_some_and(|extra| extra.merge_stderr == Some(true));
        set_stdio(command, &self.codes(), merge);
        match &self.extra {
            Some(extra) => extra.configure(command),
            None => Ok(()),
        }
    }

    /// The program's file: as given when it has a slash, else the first of that name in the child's PATH.
    fn find_program(&self) -> Option<PathBuf> {
        let file = OsStr::from_bytes(self.file());
        if file.as_bytes().contains(&b'/') {
            return Some(PathBuf::from(file));
        }
        let path = match &self.env {
            None => std::env::var_os("PATH")?,
            Some(env) => parts(env).find_map(|pair| pair.as_bytes().strip_prefix(b"PATH=")).map(|path| OsStr::from_bytes(path).to_owned())?,
        };
        std::env::split_paths(&path).map(|dir| dir.join(file)).find(|path| path.is_file())
    }
}

/// Whether a code is a pipe to this process.
pub(crate) fn is_pipe(code: i32) -> bool {
    code == STDIO_PIPE
}

fn set_stdio(command: &mut Command, codes: &[i32], merge_stderr: bool) {
    for (number, &code) in (0..).zip(codes) {
        match code {
            STDIO_PIPE if number == 2 && merge_stderr => command.fd(number, Stdio::same_as(1)),
            STDIO_PIPE => command.fd(number, Stdio::piped()),
            STDIO_IGNORE if number < 3 => command.fd(number, Stdio::null()),
            STDIO_IGNORE => continue,
            fd if fd == number && number < 3 => command.fd(number, Stdio::inherit()),
            fd => command.fd(number, Stdio::borrowed(fd)),
        };
    }
}

impl SpawnExtra {
    fn configure(&self, command: &mut Command) -> procs::Result<()> {
        if let Some(cwd) = &self.cwd {
            command.current_dir(Path::new(OsStr::from_bytes(bytes_of(cwd))));
        }
        self.set_flags(command);
        self.set_identity(command)?;
        self.set_resources(command)
    }

    fn set_flags(&self, command: &mut Command) {
        let has = |flag| self.flags.unwrap_or(0) & flag != 0;
        if has(FLAG_DETACHED) || has(FLAG_SETSID) {
            command.new_session(true);
        }
        if has(FLAG_KILL_TREE) {
            command.kill_tree(true);
        }
        if has(FLAG_DIE_WITH_PARENT) {
            command.die_with_parent(true);
        }
        if has(FLAG_NO_NEW_PRIVS) {
            command.no_new_privs(true);
        }
        if let Some(group) = self.process_group {
            command.process_group(group);
        }
    }

    fn set_identity(&self, command: &mut Command) -> procs::Result<()> {
        let id = |name: &str, value: i32| {
            u32::try_from(value)
                .map_err(|_| Error::new(ErrorKind::InvalidArgument, "spawn", format!("not an id ({name} = {value}, expected 0 or more)")))
        };
        if let Some(uid) = self.uid {
            command.uid(id("uid", uid)?);
        }
        if let Some(gid) = self.gid {
            command.gid(id("gid", gid)?);
        }
        match &self.groups {
            Some(groups) => command.groups(groups),
            // As libuv: whoever changes identity loses the supplementary groups of the host.
            None if self.uid.is_some() || self.gid.is_some() => command.groups(&[]),
            None => command,
        };
        Ok(())
    }

    fn set_resources(&self, command: &mut Command) -> procs::Result<()> {
        if let Some(mask) = self.umask {
            command.umask(mask);
        }
        if let Some(nice) = self.nice {
            command.nice(nice);
        }
        if let Some(cpus) = &self.affinity {
            command.affinity(&cpus.iter().map(|cpu| *cpu as usize).collect::<Vec<_>>());
        }
        for limit in self.limits.iter().flatten() {
            command.limit(resource(&limit.resource)?, limit.soft.map(|n| n as u64), limit.hard.map(|n| n as u64));
        }
        Ok(())
    }
}

fn set_environment(command: &mut Command, env: &Text) {
    command.env_clear();
    for pair in parts(env) {
        let bytes = pair.as_bytes();
        // An empty environment arrives as one empty part; a variable without a name reaches no program.
        let Some(equals) = bytes.iter().position(|byte| *byte == b'=').filter(|at| *at > 0) else {
            continue;
        };
        command.env(OsStr::from_bytes(&bytes[..equals]), OsStr::from_bytes(&bytes[equals + 1..]));
    }
}

/// The resources by name; upper and lower case are the same.
const RESOURCES: &[(&str, Resource)] = &[
    ("addressSpace", Resource::AddressSpace),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fileSize", Resource::FileSize),
    ("locks", Resource::Locks),
    ("memLock", Resource::MemLock),
    ("msgQueue", Resource::MsgQueue),
    ("nice", Resource::Nice),
    ("noFile", Resource::NoFile),
    ("nProc", Resource::NProc),
    ("rss", Resource::Rss),
    ("rtPrio", Resource::RtPrio),
    ("rtTime", Resource::RtTime),
    ("sigPending", Resource::SigPending),
    ("stack", Resource::Stack),
];

fn resource(name: &str) -> procs::Result<Resource> {
    RESOURCES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, resource)| *resource).ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "spawn", format!("unknown resource (limits = {name:?}, expected a name such as noFile)"))
    })
}
