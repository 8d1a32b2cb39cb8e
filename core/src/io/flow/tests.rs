use super::*;
use std::io::{Read, Write};
use std::thread;

/// Byte number `at` of the test's stream.
fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

/// A thread that writes so many bytes of the stream in such blocks.
fn writer(mut to: impl Write + Send + 'static, len: usize, block: usize) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let bytes: Vec<u8> = (0..len).map(byte).collect();
        bytes.chunks(block).for_each(|part| to.write_all(part).expect("a reader"));
    })
}

fn check(block: &[u8], at: usize) {
    assert!(block.iter().enumerate().all(|(offset, found)| *found == byte(at + offset)), "wrong bytes after {at}");
}

/// Reads a stream to its end and gives its length and whether the relay was ever open.
fn drain(flow: &mut Flow, fd: BorrowedFd<'_>, room: usize) -> (usize, bool) {
    let (mut block, mut at, mut opened) = (vec![0; room], 0, false);
    loop {
        let count = flow.read(fd, &mut block).expect("bytes");
        check(&block[..count], at);
        at += count;
        opened |= matches!(flow.relay, Relay::Open { .. });
        if count == 0 {
            return (at, opened);
        }
    }
}

#[test]
fn large_streams_go_through_the_relay_unchanged() {
    for (len, block, room) in [(8 << 20, 64 << 10, CHUNK), (8 << 20, 1 << 20, 100_000), (5 << 20, 60_001, CHUNK), (6 << 20, 64 << 10, 1 << 20)] {
        let (read, write) = fd::pipe().expect("pipe");
        let thread = writer(std::fs::File::from(write), len, block);
        let mut flow = Flow::default();
        assert_eq!(drain(&mut flow, read.as_fd(), room), (len, true));
        assert!(matches!(flow.relay, Relay::Never), "the relay is closed at the end");
        thread.join().expect("the writer");
    }
}

#[test]
fn small_streams_have_no_relay() {
    let (read, write) = fd::pipe().expect("pipe");
    let thread = writer(std::fs::File::from(write), RELAY_FROM, 64 << 10);
    assert_eq!(drain(&mut Flow::default(), read.as_fd(), CHUNK), (RELAY_FROM, false));
    thread.join().expect("the writer");
}

#[test]
fn what_is_no_pipe_is_read_plainly() {
    let (mut read, write) = std::os::unix::net::UnixStream::pair().expect("sockets");
    let thread = writer(write, 4 << 20, 64 << 10);
    let mut flow = Flow::default();
    let (len, _) = drain(&mut flow, read.as_fd(), CHUNK);
    assert_eq!((len, read.read(&mut [0]).expect("the end")), (4 << 20, 0));
    thread.join().expect("the writer");
}

#[test]
fn a_reader_without_room_for_everything_finds_the_rest() {
    let (read, write) = fd::pipe().expect("pipe");
    let thread = writer(std::fs::File::from(write), 3 << 20, 64 << 10);
    let (mut flow, mut at, mut kept, mut block) = (Flow::default(), 0, false, vec![0; CHUNK]);
    loop {
        let (source, max) = flow.source(read.as_fd(), CHUNK).expect("bytes");
        let room = max.min(10_000);
        let count = fd::read(source, &mut block[..room]).expect("bytes");
        check(&block[..count], at);
        at += count;
        flow.took(count);
        kept |= flow.holds();
        // A plain read never took so much: the stream is large by its length alone.
        flow.bulk |= at >= RELAY_FROM && count > 0;
        if count == 0 {
            break;
        }
    }
    assert_eq!((at, kept), (3 << 20, true));
    thread.join().expect("the writer");
}

#[test]
fn packets_are_not_lost() {
    let (read, write) = fd::pipe().expect("pipe");
    fd::set_packets(write.as_fd()).expect("packets");
    let thread = writer(std::fs::File::from(write), 4 << 20, 4096);
    let mut flow = Flow { total: RELAY_FROM, bulk: true, ..Flow::default() };
    assert_eq!(drain(&mut flow, read.as_fd(), CHUNK), (4 << 20, true));
    thread.join().expect("the writer");
}

#[test]
fn an_empty_pipe_that_does_not_block_says_so() {
    let (read, write) = fd::pipe().expect("pipe");
    fd::set_nonblocking(read.as_fd(), true).expect("flags");
    let mut flow = Flow { total: RELAY_FROM, bulk: true, ..Flow::default() };
    let error = flow.read(read.as_fd(), &mut [0; 10]).expect_err("nothing there");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(matches!(flow.relay, Relay::Open { .. }), "it was asked through the relay");
    fd::write(write.as_fd(), b"hello").expect("room");
    let mut block = [0; 10];
    assert_eq!(flow.read(read.as_fd(), &mut block).expect("bytes"), 5);
    assert_eq!(&block[..5], b"hello");
    assert!(!flow.holds());
}

#[test]
fn filling_takes_what_is_there_and_leaves_the_rest_to_the_next_read() {
    let (read, write) = fd::pipe().expect("pipe");
    let mut flow = Flow::default();
    let mut block = vec![0; LARGE_PIPE];
    std::fs::File::from(write.try_clone().expect("a copy")).write_all(&(0..5000).map(byte).collect::<Vec<_>>()).expect("room");
    assert_eq!(flow.fill(read.as_fd(), &mut block), 0, "it would have to wait for more");
    fd::set_nonblocking(read.as_fd(), true).expect("a pipe");
    assert_eq!(flow.fill(read.as_fd(), &mut block[..3000]), 3000);
    assert_eq!(flow.fill(read.as_fd(), &mut block[3000..]), 2000);
    check(&block[..5000], 0);
    assert_eq!(flow.fill(read.as_fd(), &mut block), 0, "nothing is there");

    let (len, mut at, mut opened) = (9 << 20, 0, false);
    let thread = writer(std::fs::File::from(write), len, 64 << 10);
    while at < len {
        let count = flow.fill(read.as_fd(), &mut block);
        check(&block[..count], at);
        at += count;
        opened |= matches!(flow.relay, Relay::Open { .. });
        assert!(!flow.holds(), "whatever was moved was read");
        if count == 0 {
            thread::yield_now();
        }
    }
    thread.join().expect("the writer");
    assert!(opened);
    assert_eq!(flow.fill(read.as_fd(), &mut block), 0, "the end");
    assert_eq!(flow.read(read.as_fd(), &mut block).expect("the end"), 0, "the end is told to whoever reads");
}
