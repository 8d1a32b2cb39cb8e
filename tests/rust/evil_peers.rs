//! Peers that break the rules of the native wire, on raw sockets: rows D03, D04, D16, D17 and the list of bad input. Each ends its own
//! channel with an error that names what was wrong; nothing is left.

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use procs::{Channel, ChannelOptions, ErrorKind, JsonLimits, Message};
use procs_tests::{Random, count, run};
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const MAX: u64 = 1 << 20;

fn options() -> ChannelOptions {
    ChannelOptions { ring_bytes: 0, max_message: MAX, max_fds: 16, ..ChannelOptions::default() }
}

/// A channel whose other end is a raw socket, past the hello.
fn against(options: &ChannelOptions) -> (Channel, UnixStream) {
    let (channel, other) = Channel::pair_with(options).expect("a pair");
    let mut socket = UnixStream::from(other.into_fd().expect("an unused end"));
    let mut hello = [0; 80];
    socket.read_exact(&mut hello).expect("a hello");
    assert_eq!(&hello[32..40], b"procs-ch");
    (channel, socket)
}

/// A header by its fields: length, seq, id, kind, codec, flags, handle, fds, buffers.
#[derive(Clone, Copy)]
struct Head(u64, u64, u64, u8, u8, u8, u8, u16, u16);

impl Head {
    fn bytes(self) -> Vec<u8> {
        let Head(length, seq, id, kind, codec, flags, handle, fds, buffers) = self;
        let mut bytes = Vec::new();
        [length, seq, id].iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        bytes.extend_from_slice(&[kind, codec, flags, handle]);
        [fds, buffers].iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        bytes
    }
}

fn send(socket: &UnixStream, bytes: &[u8], fds: &[RawFd]) {
    let rights = [ControlMessage::ScmRights(fds)];
    let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None).expect("sent");
}

/// What the receiver says to these bytes and descriptors, followed by the end.
fn verdict(bytes: &[u8], fds: &[RawFd]) -> Result<Message, procs::Error> {
    let (channel, socket) = against(&options());
    send(&socket, bytes, fds);
    socket.shutdown(std::net::Shutdown::Write).expect("an end");
    let verdict = channel.recv_timeout(Duration::from_secs(20));
    if verdict.is_err() {
        // The channel has ended; this side learns it by its socket.
        let rest = (&socket).read(&mut [0; 16]);
        assert!(matches!(rest, Ok(0)) || rest.is_err(), "the peer is hung up on");
        assert!(channel.recv_timeout(Duration::from_secs(20)).is_err() && channel.send(Message::raw("x")).is_err());
    }
    verdict
}

#[test]
fn d03_malformed_headers() {
    run("d03_malformed_headers", |_| {
        let seq = 1;
        let bad: [(&str, Head); 16] = [
            ("kind", Head(0, seq, 0, 0, 0, 0, 0, 0, 0)),
            ("kind", Head(0, seq, 0, 14, 0, 0, 0, 0, 0)),
            ("seq", Head(0, 0, 0, 2, 0, 0, 0, 0, 0)),
            ("seq", Head(0, 2, 0, 2, 0, 0, 0, 0, 0)),
            ("id", Head(0, seq, 5, 2, 0, 0, 0, 0, 0)),
            ("id", Head(0, seq, 0, 3, 0, 0, 0, 0, 0)),
            ("codec", Head(0, seq, 0, 2, 4, 0, 0, 0, 0)),
            ("flags", Head(0, seq, 0, 2, 0, 128, 0, 0, 0)),
            ("handle", Head(0, seq, 0, 2, 0, 0, 8, 1, 0)),
            ("handle = file", Head(0, seq, 0, 2, 0, 0, 6, 0, 0)),
            ("length", Head(0, seq, 0, 2, 0, 0, 0, 0, 1)),
            ("length", Head(5, seq, 1, 8, 0, 0, 0, 0, 0)),
            ("a frame out of place", Head(0, seq, 0, 1, 0, 0, 0, 0, 0)),
            ("an answer to no call", Head(0, seq, 9, 4, 0, 0, 0, 0, 0)),
            ("an answer to no call", Head(0, seq, 9, 6, 0, 0, 0, 0, 0)),
            ("a malformed error", Head(12, seq, 9, 7, 0, 0, 0, 0, 0)),
        ];
        for (why, head) in bad {
            let payload = if why == "a malformed error" { vec![255; 12] } else { vec![0; 48] };
            let error = verdict(&[head.bytes(), payload].concat(), &[]).expect_err(why);
            assert_eq!(error.kind(), ErrorKind::Protocol, "{why}: {error}");
            let said = if why == "a malformed error" { "malformed error frame" } else { why };
            assert!(error.detail().contains(said) || head.3 == 1, "{why}: {error}");
        }
        // The same call twice.
        let call = |seq| Head(0, seq, 7, 3, 0, 0, 0, 0, 0).bytes();
        let error = verdict(&[call(1), call(2)].concat(), &[]).expect_err("twice");
        assert!(error.detail().contains("a call twice"), "{error}");
    });
}

