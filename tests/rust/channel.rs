//! Channels between threads of one process: order, wholeness, ends, waiting in every way.

use procs::{Channel, ChannelOptions, Codec, Deadline, ErrorKind, Message, ReceivedSlice, Spin};
use std::time::Duration;

fn kinds() -> Vec<(&'static str, ChannelOptions)> {
    let with = |spin: Spin, ring_bytes: usize| ChannelOptions { spin, ring_bytes, ..ChannelOptions::default() };
    vec![
        ("adaptive", with(Spin::Adaptive, 1 << 20)),
        ("no spin", with(Spin::Off, 1 << 20)),
        ("spin at the cap", with(Spin::Always(Duration::from_micros(50)), 1 << 20)),
        ("small ring", with(Spin::Off, 4096)),
        ("small ring, spin", with(Spin::Always(Duration::from_micros(50)), 4096)),
        ("no ring", with(Spin::Off, 0)),
    ]
}

fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(31).wrapping_add(seed) % 251) as u8).collect()
}

#[test]
fn messages_of_every_size_arrive_whole_and_in_order() {
    for (name, options) in kinds() {
        let (a, b) = Channel::pair_with(&options).expect("a pair");
        let sizes = [0, 1, 63, 64, 65, 1000, 2047, 2048, 4096, 5000, 65_536, 65_537, 1 << 20, (3 << 20) + 7];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (index, size) in sizes.iter().cycle().take(sizes.len() * 5).enumerate() {
                    a.send(Message::raw(bytes(*size, index))).expect("sent");
                }
                a.close();
            });
            for (index, size) in sizes.iter().cycle().take(sizes.len() * 5).enumerate() {
                let message = b.recv().unwrap_or_else(|error| panic!("{name}: message {index} of {size} bytes: {error}"));
                assert_eq!(message.codec, Codec::Raw);
                assert!(*message.body == *bytes(*size, index), "{name}: message {index} of {size} bytes differs");
            }
            assert_eq!(b.recv().expect_err("the end").kind(), ErrorKind::Closed, "{name}");
        });
    }
}

#[test]
fn the_rest_of_every_message_is_sent_by_itself() {
    for (name, options) in kinds() {
        let (a, b) = Channel::pair_with(&ChannelOptions { max_queued_bytes: 1, ..options }).expect("a pair");
        for round in 0..20 {
            // More than socket and ring hold, and nobody lends memory for it.
            let sent = bytes(3 << 20, round);
            // Whoever sent the rest of the last one may still be at it.
            while let Err(error) = a.send_bytes_until(&sent, None) {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{name}, round {round}: {error}");
                std::thread::yield_now();
            }
            let message = b.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|error| panic!("{name}, round {round}: {error}"));
            assert!(*message.body == *sent, "{name}, round {round}: it differs");
        }
    }
}

#[test]
fn the_rest_of_a_message_is_sent_while_the_other_side_reads() {
    for (name, options) in kinds() {
        let (a, b) = Channel::pair_with(&ChannelOptions { max_queued_bytes: 1, ..options }).expect("a pair");
        let (read, news) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while let Ok(message) = b.recv_timeout(Duration::from_secs(60)) {
                    read.send(message.body.len()).expect("a sender");
                }
                drop(read);
            });
            for round in 0..40 {
                let sent = bytes(1 << 20, round);
                // The sender is held while it looks for room, and not again once it has given up.
                while a.send_bytes_until(&sent, None).is_err() {
                    std::thread::yield_now();
                }
                assert_eq!(news.recv_timeout(Duration::from_secs(50)), Ok(sent.len()), "{name}, round {round}");
            }
            a.close();
        });
    }
}

#[test]
fn round_trips_in_every_mode() {
    for (name, options) in kinds() {
        let (a, b) = Channel::pair_with(&options).expect("a pair");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut buffer = Vec::new();
                while b.recv_into(&mut buffer).is_ok() {
                    b.send_bytes(&buffer).expect("echo");
                }
            });
            let mut buffer = Vec::new();
            for index in 0..20_000_u32 {
                a.send_bytes(&index.to_le_bytes()).expect("sent");
                a.recv_into(&mut buffer).expect("an echo");
                assert_eq!(buffer, index.to_le_bytes(), "{name}");
            }
            a.close();
        });
    }
}

