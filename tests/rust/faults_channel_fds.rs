//! Fault rows D09 to D14: descriptors in channels, too many, too few, the wrong ones, lost ones.

mod channels;

use channels::{options, outcome};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use procs::{Channel, ChannelOptions, ErrorKind, HandleKind, Message, Spin, duplicate_fd};
use procs_tests::evil::Evil;
use procs_tests::{FdWalk, count, isolated, run};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};

fn null() -> OwnedFd {
    File::open("/dev/null").expect("/dev/null").into()
}

fn with_fds(many: usize) -> Message {
    (0..many).fold(Message::raw("fds"), |message, _| message.with_fd(null()))
}

#[test]
fn d09_all_descriptors_arrive_or_the_channel_ends() {
    isolated("d09_all_descriptors_arrive_or_the_channel_ends", |t| {
        drop(Channel::pair().and_then(|(a, _)| a.send_bytes(b"starts the thread that waits")));
        t.baseline();
        for ring in [1 << 20, 0] {
            for many in [1, 2, 5, 16] {
                let (mut whole, mut lost) = (0, 0);
                for free in 0..=18_u64 {
                    let (a, b) = Channel::pair_with(&options(Spin::Off, ring)).expect("a pair");
                    assert_eq!(b.try_recv().expect_err("nothing").kind(), ErrorKind::WouldBlock);
                    a.send(with_fds(many)).expect("sent");
                    let few = FdWalk::leave(free);
                    let came = b.recv();
                    drop(few);
                    match came {
                        Ok(message) => {
                            assert_eq!(message.fds.len(), many);
                            whole += 1;
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
                            assert!(error.detail().contains("lost"), "{error}");
                            t.wait_until("the sender to learn of it", || a.send_bytes(b"x").is_err_and(|error| error.kind() == ErrorKind::Closed));
                            lost += 1;
                        }
                    }
                }
                assert!(whole > 0 && lost > 0, "ring {ring}, {many} descriptors: {whole} whole, {lost} lost");
            }
        }
    });
}

#[test]
fn d10_the_count_must_be_the_announced_one() {
    isolated("d10_the_count_must_be_the_announced_one", |t| {
        drop(Channel::pair().and_then(|(a, _)| a.send_bytes(b"starts the thread that waits")));
        t.baseline();
        let file = null();
        for ring in [1 << 20, 0] {
            for sent in [0_usize, 1, 16, 17, 64, 253] {
                for said in [0_u16, 1, 16, 17, 64, 253] {
                    let (channel, there) = Channel::pair_with(&ChannelOptions { max_fds: 64, ..options(Spin::Off, ring) }).expect("a pair");
                    assert_eq!(channel.try_recv().expect_err("nothing").kind(), ErrorKind::WouldBlock);
                    let mut evil = Evil::new(there.into_fd().expect("unused")).expect("a raw end");
                    let mut frame = evil.frame(b"body");
                    frame[28..30].copy_from_slice(&said.to_le_bytes());
                    let fds: Vec<RawFd> = vec![file.as_raw_fd(); sent];
                    if ring == 0 {
                        evil.send(&frame, &fds).expect("sent");
                    } else {
                        if sent > 0 {
                            evil.send(b"F", &fds).expect("sent");
                        }
                        evil.put(&frame).expect("written");
                        evil.publish().expect("published");
                    }
                    // More than announced may belong to a frame that is yet to come: the next one says that it does not.
                    let next = evil.frame(b"next");
                    if ring == 0 {
                        let _ = evil.send(&next, &[]);
                    } else {
                        evil.put(&next).expect("written");
                        evil.publish().expect("published");
                    }
                    let right = sent == usize::from(said) && said <= 64;
                    match outcome(t, &channel) {
                        Ok(message) => {
                            let none_taken = ring != 0 && said == 0;
                            assert!(message.fds.len() == usize::from(said) && (right || none_taken), "ring {ring}: {sent} sent, {said} announced");
                        }
                        Err(error) => assert!(!right && matches!(error.kind(), ErrorKind::Protocol | ErrorKind::TooLarge), "{error}"),
                    }
                }
            }
        }
    });
}

#[test]
fn d11_received_descriptors_are_not_passed_on() {
    run("d11_received_descriptors_are_not_passed_on", |t| {
        let marked = t.dir().join("marked");
        File::create(&marked).expect("a file");
        for ring in [1 << 20, 0] {
            let (a, b) = Channel::pair_with(&options(Spin::Off, ring)).expect("a pair");
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let seen = scope.spawn(|| {
                    let mut rounds = 0;
                    while !stop.load(Ordering::Relaxed) || rounds == 0 {
                        // A plain fork and exec, which closes nothing.
                        let output = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().expect("ls");
                        assert!(!String::from_utf8_lossy(&output.stdout).contains("marked"), "a received descriptor was inherited");
                        rounds += 1;
                    }
                });
                for _ in 0..count(2000) {
                    a.send(Message::raw("x").with_fd(File::open(&marked).expect("a file"))).expect("sent");
                    for fd in b.recv().expect("a message").fds {
                        let flags = fcntl(fd.as_fd(), FcntlArg::F_GETFD).expect("flags");
                        assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC) && fd.as_raw_fd() > 2);
                    }
                }
                stop.store(true, Ordering::Relaxed);
                seen.join().expect("the watcher");
            });
        }
    });
}

