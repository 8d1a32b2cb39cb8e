//! Fault rows E04 to E07 and E16: the ring between processes that lie, die, sleep and fork.

mod channels;

use channels::{options, outcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procs::{Channel, ChannelOptions, Child, Command, ErrorKind, Spin};
use procs_tests::evil::Evil;
use procs_tests::{Random, Stalls, count, host, isolated, run};
use std::time::{Duration, Instant};

const CAP: Spin = Spin::Always(Duration::from_micros(50));

fn peer(args: &[&str], options: &ChannelOptions) -> (Child, Channel) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procs-peer"));
    command.args(args).fork_with(options).expect("a child with a channel")
}

fn kill_now(child: &Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).expect("killed");
}

/// E04: indices and lengths that cannot be, one by one.
#[test]
fn e04_impossible_indices_end_the_channel() {
    run("e04_impossible_indices_end_the_channel", |t| {
        for wrong in [(1 << 20) + 1, 1 << 32, 1 << 63, u64::MAX] {
            let (here, there) = Channel::pair().expect("a pair");
            let evil = Evil::new(there.into_fd().expect("unused")).expect("a raw end");
            evil.set_tail(wrong).expect("written");
            assert_eq!(outcome(t, &here).expect_err("corrupt").kind(), ErrorKind::Protocol, "tail {wrong}");
            assert_eq!(here.send_bytes(b"x").expect_err("ended").kind(), ErrorKind::Closed, "tail {wrong}");
            let (here, there) = Channel::pair().expect("a pair");
            let evil = Evil::new(there.into_fd().expect("unused")).expect("a raw end");
            evil.set_head(wrong).expect("written");
            let large = vec![0; 60_000];
            let error = (0..40).find_map(|_| here.send_bytes_until(&large, None).err()).expect("an error");
            assert_eq!(error.kind(), ErrorKind::Protocol, "head {wrong}");
        }
        let (here, there) = Channel::pair().expect("a pair");
        let mut evil = Evil::new(there.into_fd().expect("unused")).expect("a raw end");
        for len in [(1 << 30) + 1, 1 << 31, u64::from(u32::MAX), 1 << 63, u64::MAX] {
            let header = evil.header(2, len);
            evil.put(&header).expect("written");
            evil.publish().expect("published");
            let error = outcome(t, &here).expect_err("too large");
            assert!(matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Protocol), "length {len}: {error}");
        }
    });
}

/// E04: another thread changes lengths and indices while the reader reads.
#[test]
fn e04_what_changes_under_the_reader_is_read_once() {
    run("e04_what_changes_under_the_reader_is_read_once", |t| {
        let mut random = Random::from_env(t.name());
        let until = Instant::now() + Duration::from_secs(if count(10) >= 10 { 20 } else { 3 });
        let (mut rounds, mut messages) = (0, 0_u64);
        while Instant::now() < until {
            let (here, there) = Channel::pair_with(&options(Spin::Off, 4096)).expect("a pair");
            let mut evil = Evil::new(there.into_fd().expect("unused")).expect("a raw end");
            let frames: Vec<u8> = (0..20).flat_map(|at| evil.frame(&[at; 40])).collect();
            let flip_at = random.below(frames.len() as u64 / 8) * 8;
            let stop = std::sync::atomic::AtomicBool::new(false);
            evil.put(&frames).expect("written");
            let memory = evil.memory.as_ref().expect("rings").try_clone().expect("a copy");
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    use std::os::unix::fs::FileExt;
                    let mut flip = 0_u64;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        flip += 1;
                        let value = if flip.is_multiple_of(2) { 8 } else { 1_u64 << 63 };
                        let _ = memory.write_all_at(&value.to_le_bytes(), 4096 + 4096 + flip_at % 4000);
                        if flip.is_multiple_of(7) {
                            let _ = evil.set_tail(if flip.is_multiple_of(2) { 1 << 40 } else { frames.len() as u64 });
                        }
                    }
                });
                let _ = evil.publish();
                for _ in 0..200 {
                    match here.try_recv() {
                        Ok(_) => messages += 1,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(error) => {
                            assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::TooLarge), "{error}");
                            break;
                        }
                    }
                }
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            });
            rounds += 1;
        }
        println!("{rounds} rounds, {messages} messages");
    });
}

