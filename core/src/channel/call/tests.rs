use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn waker() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    (Arc::clone(&count), Waker::from(count))
}

fn failure() -> FailureBody {
    FailureBody { kind: ErrorKind::TaskFailed, name: "KeyError".into(), message: "no 'x'".into(), trace: "line 1".into() }
}

fn body(step: Step) -> Vec<u8> {
    match step {
        Step::Message(message) => message.body.to_vec(),
        other => panic!("expected a message, found {other:?}"),
    }
}

#[test]
fn replies_find_their_calls() {
    let mut calls = Calls::default();
    let (a, b) = (calls.open(false), calls.open(false));
    assert_eq!((a, b), (1, 2));
    let (count, waker) = waker();
    assert!(matches!(calls.next(a, Some(&waker)), Step::Pending));
    assert!(matches!(calls.on_reply(FrameKind::Reply, b, Some(Message::raw("b"))), Ok(None)), "nobody looks at b yet");
    let woken = calls.on_reply(FrameKind::Reply, a, Some(Message::raw("a"))).ok().flatten();
    woken.expect("whoever waits for a").wake();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(body(calls.next(a, None)), b"a");
    assert_eq!(body(calls.next(b, None)), b"b");
    assert_eq!(calls.len(), 0);
    assert!(matches!(calls.next(a, None), Step::End));
}

#[test]
fn failures_tell_what_the_other_side_said() {
    let mut calls = Calls::default();
    let id = calls.open(false);
    assert!(calls.on_failure(id, failure()).is_ok());
    let Step::Failed(error) = calls.next(id, None) else { panic!("expected a failure") };
    assert_eq!(error.to_string(), "channel.call: KeyError: no 'x'");
    let said = error.remote().map(|remote| (remote.name.as_str(), remote.message.as_str(), remote.trace.as_str()));
    assert_eq!((error.kind(), said), (ErrorKind::TaskFailed, Some(("KeyError", "no 'x'", "line 1"))));
}

#[test]
fn answers_to_no_call_are_faults_and_late_ones_are_not() {
    let mut calls = Calls::default();
    assert!(calls.on_reply(FrameKind::Reply, 1, None).is_err());
    assert!(calls.on_failure(7, failure()).is_err());
    let id = calls.open(false);
    assert!(calls.forget(id), "the server must be told");
    assert!(!calls.forget(id));
    assert!(matches!(calls.on_reply(FrameKind::Reply, id, Some(Message::raw("late"))), Ok(None)));
    assert!(matches!(calls.on_failure(id, failure()), Ok(None)));
    let id = calls.open(false);
    assert!(calls.on_reply(FrameKind::ReplyPart, id, Some(Message::raw("x"))).is_err(), "a part for one reply");
    let id = calls.open(false);
    assert!(calls.on_reply(FrameKind::Reply, id, Some(Message::raw("x"))).is_ok());
    assert!(matches!(calls.on_reply(FrameKind::Reply, id, Some(Message::raw("twice"))), Ok(None)));
    assert_eq!(body(calls.next(id, None)), b"x");
    assert!(!calls.forget(id), "it has ended");
}

#[test]
fn parts_come_within_the_window() {
    let mut calls = Calls::default();
    let id = calls.open(true);
    let part = |calls: &mut Calls, text: &str| calls.on_reply(FrameKind::ReplyPart, id, Some(Message::raw(text))).is_ok();
    for index in 0..WINDOW {
        assert!(part(&mut calls, &index.to_string()));
    }
    assert_eq!(calls.credit_due(id), None, "nothing was taken");
    for index in 0..WINDOW / 2 {
        assert_eq!(body(calls.next(id, None)), index.to_string().as_bytes());
    }
    assert_eq!(calls.credit_due(id), Some(WINDOW / 2));
    assert_eq!(calls.credit_due(id), None);
    for _ in 0..WINDOW / 2 {
        assert!(part(&mut calls, "more"));
    }
    assert!(!part(&mut calls, "too many"), "more than there was credit for");
    let id = calls.open(true);
    assert!(calls.on_reply(FrameKind::Reply, id, Some(Message::raw("last"))).is_ok(), "the last one may be a plain reply");
    assert_eq!(body(calls.next(id, None)), b"last");
    assert!(matches!(calls.next(id, None), Step::End));
    let id = calls.open(true);
    assert!(calls.on_reply(FrameKind::ReplyEnd, id, None).is_ok());
    assert_eq!(calls.credit_due(id), None, "an ended call needs no credit");
    assert!(matches!(calls.next(id, None), Step::End));
}

