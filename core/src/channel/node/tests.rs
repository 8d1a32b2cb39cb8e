mod bare;

use super::*;
use crate::channel::{Codec, HandleKind, Message};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::sys::{message, socket};
use serde_json::{Value, json};
use std::future::poll_fn;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

type Test = std::result::Result<(), Box<dyn std::error::Error>>;

const LONG: Duration = Duration::from_secs(60);

fn soon() -> Deadline {
    Deadline::after(LONG)
}

fn pair() -> crate::error::Result<(NodeEndpoint, NodeEndpoint)> {
    let (a, b) = socket::pair().map_err(|error| Error::from_io("test", &error, "pair"))?;
    Ok((NodeEndpoint::new(a, &NodeOptions::default())?, NodeEndpoint::new(b, &NodeOptions::default())?))
}

/// An endpoint and the bare socket of its peer.
fn with_raw(options: &NodeOptions) -> std::result::Result<(NodeEndpoint, UnixStream), Box<dyn std::error::Error>> {
    let (a, b) = socket::pair()?;
    let raw = UnixStream::from(b);
    raw.set_read_timeout(Some(LONG))?;
    raw.set_write_timeout(Some(LONG))?;
    Ok((NodeEndpoint::new(a, options)?, raw))
}

fn send(endpoint: &NodeEndpoint, value: &Value) -> crate::error::Result<()> {
    endpoint.send(Message::json(value)?, soon()).map_err(|refused| refused.error)
}

fn recv(endpoint: &NodeEndpoint) -> crate::error::Result<Value> {
    endpoint.recv(soon())?.to_json()
}

fn kind<T>(result: crate::error::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn read_line(raw: &mut UnixStream, fds: &mut Vec<OwnedFd>) -> std::result::Result<String, Box<dyn std::error::Error>> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        crate::sys::poll::poll(&mut [crate::sys::poll::PollFd::new(raw.as_fd(), crate::sys::poll::Events::Read)], soon())?;
        if message::recv(raw.as_fd(), &mut byte, fds)?.len == 0 {
            return Err(format!("end after {:?}", String::from_utf8_lossy(&line)).into());
        }
        line.push(byte[0]);
    }
    Ok(String::from_utf8(line)?)
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park_timeout(LONG),
        }
    }
}

#[test]
fn objects_go_both_ways_and_the_end_is_seen() -> Test {
    let (a, b) = pair()?;
    for value in [json!({"a": [1, "ü\u{1f600}\n", null]}), json!("text"), json!(7), json!(null), json!(""), json!({})] {
        send(&a, &value)?;
        assert_eq!(recv(&b)?, value);
        send(&b, &value)?;
        assert_eq!(recv(&a)?, value);
    }
    assert_eq!(kind(b.try_recv()), Some(ErrorKind::WouldBlock));
    assert_eq!(kind(b.recv(Deadline::after(Duration::from_millis(20)))), Some(ErrorKind::Timeout));
    send(&a, &json!("last"))?;
    a.disconnect();
    assert!(!a.is_connected());
    assert_eq!(kind(send(&a, &json!(1))), Some(ErrorKind::Closed));
    assert_eq!(recv(&b)?, json!("last"));
    assert_eq!(kind(recv(&b)), Some(ErrorKind::Closed));
    assert_eq!(kind(recv(&b)), Some(ErrorKind::Closed));
    assert_eq!(kind(send(&b, &json!(1))), Some(ErrorKind::Closed));
    assert_eq!(kind(recv(&a)), Some(ErrorKind::Closed));
    Ok(())
}

#[test]
fn handles_arrive_in_order_between_messages() -> Test {
    let (a, b) = pair()?;
    let reader = thread::spawn(move || -> crate::error::Result<Vec<(Value, usize)>> {
        (0..60).map(|_| b.recv(soon()).and_then(|message| Ok((message.to_json()?, message.fds.len())))).collect()
    });
    for round in 0..20 {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        a.send(Message::json(&json!([round, "handle"]))?.with_fd(listener), soon()).map_err(|refused| refused.error)?;
        send(&a, &json!([round, "first"]))?;
        send(&a, &json!([round, "second"]))?;
    }
    a.flush(soon())?;
    let got = reader.join().map_err(|_| "reader")??;
    for (index, (value, fds)) in got.iter().enumerate() {
        let (name, count) = [("handle", 1), ("first", 0), ("second", 0)][index % 3];
        assert_eq!((value, *fds), (&json!([index / 3, name]), count));
    }
    Ok(())
}

