//! Runs to the end: input, sinks, limits, many commands, pipelines. Children are POSIX tools.

use crate::{CancelHandle, Command, Deadline, Error, ErrorKind, Input, OutputLimit, Pipeline, RunOptions, Sink, Stdio, run_many};
use std::io::{Read, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A child that writes this many zero bytes.
fn zeros(count: usize) -> Command {
    let mut command = Command::new("head");
    command.arg("-c").arg(count.to_string()).arg("/dev/zero");
    command
}

/// An unlinked file and a descriptor to write to it.
fn file_pair() -> (std::fs::File, OwnedFd) {
    let output = Command::new("echo").arg("x").max_output(OutputLimit::Spill(0)).output().expect("echo");
    let mut file = output.stdout_report.spill.expect("a spilled file");
    file.set_len(0).expect("a file of ours");
    file.rewind().expect("a file of ours");
    let copy = file.try_clone().expect("a descriptor");
    (file, copy.into())
}

#[test]
fn both_outputs_and_a_large_input_move_at_once() {
    let script = "head -c 200000 /dev/zero >&2; printf 0123456789; head -c 200000 /dev/zero; wc -c";
    let output = Command::shell(script).input(vec![b'x'; 5_000_000]).output().expect("sh");
    assert!(output.success(), "{:?}", output.status);
    assert_eq!(output.stderr.len(), 200_000);
    assert_eq!(&output.stdout[200_010..], b"5000000\n");
}

#[test]
fn an_input_that_nobody_reads_is_no_error() {
    let output = Command::new("true").input(vec![0; 1 << 20]).output().expect("true");
    assert!(output.success());
}

#[test]
fn an_input_function_feeds_until_it_says_so() {
    let mut left = 1_000_000usize;
    let input = Input::Callback(Box::new(move |block| {
        let count = block.len().min(left);
        left -= count;
        Ok(count)
    }));
    let output = Command::new("wc").arg("-c").input(input).output().expect("wc");
    assert_eq!(output.stdout, b"1000000\n");
}

#[test]
fn a_failing_input_function_is_an_error_that_carries_the_output() {
    let input = Input::Callback(Box::new(|_| Err(std::io::Error::other("no more"))));
    let error = Command::shell("cat; echo end").input(input).output().expect_err("the function fails");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("no more"), "{error}");
    assert_eq!(error.output().map(|output| output.stdout.to_vec()), Some(b"end\n".to_vec()));
}

#[test]
fn input_given_twice_is_refused() {
    let error = Command::new("cat").input("a").stdin(Stdio::null()).output().expect_err("two inputs");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let child = Command::new("sleep").arg("60").spawn().expect("sleep");
    let handle = child.handle().clone();
    let options = RunOptions { input: Some("a".into()), ..RunOptions::default() };
    assert_eq!(child.capture(options).expect_err("no pipe").kind(), ErrorKind::InvalidState);
    assert_eq!(handle.wait().expect("killed").signal(), Some(libc::SIGKILL));
}

#[test]
fn limits_are_exact_for_every_policy() {
    for cap in [1u64, 4095, 65_536, 1 << 20] {
        for limit in [OutputLimit::Error(cap), OutputLimit::Head(cap), OutputLimit::Tail(cap), OutputLimit::Spill(cap)] {
            let output = zeros(4 << 20).max_output(limit).output().expect("head");
            assert_eq!(output.stdout.len() as u64, cap, "{limit:?}");
            assert!(output.stdout_report.truncated, "{limit:?}");
            assert_eq!(output.stdout_report.limit_exceeded, matches!(limit, OutputLimit::Error(_)), "{limit:?}");
            if !output.stdout_report.limit_exceeded {
                assert_eq!(output.stdout_report.total_bytes, 4 << 20, "{limit:?}");
                assert!(output.success(), "{limit:?}: {:?}", output.status);
            }
            if let Some(file) = &output.stdout_report.spill {
                assert_eq!(file.metadata().expect("a file").len(), 4 << 20);
            }
        }
    }
}

#[test]
fn output_of_exactly_the_limit_is_no_error() {
    let output = zeros(65_536).max_output(OutputLimit::Error(65_536)).check(true).output().expect("within the limit");
    assert!(!output.stdout_report.truncated);
}

