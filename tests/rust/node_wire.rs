//! Node's wire against real Node programs: plain children of ours (`node_wire/child.cjs`), and our child of a plain parent
//! (`node_wire/parent.cjs`). Skipped only where there is no Node.

use procs::{Channel, ChannelOptions, Child, Command, ErrorKind, Event, ExitStatus, HandleKind, Message, Stdio, Wire};
use procs_tests::{Isolation, Random, Test, count, isolated_in, run};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rust/node_wire/child.cjs");

/// Whether Node is here; says so where it is not.
fn node_is_here() -> bool {
    let found = Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("SKIPPED: there is no node in PATH");
    }
    found
}

fn test(name: &str, body: impl FnOnce(&Test)) {
    if node_is_here() {
        run(name, body);
    }
}

fn fork(args: &[&str]) -> (Child, Channel) {
    Command::new(SCRIPT).args(args).fork().expect("a Node child with a channel")
}

fn send(channel: &Channel, value: &Value) {
    channel.send_timeout(Message::json(value).expect("JSON"), PATIENCE).expect("sent");
}

fn send_fd(channel: &Channel, value: &Value, fd: impl Into<OwnedFd>) {
    channel.send_timeout(Message::json(value).expect("JSON").with_fd(fd), PATIENCE).expect("sent");
}

fn recv(channel: &Channel) -> Value {
    channel.recv_timeout(PATIENCE).expect("a message").to_json().expect("JSON")
}

/// Sees the channel end and the child exit, in this order.
fn ends(channel: &Channel, status: ExitStatus) {
    assert!(matches!(channel.next_event(Some(PATIENCE)), Ok(Some(Event::Closed))));
    assert!(matches!(channel.next_event(Some(PATIENCE)), Ok(Some(Event::Exited(found))) if found == status), "expected {status:?}");
}

fn read_all(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

fn http_get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("written");
    read_all(stream)
}

#[test]
fn objects_of_every_kind() {
    test("objects_of_every_kind", |_| {
        let (_child, channel) = fork(&["describe"]);
        let cases = [
            (json!({"a": [1, 2.5, null, true], "ü": "\u{1f600}\n\"\\"}), "object"),
            (json!("text \u{2028}"), "string"),
            (json!(42), "number"),
            (json!(false), "boolean"),
            (json!(null), "null"),
            (json!([]), "object"),
            (json!({"cmd": "NODE_"}), "object"),
        ];
        for (value, kind) in cases {
            send(&channel, &value);
            let answer = recv(&channel);
            assert_eq!((&answer["type"], &answer["kind"]), (&json!(kind), &json!(null)), "{value}");
            let text = answer["text"].as_str().expect("text");
            assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), value);
        }
        // Written over several lines: still one message.
        channel.send(Message::encoded(procs::Codec::Json, "{\n  \"a\":\r\n [1,\n2]\n}\n")).expect("sent");
        assert_eq!(recv(&channel)["text"], r#"{"a":[1,2]}"#);
        channel.close();
        ends(&channel, ExitStatus::Exited(0));
    });
}

#[test]
fn messages_of_many_mebibytes() {
    test("messages_of_many_mebibytes", |_| {
        let (_child, channel) = fork(&["echo"]);
        for size in [1 << 10, 1 << 16, 1 << 20, count(64) << 20, 16 << 20] {
            let value = Value::String("é".repeat(size / 2));
            send(&channel, &value);
            assert!(recv(&channel) == value, "{size} bytes");
        }
        channel.close();
        ends(&channel, ExitStatus::Exited(0));
    });
}

#[test]
fn many_messages_stay_in_order() {
    test("many_messages_stay_in_order", |_| {
        let (_child, channel) = fork(&["echo"]);
        let total = count(20_000);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..total).for_each(|index| send(&channel, &json!([index, "x".repeat(index % 300)]))));
            (0..total).for_each(|index| assert_eq!(recv(&channel)[0], index));
        });
        channel.close();
        ends(&channel, ExitStatus::Exited(0));
    });
}

