//! Fault rows D01 to D08, D17, D19, D22 and D23: bytes of channels, whole, cut, too many, too late.

mod channels;

use channels::{options, outcome};
use procs::{Channel, ChannelOptions, Codec, CodecSet, ErrorKind, Message, Spin};
use procs_tests::evil::Evil;
use procs_tests::{Random, count, isolated, rss_bytes, run, unparker};
use std::future::Future;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A channel and the raw other end.
fn against_evil(options: &ChannelOptions) -> (Channel, Evil) {
    let (here, there) = Channel::pair_with(options).expect("a pair");
    // Its own hello is taken before anything else comes.
    assert_eq!(here.try_recv().expect_err("nothing yet").kind(), ErrorKind::WouldBlock);
    (here, Evil::new(there.into_fd().expect("unused")).expect("a raw end"))
}

/// Writes bytes in pieces, through the ring or the socket, and receives meanwhile.
fn feed(evil: &mut Evil, pieces: &mut dyn Iterator<Item = &[u8]>, channel: &Channel) -> Vec<Vec<u8>> {
    let mut came = Vec::new();
    let mut take = || {
        while let Ok(message) = channel.try_recv() {
            came.push(message.body.to_vec());
        }
    };
    for piece in pieces {
        if evil.memory.is_some() {
            evil.put(piece).expect("written");
            evil.publish().expect("published");
        } else {
            let mut rest = piece;
            while !rest.is_empty() {
                rest = &rest[evil.send(rest, &[]).expect("sent")..];
            }
        }
        take();
    }
    take();
    came
}

#[test]
fn d01_frames_may_be_cut_anywhere() {
    run("d01_frames_may_be_cut_anywhere", |t| {
        let mut random = Random::from_env(t.name());
        for ring in [1 << 20, 0] {
            let bodies: Vec<Vec<u8>> = (0..count(1000)).map(|_| vec![random.below(256) as u8; random.below(300) as usize]).collect();
            for way in ["one byte", "random", "all"] {
                let (channel, mut evil) = against_evil(&options(Spin::Off, ring));
                let bytes: Vec<u8> = bodies.iter().flat_map(|body| evil.frame(body)).collect();
                let mut cuts = vec![0];
                while cuts.last().is_some_and(|last| *last < bytes.len()) {
                    let step = match way {
                        "one byte" => 1,
                        "random" => 1 + random.below(500) as usize,
                        _ => bytes.len(),
                    };
                    cuts.push((cuts[cuts.len() - 1] + step).min(bytes.len()));
                }
                let mut pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
                assert!(feed(&mut evil, &mut pieces, &channel) == bodies, "ring {ring}, {way}");
            }
            let three = [vec![1; 5], Vec::new(), vec![3; 40]];
            for cut in 0..=3 * 32 + 45 {
                let (channel, mut evil) = against_evil(&options(Spin::Off, ring));
                let bytes: Vec<u8> = three.iter().flat_map(|body| evil.frame(body)).collect();
                let (first, rest) = bytes.split_at(cut);
                assert!(feed(&mut evil, &mut [first, rest].into_iter(), &channel) == three, "ring {ring}, cut {cut}");
            }
        }
    });
}

#[test]
fn d02_an_announced_length_allocates_nothing() {
    isolated("d02_an_announced_length_allocates_nothing", |t| {
        let limited = |ring| ChannelOptions { max_message: 16 << 20, ..options(Spin::Off, ring) };
        drop(against_evil(&limited(0)));
        for ring in [1 << 20, 0] {
            for length in [0, 1, 16 << 20, (16 << 20) + 1, 1 << 31, (1 << 32) - 1, 1 << 63] {
                let (channel, mut evil) = against_evil(&limited(ring));
                let header = evil.header(2, length);
                let before = rss_bytes();
                let mut bytes = header.to_vec();
                bytes.push(7);
                let came = feed(&mut evil, &mut [&bytes[..]].into_iter(), &channel);
                match length {
                    0 => assert_eq!(came.len(), 1),
                    1 => assert_eq!(came, [[7]]),
                    _ if length <= 16 << 20 => assert!(came.is_empty()),
                    _ => assert_eq!(outcome(t, &channel).expect_err("refused").kind(), ErrorKind::TooLarge, "length {length}"),
                }
                let grown = rss_bytes().saturating_sub(before);
                assert!(grown <= 256 << 10, "ring {ring}, length {length}: {grown} bytes more");
            }
        }
    });
}

