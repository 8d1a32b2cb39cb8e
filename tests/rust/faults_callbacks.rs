//! Fault rows C16, C17, C18: full disks, streams closed while they are watched, call-backs that do anything.

mod common;

use common::child;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use procs::{Command, ErrorKind, OutputLimit, Pipeline, RunOptions, Sink, Stdio};
use procs_tests::{Isolation, count, host, isolated, isolated_in};
use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[test]
fn c16_a_full_disk_is_the_childs_problem() {
    isolated("c16_a_full_disk_is_the_childs_problem", |t| {
        host::own_mounts();
        let disk = t.dir().join("disk");
        fs::create_dir(&disk).expect("a folder");
        let mount = |args: &[&str]| assert!(Command::new("mount").args(args).arg(&disk).output().expect("a run").success());
        assert!(Command::new("mount").args(["--make-rprivate", "/"]).output().expect("a run").success());
        mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"]);
        let file = disk.join("file");
        let output = child(&["write-until-error", "1"]).stdout(Stdio::write_file(&file)).output().expect("a run");
        assert_eq!(output.stderr, format!("{}\n", libc::ENOSPC).as_bytes(), "the child sees the full disk");
        assert_eq!(fs::metadata(&file).expect("the file").len(), 65_536);
        // A sink that is full is reported; the other stream and the child go on.
        let output = child(&["flood", "300000", "both"]).stdout_sink(Sink::File(file.clone())).output().expect("a run");
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 300_000));
        assert_eq!(output.stdout_report.sink_error.as_ref().and_then(procs::Error::os_error), Some(libc::ENOSPC), "{:?}", output.stdout_report);
        assert!(!output.success(), "what was to be in the file is lost");
        assert_eq!(output.check_error().map(|error| error.kind()), Some(ErrorKind::Exhausted));
        let output = child(&["write-until-error", "1"]).stdout(Stdio::append_file(&file)).output().expect("a run");
        assert_eq!(output.stderr, format!("{}\n", libc::ENOSPC).as_bytes());
        assert!(Command::new("umount").arg(&disk).output().expect("a run").success());
    });
}

#[test]
fn c16_a_reader_of_a_sink_may_go_away() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = child(&["flood", "300000", "1"]).stdout_sink(Sink::Tee(vec![Sink::Buffer, Sink::Fd(writer.into())])).output().expect("a run");
    assert_eq!(output.stdout_report.sink_error.as_ref().map(procs::Error::kind), Some(ErrorKind::Closed));
    assert!(output.success() && output.stdout.len() == 300_000, "{output:?}");
}

#[test]
fn c16_a_size_limit_is_the_childs_alone() {
    isolated("c16_a_size_limit_is_the_childs_alone", |t| {
        let file = t.dir().join("file");
        let mut command = child(&["flood", "100000", "1"]);
        command.stdout(Stdio::write_file(&file)).limit(procs::Resource::FileSize, Some(5000), Some(5000)).limit(
            procs::Resource::Core,
            Some(0),
            Some(0),
        );
        assert_eq!(command.output().expect("a run").status.signal(), Some(libc::SIGXFSZ));
        assert_eq!(fs::metadata(&file).expect("the file").len(), 5000);
        child(&["echo", "one"]).stdout(Stdio::write_file(&file)).output().expect("a run");
        child(&["echo", "two"]).stdout(Stdio::append_file(&file)).output().expect("a run");
        assert_eq!(fs::read(&file).expect("the file"), b"one\ntwo\n", "write truncates, append does not");
    });
}

#[test]
fn c16_a_size_limit_of_the_host_is_a_sinks_failure() {
    isolated("c16_a_size_limit_of_the_host_is_a_sinks_failure", |t| {
        host::set_default(libc::SIGXFSZ);
        host::unblock(&[libc::SIGXFSZ]);
        let old = getrlimit(Resource::RLIMIT_FSIZE).expect("the old limit");
        setrlimit(Resource::RLIMIT_FSIZE, 5000, old.1).expect("a limit");
        let file = t.dir().join("file");
        let sunk = child(&["flood", "100000", "1"]).stdout_sink(Sink::File(file.clone())).output();
        let spilled = child(&["flood", "100000", "1"]).max_output(OutputLimit::Spill(1000)).output();
        let pipeline = Pipeline::new([child(&["flood", "100000", "1"])]).max_output(OutputLimit::Spill(1000)).output();
        setrlimit(Resource::RLIMIT_FSIZE, old.0, old.1).expect("the old limit");
        for (output, len) in [(sunk.expect("a run"), 0), (spilled.expect("a run"), 1000)] {
            assert_eq!((output.status.code(), output.stdout.len()), (Some(0), len));
            assert_eq!(output.stdout_report.sink_error.as_ref().and_then(procs::Error::os_error), Some(libc::EFBIG), "{:?}", output.stdout_report);
            assert_eq!(output.stdout_report.incomplete, len == 1000, "the result lacks what was to be kept, not what a sink lost");
            assert!(!output.success());
            assert_eq!(output.check_error().map(|error| error.kind()), Some(ErrorKind::Io));
        }
        let pipeline = pipeline.expect("a run");
        assert!(pipeline.stages[0].status.success() && !pipeline.success());
        assert_eq!(pipeline.check().expect_err("output is lost").kind(), ErrorKind::Io);
        assert_eq!(fs::metadata(&file).expect("the file").len(), 5000);
        assert!(!host::is_pending(libc::SIGXFSZ), "a signal is left");
    });
}

