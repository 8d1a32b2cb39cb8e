//! Calls over a channel: replies, parts with credit, deadlines, cancels, failures, and threads that share an end.

use procs::{Channel, ChannelOptions, ErrorKind, Event, Message, RemoteFailure, Request, Spin};
use procs_tests::{block_on, count, run};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

fn kinds() -> Vec<(&'static str, ChannelOptions)> {
    let with = |spin: Spin, ring_bytes: usize| ChannelOptions { spin, ring_bytes, ..ChannelOptions::default() };
    vec![
        ("adaptive", with(Spin::Adaptive, 1 << 20)),
        ("no spin", with(Spin::Off, 1 << 20)),
        ("small ring", with(Spin::Always(Duration::from_micros(50)), 4096)),
        ("no ring", with(Spin::Off, 0)),
    ]
}

/// In every mode, with the server in a thread that serves until the end.
fn served(name: &str, serve: impl Fn(Request) + Send + Sync, body: impl Fn(&str, &Channel)) {
    run(name, |_| {
        for (mode, options) in kinds() {
            let (here, there) = Channel::pair_with(&options).expect("a pair");
            std::thread::scope(|scope| {
                let server = scope.spawn(|| there.serve(&serve));
                body(mode, &here);
                here.close();
                server.join().expect("the server").unwrap_or_else(|error| panic!("{mode}: the server met {error}"));
            });
        }
    });
}

fn number(message: &Message) -> u64 {
    u64::from_le_bytes(message.body[..8].try_into().expect("eight bytes"))
}

fn numbered(number: u64) -> Message {
    Message::raw(number.to_le_bytes().to_vec())
}

fn echo(mut request: Request) {
    let message = request.take_message();
    // The caller may have given up.
    let _ = request.reply(message);
}

#[test]
fn replies_come_back_whole() {
    served("replies_come_back_whole", echo, |mode, channel| {
        for size in [0, 1, 64, 5000, 1 << 20] {
            let body = vec![7; size];
            let (read, _write) = std::io::pipe().expect("a pipe");
            let message = Message::raw(body.clone()).with_buffer(body.clone()).with_fd(read);
            let reply = channel.call(message, PATIENCE).unwrap_or_else(|error| panic!("{mode}: {size} bytes: {error}"));
            assert!(*reply.body == *body && *reply.buffers[0] == *body && reply.fds.len() == 1, "{mode}: {size} bytes");
        }
    });
}

/// Many threads call, one receives, the other side sends all the time: everything finds whom it is for.
#[test]
fn callers_and_receivers_share_an_end() {
    let name = "callers_and_receivers_share_an_end";
    run(name, |_| {
        for (mode, options) in kinds() {
            let (here, there) = Channel::pair_with(&options).expect("a pair");
            let (calls, messages) = (count(4000) as u64, count(20_000) as u64);
            std::thread::scope(|scope| {
                let there = &there;
                scope.spawn(move || there.serve(echo));
                scope.spawn(move || (0..messages).for_each(|index| there.send(numbered(index)).expect("sent")));
                let callers: Vec<_> = (0..4_u64)
                    .map(|thread| {
                        let here = &here;
                        scope.spawn(move || {
                            for index in 0..calls {
                                let asked = thread << 32 | index;
                                let reply = here.call(numbered(asked), PATIENCE).unwrap_or_else(|error| panic!("{mode}: call {index}: {error}"));
                                assert_eq!(number(&reply), asked, "{mode}");
                            }
                        })
                    })
                    .collect();
                let receiver = scope.spawn(|| {
                    for index in 0..messages {
                        let message = here.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|error| panic!("{mode}: message {index}: {error}"));
                        assert_eq!(number(&message), index, "{mode}");
                    }
                });
                callers.into_iter().for_each(|caller| caller.join().expect("a caller"));
                receiver.join().expect("the receiver");
                here.close();
            });
        }
    });
}

