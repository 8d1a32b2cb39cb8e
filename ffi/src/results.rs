//! The structs in which C gets plain results.

use crate::choices::tree_level_number;
use crate::ptr::Sized8;
use procs::{Exit, ExitStatus, StopAction, StopReport, StreamReport, Usage};
use std::ffi::c_int;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a process ended: the values of `procs_exit_status.kind`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_exit_kind {
    /// It has not ended (only where the text says so).
    PROCS_EXIT_NONE = 0,
    /// It called exit; see `code`.
    PROCS_EXIT_CODE = 1,
    /// A signal ended it; see `signal`.
    PROCS_EXIT_SIGNAL = 2,
    /// Somebody else took the status and the kernel does not keep it. Never invented as 0.
    PROCS_EXIT_UNKNOWN = 3,
}

/// How a process ended. Set `size` before the call: `procs_exit_status status; status.size = sizeof status;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_exit_status {
    /// sizeof(procs_exit_status), set by the caller.
    pub size: usize,
    /// One of `procs_exit_kind`.
    pub kind: c_int,
    /// The exit code, 0 to 255; -1 when it did not call exit.
    pub code: c_int,
    /// The number of the signal that ended it; 0 when none did.
    pub signal: c_int,
    /// 1 when a core was dumped.
    pub core_dumped: c_int,
}

/// What a finished child used, and when. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_usage {
    /// sizeof(procs_usage), set by the caller.
    pub size: usize,
    /// Microseconds of CPU time in user mode, of the child and the children it waited for; -1 when somebody else reaped it.
    pub user_time_us: i64,
    /// Microseconds of CPU time in the kernel; -1 as above.
    pub system_time_us: i64,
    /// Largest resident set in bytes; -1 as above.
    pub max_rss_bytes: i64,
    /// When it was started, in microseconds since 1970.
    pub started_us: i64,
    /// Microseconds from the start until its end was seen, on the monotonic clock.
    pub wall_time_us: i64,
}

/// What a stop did. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_stop_report {
    /// sizeof(procs_stop_report), set by the caller.
    pub size: usize,
    /// One of `procs_exit_kind`; PROCS_EXIT_NONE when it outlived the last step.
    pub exit_kind: c_int,
    /// As in `procs_exit_status`.
    pub exit_code: c_int,
    /// As in `procs_exit_status`.
    pub exit_signal: c_int,
    /// Index of the kind of action after which it ended: one of `procs_stop_action`; -1 when it had ended before or has not ended.
    pub ended_by: c_int,
    /// For PROCS_STOP_SIGNAL: which.
    pub ended_by_signal: c_int,
    /// The means that were used: one of `procs_tree_level`.
    pub level: c_int,
    /// Number of processes of the tree that were seen alive afterwards.
    pub survivor_count: u64,
}

/// How the capture of one stream went. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct procs_stream_report {
    /// sizeof(procs_stream_report), set by the caller.
    pub size: usize,
    /// Bytes read from the pipe, kept or not.
    pub total_bytes: u64,
    /// 1 when the result's buffer lacks bytes that were read, because of the stream's limit.
    pub truncated: c_int,
    /// 1 when PROCS_LIMIT_ERROR was exceeded; the child was stopped then.
    pub limit_exceeded: c_int,
    /// 1 when all that was read is in a file: see `procs_output_spill_fd`.
    pub spilled: c_int,
    /// The code of the first failure of a sink, a `procs_status`; 0 when there was none. The sink was given up, the child went on, but the run is no
    /// success, except for PROCS_E_CLOSED: a pipe or socket whose reader went away, who wanted no more.
    pub sink_error: c_int,
    /// 1 when the result lacks output that could not be read or kept, for want of memory or of room for the spill: `sink_error` says which. The run is
    /// no success then.
    pub incomplete: c_int,
    /// The errno of `sink_error`; 0 when there was none.
    pub sink_errno: c_int,
}

