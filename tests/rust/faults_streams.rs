//! Fault rows C01 to C04, C07, C11 to C15: streams that fill, stay open, or close early.

mod common;

use common::child;
use procs::{Command, Deadline, Pipeline, RunOptions, Stdio, run_many};
use procs_tests::{Isolation, Sha, cookie_holders, count, helper, host, isolated, isolated_in, limit, rss_bytes};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// 200 KB to stderr, then to stdout, and only then 5 MB are read: in any fixed order of reading and writing both sides wait for ever.
fn crossed_streams(rounds: usize) {
    for _ in 0..rounds {
        let output = child(&["stderr-then-stdout", "200000", "10", "200000"]).input(vec![b'x'; 5_000_000]).output().expect("a run");
        assert!(output.success(), "{output:?}");
        assert_eq!((output.stderr.len(), output.stdout.len()), (200_000, 200_010 + "read 5000000\n".len()));
        assert!(output.stdout.ends_with(b"read 5000000\n"));
    }
}

#[test]
fn c01_all_pipes_full_at_once() {
    isolated_in("c01_all_pipes_full_at_once", &Isolation::new().watchdog(60), |_| {
        crossed_streams(count(100));
        // The other way round, and through a capture that is run in slices.
        for _ in 0..count(100) {
            let child = child(&["flood", "300000", "both", "1000"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
            let mut capture =
                child.expect("a start").capture(RunOptions { input: Some(vec![0; 3 << 20].into()), ..Default::default() }).expect("a capture");
            while !capture.run(Deadline::after(Duration::from_millis(1))).expect("a slice") {}
            let output = capture.finish().expect("a result");
            assert_eq!((output.stdout.len(), output.stderr.len(), output.success()), (300_000, 300_000, true));
        }
    });
}

#[test]
fn c14_small_pipes_are_enough() {
    isolated_in("c14_small_pipes_are_enough", &Isolation::new().watchdog(60).nobody(), |_| {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let old = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        assert!(old.1 >= 2400, "the hard limit on descriptors is below 2400");
        setrlimit(Resource::RLIMIT_NOFILE, old.0.max(2400), old.1).expect("more descriptors");
        // Beyond 1024 pipes this user's new ones hold 8 KiB or less and cannot grow. Source: pipe-user-pages-soft of pipe(7).
        let pipes: Vec<_> = (0..1100).map(|_| host::inheritable_pipe()).collect();
        crossed_streams(count(20));
        drop(pipes);
    });
}

#[test]
fn c14_large_output_comes_unchanged_whatever_splice_says() {
    isolated_in("c14_large_output_comes_unchanged_whatever_splice_says", &Isolation::new().watchdog(60), |t| {
        const BYTES: usize = 9_000_001;
        let whole: Vec<u8> = (0..BYTES).map(|i| b'a' + (i % 26) as u8).collect();
        for rule in ["splice:error=ENOSYS", "splice:error=EPERM:when=3", "splice:error=EINTR:when=1+2"] {
            let flood = || child(&["flood", &BYTES.to_string(), "1"]);
            let stored = t.inject(&[rule], || flood().output().expect("a run").stdout);
            assert!(t.injection_log().contains("(INJECTED)"), "{rule}: splice was never called");
            assert!(stored == whole, "{rule}");
            let streamed = t.inject(&[rule], || {
                let mut flood = flood().stdout(Stdio::piped()).spawn().expect("a start");
                let (mut chunks, mut all) = (flood.chunks().expect("a stream"), Vec::new());
                while let Some(chunk) = chunks.next_chunk().expect("bytes") {
                    all.extend_from_slice(chunk);
                }
                flood.wait().expect("an end");
                all
            });
            assert!(t.injection_log().contains("(INJECTED)"), "{rule}: splice was never called");
            assert!(streamed == whole, "{rule}");
        }
    });
}

#[test]
fn c02_children_that_wait_for_each_other() {
    isolated_in("c02_children_that_wait_for_each_other", &Isolation::new().watchdog(60), |t| {
        for round in 0..count(50) {
            let file = t.dir().join(format!("file-{round}"));
            let mut first = child(&["wait-file"]);
            first.arg(&file);
            let second = Command::shell(format!("{} flood 1000000 1 && {} touch {}", helper().display(), helper().display(), file.display()));
            let results = run_many(vec![first, second], 2, |_, _| {});
            let sizes: Vec<usize> = results.into_iter().map(|result| result.expect("a run").stdout.len()).collect();
            assert_eq!(sizes, [0, 1_000_000]);
        }
    });
}

#[test]
fn c03_a_grandchild_keeps_the_stream() {
    isolated_in("c03_a_grandchild_keeps_the_stream", &Isolation::new().watchdog(60), |t| {
        let stop = t.dir().join("stop");
        let hold = |command: &mut Command| {
            command.arg(&stop);
            let start = Instant::now();
            let output = command.output().expect("a run");
            (output, start.elapsed())
        };
        let second = Duration::from_secs(1);
        let (output, took) = hold(child(&["grandchild", "30"]).drain_after_exit(second));
        assert_eq!((&*output.stdout, output.pipes_left_open, output.timed_out, output.success()), (&b"hi\n"[..], true, false, true));
        assert!(took >= second && took < second * 15, "{took:?}");
        let (output, took) = hold(child(&["grandchild", "30"]).drain_after_exit(Duration::ZERO));
        assert_eq!((&*output.stdout, output.pipes_left_open), (&b"hi\n"[..], true));
        assert!(took < second * 15, "{took:?}");
        // The timeout ends the waiting for the streams, too; with the tree, the grandchild.
        let (output, took) = hold(child(&["grandchild", "30"]).timeout(second * 2));
        assert_eq!((&*output.stdout, output.pipes_left_open, output.timed_out), (&b"hi\n"[..], true, true));
        assert!(took >= second * 2 && took < second * 15, "{took:?}");
        fs::write(&stop, "").expect("the stop file");
        t.wait_until("the grandchildren are gone", || cookie_holders(t.cookie()).is_empty());
        fs::remove_file(&stop).expect("the stop file");
        let (output, took) = hold(child(&["grandchild-wait", "30"]).timeout(second * 2).kill_tree(true));
        assert_eq!((&*output.stdout, output.pipes_left_open, output.timed_out), (&b"hi\n"[..], false, true), "{output:?}");
        assert!(took < second * 15, "{took:?}");
        t.wait_until("the grandchild is gone", || cookie_holders(t.cookie()).is_empty());
    });
}

#[test]
fn c04_what_was_written_before_the_exit_arrives() {
    isolated_in("c04_what_was_written_before_the_exit_arrives", &Isolation::new().watchdog(120), |_| {
        for round in 0..count(500) {
            let mut command = child(&["flood", "1048576", "1"]);
            let output = match round % 3 {
                0 => command.output().expect("a run"),
                1 => throttled(command.stdout(Stdio::piped()).spawn().expect("a start")),
                _ => {
                    let ended = command.stdout(Stdio::piped()).pipe_size(1 << 20).spawn().expect("a start");
                    // The pipe holds all: the child is gone before the first read.
                    ended.handle().wait().expect("an end");
                    ended.wait_with_output().expect("a result")
                }
            };
            assert_eq!((output.stdout.len(), output.stdout_report.total_bytes), (1 << 20, 1 << 20), "round {round}");
            assert!(output.success() && !output.stdout_report.truncated && !output.pipes_left_open);
        }
    });
}

/// Reads in slices so small that the child has ended long before its output is read.
fn throttled(child: procs::Child) -> procs::Output {
    let mut capture = child.capture(RunOptions::default()).expect("a capture");
    while !capture.run(Deadline::after(Duration::from_micros(100))).expect("a slice") {
        std::thread::yield_now();
    }
    capture.finish().expect("a result")
}

#[test]
fn c07_a_slow_reader_slows_the_child() {
    isolated_in("c07_a_slow_reader_slows_the_child", &Isolation::new().watchdog(60), |t| {
        let total = count(256) << 20;
        let mut flood = child(&["flood", &total.to_string(), "1"]).stdout(Stdio::piped()).spawn().expect("a start");
        let before = rss_bytes();
        let pipe = flood.stdout.as_ref().expect("a pipe").as_raw_fd();
        t.wait_until("the pipe is full", || host::unread(pipe) >= 60_000);
        assert_eq!(flood.wait_for_nothing(), None, "the child ended although nobody read");
        assert!(rss_bytes().saturating_sub(before) <= 1 << 20);
        let mut chunks = flood.chunks().expect("its output");
        let (mut position, mut sum) = (0usize, 0u64);
        while let Some(chunk) = chunks.next_chunk().expect("a chunk") {
            sum += chunk.iter().enumerate().filter(|(at, byte)| **byte == b'a' + ((position + at) % 26) as u8).count() as u64;
            position += chunk.len();
        }
        assert_eq!((position, sum), (total, total as u64), "bytes read, and of those the right ones");
        assert!(rss_bytes().saturating_sub(before) <= 4 << 20, "{} bytes more", rss_bytes() - before);
        assert!(flood.wait().expect("an end").success());
    });
}

/// Waiting for two seconds that must pass without an end.
trait StillBlocked {
    fn wait_for_nothing(&self) -> Option<procs::ExitStatus>;
}

impl StillBlocked for procs::Child {
    fn wait_for_nothing(&self) -> Option<procs::ExitStatus> {
        self.handle().wait_timeout(Duration::from_secs(2)).expect("a wait")
    }
}

#[test]
fn c11_a_dead_reader_does_not_kill_the_host() {
    isolated_in("c11_a_dead_reader_does_not_kill_the_host", &Isolation::new().watchdog(60), |_| {
        host::set_default(libc::SIGPIPE);
        host::unblock(&[libc::SIGPIPE]);
        for round in 0..count(1000) {
            let output = child(&["exit", "7"]).input(vec![b'x'; 1 << 20]).output().expect("an early end is no error");
            assert_eq!((output.status.code(), output.timed_out), (Some(7), false));
            let mut gone = child(&["exit", "7"]).stdin(Stdio::piped()).spawn().expect("a start");
            gone.handle().wait().expect("an end");
            let error = gone.stdin.as_mut().expect("a pipe").write_all(&vec![b'x'; 1 << 20]).expect_err("nobody reads");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "round {round}");
            assert!(!host::is_pending(libc::SIGPIPE), "round {round}: a signal is left");
        }
        let results = Pipeline::new([child(&["flood", "1000000", "1"]), child(&["exit", "0"])]).output().expect("a run");
        assert_eq!(results.stages[0].status.signal(), Some(libc::SIGPIPE), "in the child SIGPIPE has its default");
    });
}

#[test]
fn c12_nobody_waits_for_the_keyboard() {
    isolated("c12_nobody_waits_for_the_keyboard", |_| {
        let (_never_written, read) = {
            let (read, write) = host::inheritable_pipe();
            host::copy_to(read.as_raw_fd(), 0);
            (write, read)
        };
        let start = Instant::now();
        let output = child(&["cat"]).output().expect("a run");
        assert_eq!((output.stdout.len(), output.success()), (0, true));
        let mut child = child(&["cat"]).stdin(Stdio::piped()).spawn().expect("a start");
        assert!(child.wait().expect("wait closes its input").success());
        assert!(start.elapsed() < limit(20), "{:?}", start.elapsed());
        let null = File::open("/dev/null").expect("the null device");
        host::copy_to(null.as_raw_fd(), 0);
        drop(read);
    });
}

#[test]
fn c13_a_background_child_of_a_terminal_reads_end_of_file() {
    isolated("c13_a_background_child_of_a_terminal_reads_end_of_file", |_| {
        let (user, path) = host::terminal();
        let line = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(&path).expect("the terminal");
        let mut leader = Command::new(std::env::current_exe().expect("this test"));
        leader.args(["--exact", "c13_host", "--ignored", "--nocapture"]).env("C13_HOST", "1");
        let output = leader.stdin(Stdio::fd(line)).controlling_tty(0).output().expect("a run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("1 passed"), "{text}");
        drop(user);
    });
}

/// What leads the terminal's session in the test above.
#[test]
#[ignore = "a host that another test starts"]
fn c13_host() {
    if std::env::var_os("C13_HOST").is_none() {
        return;
    }
    // In a session of its own a child is no background job: reading gives an error instead of SIGTTIN's stop.
    let mut detached = child(&["cat"]).stdin(Stdio::inherit()).new_session(true).spawn().expect("a start");
    let own = nix::unistd::Pid::from_raw(detached.id() as i32);
    assert_eq!(nix::unistd::getsid(Some(own)), Ok(own), "it is still in the terminal's session");
    let status = detached.wait_timeout(Duration::from_millis(500)).expect("a wait");
    let state = fs::read_to_string(format!("/proc/{}/stat", detached.id())).unwrap_or_default();
    assert!(status.is_some() || !state.contains(") T "), "stopped: {state}");
    detached.kill().expect("a signal");
    // The same child in a background group of this session is stopped: that is what the option is for.
    let background = child(&["cat"]).stdin(Stdio::inherit()).process_group(0).kill_on_drop(true).spawn().expect("a start");
    procs_tests::poll_until("the background child is stopped", || {
        fs::read_to_string(format!("/proc/{}/stat", background.id())).is_ok_and(|state| state.contains(") T "))
    });
    let captured = child(&["cat"]).output().expect("a captured run reads from nothing");
    assert!(captured.success() && captured.stdout.is_empty());
}

#[test]
fn c15_merged_streams_keep_their_order() {
    isolated("c15_merged_streams_keep_their_order", |_| {
        let lines = count(10_000);
        let output = child(&["interleave", &lines.to_string()]).stderr(Stdio::same_as(1)).output().expect("a run");
        let expected: String = (0..lines).map(|index| format!("out {index}\nerr {index}\n")).collect();
        assert_eq!(Sha::of(&output.stdout).0, Sha::of(expected.as_bytes()).0);
        assert!(output.stderr.is_empty());
    });
}