/// Both sides call each other at once, from a thread each that also has to serve.
#[test]
fn both_sides_call() {
    run("both_sides_call", |_| {
        for (mode, options) in kinds() {
            let (a, b) = Channel::pair_with(&options).expect("a pair");
            std::thread::scope(|scope| {
                for channel in [&a, &b] {
                    scope.spawn(move || channel.serve(echo));
                }
                let callers = [&a, &b].map(|channel| {
                    scope.spawn(move || {
                        for index in 0..count(5000) as u64 {
                            let reply = channel.call(numbered(index), PATIENCE).unwrap_or_else(|error| panic!("{mode}: call {index}: {error}"));
                            assert_eq!(number(&reply), index);
                        }
                    })
                });
                callers.into_iter().for_each(|caller| caller.join().expect("a caller"));
                a.close();
            });
        }
    });
}

#[test]
fn failures_reach_the_caller() {
    let serve = |request: Request| match &*request.message().body {
        b"fail" => request.fail(RemoteFailure { name: "KeyError".into(), message: "no 'x'".into(), trace: "line 1".into() }),
        b"drop" => drop(request),
        b"parts" => assert_eq!(request.reply_part(Message::raw("x")).expect_err("one reply").kind(), ErrorKind::InvalidState),
        _ => echo(request),
    };
    served("failures_reach_the_caller", serve, |mode, channel| {
        let error = channel.call(Message::raw("fail"), PATIENCE).expect_err("it fails");
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::TaskFailed, "channel.call: KeyError: no 'x'"), "{mode}");
        assert_eq!(error.remote().map(|remote| remote.trace.as_str()), Some("line 1"));
        for what in ["drop", "parts"] {
            let error = channel.call(Message::raw(what), PATIENCE).expect_err("it is not answered");
            assert!(error.detail().contains("without a reply"), "{mode}: {error}");
        }
        assert_eq!(channel.call(Message::raw("fine"), PATIENCE).expect("a reply").body, *b"fine");
    });
}

#[test]
fn a_call_that_takes_too_long() {
    run("a_call_that_takes_too_long", |_| {
        for (mode, options) in kinds() {
            let (here, there) = Channel::pair_with(&options).expect("a pair");
            let error = here.call(Message::raw("slow"), Some(Duration::from_millis(30))).expect_err("nobody serves");
            assert_eq!(error.kind(), ErrorKind::Timeout, "{mode}: {error}");
            // The cancel was there before anybody began: nothing is left to serve.
            assert!(there.try_next_request().expect("the channel is open").is_none(), "{mode}");
            std::thread::scope(|scope| {
                // On a machine that stands still the second may be over before the request is taken: then nothing comes.
                let request = loop {
                    let caller = scope.spawn(|| here.call(Message::raw("slow"), Some(Duration::from_secs(1))));
                    let request = there.next_request(Some(Duration::from_secs(3))).expect("an open channel");
                    assert_eq!(caller.join().expect("the caller").expect_err("no reply").kind(), ErrorKind::Timeout, "{mode}");
                    if let Some(request) = request {
                        break request;
                    }
                };
                procs_tests::poll_until("the server learns it", || request.is_cancelled());
                assert_eq!(request.reply(Message::raw("late")).expect_err("nobody wants it").kind(), ErrorKind::Cancelled, "{mode}");
                scope.spawn(|| echo(there.next_request(PATIENCE).expect("a request").expect("in time")));
                assert_eq!(here.call(Message::raw("next"), PATIENCE).expect("a reply").body, *b"next", "{mode}");
            });
        }
    });
}