#[test]
fn d03_a_malformed_frame_ends_this_channel_only() {
    run("d03_a_malformed_frame_ends_this_channel_only", |t| {
        let (other, peer) = Channel::pair().expect("a pair");
        // (offset, value) of one byte of a header that is right otherwise.
        for (at, value) in [(24, 0), (24, 14), (24, 255), (24, 1), (25, 4), (26, 1), (26, 128), (27, 8), (8, 9), (16, 1), (30, 255), (31, 255)] {
            for ring in [1 << 20, 0] {
                let (channel, mut evil) = against_evil(&options(Spin::Off, ring));
                let mut bytes = evil.frame(b"good");
                let mut bad = evil.frame(b"bad!");
                bad[at] = value;
                bytes.extend_from_slice(&bad);
                bytes.extend_from_slice(&evil.frame(b"after"));
                let came = feed(&mut evil, &mut [&bytes[..]].into_iter(), &channel);
                assert_eq!(came, [b"good"], "byte {at} = {value}");
                let error = outcome(t, &channel).expect_err("refused");
                assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::TooLarge), "byte {at} = {value}: {error}");
                assert_eq!(outcome(t, &channel).expect_err("refused for ever").kind(), error.kind());
                assert_eq!(channel.send_bytes(b"x").expect_err("ended").kind(), ErrorKind::Closed);
                // The other side learns it from the socket.
                t.wait_until("the end at the other side", || {
                    let mut byte = [0];
                    matches!(std::io::Read::read(&mut std::fs::File::from(evil.socket.try_clone().expect("a copy")), &mut byte), Ok(0) | Err(_))
                });
                other.send_bytes(b"still here").expect("sent");
                assert_eq!(peer.recv().expect("a message").body, *b"still here");
            }
        }
    });
}

#[test]
fn d04_a_cut_frame_is_said_to_be_cut() {
    run("d04_a_cut_frame_is_said_to_be_cut", |t| {
        for ring in [1 << 20, 0] {
            for cut in [1, 31, 32, 33, 100, 131] {
                let (channel, mut evil) = against_evil(&options(Spin::Off, ring));
                let whole = evil.frame(&[1; 10]);
                let cut_one = evil.frame(&[2; 100]);
                let mut pieces = [&whole[..], &cut_one[..cut]].into_iter();
                assert_eq!(feed(&mut evil, &mut pieces, &channel), [[1; 10]]);
                drop(evil);
                let error = outcome(t, &channel).expect_err("cut");
                assert_eq!(error.kind(), ErrorKind::Protocol, "ring {ring}, cut {cut}: {error}");
                assert!(error.detail().contains(&format!("got = {cut} bytes")), "ring {ring}, cut {cut}: {error}");
            }
        }
    });
}

#[test]
fn d06_full_gone_and_closed_are_three_answers() {
    run("d06_full_gone_and_closed_are_three_answers", |_| {
        for ring in [1 << 20, 4096, 0] {
            let (here, there) = Channel::pair_with(&options(Spin::Off, ring)).expect("a pair");
            assert_eq!(there.try_recv().expect_err("nothing").kind(), ErrorKind::WouldBlock);
            let full = (0..100_000).find_map(|_| here.try_send(Message::raw(vec![1; 1000])).err()).expect("full at last");
            assert_eq!(full.kind(), ErrorKind::WouldBlock, "ring {ring}");
            assert_eq!(full.into_inner().body.len(), 1000, "the message comes back");
            let late = here.send_timeout(Message::raw(vec![2; 1000]), Duration::from_millis(20)).expect_err("still full");
            assert_eq!(late.kind(), ErrorKind::Timeout, "ring {ring}");
            there.close();
            assert_eq!(here.send(Message::raw("x")).expect_err("gone").kind(), ErrorKind::Closed, "ring {ring}");
            assert_eq!(there.send(Message::raw("x")).expect_err("closed here").kind(), ErrorKind::InvalidState, "ring {ring}");
        }
    });
}

