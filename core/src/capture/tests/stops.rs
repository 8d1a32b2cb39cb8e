//! Runs that are stopped: timeout, cancel, ladder, drop. Times are lower bounds only.

use crate::{CancelHandle, Command, Deadline, ErrorKind, ExitStatus, Input, Pipeline, RunOptions, Sink, Stdio, Stop, StopAction, TreeLevel};
use std::time::Duration;

use super::words_time;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_timeout_gives_partial_output_and_says_who_holds_the_pipe() {
    let output = Command::shell("sleep 60 & echo hi").timeout(words_time()).output().expect("sh");
    assert_eq!(output.stdout, b"hi\n");
    assert!(output.timed_out && output.pipes_left_open);
    assert_eq!(output.status, ExitStatus::Exited(0));
    assert_eq!(output.check().expect_err("timed out").kind(), ErrorKind::Timeout);
}

#[test]
fn a_timeout_with_tree_leaves_no_holder_at_any_level() {
    let run = |level: TreeLevel, script: &str| {
        let output = Command::shell(script).timeout(words_time()).kill_tree(true).tree_level(level).output().expect("sh");
        assert_eq!(output.stdout, b"hi\n");
        assert!(output.timed_out && !output.pipes_left_open, "{level:?} {script}: {:?}", output.stopped);
        assert_eq!(output.stopped.map(|report| report.survivors), Some(vec![]), "{level:?} {script}");
    };
    std::thread::scope(|scope| {
        for level in [TreeLevel::Group, TreeLevel::Walk, TreeLevel::Cgroup] {
            for script in ["sleep 60 & echo hi", "echo hi; sleep 60 & sleep 60"] {
                scope.spawn(move || run(level, script));
            }
        }
    });
}

#[test]
fn output_is_drained_while_the_child_obeys() {
    let script = "trap 'head -c 3000000 /dev/zero; exit 3' TERM; echo ready >&2; while :; do sleep 0.01; done";
    let output = Command::shell(script).timeout(words_time()).grace(LONG).output().expect("sh");
    assert!(output.timed_out);
    assert_eq!(output.status, ExitStatus::Exited(3));
    assert_eq!(output.stdout.len(), 3_000_000);
    assert_eq!(output.stopped.and_then(|report| report.ended_by), Some(StopAction::Signal(libc::SIGTERM)));
}

#[test]
fn a_child_that_does_not_obey_is_killed_after_the_grace() {
    let script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let output = Command::shell(script).timeout(words_time()).grace(SHORT).output().expect("sh");
    assert_eq!(output.status.signal(), Some(libc::SIGKILL));
    assert!(output.wall_time >= words_time() + SHORT, "{:?}", output.wall_time);
    assert_eq!(output.stopped.and_then(|report| report.ended_by), Some(StopAction::Kill));
}

#[test]
fn the_end_of_a_normal_run_can_be_bounded() {
    let output = Command::shell("sleep 60 & echo hi").drain_after_exit(SHORT).output().expect("sh");
    assert_eq!(output.stdout, b"hi\n");
    assert!(output.pipes_left_open && !output.timed_out && output.stopped.is_none());
    assert!(output.success());
}

#[test]
fn a_cancel_from_another_thread_stops_the_run() {
    let cancel = CancelHandle::new().expect("a descriptor");
    let other = cancel.clone();
    // The callback knows that the child runs.
    let call = Sink::Callback(Box::new(move |_| other.cancel()));
    let output = Command::shell("echo started; exec sleep 60").stdout_sink(call).cancel(&cancel).output().expect("sh");
    assert!(output.cancelled && !output.timed_out);
    assert_eq!(output.status.signal(), Some(libc::SIGKILL));
}