#[test]
fn parts_come_as_the_caller_takes_them() {
    static AHEAD: AtomicUsize = AtomicUsize::new(0);
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let serve = |request: Request| {
        assert!(request.takes_parts());
        for index in 0..number(request.message()) {
            if request.reply_part(numbered(index)).is_err() {
                return;
            }
            AHEAD.fetch_max(index as usize + 1 - TAKEN.load(Ordering::SeqCst).min(index as usize + 1), Ordering::SeqCst);
        }
        match number(request.message()) % 2 {
            0 => request.finish(),
            _ => drop(request.reply(numbered(u64::MAX))),
        }
    };
    served("parts_come_as_the_caller_takes_them", serve, |mode, channel| {
        for parts in [0, 1, 15, 16, 17, 1000, 1001] {
            TAKEN.store(0, Ordering::SeqCst);
            AHEAD.store(0, Ordering::SeqCst);
            let mut stream = channel.call_stream(numbered(parts)).expect("a call");
            for index in 0..parts {
                let part = stream.next_timeout(PATIENCE).unwrap_or_else(|error| panic!("{mode}: part {index} of {parts}: {error}"));
                TAKEN.fetch_add(1, Ordering::SeqCst);
                assert_eq!(number(&part.expect("a part")), index, "{mode}");
            }
            if parts % 2 == 1 {
                assert_eq!(number(&stream.next().expect("the last").expect("a reply")), u64::MAX, "{mode}");
            }
            assert!(stream.next().is_none() && stream.next().is_none(), "{mode}");
            assert!(AHEAD.load(Ordering::SeqCst) <= 17, "{mode}: {} ahead", AHEAD.load(Ordering::SeqCst));
        }
    });
}

#[test]
fn a_stream_that_is_dropped_stops_the_server() {
    run("a_stream_that_is_dropped_stops_the_server", |_| {
        for (mode, options) in kinds() {
            let (here, there) = Channel::pair_with(&options).expect("a pair");
            std::thread::scope(|scope| {
                let server = scope.spawn(|| {
                    let request = there.next_request(PATIENCE).expect("a request").expect("in time");
                    let stopped = (0..u64::MAX).find_map(|index| request.reply_part(numbered(index)).err());
                    stopped.map(|error| error.kind())
                });
                let mut stream = here.call_stream(Message::raw("for ever")).expect("a call");
                assert_eq!(number(&stream.next().expect("a part").expect("a part")), 0);
                drop(stream);
                assert_eq!(server.join().expect("the server"), Some(ErrorKind::Cancelled), "{mode}");
            });
        }
    });
}

#[test]
fn the_end_of_the_channel_ends_the_calls() {
    run("the_end_of_the_channel_ends_the_calls", |_| {
        for (mode, options) in kinds() {
            let (here, there) = Channel::pair_with(&options).expect("a pair");
            std::thread::scope(|scope| {
                let callers: Vec<_> = (0..3).map(|_| scope.spawn(|| here.call(Message::raw("x"), PATIENCE))).collect();
                let requests: Vec<_> = (0..3).map(|_| there.next_request(PATIENCE).expect("a request")).collect();
                there.close();
                for caller in callers {
                    assert_eq!(caller.join().expect("a caller").expect_err("no reply").kind(), ErrorKind::Closed, "{mode}");
                }
                drop(requests);
            });
            let (here, there) = Channel::pair_with(&options).expect("a pair");
            std::thread::scope(|scope| {
                let callers: Vec<_> = (0..3).map(|_| scope.spawn(|| here.call(Message::raw("x"), PATIENCE))).collect();
                let requests: Vec<_> = (0..3).map(|_| there.next_request(PATIENCE).expect("a request")).collect();
                here.close();
                for caller in callers {
                    assert_eq!(caller.join().expect("a caller").expect_err("no reply").kind(), ErrorKind::InvalidState, "{mode}");
                }
                drop(requests);
            });
        }
    });
}