#[test]
fn a_connection_is_answered_by_the_child() {
    test("a_connection_is_answered_by_the_child", |_| {
        let (_child, channel) = fork(&["answer"]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        for round in 0..5 {
            let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
            let (connection, _) = listener.accept().expect("accepted");
            send_fd(&channel, &json!({"hello": round}), connection);
            client.write_all(b"to the child").expect("written");
            client.shutdown(Shutdown::Write).expect("shut");
            assert_eq!(read_all(client), format!("{round} to the child"));
            assert_eq!(recv(&channel), json!({"got": "to the child"}));
        }
        channel.close();
        ends(&channel, ExitStatus::Exited(0));
    });
}

#[test]
fn a_listener_is_served_over_http_by_two_children() {
    test("a_listener_is_served_over_http_by_two_children", |_| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let children = [fork(&["serve"]), fork(&["serve"])];
        for (child, channel) in &children {
            send_fd(channel, &json!({"name": "web"}), listener.try_clone().expect("a copy"));
            assert_eq!(recv(channel), json!({"listening": child.id()}));
        }
        drop(listener);
        for round in 0..20 {
            let answer = http_get(address, &format!("/{round}"));
            assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains(&format!("web /{round} ")), "{answer}");
        }
        for (mut child, _channel) in children {
            child.kill().expect("a signal");
            child.wait().expect("an end");
        }
        assert!(TcpStream::connect(address).is_err(), "nobody else holds the listener");
    });
}

#[test]
fn a_datagram_socket_is_used_by_the_child() {
    test("a_datagram_socket_is_used_by_the_child", |_| {
        let (child, channel) = fork(&["datagram"]);
        for bind in ["127.0.0.1:0", "127.0.0.1:0"] {
            let mine = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            mine.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let theirs = UdpSocket::bind(bind).expect("a socket");
            let from = theirs.local_addr().expect("an address");
            send_fd(&channel, &json!({"port": mine.local_addr().expect("an address").port()}), theirs);
            assert_eq!(recv(&channel), json!("sent"));
            let mut buffer = [0; 100];
            let (size, sender) = mine.recv_from(&mut buffer).expect("a datagram");
            assert_eq!((&buffer[..size], sender), (format!("from {}", child.id()).as_bytes(), from));
        }
        channel.close();
        ends(&channel, ExitStatus::Exited(0));
    });
}

#[test]
fn handles_come_back() {
    test("handles_come_back", |_| {
        let (_child, channel) = fork(&["echo"]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).expect("a connection");
        let (connection, _) = listener.accept().expect("accepted");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let udp_address = udp.local_addr().expect("an address");
        send_fd(&channel, &json!("connection"), connection);
        send_fd(&channel, &json!("listener"), listener);
        send_fd(&channel, &json!("udp"), udp);
        send(&channel, &json!("last"));
        let mut back = Vec::new();
        for (name, kind) in [("connection", HandleKind::TcpSocket), ("listener", HandleKind::TcpListener), ("udp", HandleKind::UdpSocket)] {
            let mut message = channel.recv_timeout(PATIENCE).expect("a message");
            assert_eq!((message.to_json().expect("JSON"), message.handle, message.fds.len()), (json!(name), Some(kind), 1));
            back.push(message.fds.remove(0));
        }
        assert_eq!(recv(&channel), json!("last"));
        let udp = UdpSocket::from(back.remove(2));
        assert_eq!(udp.local_addr().expect("an address"), udp_address);
        let listener = TcpListener::from(back.remove(1));
        assert_eq!(listener.local_addr().expect("an address"), address);
        let mut connection = TcpStream::from(back.remove(0));
        connection.set_nonblocking(false).expect("blocking");
        connection.write_all(b"through two processes").expect("written");
        drop(connection);
        channel.close();
        ends(&channel, ExitStatus::Exited(0));
        assert_eq!(read_all(client), "through two processes");
    });
}

#[test]
fn handles_of_the_childs_own() {
    test("handles_of_the_childs_own", |_| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let (_child, channel) = fork(&["handles", &listener.local_addr().expect("an address").port().to_string()]);
        let mut mine = listener.accept().expect("accepted").0;
        let first = channel.recv_timeout(PATIENCE).expect("a message");
        assert_eq!((first.to_json().expect("JSON"), first.handle), (json!("client"), Some(HandleKind::TcpSocket)));
        let mut second = channel.recv_timeout(PATIENCE).expect("a message");
        assert_eq!(second.handle, Some(HandleKind::TcpListener));
        let served = TcpListener::from(second.fds.remove(0));
        assert_eq!(second.to_json().expect("JSON"), json!({"port": served.local_addr().expect("an address").port()}));
        mine.write_all(b"x").expect("the connection is open here");
        ends(&channel, ExitStatus::Exited(0));
        assert!(TcpStream::connect(served.local_addr().expect("an address")).is_ok(), "open although its maker is gone");
    });
}