/// Full stays full until the other side reads; once it is gone, "full" would be said for ever.
#[test]
fn d06_who_only_tries_is_told_of_the_end() {
    run("d06_who_only_tries_is_told_of_the_end", |_| {
        for (ring, size) in [1 << 20, 4096, 0].into_iter().flat_map(|ring| [100, 20_000, 200_000, 2 << 20].map(|size| (ring, size))) {
            for drops in [false, true] {
                let (here, there) = Channel::pair_with(&options(Spin::Off, ring)).expect("a pair");
                let large = || Message::raw(vec![1; size]);
                let full = (0..100_000).find_map(|_| here.try_send(large()).err()).expect("full at last");
                assert_eq!(full.kind(), ErrorKind::WouldBlock, "ring {ring}, {size} bytes");
                let waiting = std::thread::scope(|scope| {
                    let (begun, first) = std::sync::mpsc::channel();
                    let here = &here;
                    let waiter = scope.spawn(move || {
                        let mut sending = std::pin::pin!(here.send_async(large()));
                        let waker = unparker();
                        let mut polls = 0;
                        loop {
                            match sending.as_mut().poll(&mut Context::from_waker(&waker)) {
                                Poll::Ready(sent) => return sent,
                                Poll::Pending => _ = begun.send(polls),
                            }
                            polls += 1;
                            let since = Instant::now();
                            std::thread::park_timeout(Duration::from_secs(30));
                            assert!(since.elapsed() < Duration::from_secs(30), "ring {ring}, {size} bytes: nobody wakes the sender");
                        }
                    });
                    first.recv().expect("a first look");
                    if drops {
                        drop(there)
                    } else {
                        there.close()
                    }
                    waiter.join().expect("an answer")
                });
                assert_eq!(waiting.expect_err("gone").kind(), ErrorKind::Closed, "ring {ring}, {size} bytes");
                let until = Instant::now() + Duration::from_secs(30);
                while here.try_send(large()).expect_err("gone").kind() != ErrorKind::Closed {
                    assert!(Instant::now() < until, "ring {ring}, {size} bytes: still full");
                    std::thread::yield_now();
                }
            }
        }
    });
}

#[test]
fn d07_a_slow_reader_costs_no_memory() {
    isolated("d07_a_slow_reader_costs_no_memory", |_| {
        for ring in [1 << 20, 0] {
            let (here, there) = Channel::pair_with(&options(Spin::Off, ring)).expect("a pair");
            assert_eq!(there.try_recv().expect_err("nothing").kind(), ErrorKind::WouldBlock);
            let total = 100_000_u32;
            std::thread::scope(|scope| {
                let sender = scope.spawn(|| {
                    let mut body = [7; 200];
                    for number in 0..total {
                        body[..4].copy_from_slice(&number.to_le_bytes());
                        here.send_bytes(&body).expect("sent");
                    }
                });
                // The reader stops: the sender's queue stays within its bound, whatever it tries.
                let stuck = Instant::now();
                let mut most = 0;
                let before = rss_bytes();
                while stuck.elapsed() < Duration::from_secs(if count(10) >= 10 { 10 } else { 1 }) {
                    most = most.max(rss_bytes().saturating_sub(before));
                    std::thread::yield_now();
                }
                assert!(!sender.is_finished(), "ring {ring}: nothing held the sender back");
                assert!(most <= 3 << 20, "ring {ring}: {most} bytes more");
                for number in 0..total {
                    assert_eq!(there.recv().expect("a message").body[..4], number.to_le_bytes());
                }
            });
        }
    });
}

#[test]
fn d08_both_sides_write_and_nobody_reads() {
    for (ring, size) in [(1 << 20, 1 << 20), (1 << 20, 60_000), (4096, 1000), (0, 100_000)] {
        run("d08_both_sides_write_and_nobody_reads", |_| {
            for _ in 0..count(20) {
                let (a, b) = Channel::pair_with(&options(Spin::Off, ring)).expect("a pair");
                let messages = if ring == 4096 { 4000 } else { (64 << 20) / size };
                std::thread::scope(|scope| {
                    for end in [&a, &b] {
                        scope.spawn(move || {
                            let body = vec![5; size];
                            for _ in 0..messages {
                                end.send_bytes(&body).expect("sent");
                            }
                            for number in 0..messages {
                                assert_eq!(end.recv().expect("a message").body.len(), size, "message {number}");
                            }
                        });
                    }
                });
            }
        });
    }
}

#[test]
fn d17_a_codec_that_was_not_asked_for_is_refused() {
    run("d17_a_codec_that_was_not_asked_for_is_refused", |_| {
        for sent in Codec::ALL {
            for taken in Codec::ALL {
                let (a, b) = Channel::pair_with(&ChannelOptions { codecs: CodecSet::only(*taken), ..options(Spin::Off, 1 << 20) }).expect("a pair");
                a.send(Message::encoded(*sent, b"[1, 2]")).expect("sent");
                match b.recv() {
                    Ok(message) => assert!(sent == taken && message.codec == *sent && message.body == *b"[1, 2]"),
                    Err(error) => {
                        assert!(sent != taken && error.kind() == ErrorKind::Protocol, "{error}");
                        assert!(error.detail().contains("codec refused"), "{error}");
                    }
                }
            }
        }
    });
}

