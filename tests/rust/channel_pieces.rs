//! Large bodies that go in pieces while their receiver copies them: whole or not at all, whatever the other side does.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procs::{Channel, ChannelOptions, Command, Deadline, ErrorKind, ReceivedSlice, Spin};
use procs_tests::evil::Evil;
use procs_tests::{Random, count, run};
use std::time::{Duration, Instant};

const SIZES: [usize; 9] = [1, 100_000, (256 << 10) - 1, 256 << 10, 300_000, 1 << 20, (1 << 20) + 1, 3 << 20, (16 << 20) + 1];

fn options(spin: Spin, ring_bytes: usize) -> ChannelOptions {
    ChannelOptions { spin, ring_bytes, ..ChannelOptions::default() }
}

/// Bytes that belong to no other round.
fn bytes(len: usize, round: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 7).wrapping_mul(31).wrapping_add(round.wrapping_mul(101)) as u8).collect()
}

/// Receives in one of three ways.
fn receive(channel: &Channel, way: usize) -> procs::Result<Vec<u8>> {
    match way % 3 {
        0 => {
            let mut out = Vec::new();
            channel.recv_into(&mut out).map(|()| out)
        }
        1 => channel.recv().map(|message| message.body.into_vec()),
        _ => {
            let mut room = vec![0; 2 << 20];
            Ok(match channel.recv_slice(&mut room, Some(Deadline::NEVER))? {
                ReceivedSlice::Plain(_, len) => room[..len].to_vec(),
                ReceivedSlice::Whole(message) => message.body.into_vec(),
            })
        }
    }
}

#[test]
fn a_conversation_of_any_sizes_in_any_mode() {
    for (spin, ring) in [(Spin::Adaptive, 1 << 20), (Spin::Off, 1 << 20), (Spin::Adaptive, 4096), (Spin::Adaptive, 8 << 20), (Spin::Adaptive, 0)] {
        let (here, there) = Channel::pair_with(&options(spin, ring)).expect("a pair");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0.. {
                    match receive(&there, round / 5) {
                        Ok(body) => there.send_bytes(&body).expect("an echo"),
                        Err(error) => return assert_eq!(error.kind(), ErrorKind::Closed, "{error}"),
                    }
                }
            });
            for round in 0..SIZES.len() * 8 {
                // Each size several times in a row: what came last is what is thought to come.
                let sent = bytes(SIZES[round / 4 % SIZES.len()], round);
                here.send_bytes(&sent).expect("sent");
                let came = receive(&here, round).expect("an echo");
                assert!(came == sent, "ring {ring}, round {round}: {} bytes came of {}", came.len(), sent.len());
            }
            here.close();
        });
    }
}

#[test]
fn who_asks_and_does_not_wait_holds_nobody_up() {
    let (here, there) = Channel::pair().expect("a pair");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut body = Vec::new();
            while there.recv_into(&mut body).is_ok() {
                // What finds no room is sent by itself.
                while let Err(error) = there.send_bytes_until(&body, Some(Deadline::after(Duration::ZERO))) {
                    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
                    std::thread::yield_now();
                }
            }
        });
        let mut body = Vec::new();
        for round in 0..200 {
            let sent = bytes(SIZES[3 + round % 5], round);
            here.send_bytes(&sent).expect("sent");
            // Gives up again and again, also in the middle of a body.
            while let Err(error) = here.recv_into_until(&mut body, Some(Deadline::after(Duration::from_micros(30)))) {
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            }
            assert!(body == sent, "round {round}: {} bytes came of {}", body.len(), sent.len());
        }
        here.close();
    });
}

#[test]
fn a_peer_that_is_killed_leaves_whole_messages_only() {
    run("a_peer_that_is_killed_leaves_whole_messages_only", |t| {
        let mut random = Random::from_env(t.name());
        for _ in 0..count(100) {
            let (mut child, channel) = Command::new(env!("CARGO_BIN_EXE_procs-peer")).arg("echo-bytes").fork().expect("a child with a channel");
            let pid = Pid::from_raw(child.id() as i32);
            let mut body = Vec::new();
            let pause = Duration::from_micros(random.below(3000));
            let kill = std::thread::spawn(move || {
                // Any moment will do.
                std::thread::park_timeout(pause);
                kill(pid, Signal::SIGKILL).expect("killed");
            });
            let ended = (0..).find_map(|round| {
                let sent = bytes(SIZES[3 + round % 5], round);
                let result = channel.send_bytes(&sent).and_then(|()| channel.recv_into(&mut body));
                assert!(result.is_err() || body == sent, "round {round}: {} bytes came of {}", body.len(), sent.len());
                result.err()
            });
            assert_eq!(ended.expect("an end").kind(), ErrorKind::Closed);
            kill.join().expect("the killer");
            child.wait().expect("an end");
        }
    });
}

/// Announces a large body and sends so much of it.
fn begun(part: usize) -> (Channel, Evil, Vec<u8>) {
    let (here, there) = Channel::pair_with(&options(Spin::Adaptive, 1 << 20)).expect("a pair");
    let mut evil = Evil::new(there.into_fd().expect("unused")).expect("a raw end");
    let mut frame = evil.header(2, 300_000).to_vec();
    frame.extend(bytes(300_000, 1));
    let rest = frame.split_off(32 + part);
    evil.put(&frame).expect("written");
    evil.publish().expect("published");
    (here, evil, rest)
}