#[test]
fn the_end_of_the_channel_ends_the_calls() {
    let mut calls = Calls::default();
    let (waiting, done) = (calls.open(true), calls.open(false));
    let (_count, waker) = waker();
    assert!(calls.on_reply(FrameKind::ReplyPart, waiting, Some(Message::raw("part"))).is_ok());
    assert!(calls.on_reply(FrameKind::Reply, done, Some(Message::raw("done"))).is_ok());
    assert_eq!(body(calls.next(waiting, None)), b"part");
    assert!(matches!(calls.next(waiting, Some(&waker)), Step::Pending));
    assert_eq!(calls.close(ErrorKind::Closed, "the other side is gone").len(), 1);
    assert!(matches!(calls.next(waiting, None), Step::Failed(error) if error.kind() == ErrorKind::Closed));
    assert_eq!(body(calls.next(done, None)), b"done", "what came before the end counts");
}

#[test]
fn a_server_sends_parts_as_far_as_credit_goes() {
    let mut served = Served::default();
    let (count, waker) = waker();
    assert_eq!(served.on_call(5, true), Ok(()));
    assert!(served.on_call(5, false).is_err(), "the same id twice");
    for _ in 0..WINDOW {
        assert_eq!(served.part(5, None), Leave::Granted);
    }
    assert_eq!(served.part(5, Some(&waker)), Leave::NoCredit);
    served.on_credit(5, 2).into_iter().flatten().for_each(Waker::wake);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(served.part(5, None), Leave::Granted);
    assert!(served.on_credit(5, WINDOW).is_err(), "more than the window");
    assert!(served.on_credit(5, u32::MAX).is_err());
    assert!(served.finish(5) && !served.finish(5));
    assert!(served.on_credit(5, 1).is_ok_and(|woken| woken.is_empty()), "credit that crossed the end");
    assert_eq!(served.on_call(6, false), Ok(()));
    assert_eq!(served.part(6, None), Leave::NoStream);
    assert!(served.on_credit(6, 1).is_err(), "credit for a call without parts");
}

#[test]
fn a_cancelled_call_is_not_answered() {
    let mut served = Served::default();
    let (count, waker) = waker();
    assert_eq!(served.on_call(1, true), Ok(()));
    assert!(!served.is_cancelled(1, Some(&waker)));
    served.on_cancel(1).into_iter().for_each(Waker::wake);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(served.is_cancelled(1, None));
    assert_eq!(served.part(1, None), Leave::Cancelled);
    assert!(!served.finish(1), "nothing is sent");
    assert!(served.on_cancel(1).is_empty() && served.on_cancel(99).is_empty(), "too late, or never called");
    assert_eq!(served.on_call(2, false), Ok(()));
    assert!(!served.is_cancelled(2, Some(&waker)));
    assert_eq!(served.close().len(), 1);
    assert!(served.is_cancelled(2, None));
}

#[test]
fn open_calls_are_bounded() {
    let mut served = Served::default();
    for id in 1..=MAX_OPEN as u64 {
        assert_eq!(served.on_call(id, false), Ok(()));
    }
    assert_eq!(served.on_call(u64::MAX, false).map_err(|fault| fault.kind), Err(ErrorKind::TooLarge));
}