#[test]
fn an_endless_output_is_stopped_at_the_limit() {
    let error = Command::new("yes").max_output(OutputLimit::Error(1000)).check(true).output().expect_err("too much");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("1000"), "{error}");
    let output = error.into_output().expect("what was captured");
    assert_eq!(output.stdout.len(), 1000);
    assert!(output.stopped.is_some());
}

#[test]
fn a_tee_gives_everything_to_every_sink() {
    let (mut file, copy) = file_pair();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let piped = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).map(|_| all.len())
    });
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let call = Sink::Callback(Box::new(move |bytes| *count.lock().expect("no panic") += bytes.len()));
    let tee = Sink::Tee(vec![Sink::Buffer, Sink::Fd(writer.into()), Sink::Fd(copy), call, Sink::Discard]);
    let output = zeros(3_000_000).stdout_sink(tee).output().expect("head");
    assert_eq!(output.stdout.len(), 3_000_000);
    assert_eq!(piped.join().expect("no panic").expect("a pipe"), 3_000_000);
    assert_eq!(file.seek(SeekFrom::End(0)).expect("a file"), 3_000_000);
    assert_eq!(*seen.lock().expect("no panic"), 3_000_000);
    assert!(output.stdout_report.sink_error.is_none());
}

#[test]
fn a_direct_sink_reads_for_itself_or_declines() {
    let kept = Arc::new(Mutex::new((0, 0)));
    let (told, read) = (Arc::clone(&kept), Arc::clone(&kept));
    let call = move |bytes: &[u8]| told.lock().expect("no panic").0 += bytes.len();
    let direct = move |fd: BorrowedFd<'_>| {
        let mut kept = read.lock().expect("no panic");
        if kept.0 == 0 {
            return None;
        }
        let mut room = [MaybeUninit::uninit(); 1000];
        Some(crate::read_uninit(fd, &mut room).inspect(|count| kept.1 += count))
    };
    let output = zeros(3_000_000).stdout_sink(Sink::Direct(Box::new(call), Box::new(direct))).output().expect("head");
    assert!(output.status.success() && output.stdout.is_empty());
    let (told, read) = *kept.lock().expect("no panic");
    assert!(told > 0 && read > 0, "told {told}, read {read}");
    assert_eq!((told + read) as u64, output.stdout_report.total_bytes);
    assert_eq!(told + read, 3_000_000);
}

#[test]
fn a_sink_that_fails_costs_only_itself() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = zeros(3_000_000).stdout_sink(Sink::Tee(vec![Sink::Fd(writer.into()), Sink::Buffer])).output().expect("head");
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), 3_000_000);
    assert_eq!(output.stdout_report.sink_error.as_ref().map(Error::kind), Some(ErrorKind::Closed));
}

#[test]
fn a_sink_that_takes_nothing_is_bounded_by_the_timeout() {
    let (_reader, writer) = std::io::pipe().expect("a pipe");
    let output = zeros(3_000_000).stdout_sink(Sink::Fd(writer.into())).timeout(super::words_time()).output().expect("head");
    assert!(output.timed_out);
    assert_eq!(output.stdout_report.sink_error.as_ref().map(Error::kind), Some(ErrorKind::Timeout));
}

#[test]
fn a_callback_may_run_another_command() {
    let inner = Arc::new(Mutex::new(Vec::new()));
    let results = Arc::clone(&inner);
    let call = Sink::Callback(Box::new(move |bytes| {
        let output = Command::new("tr").args(["a-z", "A-Z"]).input(bytes).output().expect("tr");
        results.lock().expect("no panic").extend_from_slice(&output.stdout);
    }));
    Command::new("echo").arg("hello").stdout_sink(call).output().expect("echo");
    assert_eq!(*inner.lock().expect("no panic"), b"HELLO\n");
}

#[test]
fn a_command_runs_again_and_what_was_given_by_value_is_used_up() {
    let mut command = Command::new("cat");
    command.input("once");
    assert_eq!(command.output().expect("cat").stdout, b"once");
    assert_eq!(command.output().expect("cat").stdout, b"");
}