/// A sender that turns to other work: the acknowledgement is read, and the handle sent again, without it.
#[test]
fn a_handle_is_sent_again_in_the_background() -> Test {
    let (a, mut raw) = with_raw(&NodeOptions::default())?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    a.send(Message::json(&json!(1))?.with_fd(listener), soon()).map_err(|refused| refused.error)?;
    assert!(TcpStream::connect(address).is_ok(), "the sender's descriptor is open until the acknowledgement");
    for _ in 0..3 {
        let mut fds = Vec::new();
        assert!(read_line(&mut raw, &mut fds)?.starts_with("{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Server\""));
        assert_eq!(fds.len(), 1);
        raw.write_all(b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n")?;
    }
    let refused = a.try_send(Message::json(&json!(2))?).err().map(|refused| refused.error.kind());
    assert_eq!(refused, Some(ErrorKind::WouldBlock));
    let mut fds = Vec::new();
    read_line(&mut raw, &mut fds)?;
    raw.write_all(b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n")?;
    assert_eq!(kind(a.recv(soon())), Some(ErrorKind::Exhausted), "refused four times");
    send(&a, &json!(3))?;
    assert_eq!(read_line(&mut raw, &mut fds)?, "3\n");
    drop(fds);
    assert!(TcpStream::connect(address).is_err(), "given up: the sender's descriptor is closed");
    Ok(())
}

#[test]
fn answers_that_nobody_awaits_and_reserved_messages_are_not_the_users() -> Test {
    let (a, mut raw) = with_raw(&NodeOptions::default())?;
    raw.write_all(b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"cmd\":\"NODE_HANDLE_NACK\"}\n{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\"}\n")?;
    raw.write_all(b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":1}\n{\"cmd\":\"NODE_SOCKET_GET_COUNT\",\"key\":\"k\"}\n\"user\"\n")?;
    assert_eq!(recv(&a)?, json!("user"));
    let mut fds = Vec::new();
    assert_eq!(read_line(&mut raw, &mut fds)?, "{\"cmd\":\"NODE_HANDLE_NACK\"}\n", "a handle without a descriptor");
    assert_eq!(read_line(&mut raw, &mut fds)?, "{\"cmd\":\"NODE_SOCKET_COUNT\",\"key\":\"k\",\"count\":0}\n");
    Ok(())
}

/// D03, D14, D16: what a peer that breaks the protocol gets: earlier messages are received, then one error, then the end; it sees the end, too.
#[test]
fn a_broken_peer_is_cut_off() -> Test {
    let deep = "[".repeat(2000);
    let cases: [(&[u8], ErrorKind); 8] = [
        (b"{nonsense}\n", ErrorKind::Protocol),
        (b"\n", ErrorKind::Protocol),
        (b"\"\xff\"\n", ErrorKind::Protocol),
        (b"1 2\n", ErrorKind::Protocol),
        (deep.as_bytes(), ErrorKind::TooLarge),
        (b"\"0123456789012345678901234567890123456789\"", ErrorKind::TooLarge),
        (b"[[[[[[[[[[[[[[\n", ErrorKind::Protocol),
        (b"{\"cmd\":\"NODE_HANDLE\"", ErrorKind::Protocol),
    ];
    for (bytes, expected) in cases {
        let (a, mut raw) = with_raw(&NodeOptions { max_message: 40, ..NodeOptions::default() })?;
        raw.write_all(b"\"before\"\n")?;
        raw.write_all(bytes)?;
        raw.shutdown(std::net::Shutdown::Write)?;
        assert_eq!(recv(&a)?, json!("before"));
        assert_eq!(kind(recv(&a)), Some(expected), "{:?}", String::from_utf8_lossy(bytes));
        assert_eq!(kind(recv(&a)), Some(ErrorKind::Closed));
        assert!(!a.is_connected());
        let mut rest = Vec::new();
        let _ = raw.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    Ok(())
}

#[test]
fn descriptors_that_are_not_what_is_said() -> Test {
    let send_fd = |raw: &UnixStream, line: &[u8], fd: &OwnedFd| message::send(raw.as_fd(), &[IoSlice::new(line)], &[fd.as_fd()]);
    let server: OwnedFd = TcpListener::bind("127.0.0.1:0")?.into();
    let file: OwnedFd = std::fs::File::open("/proc/self/exe")?.into();
    for (kind_said, fd) in [("net.Socket", &server), ("net.Server", &file), ("dgram.Socket", &server), ("dgram.Native", &file), ("net.Native", &file)]
    {
        let (a, raw) = with_raw(&NodeOptions::default())?;
        send_fd(&raw, format!("{{\"cmd\":\"NODE_HANDLE\",\"type\":\"{kind_said}\",\"msg\":1}}\n").as_bytes(), fd)?;
        assert_eq!(kind(a.recv(soon())), Some(ErrorKind::Protocol), "{kind_said}");
    }
    let (a, mut raw) = with_raw(&NodeOptions::default())?;
    send_fd(&raw, b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Server\",\"msg\":{\"x\":1}}\n", &server)?;
    let message = a.recv(soon())?;
    assert_eq!((message.to_json()?, message.fds.len(), message.handle), (json!({"x": 1}), 1, Some(HandleKind::TcpListener)));
    assert_eq!(read_line(&mut raw, &mut Vec::new())?, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
    // A handle of the cluster module is acknowledged and closed.
    send_fd(&raw, b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"cmd\":\"NODE_CLUSTER\"}}\n2\n", &server)?;
    assert_eq!(recv(&a)?, json!(2));
    assert_eq!(read_line(&mut raw, &mut Vec::new())?, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
    // Descriptors that nobody announces are not collected for ever.
    for _ in 0..40 {
        if send_fd(&raw, b"3\n", &server).is_err() {
            break;
        }
    }
    let error = loop {
        if let Err(error) = a.recv(soon()) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Protocol);
    Ok(())
}

/// D08: both sides send more than any buffer holds before either receives.
#[test]
fn both_send_at_once() -> Test {
    let (a, b) = pair()?;
    let big = Value::String("x".repeat(24 << 20));
    thread::scope(|scope| -> Test {
        let threads: Vec<_> = [&a, &b]
            .into_iter()
            .map(|end| {
                let big = &big;
                scope.spawn(move || -> crate::error::Result<bool> {
                    send(end, big)?;
                    send(end, big)?;
                    Ok(recv(end)? == *big && recv(end)? == *big)
                })
            })
            .collect();
        for thread in threads {
            assert!(thread.join().map_err(|_| "thread")??);
        }
        Ok(())
    })
}

/// D07: a reader that stops: what is not in the socket is bounded, and the rest is written in the background once it reads again.
#[test]
fn try_send_is_bounded_and_flushed_in_the_background() -> Test {
    let (a, b) = pair()?;
    let text = json!("y".repeat(100_000));
    let mut accepted = 0;
    let refused = loop {
        match a.try_send(Message::json(&text)?) {
            Ok(()) => accepted += 1,
            Err(refused) => break refused,
        }
        assert!(accepted < 100);
    };
    assert_eq!(refused.error.kind(), ErrorKind::WouldBlock);
    assert_eq!(refused.message.to_json()?, text, "given back");
    assert!(a.queued_bytes() < (1 << 20) + 100_100 && a.queued_bytes() > 0);
    for _ in 0..accepted {
        assert_eq!(recv(&b)?, text);
    }
    a.flush(soon())?;
    assert_eq!(a.queued_bytes(), 0);
    // Dropped with unwritten output: the reader still gets all of it, then the end.
    for _ in 0..5 {
        a.try_send(Message::json(&text)?).map_err(|refused| refused.error)?;
    }
    drop(a);
    for _ in 0..5 {
        assert_eq!(recv(&b)?, text);
    }
    assert_eq!(kind(recv(&b)), Some(ErrorKind::Closed));
    Ok(())
}

#[test]
fn many_threads_send_and_receive() -> Test {
    let (a, b) = pair()?;
    let total = thread::scope(|scope| {
        let (a, b) = (&a, &b);
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(move || {
                    let mut count = 0;
                    while recv(b).is_ok_and(|value| value != json!("stop")) {
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let senders: Vec<_> =
            (0..4).map(|sender| scope.spawn(move || (0..500).filter(|number| send(a, &json!([sender, number])).is_ok()).count())).collect();
        // Sends and thereby also reads beside the receivers.
        let other = scope.spawn(move || (0..200).filter(|_| send(b, &json!(1)).is_ok()).count());
        for _ in 0..200 {
            assert!(recv(a).is_ok());
        }
        let sent: usize = senders.into_iter().map(|sender| sender.join().unwrap_or(0)).sum();
        assert_eq!((sent, other.join().unwrap_or(0)), (2000, 200));
        for _ in &receivers {
            assert!(send(a, &json!("stop")).is_ok());
        }
        receivers.into_iter().map(|receiver| receiver.join().unwrap_or(0)).sum::<i32>()
    });
    assert_eq!(total, 2000);
    Ok(())
}

#[test]
fn wakers_and_the_pollable_descriptor() -> Test {
    let (a, b) = pair()?;
    let echo = thread::spawn(move || -> crate::error::Result<()> {
        loop {
            let message = match block_on(poll_fn(|context| b.poll_recv(context))) {
                Err(error) if error.kind() == ErrorKind::Closed => return Ok(()),
                result => result?,
            };
            let mut message = Some(message);
            block_on(poll_fn(|context| b.poll_send(context, &mut message))).map_err(|refused| refused.error)?;
        }
    });
    let fd = a.as_fd()?;
    for round in 0..300 {
        let size = if round % 50 == 0 { 3 << 20 } else { round };
        let value = json!("z".repeat(size));
        send(&a, &value)?;
        let message = loop {
            match a.try_recv() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => break result?,
            }
            let count = crate::sys::poll::poll(&mut [crate::sys::poll::PollFd::new(fd, crate::sys::poll::Events::Read)], soon())?;
            assert_eq!(count, 1);
        };
        assert_eq!(message.to_json()?, value);
    }
    a.disconnect();
    echo.join().map_err(|_| "echo")??;
    Ok(())
}

/// V8's bytes pass untouched; descriptors come with whatever was being read.
#[test]
fn frames_by_the_user() -> Test {
    {
        let options = NodeOptions { framing: Framing::Advanced, handles: Handles::ByUser, ..NodeOptions::default() };
        let (b, theirs) = NodeLink::pair(Codec::V8)?;
        let a = NodeEndpoint::new(theirs, &options)?;
        let codec = Codec::V8;
        let mut frame = Vec::new();
        for size in [0, 1, 5000, 1 << 20] {
            let body = vec![0xee; size];
            thread::scope(|scope| -> Test {
                scope.spawn(|| a.send(Message::encoded(codec, body.clone()), soon()).map_err(|refused| refused.error));
                while !b.take_frames(&mut frame)?.is_some_and(|found| found.one) {}
                assert_eq!(frame[4..], body);
                Ok(())
            })?;
        }
        let listener = TcpListener::bind("127.0.0.1:0")?;
        a.send(Message::encoded(codec, "{\"cmd\":\"NODE_x\"}").with_fd(listener), soon()).map_err(|refused| refused.error)?;
        assert_eq!(b.take_frames(&mut frame)?.map(|found| found.fds.len()), Some(1));
        assert_eq!(a.try_send(Message::encoded(Codec::Json, "1")).err().map(|refused| refused.error.kind()), Some(ErrorKind::InvalidArgument));
    }
    Ok(())
}

/// Also when the endpoint is dropped before, and the peer goes without having read.
#[test]
fn whoever_waits_for_written_output_is_told_of_the_end() -> Test {
    for drops_first in [true, false] {
        let (a, raw) = with_raw(&NodeOptions::default())?;
        while a.queued_bytes() == 0 {
            a.try_send(Message::json(&json!("x".repeat(100_000)))?).map_err(|refused| refused.error)?;
        }
        let told = Arc::new(Told::default());
        assert!(!a.poll_written(&Waker::from(Arc::clone(&told))));
        if drops_first {
            drop(a);
            drop(raw);
        } else {
            drop(raw);
            drop(a);
        }
        told.wait()?;
    }
    Ok(())
}

/// Notes that it was woken.
#[derive(Default)]
struct Told(std::sync::Mutex<bool>, std::sync::Condvar);

impl Told {
    fn wait(&self) -> Test {
        let told = self.0.lock().map_err(|_| "poisoned")?;
        let (_told, limit) = self.1.wait_timeout_while(told, LONG, |told| !*told).map_err(|_| "poisoned")?;
        if limit.timed_out() { Err("never told".into()) } else { Ok(()) }
    }
}

impl Wake for Told {
    fn wake(self: Arc<Told>) {
        if let Ok(mut told) = self.0.lock() {
            *told = true;
        }
        self.1.notify_all();
    }
}
