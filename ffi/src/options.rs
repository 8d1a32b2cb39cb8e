//! The structs in which C says what to run, and their defaults.

use crate::cancel::procs_cancel;
use crate::channel_options::procs_channel_options;
use crate::guard::guard;
use crate::ptr::{Sized8, init_options};
use crate::status::procs_status;
use std::ffi::{c_char, c_int, c_void};

/// No limit, in `procs_rlimit`.
pub const PROCS_UNLIMITED: u64 = u64::MAX;

/// Leave it as it is, in `procs_spawn_options.nice`.
pub const PROCS_UNCHANGED: i32 = i32::MIN;

/// Where a descriptor of the child comes from or leads to: the values of `procs_stdio.kind`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_stdio_kind {
    /// `procs_spawn`: inherited. `procs_run` and `procs_capture_start`: input from /dev/null (or the input given), output captured.
    PROCS_STDIO_DEFAULT = 0,
    /// The host's descriptor of the same number; for 0 to 2 /dev/null when the host has closed it or made it close-on-exec.
    PROCS_STDIO_INHERIT = 1,
    /// /dev/null.
    PROCS_STDIO_NULL = 2,
    /// A new pipe to or from the host for 0 to 2; a new duplex socket pair from 3 up.
    PROCS_STDIO_PIPE = 3,
    /// The descriptor `fd` of the host, which stays open there.
    PROCS_STDIO_FD = 4,
    /// The file `path`, read from its start.
    PROCS_STDIO_READ_FILE = 5,
    /// The file `path`, created or truncated.
    PROCS_STDIO_WRITE_FILE = 6,
    /// The file `path`, created if missing, written at its end.
    PROCS_STDIO_APPEND_FILE = 7,
    /// The same as the child's descriptor `fd`: with 1 for standard error, both arrive in one stream in true order.
    PROCS_STDIO_SAME_AS = 8,
}

/// Where one of the child's descriptors comes from or leads to. All zero is PROCS_STDIO_DEFAULT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_stdio {
    /// One of `procs_stdio_kind`.
    pub kind: c_int,
    /// For PROCS_STDIO_FD and PROCS_STDIO_SAME_AS.
    pub fd: c_int,
    /// For the three files. Copied.
    pub path: *const c_char,
}

/// A descriptor that the child gets besides 0, 1 and 2.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_extra_fd {
    /// Its number in the child, 3 or more.
    pub child_fd: c_int,
    /// 0.
    pub reserved: c_int,
    /// Where it comes from or leads to.
    pub stdio: procs_stdio,
}

/// What can be limited: the values of `procs_rlimit.resource`. Units are those of setrlimit(2): bytes, seconds or counts.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the RLIMIT_ constant of the same name")]
pub enum procs_resource {
    /// Bytes of address space (RLIMIT_AS).
    PROCS_RESOURCE_ADDRESS_SPACE = 0,
    /// Bytes of a core file (RLIMIT_CORE).
    PROCS_RESOURCE_CORE = 1,
    /// Seconds of CPU time (RLIMIT_CPU).
    PROCS_RESOURCE_CPU = 2,
    /// Bytes of data segment (RLIMIT_DATA).
    PROCS_RESOURCE_DATA = 3,
    /// Bytes of a written file (RLIMIT_FSIZE).
    PROCS_RESOURCE_FILE_SIZE = 4,
    /// File locks (RLIMIT_LOCKS).
    PROCS_RESOURCE_LOCKS = 5,
    /// Bytes of locked memory (RLIMIT_MEMLOCK).
    PROCS_RESOURCE_MEMORY_LOCK = 6,
    /// Bytes in message queues (RLIMIT_MSGQUEUE).
    PROCS_RESOURCE_MESSAGE_QUEUE = 7,
    /// Ceiling of the nice value (RLIMIT_NICE).
    PROCS_RESOURCE_NICE = 8,
    /// Open descriptors (RLIMIT_NOFILE).
    PROCS_RESOURCE_OPEN_FILES = 9,
    /// Processes of the user (RLIMIT_NPROC).
    PROCS_RESOURCE_PROCESSES = 10,
    /// Bytes of resident set, without effect today (RLIMIT_RSS).
    PROCS_RESOURCE_RESIDENT_SET = 11,
    /// Ceiling of the real-time priority (RLIMIT_RTPRIO).
    PROCS_RESOURCE_REALTIME_PRIORITY = 12,
    /// Microseconds of real-time work without a pause (RLIMIT_RTTIME).
    PROCS_RESOURCE_REALTIME_TIME = 13,
    /// Queued signals (RLIMIT_SIGPENDING).
    PROCS_RESOURCE_PENDING_SIGNALS = 14,
    /// Bytes of stack (RLIMIT_STACK).
    PROCS_RESOURCE_STACK = 15,
}