fn is_readable(channel: &Channel) -> bool {
    let fd = channel.as_fd().expect("a descriptor");
    let mut fds = [nix::poll::PollFd::new(fd, nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, 0_u8).expect("poll") == 1
}

#[test]
fn descriptor_is_readable_while_there_is_something_however_it_was_taken() {
    let mut buffer = Vec::new();
    for (name, options) in kinds() {
        let (a, b) = Channel::pair_with(&options).expect("a pair");
        assert!(!is_readable(&b), "{name}: nothing was sent");
        let send = |count: u8| (0..count).for_each(|number| a.send_bytes(&[number]).expect("sent"));
        for count in 1..4 {
            send(count);
            for left in (0..count).rev() {
                assert!(is_readable(&b), "{name}: {left} more of {count}");
                b.recv_into(&mut buffer).expect("a message");
            }
            assert!(!is_readable(&b), "{name}: everything was received by waiting");
            send(count);
            assert!(is_readable(&b), "{name}");
            while b.recv_into_until(&mut buffer, None).is_ok() {}
            assert!(!is_readable(&b), "{name}: everything was received without waiting");
            send(count);
            assert!(is_readable(&b), "{name}");
            (0..count).for_each(|_| drop(b.recv().expect("a message")));
            assert!(!is_readable(&b), "{name}: everything was received as messages");
        }
        drop(a);
        assert!(is_readable(&b), "{name}: the end");
    }
}

#[test]
fn who_settles_soon_is_called_again_once_where_looking_pays() {
    // What is in the socket is not looked for: there the descriptor tells.
    for (name, options) in kinds().into_iter().filter(|(_, options)| options.ring_bytes > 0) {
        let keen = matches!(options.spin, Spin::Always(_));
        let (a, b) = Channel::pair_with(&options).expect("a pair");
        assert!(!is_readable(&b), "{name}");
        for _ in 0..3 {
            a.send_bytes(b"x").expect("sent");
            assert!(is_readable(&b), "{name}");
            // Something is there: nothing else is to be said.
            assert!(b.settle_soon().expect("open"), "{name}");
            assert!(b.take_ready().expect("open").is_some(), "{name}");
            assert!(!b.settle_soon().expect("open"), "{name}");
            if options.spin != Spin::Adaptive {
                assert_eq!(is_readable(&b), keen, "{name}");
            }
            assert!(b.take_ready().expect("open").is_none(), "{name}");
            assert!(!b.settle().expect("open"), "{name}");
            assert!(!is_readable(&b), "{name}: it was called again");
        }
        // What comes between the two is not lost.
        assert!(!b.settle_soon().expect("open"), "{name}");
        a.send_bytes(b"x").expect("sent");
        assert!(is_readable(&b), "{name}");
        drop(a);
        assert!(b.take_ready().expect("open").is_some() && b.settle_soon().expect("open"), "{name}");
        assert_eq!(b.take_ready().expect_err("the end").kind(), ErrorKind::Closed, "{name}");
    }
}

#[test]
fn who_looks_again_works_until_something_comes() {
    // As above of sockets.
    for (name, options) in kinds().into_iter().filter(|(_, options)| options.ring_bytes > 0) {
        let keen = matches!(options.spin, Spin::Always(_));
        let (a, b) = Channel::pair_with(&options).expect("a pair");
        let work_until = |last: u32, act: &dyn Fn()| {
            let mut done = 0;
            let more = b.settle_meanwhile(&mut || {
                done += 1;
                if done == last {
                    act();
                }
                // Somebody who would work for ever.
                done < 1000
            });
            (more.expect("open"), done)
        };
        if keen {
            assert_eq!(work_until(0, &|| ()), (false, 1000), "{name}: all of it is done, nothing came");
            assert!(!is_readable(&b), "{name}");
            assert_eq!(work_until(3, &|| a.send_bytes(b"x").expect("sent")), (true, 3), "{name}: it came during the third step");
        } else {
            assert!(options.spin == Spin::Adaptive || work_until(0, &|| ()) == (false, 0), "{name}");
            a.send_bytes(b"x").expect("sent");
        }
        assert_eq!(work_until(0, &|| ()), (true, 0), "{name}: it is there already");
        assert!(b.take_ready().expect("open").is_some(), "{name}");
    }
}

#[test]
fn slice_takes_a_body_alone_that_fits() {
    for (name, options) in kinds() {
        let (a, b) = Channel::pair_with(&options).expect("a pair");
        let later = || Some(Deadline::after(Duration::from_secs(60)));
        let mut room = vec![9; 1 << 20];
        assert_eq!(b.recv_slice(&mut room, None).expect_err("nothing").kind(), ErrorKind::WouldBlock, "{name}");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for size in [0, 5, 4000, 70_000, 1 << 20, (1 << 20) + 1] {
                    a.send(Message::encoded(Codec::Json, bytes(size, size))).expect("sent");
                }
                a.send(Message::raw("body").with_buffer("buffer")).expect("sent");
            });
            for size in [0, 5, 4000, 70_000, 1 << 20] {
                let found = b.recv_slice(&mut room, later()).expect("a message");
                assert!(matches!(found, ReceivedSlice::Plain(Codec::Json, len) if len == size), "{name}: {size} bytes");
                assert!(room[..size] == *bytes(size, size), "{name}: {size} bytes differ");
            }
            room.fill(9);
            let found = b.recv_slice(&mut room, later()).expect("a message");
            assert!(matches!(found, ReceivedSlice::Whole(message) if *message.body == *bytes((1 << 20) + 1, (1 << 20) + 1)), "{name}");
            let found = b.recv_slice(&mut room, later()).expect("a message");
            assert!(matches!(found, ReceivedSlice::Whole(message) if message.body == *b"body" && message.buffers.len() == 1), "{name}");
            assert!(room.iter().all(|byte| *byte == 9), "{name}: the slice is as it was");
        });
    }
}

#[test]
fn what_the_other_side_would_refuse_is_not_sent() {
    for (name, options) in kinds() {
        let (a, b) = Channel::pair_with(&options).expect("a pair");
        let with_buffers = |count: usize| (0..count).fold(Message::raw("body"), |message, _| message.with_buffer(""));
        let error = a.send(with_buffers(4097)).expect_err("too many buffers");
        assert_eq!((error.kind(), error.into_inner().buffers.len()), (ErrorKind::InvalidArgument, 4097), "{name}");
        let error = a.call(with_buffers(4097), None).expect_err("too many buffers");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}");
        // A ring that is smaller than the table of places is filled and read in turn.
        std::thread::scope(|scope| {
            scope.spawn(|| a.send(with_buffers(4096)).expect("the most that there may be"));
            let found = b.recv_timeout(Duration::from_secs(60)).expect("a message");
            assert!(found.buffers.len() == 4096 && found.body == *b"body", "{name}");
        });
    }
}