/// Takes messages of the peer's `flood` until the end; gives how many came and when the end was seen.
fn take_all(channel: &Channel, what: &str) -> u64 {
    let mut expected = 0_u64;
    loop {
        match channel.recv_timeout(Duration::from_secs(20)) {
            Ok(message) => {
                assert!(message.body.len() >= 8, "{what}: a torn message");
                let number = u64::from_le_bytes((*message.body)[..8].try_into().expect("eight bytes"));
                assert_eq!(number, expected, "{what}: messages out of order");
                assert!(message.body[8..].iter().all(|byte| *byte == number as u8), "{what}: message {number} is torn");
                expected += 1;
            }
            // A frame larger than half of the ring, or one that went through the socket, may be cut; its rest is never delivered.
            Err(error) if error.kind() == ErrorKind::Protocol && error.detail().contains("inside a frame") => return expected,
            Err(error) if error.kind() == ErrorKind::Closed => return expected,
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

/// E05 and D04: the producer is killed at a random moment.
#[test]
fn e05_a_killed_producer_leaves_whole_messages() {
    for (name, options) in [
        ("off", options(Spin::Off, 1 << 20)),
        ("cap", options(CAP, 1 << 20)),
        ("small", options(Spin::Off, 4096)),
        ("no ring", options(Spin::Off, 0)),
    ] {
        run("e05_a_killed_producer_leaves_whole_messages", |t| {
            let mut random = Random::from_env(t.name());
            let stalls = Stalls::watch();
            for round in 0..count(500) {
                let size = [16, 100, 3000, 70_000, 4 << 20][round % 5].to_string();
                let (mut child, channel) = peer(&["flood", &size], &options);
                let moment = Instant::now() + Duration::from_micros(random.below([1000, 10_000, 30_000][round % 3]));
                let mut taken = 0_u64;
                while Instant::now() < moment {
                    match channel.try_recv() {
                        Ok(message) => {
                            assert_eq!(u64::from_le_bytes((*message.body)[..8].try_into().expect("eight bytes")), taken, "{name}");
                            taken += 1;
                        }
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{name}"),
                    }
                }
                kill_now(&child);
                let mut last = Instant::now();
                let mut rest = taken;
                let end = loop {
                    match channel.recv_timeout(Duration::from_secs(20)) {
                        Ok(message) => {
                            let number = u64::from_le_bytes((*message.body)[..8].try_into().expect("eight bytes"));
                            assert_eq!(number, rest, "{name}: out of order");
                            let whole = message.body.len().to_string() == size && message.body[8..].iter().all(|byte| *byte == number as u8);
                            assert!(whole, "{name}: message {number} of {size} bytes is torn");
                            rest += 1;
                            last = Instant::now();
                        }
                        Err(error) => break error,
                    }
                };
                let cut = end.kind() == ErrorKind::Protocol && end.detail().contains("inside a frame");
                assert!(cut || end.kind() == ErrorKind::Closed, "{name}: {end}");
                assert!(!channel.closed_in_order(), "{name}: a kill is not a close");
                stalls.note(&format!("{name}, round {round}: the end after the last message"), last.elapsed());
                child.wait().expect("a wait");
            }
        });
    }
}

/// E06: the consumer is killed while the producer waits for room.
#[test]
fn e06_a_killed_consumer_frees_the_producer() {
    for spin in [Spin::Off, CAP] {
        run("e06_a_killed_consumer_frees_the_producer", |t| {
            let mut random = Random::from_env(t.name());
            let stalls = Stalls::watch();
            for round in 0..count(500) {
                let (mut child, channel) = peer(&["sleep"], &options(spin, [4096, 1 << 16, 0][round % 3]));
                let late = std::thread::scope(|scope| {
                    let sender = scope.spawn(|| {
                        loop {
                            if let Err(error) = channel.send_bytes(&[7; 1000]) {
                                return (error.kind(), Instant::now());
                            }
                        }
                    });
                    let moment = Instant::now() + Duration::from_micros(random.below(20_000));
                    while Instant::now() < moment {
                        std::thread::yield_now();
                    }
                    kill_now(&child);
                    let killed = Instant::now();
                    let (kind, noticed) = sender.join().expect("the sender");
                    assert_eq!(kind, ErrorKind::Closed);
                    noticed.saturating_duration_since(killed)
                });
                stalls.note(&format!("round {round}"), late);
                child.wait().expect("a wait");
            }
        });
    }
}

/// E07: a long run in which both sides sleep and wake all the time; a stall would meet the deadline.
#[test]
fn e07_no_wake_up_is_lost() {
    for (spin, ring) in [(Spin::Off, 4096), (Spin::Off, 1 << 20), (CAP, 4096), (Spin::Adaptive, 1 << 20)] {
        run("e07_no_wake_up_is_lost", |_| {
            let (a, b) = Channel::pair_with(&options(spin, ring)).expect("a pair");
            let total = count(20_000_000) as u64;
            let patience = || Some(procs::Deadline::after(Duration::from_secs(20)));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for number in 0..total {
                        a.send_bytes_until(&number.to_le_bytes(), patience()).expect("the writer stalls");
                    }
                });
                let mut body = Vec::new();
                for number in 0..total {
                    b.recv_into_until(&mut body, patience()).expect("the reader stalls");
                    assert_eq!(body, number.to_le_bytes());
                }
            });
            // And the conversation, where every message meets a sleeping side.
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut body = Vec::new();
                    for _ in 0..count(400_000) {
                        a.recv_into_until(&mut body, patience()).expect("a stall");
                        a.send_bytes_until(&body, patience()).expect("a stall");
                    }
                });
                let mut body = Vec::new();
                for number in 0..count(400_000) as u64 {
                    b.send_bytes_until(&number.to_le_bytes(), patience()).expect("a stall");
                    b.recv_into_until(&mut body, patience()).expect("a stall");
                    assert_eq!(body, number.to_le_bytes());
                }
            });
        });
    }
}