/// A resource limit of the child.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_rlimit {
    /// One of `procs_resource`.
    pub resource: c_int,
    /// 0.
    pub reserved: c_int,
    /// The limit that holds; PROCS_UNLIMITED for none.
    pub soft: u64,
    /// The most to which the child may raise it; PROCS_UNLIMITED for none. Not less than `soft`.
    pub hard: u64,
}

/// How the environment is made: the values of `procs_spawn_options.env_mode`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_env_mode {
    /// The host's environment with the changes of `env`.
    PROCS_ENV_INHERIT = 0,
    /// `env` and nothing else.
    PROCS_ENV_CLEAR = 1,
}

/// Which signal state the child starts with: the values of `procs_spawn_options.signals`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_signal_policy {
    /// Empty mask, every disposition default.
    PROCS_SIGNALS_DEFAULT = 0,
    /// Mask and ignored signals as in the host (for tools such as nohup).
    PROCS_SIGNALS_INHERIT = 1,
    /// As the host, but SIGPIPE, SIGXFZ and SIGXFSZ back to default.
    PROCS_SIGNALS_RESTORE_PYTHON = 2,
}

/// How a process tree is ended, from weakest to strongest: the values of `tree_level`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_tree_level {
    /// The strongest that is available (in options only).
    PROCS_TREE_STRONGEST = 0,
    /// The child alone.
    PROCS_TREE_PROCESS = 1,
    /// The child's own process group.
    PROCS_TREE_GROUP = 2,
    /// The group, and every descendant found in /proc.
    PROCS_TREE_WALK = 3,
    /// A cgroup of its own, killed by the kernel.
    PROCS_TREE_CGROUP = 4,
}

/// What happens to captured output beyond a limit: the values of `procs_output_limit.policy`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_limit_policy {
    /// Keeps `bytes`; one more stops the child, and the report says `limit_exceeded`.
    PROCS_LIMIT_ERROR = 0,
    /// Keeps everything; `bytes` is 0.
    PROCS_LIMIT_NONE = 1,
    /// Keeps the first `bytes` and discards the rest while the child runs on.
    PROCS_LIMIT_HEAD = 2,
    /// Keeps the last `bytes` while the child runs on.
    PROCS_LIMIT_TAIL = 3,
    /// Keeps `bytes` in memory and writes all of the output to an unlinked file once there is more: see `procs_output_spill_fd`.
    PROCS_LIMIT_SPILL = 4,
}

/// How much of a captured stream is kept. Default: 64 MiB, then PROCS_LIMIT_ERROR.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_output_limit {
    /// One of `procs_limit_policy`.
    pub policy: c_int,
    /// 0.
    pub reserved: c_int,
    /// Bytes kept in memory.
    pub bytes: u64,
}

/// Where captured output goes: the values of `procs_sink.kind`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_sink_kind {
    /// Into the result, up to the limit.
    PROCS_SINK_BUFFER = 0,
    /// Nowhere.
    PROCS_SINK_DISCARD = 1,
    /// To the descriptor `fd`, of which the library takes a duplicate.
    PROCS_SINK_FD = 2,
    /// To the file `path`, created or truncated.
    PROCS_SINK_FILE = 3,
    /// To the end of the file `path`, created if missing.
    PROCS_SINK_APPEND = 4,
    /// To `callback`.
    PROCS_SINK_CALLBACK = 5,
}

