//! The bad-input lists of streams: each value is refused or handled as documented, and nothing is left behind.

mod common;

use common::child;
use procs::{Command, Deadline, ErrorKind, Input, Lines, OutputLimit, Pipeline, RunOptions, Sink, Stdio};
use procs_tests::{Isolation, isolated, isolated_in};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn streams_at_the_wrong_time() {
    isolated("streams_at_the_wrong_time", |_| {
        let mut talking = child(&["echo", "hello"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a start");
        assert_eq!(talking.stdout.as_mut().expect("a pipe").read(&mut []).expect("an empty read"), 0);
        assert_eq!(talking.stdin.as_mut().expect("a pipe").write(&[]).expect("an empty write"), 0);
        let mut lines = talking.lines().expect("its output");
        for error in [talking.lines().map(drop), talking.chunks().map(drop), talking.line_stream().map(drop)] {
            assert_eq!(error.expect_err("taken").kind(), ErrorKind::InvalidState);
        }
        assert_eq!(lines.next_line().expect("a line"), Some(&b"hello"[..]));
        for _ in 0..3 {
            assert_eq!(lines.next_line().expect("its end"), None);
        }
        talking.wait().expect("an end");
        assert_eq!(talking.wait_with_output().expect("nothing is left").stdout, b"");
        let mut silent = child(&["exit", "0"]).spawn().expect("a start");
        assert_eq!(silent.lines().expect_err("no pipe").kind(), ErrorKind::InvalidState);
        assert!(silent.take_fd(3).is_none() && silent.take_fd(-1).is_none());
        silent.wait().expect("an end");
        // Two readers of one stream share what arrives.
        let mut flood = child(&["flood", "500000", "1"]).stdout(Stdio::piped()).spawn().expect("a start");
        let pipe = flood.stdout.take().expect("a pipe");
        let read_all = || {
            let (mut buffer, mut total) = (vec![0; 1000], 0);
            loop {
                match (&pipe).read(&mut buffer).expect("a read") {
                    0 => break total,
                    count => total += count,
                }
            }
        };
        let total: usize =
            std::thread::scope(|scope| [scope.spawn(read_all), scope.spawn(read_all)].map(|thread| thread.join().expect("a reader")).iter().sum());
        assert_eq!(total, 500_000);
        flood.wait().expect("an end");
    });
}

#[test]
fn captures_with_odd_options() {
    isolated_in("captures_with_odd_options", &Isolation::new().watchdog(60), |t| {
        for limit in [OutputLimit::Error(0), OutputLimit::Head(0), OutputLimit::Tail(0), OutputLimit::Spill(0)] {
            let output = child(&["echo", "hello"]).max_output(limit).output().expect("a run");
            assert_eq!((output.stdout.len(), output.stdout_report.truncated), (0, true), "{limit:?}");
            let output = child(&["exit", "0"]).max_output(limit).output().expect("a run");
            assert_eq!((output.success(), output.stdout_report.truncated), (true, false), "{limit:?}, silent");
        }
        for limit in [OutputLimit::Error, OutputLimit::Head, OutputLimit::Tail, OutputLimit::Spill] {
            assert_eq!(child(&["echo", "hello"]).max_output(limit(u64::MAX)).output().expect("a run").stdout, b"hello\n");
        }
        let error = child(&["echo", "x"]).stdout_sink(Sink::File(t.dir().join("missing/file"))).output().expect_err("no such folder");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        assert_eq!(child(&["echo", "x"]).stdout_sink(Sink::Tee(Vec::new())).output().expect("a run").stdout, b"");
        let failing = Input::Callback(Box::new(|_| Err(std::io::Error::from_raw_os_error(libc::EIO))));
        let error = child(&["cat"]).input(failing).output().expect_err("the input failed");
        assert!(error.os_error() == Some(libc::EIO) && error.output().is_some(), "{error:?}");
        let room = Arc::new(AtomicUsize::new(0));
        let seen = room.clone();
        let lying = Input::Callback(Box::new(move |buffer| Ok(if seen.swap(buffer.len(), Ordering::Relaxed) == 0 { buffer.len() * 2 } else { 0 })));
        let counted = child(&["count"]).input(lying).output().expect("a run").stdout;
        assert_eq!(counted, format!("{}\n", room.load(Ordering::Relaxed)).as_bytes(), "held to the buffer");
        let cancel = procs::CancelHandle::new().expect("a handle");
        cancel.cancel();
        assert_eq!(child(&["exit", "0"]).cancel(&cancel).output().expect_err("before the start").kind(), ErrorKind::Cancelled);
        let mut capture =
            child(&["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a start").capture(RunOptions::default()).expect("a capture");
        while !capture.run(Deadline::after(Duration::ZERO)).expect("a slice") {}
        assert!(capture.run(Deadline::NEVER).expect("again at its end") && capture.finish().expect("a result").success());
    });
}

#[test]
fn pipelines_with_odd_stages() {
    isolated("pipelines_with_odd_stages", |_| {
        assert_eq!(Pipeline::new([]).output().expect_err("no stages").kind(), ErrorKind::InvalidArgument);
        assert_eq!(Pipeline::new([child(&["echo", "one"])]).output().expect("one stage").stdout, b"one\n");
        let mut named = child(&["cat"]);
        named.stdin(Stdio::null());
        assert_eq!(Pipeline::new([child(&["echo"]), named]).spawn().expect_err("joined").kind(), ErrorKind::InvalidArgument);
        let many = std::iter::once(child(&["echo", "far"])).chain((0..20).map(|_| child(&["cat"])));
        assert_eq!(Pipeline::new(many).output().expect("21 stages").stdout, b"far\n");
        assert!(procs::run_many(Vec::new(), 4, |_, _| {}).is_empty());
        let results = procs::run_many(vec![child(&["exit", "1"]), Command::new("/missing"), child(&["exit", "2"])], 0, |_, _| {});
        let codes: Vec<Option<i32>> = results.iter().map(|result| result.as_ref().ok().and_then(|output| output.status.code())).collect();
        assert_eq!(codes, [Some(1), None, Some(2)]);
    });
}

#[test]
fn lines_of_a_reader_that_fails() {
    isolated("lines_of_a_reader_that_fails", |_| {
        struct Failing(u8);
        impl Read for Failing {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => {
                        buffer[..5].copy_from_slice(b"a\nbro");
                        Ok(5)
                    }
                    2 => Err(std::io::Error::from_raw_os_error(libc::EIO)),
                    3 => {
                        buffer[..4].copy_from_slice(b"ken\n");
                        Ok(4)
                    }
                    _ => Ok(0),
                }
            }
        }
        let mut lines = Lines::new(Failing(0));
        assert_eq!(lines.next_line().expect("a line"), Some(&b"a"[..]));
        assert_eq!(lines.next_line().expect_err("the reader's error").os_error(), Some(libc::EIO));
        assert_eq!(lines.next_line().expect("the call may be repeated"), Some(&b"broken"[..]));
        assert_eq!(lines.next_line().expect("its end"), None);
        let folder: OwnedFd = File::open("/").expect("a folder").into();
        let error = Lines::new(procs::PipeReader::from(folder)).next_line().map(|_| ()).expect_err("a folder is no stream");
        assert_eq!(error.os_error(), Some(libc::EISDIR));
        assert!(File::open("/dev/null").expect("the null device").as_raw_fd() > 2);
    });
}
