//! Futures without a runtime: results, wake-ups, dropping at any time.

use crate::{CancelHandle, Command, ErrorKind, LineStream, SignalPolicy, Stdio};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls only when woken, so a lost wake-up hangs the test.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_future_feeds_and_captures() {
    let output = block_on(Command::new("tr").args(["a-z", "A-Z"]).input(vec![b'q'; 2_000_000]).output_async()).expect("tr");
    assert_eq!(output.stdout.len(), 2_000_000);
    assert!(output.stdout.iter().all(|byte| *byte == b'Q'));
    assert!(output.success());
}

#[test]
fn a_future_keeps_the_deadline_of_the_tree() {
    let mut command = Command::shell("echo hi; sleep 60 & sleep 60");
    let output = block_on(command.timeout(super::words_time()).kill_tree(true).output_async()).expect("sh");
    assert!(output.timed_out && !output.pipes_left_open, "{:?}", output.stopped);
    assert_eq!(output.stdout, b"hi\n");
}

#[test]
fn a_future_is_cancelled_and_reports_failed_starts() {
    let cancel = CancelHandle::new().expect("a descriptor");
    let other = cancel.clone();
    let call = crate::Sink::Callback(Box::new(move |_| other.cancel()));
    let output = block_on(Command::shell("echo x; exec sleep 60").stdout_sink(call).cancel(&cancel).output_async()).expect("sh");
    assert!(output.cancelled);
    let error = block_on(Command::new("/nonexistent").output_async()).expect_err("no such program");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = block_on(Command::new("true").cancel(&cancel).output_async()).expect_err("cancelled before");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn dropping_a_future_stops_its_child() {
    // The child holds the write end of a pipe; end of file says that it is gone, whatever it had come to.
    for polls in 0..4 {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let mut command = Command::new("sleep");
        command.arg("60").stdout(Stdio::fd(writer));
        {
            let mut future = pin!(command.output_async());
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                assert!(future.as_mut().poll(&mut cx).is_pending());
                std::thread::yield_now();
            }
        }
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut rest).expect("a pipe");
        assert!(rest.is_empty());
    }
}

#[test]
fn a_completed_future_is_not_polled_again() {
    let mut future = pin!(Command::new("true").output_async());
    block_on(std::future::poll_fn(|cx| future.as_mut().poll(cx))).expect("true");
    let again = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(again, Poll::Ready(Err(error)) if error.kind() == ErrorKind::InvalidState));
}

#[test]
fn lines_arrive_as_they_are_written() {
    let script = "i=0; while [ $i -lt 5 ]; do echo line $i; i=$((i+1)); sleep 0.01; done; printf end";
    let mut child = Command::shell(script).stdout(Stdio::piped()).spawn().expect("sh");
    let mut lines = child.line_stream().expect("a pipe");
    assert_eq!(child.lines().expect_err("taken").kind(), ErrorKind::InvalidState);
    let mut seen = Vec::new();
    block_on(async {
        while let Some(line) = lines.next().await {
            seen.push(String::from_utf8(line.expect("a pipe")).expect("text"));
        }
    });
    assert_eq!(seen, ["line 0", "line 1", "line 2", "line 3", "line 4", "end"]);
    assert!(child.wait().expect("sh").success());
}

#[test]
fn blocks_arrive_whole_and_in_order() {
    let mut child = Command::shell("yes 0123456789 | head -n 100000").stdout(Stdio::piped()).spawn().expect("sh");
    let mut chunks = child.chunk_stream().expect("a pipe");
    let mut all = Vec::new();
    block_on(async {
        while let Some(chunk) = chunks.next_chunk().await.expect("a pipe") {
            all.extend_from_slice(chunk);
        }
    });
    assert_eq!(all, b"0123456789\n".repeat(100_000));
    child.wait().expect("sh");
}

#[test]
fn a_fast_writer_is_read_without_loss() {
    let mut child = Command::shell("yes 0123456789 | head -n 200000").stdout(Stdio::piped()).spawn().expect("sh");
    let mut lines = LineStream::new(child.stdout.take().expect("a pipe")).keep_ends(true);
    let count = block_on(async {
        let mut count = 0;
        while let Some(line) = lines.next().await {
            assert_eq!(line.expect("a pipe"), b"0123456789\n");
            count += 1;
        }
        count
    });
    assert_eq!(count, 200_000);
    child.wait().expect("sh");
}

#[test]
fn a_child_of_a_future_has_the_signal_mask_of_whoever_made_the_future() {
    let mask = || Command::new("grep").args(["SigBlk", "/proc/self/status"]).signals(SignalPolicy::Inherit).output_async();
    let asked = Command::new("grep").args(["SigBlk", "/proc/self/status"]).signals(SignalPolicy::Inherit).output().expect("grep");
    assert_eq!(block_on(mask()).expect("grep").stdout, asked.stdout);
}

#[test]
fn more_futures_than_spawner_threads_can_die_with_their_parent() {
    let futures: Vec<_> = (0..200).map(|_| Command::new("true").die_with_parent(true).timeout(Duration::from_secs(20)).output_async()).collect();
    let waits: Vec<_> = futures.into_iter().map(|future| std::thread::spawn(|| block_on(future).expect("a run"))).collect();
    for wait in waits {
        assert!(wait.join().expect("no panic").success());
    }
}
