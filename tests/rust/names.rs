//! One concept, one name in each language: the table of the design as data. A name that one language lacks fails here.
//!
//! The Rust names are used by this file, so that the compiler checks them; the others are looked up in the header, in the Python package
//! (`def`, `class` or an annotated name) and in `index.d.ts`.

#![allow(unused_imports, reason = "importing a name is how it is checked")]

use procs_tests::{Source, has_word, read_source, sources};

/// Shared memory.
use procs::{
    Arena, ArenaOptions, AtomicCell, Block, BlockPlace, Counter, Counters, Field, Histogram, HistogramSnapshot, LockFuture, OnceEnd, OnceTurn, Seat,
    SemaphorePermit, SharedBarrier, SharedEvent, SharedMemory, SharedMemoryOptions, SharedMutex, SharedMutexGuard, SharedOnce, SharedReadGuard,
    SharedRwLock, SharedSemaphore, SharedWriteGuard, memory_layout,
};

/// Every public type and function of the Rust face of this round.
use procs::{
    Bytes, CancelHandle, Capture, Child, ChildHandle, Chunks, Collector, Command, Deadline, EngineInfo, Error, ErrorKind, Exit, ExitStatus, Input,
    LineStream, Lines, Output, OutputFuture, OutputLimit, PipeReader, PipeWriter, Pipeline, PipelineChild, PipelineOutput, ReadySet, Resource,
    RunOptions, SignalPolicy, Sink, Stage, StageResult, Stdio, Stop, StopAction, StopReport, StreamReport, TreeLevel, Usage, WaitFuture, engine_info,
    run_many, signal_name, signal_number, stop_all, wait_any,
};

/// One concept: names that must exist. No names: the language has the concept elsewhere (Node: `process.versions`, `package.json`). A name with a dot is a field or option of a type: only its last part is looked up.
struct Row {
    concept: &'static str,
    c: &'static [&'static str],
    python: &'static [&'static str],
    node: &'static [&'static str],
}