#[test]
fn disconnected_by_either_side() {
    test("disconnected_by_either_side", |_| {
        for (messages, size) in [(1, 0), (1000, 10), (300, 10_000)] {
            let (_child, channel) = fork(&["burst", &messages.to_string(), &size.to_string()]);
            for index in 1..=messages {
                let message = recv(&channel);
                assert_eq!((&message["index"], message["text"].as_str().map(str::len)), (&json!(index), Some(size)));
            }
            ends(&channel, ExitStatus::Exited(5));
            let refused = channel.send(Message::json(&json!(1)).expect("JSON")).expect_err("closed");
            assert_eq!(refused.kind(), ErrorKind::Closed);
        }
        let (_child, channel) = fork(&["until-disconnect"]);
        assert_eq!(recv(&channel), json!("ready"));
        channel.close();
        ends(&channel, ExitStatus::Exited(7));
    });
}

/// D04: killed inside a message: never a part of it.
#[test]
fn killed_inside_a_message() {
    test("killed_inside_a_message", |_| {
        let wire = ChannelOptions { wire: Wire::Node, ..ChannelOptions::default() };
        let mut command = Command::new("sh");
        command.args(["-c", "printf '1\\n{\"a\":' >&3; kill -9 $$"]);
        let (_child, channel) = command.fork_with(&wire).expect("a child");
        assert_eq!(recv(&channel), json!(1));
        assert_eq!(channel.recv_timeout(PATIENCE).expect_err("cut off").kind(), ErrorKind::Protocol);
        ends(&channel, ExitStatus::Signaled { signal: libc::SIGKILL, core_dumped: false });
        // Node itself, at some moment of a long message: whole or not at all.
        let mut random = Random::from_env("killed_inside_a_message");
        for _ in 0..count(100) {
            let (child, channel) = fork(&["big", &(8 << 20).to_string()]);
            std::thread::scope(|scope| {
                let (killer, pause) = (child.handle().clone(), Duration::from_millis(random.below(60)));
                let channel = &channel;
                scope.spawn(move || {
                    let _ = Channel::wait_any(&[channel], Some(pause));
                    killer.kill().expect("a signal");
                });
            });
            match channel.recv_timeout(PATIENCE) {
                Ok(message) => assert_eq!(message.body.len(), (8 << 20) + 2),
                Err(error) => assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Closed), "{error}"),
            }
            ends(&channel, ExitStatus::Signaled { signal: libc::SIGKILL, core_dumped: false });
        }
    });
}

#[test]
fn what_node_keeps_for_itself_is_refused() {
    test("what_node_keeps_for_itself_is_refused", |_| {
        let (_child, channel) = fork(&["echo"]);
        for body in [r#"{"cmd":"NODE_HANDLE_ACK"}"#, r#"{"cmd":"\u004eODE_HANDLE_ACK"}"#, r#"{"cmd":"NODE_X","a":1}"#] {
            let refused = channel.send(Message::encoded(procs::Codec::Json, body)).expect_err("reserved");
            assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
            assert_eq!(*refused.into_inner().body, *body.as_bytes());
        }
        assert_eq!(channel.send_bytes(b"raw").expect_err("no JSON").kind(), ErrorKind::InvalidArgument);
        // The channel goes on.
        send(&channel, &json!("on"));
        assert_eq!(recv(&channel), json!("on"));
        channel.close();
        ends(&channel, ExitStatus::Exited(0));
    });
}

#[test]
fn nothing_is_left() {
    if !node_is_here() {
        return;
    }
    isolated_in("nothing_is_left", &Isolation::new().watchdog(120), |t| {
        let round = || {
            let (_child, channel) = fork(&["echo"]);
            for _ in 0..20 {
                send_fd(&channel, &json!("listener"), TcpListener::bind("127.0.0.1:0").expect("a listener"));
                assert_eq!(channel.recv_timeout(PATIENCE).expect("a message").fds.len(), 1);
            }
            channel.close();
            ends(&channel, ExitStatus::Exited(0));
        };
        round();
        t.wait_until("nothing of the first round is left but permanent threads", || t.leaks().iter().all(|leak| leak.contains("thread")));
        t.baseline();
        for _ in 0..count(20) {
            round();
        }
    });
}