#[test]
fn d12_unread_descriptors_are_closed_with_the_channel() {
    isolated("d12_unread_descriptors_are_closed_with_the_channel", |t| {
        drop(Channel::pair().and_then(|(a, _)| a.send_bytes(b"starts the thread that waits")));
        t.baseline();
        for ring in [1 << 20, 0] {
            for taken in [0, 1, 3] {
                let (a, b) = Channel::pair_with(&options(Spin::Off, ring)).expect("a pair");
                assert_eq!(b.try_recv().expect_err("nothing").kind(), ErrorKind::WouldBlock);
                let sent = (0..100).take_while(|_| a.try_send(with_fds(4)).is_ok()).count();
                assert!(sent >= 3, "only {sent} messages went");
                for _ in 0..taken {
                    drop(b.recv().expect("a message"));
                }
                // In either order, and with what was received first still here.
                if taken == 1 {
                    drop(a);
                    drop(b);
                } else {
                    drop(b);
                    drop(a);
                }
            }
        }
    });
}

#[test]
fn d13_descriptors_on_the_way_are_bounded() {
    run("d13_descriptors_on_the_way_are_bounded", |_| {
        let (a, b) = Channel::pair().expect("a pair");
        assert_eq!(b.try_recv().expect_err("nothing").kind(), ErrorKind::WouldBlock);
        let sent = (0..100).take_while(|_| a.try_send(with_fds(1)).is_ok()).count();
        assert_eq!(sent, 16, "descriptors on their way");
        let full = a.try_send(with_fds(1)).expect_err("the reader has to read");
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert_eq!(full.into_inner().fds.len(), 1, "the message comes back whole");
        a.try_send(Message::raw("bytes still go")).expect("sent");
        for _ in 0..16 {
            assert_eq!(b.recv().expect("a message").fds.len(), 1);
        }
        a.try_send(with_fds(16)).expect("room again");
        // One message may have more than the bound, when it is alone.
        let (a, b) = Channel::pair().expect("a pair");
        a.send(with_fds(253)).expect("sent");
        assert_eq!(b.recv().expect("a message").fds.len(), 253);
    });
}

#[test]
fn d14_descriptors_are_what_they_are_said_to_be() {
    run("d14_descriptors_are_what_they_are_said_to_be", |t| {
        let (socket, _other) = UnixStream::pair().expect("sockets");
        let listener = UnixListener::bind(t.dir().join("socket")).expect("a listener");
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let memory = procs::SharedMemory::new(4096).expect("memory");
        let stream = std::net::TcpStream::connect(tcp.local_addr().expect("an address")).expect("a connection");
        let file = File::create(t.dir().join("file")).expect("a file");
        let directory = File::open(t.dir()).expect("a directory");
        let device = null();
        let kinds: [(&str, RawFd, HandleKind); 9] = [
            ("a TCP socket", stream.as_raw_fd(), HandleKind::TcpSocket),
            ("a TCP listener", tcp.as_raw_fd(), HandleKind::TcpListener),
            ("a Unix socket", socket.as_raw_fd(), HandleKind::UnixSocket),
            ("a Unix listener", listener.as_raw_fd(), HandleKind::UnixListener),
            ("a UDP socket", udp.as_raw_fd(), HandleKind::UdpSocket),
            ("a file", file.as_raw_fd(), HandleKind::File),
            ("memory", memory.as_fd().as_raw_fd(), HandleKind::Memory),
            ("a directory", directory.as_raw_fd(), HandleKind::Raw),
            ("a device", device.as_raw_fd(), HandleKind::Raw),
        ];
        for (what, fd, is) in kinds {
            for said in HandleKind::ALL {
                // The sender refuses it as its caller's mistake.
                let (a, b) = Channel::pair().expect("a pair");
                let message = Message::raw("x").with_fd(duplicate_fd(fd).expect("a copy")).with_handle(*said);
                let fits = *said == HandleKind::Raw || *said == is;
                match a.send(message) {
                    Ok(()) => {
                        assert!(fits, "{what} was sent as {said:?}");
                        assert_eq!(b.recv().expect("a message").handle.unwrap_or(HandleKind::Raw), *said);
                    }
                    Err(refused) => assert!(!fits && refused.kind() == ErrorKind::InvalidArgument, "{what} as {said:?}: {refused}"),
                }
                // The receiver does not rely on that.
                let (channel, there) = Channel::pair().expect("a pair");
                let mut evil = Evil::new(there.into_fd().expect("unused")).expect("a raw end");
                let mut frame = evil.frame(b"x");
                (frame[27], frame[28]) = (*said as u8, 1);
                evil.send(b"F", &[fd]).expect("sent");
                evil.put(&frame).expect("written");
                evil.publish().expect("published");
                match outcome(t, &channel) {
                    Ok(message) => assert!(fits && message.fds.len() == 1, "{what} was taken as {said:?}"),
                    Err(error) => assert!(!fits && error.kind() == ErrorKind::Protocol, "{what} as {said:?}: {error}"),
                }
            }
        }
    });
}