/// What an action of a stop is: the values of `procs_stop_step.action`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum procs_stop_action {
    /// Waits without doing anything.
    PROCS_STOP_WAIT = 0,
    /// Closes the host's end of the child's standard input.
    PROCS_STOP_CLOSE_STDIN = 1,
    /// Sends `signal`, followed by SIGCONT so that a stopped process handles it.
    PROCS_STOP_SIGNAL = 2,
    /// Sends SIGKILL.
    PROCS_STOP_KILL = 3,
}

macro_rules! sized {
    ($($name:ident)*) => { $(
        // SAFETY: integers only, the size first; `tests/c/abi.c` asserts that there is no padding.
        unsafe impl Sized8 for $name {
            const NAME: &'static str = stringify!($name);
        }
    )* };
}
sized!(procs_exit_status procs_usage procs_stop_report procs_stream_report);

fn status_parts(status: Option<ExitStatus>) -> (c_int, c_int, c_int) {
    use procs_exit_kind::*;
    let kind = match status {
        None => PROCS_EXIT_NONE,
        Some(ExitStatus::Exited(_)) => PROCS_EXIT_CODE,
        Some(ExitStatus::Signaled { .. }) => PROCS_EXIT_SIGNAL,
        Some(ExitStatus::Unknown) => PROCS_EXIT_UNKNOWN,
    };
    let code = status.and_then(ExitStatus::code).unwrap_or(-1);
    (kind as c_int, code, status.and_then(ExitStatus::signal).unwrap_or(0))
}

/// A status for C.
pub(crate) fn exit_status(status: ExitStatus) -> procs_exit_status {
    let (kind, code, signal) = status_parts(Some(status));
    procs_exit_status { size: 0, kind, code, signal, core_dumped: status.core_dumped().into() }
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// What a child used, for C.
pub(crate) fn usage(usage: Option<Usage>, started: SystemTime, wall_time: Duration) -> procs_usage {
    procs_usage {
        size: 0,
        user_time_us: usage.map_or(-1, |usage| microseconds(usage.user_time)),
        system_time_us: usage.map_or(-1, |usage| microseconds(usage.system_time)),
        max_rss_bytes: usage.map_or(-1, |usage| i64::try_from(usage.max_rss_bytes).unwrap_or(i64::MAX)),
        started_us: started.duration_since(UNIX_EPOCH).map_or(0, microseconds),
        wall_time_us: microseconds(wall_time),
    }
}

/// The record of a child's end, for C.
pub(crate) fn usage_of(exit: &Exit) -> procs_usage {
    usage(exit.usage, exit.started, exit.wall_time)
}

fn action_parts(action: Option<StopAction>) -> (c_int, c_int) {
    use procs_stop_action::*;
    match action {
        None => (-1, 0),
        Some(StopAction::Wait) => (PROCS_STOP_WAIT as c_int, 0),
        Some(StopAction::CloseStdin) => (PROCS_STOP_CLOSE_STDIN as c_int, 0),
        Some(StopAction::Signal(signal)) => (PROCS_STOP_SIGNAL as c_int, signal),
        Some(StopAction::Kill) => (PROCS_STOP_KILL as c_int, 0),
    }
}

/// What a stop did, for C.
pub(crate) fn stop_report(report: &StopReport) -> procs_stop_report {
    let (exit_kind, exit_code, exit_signal) = status_parts(report.status);
    let (ended_by, ended_by_signal) = action_parts(report.ended_by);
    procs_stop_report {
        size: 0,
        exit_kind,
        exit_code,
        exit_signal,
        ended_by,
        ended_by_signal,
        level: tree_level_number(report.level),
        survivor_count: report.survivors.len() as u64,
    }
}

/// How the capture of a stream went, for C.
pub(crate) fn stream_report(report: &StreamReport) -> procs_stream_report {
    let sink_error = report.sink_error.as_ref().map_or(0, |error| crate::status::procs_status::of(error.kind()) as c_int);
    procs_stream_report {
        size: 0,
        total_bytes: report.total_bytes,
        truncated: report.truncated.into(),
        limit_exceeded: report.limit_exceeded.into(),
        spilled: report.spill.is_some().into(),
        sink_error,
        incomplete: report.incomplete.into(),
        sink_errno: report.sink_error.as_ref().and_then(procs::Error::os_error).unwrap_or(0),
    }
}