#[test]
fn d19_messages_wait_for_a_consumer_that_comes_late_and_closes_early() {
    run("d19_messages_wait_for_a_consumer_that_comes_late_and_closes_early", |_| {
        for ring in [1 << 20, 0] {
            let (a, b) = Channel::pair_with(&options(Spin::Off, ring)).expect("a pair");
            for number in 0..100_u8 {
                a.send_bytes(&[number]).expect("sent");
            }
            let mut taken = Vec::new();
            let end = loop {
                match b.recv() {
                    Ok(message) => {
                        taken.push(message.body[0]);
                        if taken.len() == 50 {
                            b.send_bytes(b"from inside").expect("sent");
                            b.close();
                        }
                    }
                    Err(error) => break error,
                }
            };
            assert!(taken.iter().copied().eq(0..50), "{taken:?}");
            assert_eq!(end.kind(), ErrorKind::InvalidState);
            assert_eq!(a.recv().expect("what was sent before the close").body, *b"from inside");
            assert_eq!(a.recv().expect_err("the end").kind(), ErrorKind::Closed);
            b.close();
        }
    });
}

#[test]
fn d22_sends_that_fail_for_a_moment_are_repeated() {
    isolated("d22_sends_that_fail_for_a_moment_are_repeated", |t| {
        let (a, b) = Channel::pair_with(&options(Spin::Off, 0)).expect("a pair");
        a.send_bytes(b"first").expect("sent");
        assert_eq!(b.recv().expect("a message").body, *b"first");
        for errno in ["ENOBUFS", "EAGAIN", "EINTR"] {
            let rule = format!("sendmsg,sendto:error={errno}:when=3+3");
            t.inject(&[&rule], || {
                for number in 0..count(3000) as u32 {
                    a.send_bytes(&number.to_le_bytes()).expect("sent");
                    assert_eq!(b.recv().expect("a message").body, number.to_le_bytes(), "{errno}");
                }
            });
            assert!(t.injection_log().contains("(INJECTED)"), "{errno} was not injected");
        }
    });
}

#[test]
fn d22_a_system_that_has_no_memory_to_send_with_is_named() {
    isolated("d22_a_system_that_has_no_memory_to_send_with_is_named", |t| {
        for ring in [1 << 20, 0] {
            let (a, b) = Channel::pair_with(&options(Spin::Off, ring)).expect("a pair");
            a.send_bytes(b"first").expect("sent");
            assert_eq!(b.recv().expect("a message").body, *b"first");
            let message = || Message::raw(&b"with a descriptor"[..]).with_fd(std::fs::File::open("/dev/null").expect("a file"));
            t.inject(&["sendmsg,sendto:error=ENOMEM"], || {
                let begun = Instant::now();
                let refused = [a.send(message()), a.send_timeout(message(), Duration::from_millis(50)), a.try_send(message())];
                for error in refused.map(|sent| sent.expect_err("no memory")) {
                    assert_eq!((error.kind(), error.error().os_error()), (ErrorKind::Exhausted, Some(libc::ENOMEM)), "{error}");
                }
                assert!(begun.elapsed() >= Duration::from_secs(1), "it may have been for a moment");
            });
            a.send(message()).expect("sent");
            assert_eq!(b.recv().expect("a message").fds.len(), 1);
        }
    });
}

#[test]
fn d23_a_peer_that_stalls_inside_a_frame() {
    run("d23_a_peer_that_stalls_inside_a_frame", |_| {
        for ring in [1 << 20, 0] {
            let limited = ChannelOptions { frame_timeout: Some(Duration::from_millis(100)), ..options(Spin::Off, ring) };
            let (channel, mut evil) = against_evil(&limited);
            let frame = evil.frame(&[1; 100]);
            let begun = Instant::now();
            assert!(feed(&mut evil, &mut [&frame[..50]].into_iter(), &channel).is_empty());
            // Others are not held up by it.
            let (a, b) = Channel::pair_with(&options(Spin::Off, ring)).expect("a pair");
            a.send_bytes(b"quick").expect("sent");
            assert_eq!(b.recv().expect("a message").body, *b"quick");
            let error = channel.recv().expect_err("cut off");
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            assert!(error.detail().contains("in time"), "{error}");
            assert!(begun.elapsed() >= Duration::from_millis(100));
            // A pause between two frames is no stall.
            let (channel, mut evil) = against_evil(&limited);
            let (first, second) = (evil.frame(b"one"), evil.frame(b"two"));
            assert_eq!(feed(&mut evil, &mut [&first[..]].into_iter(), &channel), [b"one"]);
            assert_eq!(channel.recv_timeout(Duration::from_millis(250)).expect_err("nothing").kind(), ErrorKind::Timeout);
            assert_eq!(feed(&mut evil, &mut [&second[..]].into_iter(), &channel), [b"two"]);
        }
    });
}