#[test]
fn a_body_that_stops_and_goes_on_comes_whole() {
    for part in [1, 1000, 131_072, 299_999] {
        let (channel, mut evil, rest) = begun(part);
        let mut body = Vec::new();
        for _ in 0..3 {
            let error = channel.recv_into_until(&mut body, Some(Deadline::after(Duration::from_millis(5)))).expect_err("not yet");
            assert_eq!(error.kind(), ErrorKind::Timeout, "{part}: {error}");
        }
        let next = evil.frame(b"next");
        for piece in [&rest[..rest.len() / 2], &rest[rest.len() / 2..], &next] {
            evil.put(piece).expect("written");
            evil.publish().expect("published");
            let _ = channel.recv_into_until(&mut body, Some(Deadline::after(Duration::from_millis(1))));
            if body.len() == 300_000 {
                assert!(body == bytes(300_000, 1), "{part}");
            }
        }
        assert_eq!(body, b"next", "{part}");
    }
}

#[test]
fn a_body_that_never_ends_is_said_to_be_cut() {
    for (part, in_order) in [(1, false), (1000, true), (131_072, false), (299_999, true)] {
        let (channel, evil, _) = begun(part);
        let mut body = Vec::new();
        let error = channel.recv_into_until(&mut body, Some(Deadline::after(Duration::from_millis(5)))).expect_err("not yet");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{part}: {error}");
        if in_order {
            evil.set_closed().expect("said");
        }
        drop(evil);
        let kind = if in_order { ErrorKind::Protocol } else { ErrorKind::Closed };
        for _ in 0..2 {
            let error = channel.recv_into(&mut body).expect_err("cut");
            assert_eq!(error.kind(), kind, "{part}: {error}");
            assert!(error.detail().contains(&format!("got = {} bytes", 32 + part)), "{part}: {error}");
        }
    }
}

/// An end that has just been sent a large body.
fn asked() -> (Channel, Evil) {
    let (channel, mut evil, rest) = begun(0);
    evil.put(&rest).expect("written");
    evil.publish().expect("published");
    let mut body = Vec::new();
    channel.recv_into_until(&mut body, None).expect("whole");
    assert!(body == bytes(300_000, 1));
    (channel, evil)
}

#[test]
fn an_answer_goes_in_pieces_to_who_copies_them_and_waits_for_nobody() {
    const LEN: usize = 2 << 20;
    // As the other side says, or does not, that it copies what comes, on another processor than this one; and to who waits for room at all.
    for (waiting, cpu, waits) in [(16, u32::MAX - 1, true), (0, u32::MAX - 1, true), (16, u32::MAX, true), (16, u32::MAX - 1, false)] {
        let pieces = waiting == 16 && cpu != u32::MAX && waits;
        let (channel, evil) = asked();
        evil.set_waiting(waiting).expect("said");
        evil.set_cpu(cpu).expect("said");
        // It does not read: what does not fit is kept.
        let sent = bytes(LEN, 2);
        channel.send_bytes_until(&sent, waits.then(|| Deadline::after(Duration::ZERO))).expect("taken");
        // Else the memory that large bodies lie in is announced first.
        let length = evil.look(0, 8).expect("a header");
        assert_eq!(length == (LEN as u64).to_le_bytes(), pieces, "{waiting} {cpu} {waits}");
        if !pieces {
            continue;
        }
        let mut came = Vec::new();
        let (mut at, begin) = (32, Instant::now());
        while came.len() < LEN {
            let tail = evil.peers_tail().expect("a tail");
            came.extend(evil.look(at, (tail - at) as usize).expect("bytes"));
            at = tail;
            evil.set_head(at).expect("read");
            assert!(begin.elapsed() < Duration::from_secs(60), "{} bytes came", came.len());
            // Nobody rings for room: who sends next looks for it.
            let _ = channel.flush(Some(Duration::from_millis(1)));
        }
        assert!(came == sent);
        // One answer for one large message.
        channel.send_bytes(&sent).expect("taken");
        assert_ne!(evil.look(at, 8).expect("a header"), (LEN as u64).to_le_bytes());
    }
}

#[test]
fn who_waits_after_a_large_body_says_that_it_copies_and_takes_it_back() {
    let (channel, mut evil) = asked();
    assert_eq!(evil.peers_waiting().expect("a word") & 16, 0);
    let mut body = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let begin = Instant::now();
            while evil.peers_waiting().expect("a word") & 16 == 0 {
                assert!(begin.elapsed() < Duration::from_secs(60), "it does not say so");
            }
            let frame = evil.frame(b"small");
            evil.put(&frame).expect("written");
            evil.publish().expect("published");
        });
        while let Err(error) = channel.recv_into_until(&mut body, Some(Deadline::after(Duration::from_millis(5)))) {
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        }
    });
    assert_eq!(body, b"small");
    assert_eq!(evil.peers_waiting().expect("a word") & 16, 0);
    // The next may be small, too.
    let error = channel.recv_into_until(&mut body, Some(Deadline::after(Duration::from_millis(1)))).expect_err("nothing");
    assert_eq!((error.kind(), evil.peers_waiting().expect("a word") & 16), (ErrorKind::Timeout, 0));
}