#[test]
fn c17_a_closed_stream_is_never_read_again() {
    isolated_in("c17_a_closed_stream_is_never_read_again", &Isolation::new().watchdog(60), |t| {
        let foreign = t.dir().join("foreign");
        fs::write(&foreign, vec![b'#'; 4096]).expect("a file");
        let running = AtomicBool::new(true);
        let open_files = || {
            while running.load(Ordering::Relaxed) {
                // Each opening takes the lowest free number: the one a stream has just left.
                let files: Vec<File> = (0..8).filter_map(|_| File::open(&foreign).ok()).collect();
                drop(files);
            }
        };
        std::thread::scope(|scope| {
            let opener = scope.spawn(open_files);
            for round in 0..count(5000) {
                let mut writing = child(&["flood", "100000", "1"]).stdout(Stdio::piped()).spawn().expect("a start");
                let mut stream = writing.line_stream().expect("its output");
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                while let std::task::Poll::Ready(Some(line)) = stream.poll_next(&mut context) {
                    let line = line.expect("a line");
                    assert!(!line.contains(&b'#'), "round {round}: bytes of another file");
                }
                // Dropped while it is watched, half read.
                drop(stream);
                writing.kill().expect("a signal");
                writing.wait().expect("an end");
            }
            running.store(false, Ordering::Relaxed);
            opener.join().expect("the opening thread");
        });
    });
}

#[test]
fn c18_a_callback_may_do_anything() {
    isolated_in("c18_a_callback_may_do_anything", &Isolation::new().watchdog(120), |_| {
        for round in 0..count(1000) {
            let calls = Arc::new(AtomicUsize::new(0));
            let own: Arc<Mutex<Option<procs::ChildHandle>>> = Arc::default();
            let (counter, handle) = (Arc::clone(&calls), Arc::clone(&own));
            let act = move |_: &[u8]| {
                counter.fetch_add(1, Ordering::Relaxed);
                match round % 3 {
                    0 => assert_eq!(child(&["echo", "nested"]).output().expect("a nested run").stdout, b"nested\n"),
                    1 => drop(child(&["exit", "0"]).spawn().expect("a start")),
                    _ => {}
                }
                if let Some(child) = handle.lock().expect("no panic under it").take() {
                    child.kill().expect("a signal");
                    child.wait().expect("an end");
                }
            };
            let say = child(&["say", "x", "60"]).stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().expect("a start");
            *own.lock().expect("no panic under it") = Some(say.handle().clone());
            let options = RunOptions { stdout_sink: Sink::Callback(Box::new(act)), ..Default::default() };
            let output = say.capture(options).expect("a capture").finish().expect("a result");
            assert_eq!((output.status.signal(), calls.load(Ordering::Relaxed)), (Some(libc::SIGKILL), 1), "round {round}");
        }
    });
}

#[test]
fn c18_a_callback_may_panic() {
    isolated_in("c18_a_callback_may_panic", &Isolation::new().watchdog(120), |t| {
        std::panic::set_hook(Box::new(|_| {}));
        for _ in 0..count(1000) {
            let run = || child(&["say", "x", "60"]).stdout_sink(Sink::Callback(Box::new(|_| panic!("on purpose")))).output();
            assert!(std::panic::catch_unwind(run).is_err(), "the panic is the caller's");
        }
        let _ = std::panic::take_hook();
        t.wait_until("the children were killed and reaped", || t.leaks().is_empty());
        assert_eq!(child(&["echo", "still here"]).output().expect("a run").stdout, b"still here\n");
    });
}