#[test]
fn options_of_the_channel() {
    test("options_of_the_channel", |_| {
        let small = ChannelOptions { max_message: 1000, ..ChannelOptions::default() };
        let (_child, channel) = Command::new(SCRIPT).arg("big").arg("2000").fork_with(&small).expect("a child");
        assert_eq!(channel.recv_timeout(PATIENCE).expect_err("too long").kind(), ErrorKind::TooLarge);
        let refused = channel.send(Message::json(&json!(1)).expect("JSON")).expect_err("ended");
        assert_eq!(refused.kind(), ErrorKind::Closed);
        // Said rather than found out: any program can be told to speak it.
        let wire = ChannelOptions { wire: Wire::Node, ..ChannelOptions::default() };
        let mut command = Command::new("sh");
        command.args(["-c", "echo '{\"fd\":\"'$NODE_CHANNEL_FD $NODE_CHANNEL_SERIALIZATION_MODE'\"}' >&$NODE_CHANNEL_FD"]);
        let (_child, channel) = command.fork_with(&wire).expect("a child");
        assert_eq!(recv(&channel), json!({"fd": "3 json"}));
        ends(&channel, ExitStatus::Exited(0));
        let bytes = ChannelOptions { codecs: procs::CodecSet::only(procs::Codec::Raw), ..wire };
        assert_eq!(command.fork_with(&bytes).map(drop).expect_err("no JSON").kind(), ErrorKind::InvalidArgument);
    });
}

/// The package in a Node child: its channel to the parent is Node's here, and the native one where that was asked for.
#[test]
fn a_child_that_asks_the_package_for_its_channel() {
    test("a_child_that_asks_the_package_for_its_channel", |_| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("rust/node_wire/parent-channel.cjs");
        for wire in [Wire::Auto, Wire::Native] {
            let (mut child, channel) = Command::new(&script).fork_with(&ChannelOptions { wire, ..ChannelOptions::default() }).expect("a child");
            for value in [json!({"a": ["ü", null]}), json!("x".repeat(1 << 20))] {
                send(&channel, &value);
                assert_eq!(recv(&channel), json!({"value": value}));
            }
            if wire == Wire::Auto {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
                let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
                send_fd(&channel, &json!(1), listener.accept().expect("accepted").0);
                assert_eq!(recv(&channel), json!({"value": 1, "handle": "Socket"}));
                assert_eq!(read_all(client), "through the channel");
            }
            channel.close();
            assert_eq!(child.wait_timeout(PATIENCE).expect("a wait"), Some(ExitStatus::Exited(7)), "{wire:?}");
        }
    });
}

/// What `process.send` takes besides its own classes: the runtime's bare handles, and a socket that is a pipe.
#[test]
fn bare_handles_and_pipes_of_the_child() {
    test("bare_handles_and_pipes_of_the_child", |_| {
        let (_child, channel) = Command::new(SCRIPT).arg("bare").stdin(Stdio::piped()).fork().expect("a Node child with a channel");
        let kinds = [
            ("tcp", HandleKind::TcpSocket),
            ("listener", HandleKind::TcpListener),
            ("udp", HandleKind::UdpSocket),
            ("unix", HandleKind::UnixListener),
            ("pipe", HandleKind::Raw),
        ];
        for (name, kind) in kinds {
            let came = channel.recv_timeout(PATIENCE).expect("a message");
            assert_eq!((came.to_json().expect("JSON"), came.handle, came.fds.len()), (json!(name), Some(kind), 1));
        }
        ends(&channel, ExitStatus::Exited(0));
    });
}

/// A plain Node parent and our child.
fn under_node(act: &str) {
    test(act, |_| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("rust/node_wire/parent.cjs");
        let mut command = Command::new("node");
        command.arg(script).arg(env!("CARGO_BIN_EXE_procs-peer")).arg(act).timeout(PATIENCE);
        let output = command.output().expect("a run");
        let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.ends_with("all as expected\n"), "{act}: {said}{failed}");
    });
}

#[test]
fn child_of_node_objects() {
    under_node("objects");
}

#[test]
fn child_of_node_sockets() {
    under_node("sockets");
}

#[test]
fn child_of_node_servers() {
    under_node("servers");
}

#[test]
fn child_of_node_ends() {
    under_node("child-ends");
}

#[test]
fn child_of_node_is_killed() {
    under_node("killed");
}

#[test]
fn child_of_node_refuses_advanced() {
    under_node("advanced");
}