/// A function that gets each chunk of output as it arrives, on the thread that is inside the run (or inside `procs_capture_dispatch`; for
/// `procs_run_many` a thread of the library). No lock is held: it may call anything but the function that is running the capture. It must
/// return normally: no longjmp, no C++ exception.
pub type procs_output_fn = Option<unsafe extern "C" fn(data: *const c_char, len: usize, user_data: *mut c_void)>;

/// A function that fills `buffer` with the next input bytes and returns how many; 0 ends the input, a negative number is minus an errno value
/// that ends the input and is the run's error once the child has ended. Called as `procs_output_fn` is.
pub type procs_input_fn = Option<unsafe extern "C" fn(buffer: *mut c_char, capacity: usize, user_data: *mut c_void) -> i64>;

/// Where one captured stream goes. All zero is PROCS_SINK_BUFFER.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_sink {
    /// One of `procs_sink_kind`.
    pub kind: c_int,
    /// For PROCS_SINK_FD.
    pub fd: c_int,
    /// For the two files. Copied.
    pub path: *const c_char,
    /// For PROCS_SINK_CALLBACK.
    pub callback: procs_output_fn,
    /// Handed to the callback.
    pub user_data: *mut c_void,
    /// A further sink that gets the same bytes, after this one; NULL: none. At most 64 in all.
    pub also: *const procs_sink,
}