#[test]
fn a_panic_of_a_callback_leaves_no_child() {
    let child = Command::shell("echo x; exec sleep 60").stdout(Stdio::piped()).spawn().expect("sh");
    let handle = child.handle().clone();
    let sink = Sink::Callback(Box::new(|_| panic!("a callback that panics")));
    let mut capture = child.capture(RunOptions { stdout_sink: sink, ..RunOptions::default() }).expect("a capture");
    let run = std::panic::AssertUnwindSafe(move || capture.run(Deadline::NEVER));
    assert!(std::panic::catch_unwind(run).is_err());
    let status = handle.wait_timeout(LONG).expect("a child").expect("killed by then");
    assert_eq!(status.signal(), Some(libc::SIGKILL));
}

#[test]
fn dropping_a_capture_kills_the_child() {
    let child = Command::new("sleep").arg("60").spawn().expect("sleep");
    let handle = child.handle().clone();
    drop(child.capture(RunOptions::default()).expect("a capture"));
    let status = handle.wait_timeout(LONG).expect("a child").expect("killed by then");
    assert_eq!(status.signal(), Some(libc::SIGKILL));
}

#[test]
fn a_ladder_drains_and_may_end_with_closed_input() {
    let endless = Input::Callback(Box::new(|block| {
        block.fill(b'x');
        Ok(block.len())
    }));
    let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cat");
    let options = RunOptions { input: Some(endless), stdout_sink: Sink::Discard, ..RunOptions::default() };
    let mut capture = child.capture(options).expect("a capture");
    assert!(!capture.run(Deadline::after(Duration::from_millis(5))).expect("a run"));
    let report = capture.stop(&Stop::new().step(StopAction::CloseStdin, LONG).step(StopAction::Kill, LONG)).expect("a stop");
    assert_eq!(report.ended_by, Some(StopAction::CloseStdin));
    assert_eq!(report.status, Some(ExitStatus::Exited(0)));
    let output = capture.finish().expect("a result");
    assert!(output.success());
    assert!(output.stdout_report.total_bytes > 0);
}

#[test]
fn a_child_that_outlives_a_ladder_runs_on() {
    let mut command = Command::shell("trap '' TERM; echo ready; read line; echo got $line");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh");
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let input = Input::Callback(Box::new(move |block| match wait.try_recv() {
        Ok(()) => {
            block[..3].copy_from_slice(b"it\n");
            Ok(3)
        }
        // Anything but a line feed keeps the child reading.
        Err(std::sync::mpsc::TryRecvError::Empty) => {
            block[0] = b'.';
            Ok(1)
        }
        Err(std::sync::mpsc::TryRecvError::Disconnected) => Ok(0),
    }));
    let mut capture = child.capture(RunOptions { input: Some(input), ..RunOptions::default() }).expect("a capture");
    while capture.stdout().is_empty() {
        capture.run(Deadline::after(Duration::from_millis(5))).expect("a run");
    }
    let report = capture.stop(&Stop::new().step(StopAction::Signal(libc::SIGTERM), Duration::from_millis(20))).expect("a stop");
    assert_eq!((report.status, report.ended_by), (None, None));
    go.send(()).expect("a receiver");
    drop(go);
    let output = capture.finish().expect("a result");
    assert!(output.stdout.ends_with(b"it\n"), "{:?}", output.stdout);
    assert!(output.success());
}

#[test]
fn a_pipeline_is_stopped_as_one() {
    let sleep = || {
        let mut command = Command::new("sleep");
        command.arg("60");
        command
    };
    let output = Pipeline::new([sleep(), sleep(), sleep()]).timeout(SHORT).output().expect("a pipeline");
    assert!(output.timed_out && !output.success());
    assert!(output.stages.iter().all(|stage| stage.status.signal() == Some(libc::SIGKILL)));
    let mut running = Pipeline::new([sleep(), Command::new("cat")]).spawn().expect("a pipeline");
    let reports = running.stop(&Stop::default()).expect("a stop");
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|report| report.status.is_some()));
    assert_eq!(running.wait().expect("statuses").len(), 2);
}