/// E05 and E06 at each step of the protocol: a peer that is killed right after it. What it published arrives whole, nothing else does.
#[test]
fn e05_killed_at_every_step() {
    const STEPS: [(&str, usize); 9] = [
        ("hello", 0),
        ("bytes", 0),
        ("part of a header", 0),
        ("part of a frame", 0),
        ("published", 1),
        ("descriptor", 0),
        ("waiting", 0),
        ("corked", 0),
        ("closed", 1),
    ];
    run("e05_killed_at_every_step", |_| {
        for spin in [Spin::Off, CAP] {
            for round in 0..count(50) {
                for (step, messages) in STEPS {
                    let (mut child, channel) = peer(&["die-at", step], &options(spin, 1 << 16));
                    let what = format!("{step}, round {round}, {spin:?}");
                    let sender = std::thread::scope(|scope| {
                        // Meets a full ring unless the peer is dead before: it must be told then, too.
                        let sender = scope.spawn(|| (0..1000).find_map(|_| channel.send_bytes(&[7; 1000]).err()));
                        for _ in 0..messages {
                            assert_eq!(channel.recv_timeout(Duration::from_secs(20)).expect("what was published").body, *b"whole", "{what}");
                        }
                        let end = channel.recv_timeout(Duration::from_secs(20)).expect_err("the end");
                        let cut = step.starts_with("part");
                        assert_eq!(end.kind(), if cut { ErrorKind::Protocol } else { ErrorKind::Closed }, "{what}: {end}");
                        assert_eq!(channel.closed_in_order(), step == "closed", "{what}");
                        sender.join().expect("the sender")
                    });
                    assert_eq!(sender.expect("nobody reads").kind(), ErrorKind::Closed, "{what}");
                    let status = child.wait().expect("a wait");
                    assert_eq!(status.signal(), Some(libc::SIGKILL), "{what}: {status:?}");
                }
            }
        }
    });
}

/// E16 and D21: a forked copy of the host is refused, and the original notices nothing.
#[test]
fn e16_a_forked_copy_is_refused() {
    isolated("e16_a_forked_copy_is_refused", |t| {
        drop(Channel::pair().and_then(|(a, _)| a.send_bytes(b"starts the thread that waits")));
        t.baseline();
        for options in [options(Spin::Off, 1 << 20), options(Spin::Off, 0)] {
            let (a, b) = Channel::pair_with(&options).expect("a pair");
            a.send_bytes(b"before").expect("sent");
            assert_eq!(b.recv().expect("a message").body, *b"before");
            // Of the second pair nothing was used yet: the copy must not take its hello.
            let (c, d) = Channel::pair_with(&options).expect("a pair");
            c.send_bytes(b"first").expect("sent");
            let copy = host::fork(|| {
                let refused = |result: procs::Result<()>| result.is_err_and(|error| error.kind() == ErrorKind::InvalidState);
                let all = refused(a.send_bytes(b"from the copy"))
                    && refused(b.recv().map(drop))
                    && refused(a.flush(None).map(drop))
                    && refused(d.recv().map(drop));
                a.close();
                b.close();
                i32::from(!all)
            });
            assert_eq!(host::wait_for(copy).expect("a wait"), 0, "the copy was not refused, or died");
            assert_eq!(d.recv().expect("a message").body, *b"first");
            for number in 0..1000_u32 {
                a.send_bytes(&number.to_le_bytes()).expect("sent");
                assert_eq!(b.recv().expect("a message").body, number.to_le_bytes());
            }
        }
    });
}

/// Whether a process that may be nobody's to reap has ended.
fn has_ended(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

/// The same as E05 with the parent killed: the child ends by itself, nothing is left. The check for leaks is the test's own.
#[test]
fn e05_a_killed_parent_ends_the_conversation() {
    run("e05_a_killed_parent_ends_the_conversation", |t| {
        let mut random = Random::from_env(t.name());
        for _ in 0..count(200) {
            // A child that echoes, held by a host that is killed.
            let mut hosted = Command::new(env!("CARGO_BIN_EXE_procs-peer"));
            hosted.args(["host-echo", env!("CARGO_BIN_EXE_procs-peer")]);
            let (mut child, channel) = hosted.fork().expect("a host with a channel");
            let grandchild: i32 = String::from_utf8_lossy(&channel.recv().expect("its child").body).parse().expect("a number");
            let moment = Instant::now() + Duration::from_micros(random.below(5000));
            while Instant::now() < moment {
                std::thread::yield_now();
            }
            kill_now(&child);
            child.wait().expect("a wait");
            t.wait_until("the grandchild's end", || has_ended(grandchild));
            let _ = take_all(&channel, "host");
        }
    });
}