#[test]
fn a_run_that_was_cancelled_before_does_not_start() {
    let cancel = CancelHandle::new().expect("a descriptor");
    cancel.cancel();
    let error = Command::new("/nonexistent").cancel(&cancel).output().expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn a_capture_can_be_run_in_steps() {
    let child = Command::shell("echo first; read line; echo $line").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh");
    let (hold, wait) = std::sync::mpsc::channel::<()>();
    let input = Input::Callback(Box::new(move |block| {
        // The input ends with the second call; the first waits for what the child wrote.
        match wait.recv() {
            Ok(()) => {
                block[..7].copy_from_slice(b"second\n");
                Ok(7)
            }
            Err(_) => Ok(0),
        }
    }));
    hold.send(()).expect("a receiver");
    drop(hold);
    let mut capture = child.capture(RunOptions { input: Some(input), ..RunOptions::default() }).expect("a capture");
    while !capture.run(Deadline::after(Duration::from_millis(5))).expect("a run") {}
    assert!(capture.run(Deadline::NEVER).expect("a finished run"));
    assert_eq!(capture.stdout(), b"first\nsecond\n");
    assert!(capture.finish().expect("a result").success());
}

#[test]
fn wait_with_output_uses_what_the_command_said() {
    let mut command = zeros(100);
    command.stdout(Stdio::piped()).stdout_limit(OutputLimit::Head(10)).check(true);
    assert_eq!(command.spawn().expect("head").wait_with_output().expect("a success").stdout.len(), 10);
    let failed = Command::shell("exit 3").check(true).spawn().expect("sh").wait_with_output();
    assert_eq!(failed.expect_err("exit 3").kind(), ErrorKind::ChildFailed);
}

#[test]
fn many_commands_end_in_the_order_they_were_given() {
    let commands = (0..40)
        .map(|number| {
            let mut command = Command::new(if number % 10 == 3 { "/nonexistent" } else { "echo" });
            command.arg(number.to_string());
            command
        })
        .collect();
    let mut ended = Vec::new();
    let results = run_many(commands, 4, |index, result| ended.push((index, result.is_ok())));
    assert_eq!(ended.len(), 40);
    for (number, result) in results.iter().enumerate() {
        match result {
            Ok(output) => assert_eq!(output.stdout, format!("{number}\n").into_bytes()),
            Err(error) => assert_eq!((number % 10, error.kind()), (3, ErrorKind::NotFound)),
        }
        assert!(ended.contains(&(number, result.is_ok())));
    }
}

#[test]
fn a_panic_of_a_callback_costs_one_of_many() {
    let mut bad = Command::new("echo");
    bad.arg("x").stdout_sink(Sink::Callback(Box::new(|_| panic!("a callback that panics"))));
    let results = run_many(vec![Command::new("true"), bad, Command::new("true")], 2, |_, _| {});
    assert!(results[0].is_ok() && results[2].is_ok());
    assert_eq!(results[1].as_ref().map_err(Error::kind).err(), Some(ErrorKind::Panic));
}

#[test]
fn a_pipeline_tells_how_each_stage_ended() {
    let mut pipeline = Pipeline::new([Command::new("cat"), Command::shell("tr a-z A-Z; echo err >&2; exit 3")]);
    let output = pipeline.then(Command::new("wc")).input(vec![b'a'; 3_000_000]).output().expect("a pipeline");
    let codes: Vec<Option<i32>> = output.stages.iter().map(|stage| stage.status.code()).collect();
    assert_eq!(codes, [Some(0), Some(3), Some(0)]);
    assert_eq!(output.stages[1].stderr, b"err\n");
    assert_eq!(output.status().code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("3000000"));
    let error = output.check().expect_err("stage 2 failed");
    assert!(error.to_string().contains("stage 2 of 3"), "{error}");
    assert_eq!(error.into_pipeline_output().map(|output| output.stages.len()), Some(3));
}

#[test]
fn a_pipeline_that_cannot_be_built_names_the_stage() {
    let mut first = Command::new("sleep");
    first.arg("60");
    let error = Pipeline::new([first, Command::new("/nonexistent/program"), Command::new("wc")]).output().expect_err("no such program");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("stage 2 of 3"), "{error}");
    let mut middle = Command::new("cat");
    middle.stdin(Stdio::null());
    let error = Pipeline::new([Command::new("true"), middle]).output().expect_err("the middle is joined");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(Pipeline::new([]).output().expect_err("no stages").kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_stage_whose_reader_left_ended_by_sigpipe() {
    let mut head = Command::new("head");
    head.arg("-1");
    let output = Pipeline::new([Command::new("yes"), head]).output().expect("a pipeline");
    assert_eq!(output.stdout, b"y\n");
    assert_eq!(output.stages[0].status.signal(), Some(libc::SIGPIPE));
    assert!(!output.success());
}