/// What to run and how. Set the defaults with `procs_spawn_options_init(&o, sizeof o)`, then what differs.
///
/// Everything given by pointer is copied before the call returns. Numbers that say yes or no are 1 or 0; any other value is refused, and so is
/// an unknown value of a choice. Fields that say "run" matter to `procs_run`, captures, pipelines and `procs_run_many` only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_spawn_options {
    /// sizeof(procs_spawn_options), set by `procs_spawn_options_init`.
    pub size: usize,
    /// The program: a name to be searched in the child's PATH, or a path. NULL: argv[0]. Empty and relative entries of PATH are skipped.
    pub program: *const c_char,
    /// Arguments, argv[0] first, NULL last. NULL: the program alone. Passed byte for byte; no shell is involved.
    pub argv: *const *const c_char,
    /// A command line for `/bin/sh -c`, instead of program and argv: the only way to a shell. Never make it of untrusted text. Default: NULL.
    pub shell: *const c_char,
    /// "KEY=VALUE" sets, "KEY" removes; NULL last. Default: NULL, no changes.
    pub env: *const *const c_char,
    /// The child's working directory. A relative `program` is still relative to the host's. Default: NULL, the host's.
    pub cwd: *const c_char,
    /// Standard input.
    pub stdin_from: procs_stdio,
    /// Standard output.
    pub stdout_to: procs_stdio,
    /// Standard error.
    pub stderr_to: procs_stdio,
    /// More descriptors. Everything above 2 that is not listed is closed in the child.
    pub extra_fds: *const procs_extra_fd,
    /// Number of `extra_fds`.
    pub extra_fd_count: usize,
    /// Resource limits.
    pub rlimits: *const procs_rlimit,
    /// Number of `rlimits`.
    pub rlimit_count: usize,
    /// Supplementary groups. NULL: unchanged. Not NULL with a count of 0: none. Must be given with `uid`.
    pub groups: *const u32,
    /// Number of `groups`.
    pub group_count: usize,
    /// CPUs that the child may use, by number. Default: as the host.
    pub cpus: *const u32,
    /// Number of `cpus`.
    pub cpu_count: usize,
    /// User id; -1: unchanged (default).
    pub uid: i64,
    /// Group id; -1: unchanged (default).
    pub gid: i64,
    /// One of `procs_env_mode`. Default: PROCS_ENV_INHERIT.
    pub env_mode: c_int,
    /// 1: passes LISTEN_*, NOTIFY_SOCKET, WATCHDOG_*, NODE_CHANNEL_*, NODE_UNIQUE_ID and PROCS_CHANNEL_FD on, not inherited otherwise. Default: 0.
    pub keep_control_env: c_int,
    /// 1: a relative `program` is relative to `cwd`. Default: 0.
    pub program_after_chdir: c_int,
    /// 1: also searches empty and relative entries of PATH. Default: 0.
    pub allow_relative_path: c_int,
    /// Process group: -1 the host's (default), 0 a new one led by the child, another number joins that group.
    pub process_group: c_int,
    /// 1: a new session. Default: 0.
    pub new_session: c_int,
    /// The child's descriptor that becomes its controlling terminal, in a new session; -1: none (default).
    pub controlling_tty: c_int,
    /// 1: the child's new process group becomes the foreground group of the terminal on its standard input. Default: 0.
    pub foreground: c_int,
    /// File mode creation mask, 0 to 0777; -1: unchanged (default).
    pub umask: c_int,
    /// Nice value, -20 to 19; PROCS_UNCHANGED (default).
    pub nice: c_int,
    /// 1: neither the child nor its descendants can gain privileges by exec. Default: 0.
    pub no_new_privs: c_int,
    /// 1: the child gets SIGKILL when the host ends for any reason. Default: 0.
    pub die_with_parent: c_int,
    /// Instead of SIGKILL, this signal; implies `die_with_parent`. Default: 0, none.
    pub parent_death_signal: c_int,
    /// One of `procs_signal_policy`. Default: PROCS_SIGNALS_DEFAULT.
    pub signals: c_int,
    /// 1: descriptors of the host without close-on-exec stay open in the child. Default: 0.
    pub keep_fds: c_int,
    /// 1: starts on a thread of the library, so that an exec that hangs on a dead disk is bounded by `timeout_ms`. Default: 0.
    pub offload: c_int,
    /// 1: `procs_child_free` kills the child (with `kill_tree`, its tree) if it has not ended. Default: 0, it runs on and is reaped later.
    pub kill_on_free: c_int,
    /// 1: stopping the child, by `procs_child_stop`, deadline, cancel or free, stops all its descendants. Default: 0.
    pub kill_tree: c_int,
    /// The most that `kill_tree` uses: one of `procs_tree_level`. Default: PROCS_TREE_STRONGEST.
    pub tree_level: c_int,
    /// run, 1: anything but exit code 0 is an error; `procs_last_error_take_output` then has the output. Default: 0.
    pub check: c_int,
    /// run: the signal that asks the child to end when the run is stopped. Default: SIGTERM.
    pub stop_signal: c_int,
    /// 1: `procs_spawn` returns once the program is executing. 0: it returns about 10 µs earlier, and why a program could not be executed is told
    /// by `procs_child_wait` instead. Ignored where the system or another option does not allow it. Default: 1.
    pub wait_for_exec: c_int,
    /// run: time for start, child, descendants and the draining of their pipes; -1: no limit (default).
    pub timeout_ms: i64,
    /// run: time between `stop_signal` and SIGKILL when the run is stopped. Default: 0, SIGKILL at once.
    pub grace_ms: i64,
    /// run: how long output is still read after a kill although somebody holds the pipe. Default: 100.
    pub drain_grace_ms: i64,
    /// run: how long output is still read after a normal exit although somebody holds the pipe; -1: until end of file (default).
    pub drain_after_exit_ms: i64,
    /// Size asked for the child's pipes in bytes; a refusal is ignored. Default: 0, the system's.
    pub pipe_size: u64,
    /// run: fed to standard input. Default: NULL, nothing. Copied, except by `procs_run` and `procs_run_many`, which read it in
    /// place until they return.
    pub input: *const c_void,
    /// run: bytes of `input`.
    pub input_len: usize,
    /// run: supplies the input piece by piece, instead of `input`. Default: NULL.
    pub input_callback: procs_input_fn,
    /// run: handed to `input_callback`.
    pub input_user_data: *mut c_void,
    /// run: limit of captured standard output.
    pub stdout_limit: procs_output_limit,
    /// run: limit of captured standard error.
    pub stderr_limit: procs_output_limit,
    /// run: where standard output goes.
    pub stdout_sink: procs_sink,
    /// run: where standard error goes.
    pub stderr_sink: procs_sink,
    /// run: stops the run when cancelled; it may be freed at once. Default: NULL.
    pub cancel: *const procs_cancel,
    /// `procs_spawn` only: starts the child with a channel to it, made like this; see `procs_child_channel`. Default: NULL, no channel.
    pub channel: *const procs_channel_options,
}