const TABLE: &[Row] = &[
    Row {
        concept: "what to run",
        c: &["procs_spawn_options", "procs_spawn_options_init"],
        python: &["run", "Popen"],
        node: &["SpawnOptions", "RunOptions"],
    },
    Row {
        concept: "start",
        c: &["procs_spawn", "procs_child", "procs_child_free", "procs_child_pid"],
        python: &["Popen", "Popen.pid"],
        node: &["spawn", "ChildProcess", "ChildProcess.pid"],
    },
    Row {
        concept: "run to the end, captured",
        c: &["procs_run", "procs_output", "procs_output_free", "procs_output_stdout", "procs_output_stderr"],
        python: &["run", "check_output", "check_call", "call", "CompletedProcess", "communicate"],
        node: &["execFile", "exec", "spawnSync", "execSync", "execFileSync", "run"],
    },
    Row { concept: "through a shell, explicit", c: &["procs_spawn_options.shell"], python: &["run.shell"], node: &["exec", "SpawnOptions.shell"] },
    Row {
        concept: "exit",
        c: &["procs_exit_status", "procs_child_wait", "procs_child_try_wait"],
        python: &["returncode", "status", "wait", "poll"],
        node: &["code", "signal", "status"],
    },
    Row { concept: "use of resources", c: &["procs_usage"], python: &["Usage", "usage"], node: &["Usage", "usage"] },
    Row { concept: "signals", c: &["procs_child_kill", "procs_child_send_signal"], python: &["kill", "send_signal", "terminate"], node: &["kill"] },
    Row { concept: "stop ladder", c: &["procs_child_stop", "procs_stop_report"], python: &["stop", "StopReport"], node: &["stop", "StopReport"] },
    Row { concept: "whole tree", c: &["procs_spawn_options.kill_tree", "procs_child_kill_tree"], python: &["kill_tree"], node: &["killTree"] },
    Row { concept: "deadline", c: &["procs_spawn_options.timeout_ms"], python: &["timeout", "TimeoutExpired"], node: &["timeout", "timedOut"] },
    Row { concept: "output limit", c: &["procs_output_limit"], python: &["max_output"], node: &["maxOutput"] },
    Row {
        concept: "truth about the streams",
        c: &["procs_output_pipes_left_open", "truncated"],
        python: &["pipes_left_open", "truncated"],
        node: &["pipesLeftOpen", "truncated"],
    },
    Row { concept: "async", c: &["procs_child_fd"], python: &["fileno"], node: &["Promise"] },
    Row { concept: "cancel", c: &["procs_cancel"], python: &["CancelHandle"], node: &["AbortSignal"] },
    Row { concept: "pipeline", c: &["procs_pipeline"], python: &["Pipeline"], node: &["pipeline"] },
    Row { concept: "wait for any of many", c: &["procs_wait_any"], python: &["wait_any"], node: &["waitAny"] },
    Row { concept: "stop several together", c: &["procs_stop_all"], python: &["stop"], node: &["stop"] },
    Row { concept: "many, some at once", c: &["procs_run_many"], python: &["run_many"], node: &["runMany"] },
    Row { concept: "what the kernel offers", c: &["procs_engine", "procs_engine_info"], python: &["engine_info"], node: &["engineInfo"] },
    Row {
        concept: "shared memory",
        c: &["procs_shm", "procs_shm_new", "procs_shm_from_fd", "procs_shm_data", "procs_shm_fd", "procs_shm_free", "procs_shm_layout"],
        python: &["SharedMemory", "from_fd", "buf", "fileno", "memory_layout"],
        node: &["SharedMemory", "fromFd", "buffer", "fd", "memoryLayout"],
    },
    Row {
        concept: "locks in it",
        c: &[
            "procs_shm_mutex_lock",
            "procs_shm_rwlock_read",
            "procs_shm_rwlock_write",
            "procs_shm_semaphore_acquire",
            "procs_shm_event_wait",
            "procs_shm_barrier_wait",
            "procs_shm_once_begin",
            "procs_shm_pending_finish",
        ],
        python: &["SharedMutex", "SharedRwLock", "SharedSemaphore", "SharedEvent", "SharedBarrier", "SharedOnce", "owner_died", "repair"],
        node: &["SharedMutex", "SharedRwLock", "SharedSemaphore", "SharedEvent", "SharedBarrier", "SharedOnce", "ownerDied", "repair"],
    },
    Row {
        concept: "numbers in it",
        c: &["procs_shm_add32", "procs_shm_add64", "procs_shm_counter_add", "procs_shm_histogram_record"],
        python: &["AtomicCell", "fetch_add", "Counters", "Histogram"],
        node: &["AtomicCell", "fetchAdd", "Counters", "Histogram"],
    },
    Row {
        concept: "blocks without a copy",
        c: &["procs_shm_arena_alloc", "procs_shm_arena_attach", "procs_shm_block_lend"],
        python: &["Arena", "Block", "alloc", "attach", "lend", "reclaim_dead"],
        node: &["Arena", "ArenaBlock", "alloc", "attach", "lend"],
    },
    Row {
        concept: "fork: child with a channel",
        c: &["procs_spawn_options.channel", "procs_child_channel"],
        python: &["fork", "Popen.channel"],
        node: &["fork", "ChildWithChannel"],
    },
    Row { concept: "my end in a child", c: &["procs_channel_from_env"], python: &["parent_channel"], node: &["parentChannel"] },
    Row {
        concept: "message",
        c: &["procs_message", "procs_channel_send", "procs_channel_recv", "procs_channel_pair", "procs_channel_close", "procs_channel_fd"],
        python: &["Channel", "send", "recv", "send_bytes", "recv_bytes", "pair", "close", "Message"],
        node: &["Channel", "send", "recv", "pair", "close", "ChannelMessage"],
    },
    Row {
        concept: "built and read in place",
        c: &["procs_channel_alloc", "procs_message_from_block", "procs_message_add_block", "procs_message_body"],
        python: &["alloc", "recv_buffer"],
        node: &[],
    },
    Row { concept: "body into memory of one's own", c: &["procs_channel_recv_bytes"], python: &["recv_bytes_into"], node: &[] },
    Row {
        concept: "ask and answer",
        c: &["procs_channel_call", "procs_channel_call_stream", "procs_channel_next_request", "procs_request_reply"],
        python: &["call", "call_stream", "serve"],
        node: &["call", "callStream", "serve"],
    },
    Row {
        concept: "errors",
        c: &["procs_status", "procs_last_error", "procs_last_error_message", "procs_last_error_os", "procs_strerror", "procs_err_name"],
        python: &["ProcsError", "kind", "stage"],
        node: &["ProcsError", "kind", "stage"],
    },
    Row { concept: "version", c: &["procs_version", "procs_abi_version"], python: &["__version__"], node: &[] },
];