#[test]
fn events_give_messages_and_requests() {
    run("events_give_messages_and_requests", |_| {
        let (here, there) = Channel::pair().expect("a pair");
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| {
                here.send_bytes(b"first").expect("sent");
                let reply = here.call(Message::raw("second"), PATIENCE);
                here.close();
                reply
            });
            assert!(matches!(there.next_event(PATIENCE), Ok(Some(Event::Message(message))) if message.body == *b"first"));
            match there.next_event(PATIENCE).expect("an event") {
                Some(Event::Request(request)) => echo(request),
                other => panic!("expected a request, found {other:?}"),
            }
            assert_eq!(caller.join().expect("the caller").expect("a reply").body, *b"second");
            assert!(matches!(there.next_event(PATIENCE), Ok(Some(Event::Closed))));
            assert_eq!(there.next_event(PATIENCE).expect_err("nothing more").kind(), ErrorKind::Closed);
        });
    });
}

#[test]
fn futures_call_too() {
    served("futures_call_too", echo, |mode, channel| {
        for index in 0..count(2000) as u64 {
            let reply = block_on(channel.call_async(numbered(index))).unwrap_or_else(|error| panic!("{mode}: call {index}: {error}"));
            assert_eq!(number(&reply), index, "{mode}");
        }
        std::thread::scope(|scope| {
            for thread in 0..3_u64 {
                scope.spawn(move || {
                    for index in 0..count(1000) as u64 {
                        let asked = thread << 32 | index;
                        let reply = match index % 2 {
                            0 => channel.call(numbered(asked), PATIENCE),
                            _ => block_on(channel.call_async(numbered(asked))),
                        };
                        assert_eq!(number(&reply.unwrap_or_else(|error| panic!("{mode}: call {index}: {error}"))), asked, "{mode}");
                    }
                });
            }
        });
        let large = vec![1; 3 << 20];
        assert!(*block_on(channel.call_async(Message::raw(large.clone()))).expect("a reply").body == *large, "{mode}");
        // Messages that nobody takes do not keep a call waiting.
        drop(channel.call_async(Message::raw("never polled")));
    });
}

#[test]
fn parts_are_asked_for_and_given_without_blocking() {
    let serve = |request: Request| {
        let mut request = request;
        let count = number(request.message());
        for index in 0..count {
            let mut part = Some(numbered(index));
            match block_on(std::future::poll_fn(|context| request.poll_reply_part(&mut part, context))) {
                Ok(()) => assert!(part.is_none(), "a part that has left is taken"),
                Err(error) => return assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}"),
            }
        }
        let mut last = Some(numbered(count));
        let sent = block_on(std::future::poll_fn(|context| request.poll_reply(&mut last, context)));
        assert!(sent.is_ok() || sent.is_err_and(|error| error.kind() == ErrorKind::Cancelled));
    };
    served("parts_are_asked_for_and_given_without_blocking", serve, |mode, channel| {
        let mut stream = block_on(channel.call_stream_async(numbered(100))).unwrap_or_else(|error| panic!("{mode}: {error}"));
        let mut next = || block_on(std::future::poll_fn(|context| stream.poll_next(context)));
        for index in 0..=100 {
            let part = next().unwrap_or_else(|error| panic!("{mode}: part {index}: {error}"));
            assert_eq!(part.as_ref().map(number), Some(index), "{mode}");
        }
        assert!(next().expect("the end").is_none(), "{mode}");
        assert!(next().expect("the end again").is_none(), "{mode}");
        // One that is given up in the middle, and one that takes one reply.
        let mut given_up = block_on(channel.call_stream_async(numbered(1 << 40))).expect("a call");
        let first = block_on(std::future::poll_fn(|context| given_up.poll_next(context)));
        assert_eq!(first.expect("a part").as_ref().map(number), Some(0), "{mode}");
        drop(given_up);
        let mut one = block_on(channel.begin_call_async(numbered(0))).expect("a call");
        let reply = block_on(std::future::poll_fn(|context| one.poll_next(context)));
        assert_eq!(reply.expect("a reply").as_ref().map(number), Some(0), "{mode}");
        drop(channel.call_stream_async(numbered(1)));
    });
}