// SAFETY: integers, pointers, `Option` of functions and frozen structs of these; `tests/c/abi.c` asserts that there is no padding.
unsafe impl Sized8 for procs_spawn_options {
    const NAME: &'static str = "procs_spawn_options";
}

const STDIO: procs_stdio = procs_stdio { kind: procs_stdio_kind::PROCS_STDIO_DEFAULT as c_int, fd: -1, path: std::ptr::null() };
const LIMIT: procs_output_limit = procs_output_limit { policy: procs_limit_policy::PROCS_LIMIT_ERROR as c_int, reserved: 0, bytes: 64 << 20 };
const SINK: procs_sink = procs_sink {
    kind: procs_sink_kind::PROCS_SINK_BUFFER as c_int,
    fd: -1,
    path: std::ptr::null(),
    callback: None,
    user_data: std::ptr::null_mut(),
    also: std::ptr::null(),
};

/// The defaults of everything.
pub(crate) const DEFAULTS: procs_spawn_options = procs_spawn_options {
    size: size_of::<procs_spawn_options>(),
    program: std::ptr::null(),
    argv: std::ptr::null(),
    shell: std::ptr::null(),
    env: std::ptr::null(),
    cwd: std::ptr::null(),
    stdin_from: STDIO,
    stdout_to: STDIO,
    stderr_to: STDIO,
    extra_fds: std::ptr::null(),
    extra_fd_count: 0,
    rlimits: std::ptr::null(),
    rlimit_count: 0,
    groups: std::ptr::null(),
    group_count: 0,
    cpus: std::ptr::null(),
    cpu_count: 0,
    uid: -1,
    gid: -1,
    env_mode: procs_env_mode::PROCS_ENV_INHERIT as c_int,
    keep_control_env: 0,
    program_after_chdir: 0,
    allow_relative_path: 0,
    process_group: -1,
    new_session: 0,
    controlling_tty: -1,
    foreground: 0,
    umask: -1,
    nice: PROCS_UNCHANGED,
    no_new_privs: 0,
    die_with_parent: 0,
    parent_death_signal: 0,
    signals: procs_signal_policy::PROCS_SIGNALS_DEFAULT as c_int,
    keep_fds: 0,
    offload: 0,
    kill_on_free: 0,
    kill_tree: 0,
    tree_level: procs_tree_level::PROCS_TREE_STRONGEST as c_int,
    check: 0,
    stop_signal: libc::SIGTERM,
    wait_for_exec: 1,
    timeout_ms: -1,
    grace_ms: 0,
    drain_grace_ms: 100,
    drain_after_exit_ms: -1,
    pipe_size: 0,
    input: std::ptr::null(),
    input_len: 0,
    input_callback: None,
    input_user_data: std::ptr::null_mut(),
    stdout_limit: LIMIT,
    stderr_limit: LIMIT,
    stdout_sink: SINK,
    stderr_sink: SINK,
    cancel: std::ptr::null(),
    channel: std::ptr::null(),
};

/// Writes the defaults; `size` is sizeof(procs_spawn_options). Does not touch the last error on success, as no function here does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procs_spawn_options_init(options: *mut procs_spawn_options, size: usize) -> procs_status {
    guard("procs_spawn_options_init", || {
        let operation = "procs_spawn_options_init";
        init_options(operation, options, size, const { &DEFAULTS })
    })
}