/// Names of Rust that a method path proves: they are compiled, not read.
#[test]
fn rust_has_every_name() {
    let _ = (Command::spawn, Command::output, Command::status, Command::output_async, |line: &str| Command::shell(line));
    let _ = (Command::kill_tree, Command::timeout, Command::grace, Command::max_output, Command::check, Command::cancel);
    let _ = (Child::id, Child::wait, Child::wait_timeout, Child::try_wait, Child::kill, Child::send_signal, Child::stop, Child::kill_tree);
    let _ = (Child::wait_async, Child::detach, Child::lines, Child::chunks, Child::line_stream, Child::capture, Child::wait_with_output);
    let _ = (ChildHandle::wait, ChildHandle::stop, ChildHandle::wait_async, ChildHandle::kill_tree);
    let _ = (ExitStatus::success, ExitStatus::code, ExitStatus::signal, Output::check, Error::output, Error::into_output);
    let _ = (Pipeline::output, Pipeline::spawn, Capture::run, Capture::finish);
    assert!(!ErrorKind::ALL.is_empty() && !TreeLevel::ALL.is_empty());
}

/// What to look up for a name of the table.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn missing(names: &[&str], text: &str, defined: impl Fn(&str, &str) -> bool) -> Vec<String> {
    names.iter().filter(|name| !defined(text, last_part(name))).map(|name| (*name).to_owned()).collect()
}

fn check(language: &str, text: &str, names: impl Fn(&Row) -> &'static [&'static str], defined: impl Fn(&str, &str) -> bool) {
    let mut wrong = Vec::new();
    for row in TABLE {
        let lost = missing(names(row), text, &defined);
        if !lost.is_empty() {
            wrong.push(format!("{}: {}", row.concept, lost.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{language} lacks names of the table:\n{}", wrong.join("\n"));
}

fn joined(sources: &[Source]) -> String {
    sources.iter().flat_map(Source::code_lines).map(|(_, line)| format!("{line}\n")).collect()
}

#[test]
fn c_has_every_name() {
    check("include/procs.h", &joined(&[read_source("include/procs.h")]), |row| row.c, has_word);
}

/// `def name`, `class name`, `name:`, `name =` or an entry of `__all__`.
fn defined_in_python(text: &str, name: &str) -> bool {
    let forms = [format!("def {name}("), format!("class {name}"), format!("{name}:"), format!("{name} ="), format!("{name}="), format!("\"{name}\"")];
    text.lines().any(|line| has_word(line, name) && (forms.iter().any(|form| line.contains(form.as_str())) || line.contains("import ")))
}

#[test]
fn python_has_every_name() {
    check("procs", &joined(&sources("bindings/python/procs", &[".pyi", ".py"])), |row| row.python, defined_in_python);
}

#[test]
fn node_has_every_name() {
    check(
        "index.d.ts",
        &joined(
            &["index", "lib/child-process", "lib/message-channel", "lib/shared-memory"]
                .map(|name| read_source(&format!("bindings/node/{name}.d.ts"))),
        ),
        |row| row.node,
        has_word,
    );
}

/// The other direction: what C exports is a noun or verb of the table's families, never something only C has.
#[test]
fn c_exports_no_name_outside_its_families() {
    let families = [
        "spawn",
        "child",
        "run",
        "output",
        "capture",
        "lines",
        "chunks",
        "pipeline",
        "cancel",
        "stop",
        "wait_any",
        "engine",
        "max_children",
        "set_max_children",
        "last_error",
        "strerror",
        "err_name",
        "version",
        "abi_version",
        "signal",
        "exit_status",
        "usage",
        "stream",
        "sink",
        "stage",
        "many",
        "shm",
        "channel",
        "message",
        "request",
        "call_stream",
    ];
    for name in read_source("ffi/symbols.txt").text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let rest = name.strip_prefix("procs_").unwrap_or_else(|| panic!("{name} lacks the prefix"));
        assert!(families.iter().any(|family| rest.starts_with(family)), "{name} belongs to no noun of the table");
    }
}
