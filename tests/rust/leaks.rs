//! Every way to start and end a child, once, with the leak check of the harness at the end: descriptors, threads, children, processes.

use procs::{CancelHandle, Child, Command, OutputLimit, Pipeline, Sink, Stdio, Stop, run_many, wait_any};
use procs_tests::{block_on, helper, isolated, rss_bytes};
use std::future::Future;
use std::io::Read;
use std::task::{Context, Waker};
use std::time::Duration;

fn command<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new(helper!());
    command.args(args).stdin(Stdio::null());
    command
}

fn ready<const N: usize>(args: [&str; N]) -> Child {
    let mut child = command(args).stdout(Stdio::piped()).spawn().expect("a start");
    let mut line = [0; 6];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut line).expect("the line ready");
    child
}

#[test]
fn runs_leave_nothing() {
    isolated("runs_leave_nothing", |_| {
        for _ in 0..5 {
            assert!(command(["echo", "hi"]).output().expect("a run").success());
            assert!(command(["flood", "3000000", "both"]).max_output(OutputLimit::Spill(1000)).output().expect("a run").success());
            assert!(command(["sleep", "60"]).timeout(Duration::from_millis(20)).output().expect("a run").timed_out);
            assert!(command(["flood", "100000000", "1"]).max_output(OutputLimit::Error(10)).output().expect("a run").stdout_report.limit_exceeded);
            assert!(Command::new("procs-no-such-program").output().is_err());
            assert!(command(["echo"]).current_dir("/no/such/folder").output().is_err());
        }
    });
}

#[test]
fn children_leave_nothing() {
    isolated("children_leave_nothing", |t| {
        let mut child = ready(["on-term", "0"]);
        assert_eq!(child.stop(&Stop::default()).expect("a stop").status.and_then(|status| status.code()), Some(0));
        let mut child = ready(["ignore-term"]);
        child.stop(&Stop::graceful(Duration::from_millis(20))).expect("a stop");
        drop(command(["exit", "0"]).spawn().expect("a start"));
        command(["exit", "0"]).spawn().expect("a start").detach();
        let mut killed = command(["sleep", "60"]);
        let id = killed.kill_on_drop(true).spawn().expect("a start").id();
        t.wait_until("a child killed on drop is reaped", || !std::path::Path::new(&format!("/proc/{id}")).exists());
    });
}

#[test]
fn trees_leave_nothing() {
    isolated("trees_leave_nothing", |t| {
        let list = t.dir().join("list");
        let mut tree = command(["tree", "4", "60"]);
        let mut child = tree.stdout(Stdio::write_file(&list)).kill_tree(true).spawn().expect("a start");
        let lines = || std::fs::read_to_string(&list).unwrap_or_default().lines().count();
        t.wait_until("the whole tree lives", || lines() == 31);
        let report = child.kill_tree().expect("the end of the tree");
        assert_eq!(report.survivors, Vec::<u32>::new());
        child.wait().expect("its status");
    });
}

#[test]
fn futures_leave_nothing() {
    isolated("futures_leave_nothing", |_| {
        let child = command(["exit", "7"]).spawn().expect("a start");
        assert_eq!(block_on(child.wait_async()).expect("a status").code(), Some(7));
        assert_eq!(block_on(command(["echo", "hi"]).output_async()).expect("a run").stdout, b"hi\n");
        // A future that is dropped halfway stops its child.
        let mut dropped = Box::pin(command(["sleep", "60"]).output_async());
        assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(dropped);
        let mut child = command(["lines", "10"]).stdout(Stdio::piped()).spawn().expect("a start");
        let mut lines = child.line_stream().expect("a stream");
        let mut count = 0;
        while let Some(line) = block_on(lines.next()) {
            line.expect("a line");
            count += 1;
        }
        assert_eq!(count, 10);
        child.wait().expect("a status");
    });
}

#[test]
fn many_children_leave_nothing() {
    isolated("many_children_leave_nothing", |_| {
        let stages = || [command(["lines", "100"]), Command::new(helper!()), Command::new("procs-no-such-program")];
        assert!(Pipeline::new(stages()).output().is_err());
        let results = run_many((0..20).map(|_| command(["exit", "0"])).collect(), 4, |_, _| {});
        assert!(results.iter().all(|result| result.as_ref().is_ok_and(|output| output.success())));
        let mut first = command(["exit", "0"]).spawn().expect("a start");
        let mut second = command(["sleep", "60"]).spawn().expect("a start");
        assert_eq!(wait_any(&[second.handle(), first.handle()], None).expect("a wait"), Some(1));
        second.kill().expect("a kill");
        first.wait().expect("a status");
        second.wait().expect("a status");
        let cancel = CancelHandle::new().expect("a handle");
        let stop = cancel.clone();
        let mut cancelled = command(["say", "up", "60"]);
        cancelled.cancel(&cancel).stdout_sink(Sink::Callback(Box::new(move |_| stop.cancel())));
        assert!(cancelled.output().expect("a run").cancelled);
        assert!(command(["sleep", "60"]).cancel(&cancel).output().is_err());
    });
}

#[test]
fn memory_does_not_grow() {
    isolated("memory_does_not_grow", |_| {
        let round = || {
            for _ in 0..procs_tests::count(500) {
                assert!(command(["echo", "hi"]).output().expect("a run").success());
                drop(command(["exit", "0"]).spawn().expect("a start"));
            }
        };
        round();
        let before = rss_bytes();
        round();
        let grown = rss_bytes().saturating_sub(before);
        assert!(grown <= 2 << 20, "{grown} bytes more after {} further runs", procs_tests::count(500));
    });
}