/// D04: a sender that ends inside a frame: whole messages, then what is missing.
#[test]
fn d04_whole_messages_then_the_truth() {
    run("d04_whole_messages_then_the_truth", |t| {
        let mut random = Random::from_env(t.name());
        for _ in 0..count(500) {
            let (channel, mut socket) = against(&options());
            let whole = random.below(4);
            let size = 1 + random.below(60_000);
            let sent = random.below(32 + size);
            let body = vec![9; size as usize];
            let frame = move |seq: u64| [Head(size, seq, 0, 2, 0, 0, 0, 0, 0).bytes(), body.clone()].concat();
            let writer = std::thread::spawn(move || {
                (0..whole).for_each(|index| socket.write_all(&frame(1 + index)).expect("written"));
                socket.write_all(&frame(1 + whole)[..sent as usize]).expect("written");
            });
            for _ in 0..whole {
                assert_eq!(channel.recv().expect("a whole message").body.len() as u64, size);
            }
            let error = channel.recv().expect_err("the end");
            let want = if sent < 32 { 32 } else { 32 + size };
            match sent {
                0 => assert_eq!(error.kind(), ErrorKind::Closed),
                _ => assert!(error.detail().contains(&format!("got = {sent} bytes, want = {want}")), "{sent} of {want}: {error}"),
            }
            writer.join().expect("the writer");
        }
    });
}

/// D17: only the codecs of the receiver's list come through, and nothing is decoded here. D16: JSON within limits.
#[test]
fn d17_codecs() {
    run("d17_codecs", |_| {
        for allowed in procs::Codec::ALL {
            for sent in procs::Codec::ALL {
                let (channel, socket) = against(&ChannelOptions { codecs: procs::CodecSet::only(*allowed), ..options() });
                send(&socket, &[Head(4, 1, 0, 2, *sent as u8, 0, 0, 0, 0).bytes(), b"\x80\x05.}".to_vec()].concat(), &[]);
                match channel.recv_timeout(Duration::from_secs(20)) {
                    Ok(message) => assert!(allowed == sent && message.body == *b"\x80\x05.}"),
                    Err(error) => assert!(allowed != sent && error.detail().contains("codec refused"), "{error}"),
                }
            }
        }
        let deep = [Head(100_000, 1, 0, 2, 1, 0, 0, 0, 0).bytes(), vec![b'['; 100_000]].concat();
        let message = verdict(&deep, &[]).expect("the wire does not decode");
        assert_eq!(message.to_json_within(&JsonLimits::FOREIGN).expect_err("too deep").kind(), ErrorKind::TooLarge);
        assert!(message.to_json().is_err());
    });
}

/// What is handed over as an end and is none.
#[test]
fn ends_that_are_none() {
    run("ends_that_are_none", |_| {
        let (one, mut other) = UnixStream::pair().expect("a pair");
        other.write_all(&[b'x'; 80]).expect("written");
        assert_eq!(Channel::from_fd(one).and_then(|channel| channel.recv()).expect_err("no hello").kind(), ErrorKind::Protocol);
        let (one, other) = UnixStream::pair().expect("a pair");
        drop(other);
        assert_eq!(Channel::from_fd(one).and_then(|channel| channel.recv()).expect_err("gone").kind(), ErrorKind::Closed);
        let file = std::fs::File::open("/dev/null").expect("a file");
        assert!(Channel::from_fd(file).and_then(|channel| channel.recv()).is_err());
        let (one, mut other) = UnixStream::pair().expect("a pair");
        let mut hello = Head(48, 0, 0, 1, 0, 0, 0, 0, 0).bytes();
        hello.extend_from_slice(b"procs-ch\x02\x00\x07\x00");
        hello.resize(80, 0);
        other.write_all(&hello).expect("written");
        let error = Channel::from_fd(one).and_then(|channel| channel.recv()).expect_err("another version");
        assert!(error.detail().contains("2.7") && error.detail().contains("1.x"), "{error}");
    });
}
