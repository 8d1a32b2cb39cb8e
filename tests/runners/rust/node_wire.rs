//! Node's wire, to a plain Node program or the child of another runner; and from such a parent.

use crate::{Outcome, Row, Scene, put_error, put_status};
use procs::{Channel, ChannelOptions, Child, Codec, Command, Event, Message, Stdio, Wire};
use procs_tests::Facts;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::time::Duration;

pub(crate) const TABLE: &[Row] = &[
    ("node-objects", objects),
    ("node-large", |_, facts| large(facts, &[1, 65_536, 1 << 20, (16 << 20) + 1])),
    ("node-huge", |_, facts| large(facts, &[64 << 20])),
    ("node-handles", handles),
    ("node-handles-in-a-row", handles_in_a_row),
    ("node-refused", refused),
    ("node-child-disconnects", |_, facts| counted(facts, "node-burst")),
    ("node-last-words", |_, facts| counted(facts, "node-last-words")),
    ("node-parent-disconnects", parent_disconnects),
    ("node-child-killed", child_killed),
    ("node-parent-killed", parent_killed),
];

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const TEXTS: [&str; 13] = [
    r#"{"n":1,"t":"ä€😀","l":[1,null,true,-2.5]}"#,
    r#"{"a":{"b":{"c":[{}]}},"":""}"#,
    r#"{"cmd":"NODE_"}"#,
    "[]",
    "{}",
    "\"\"",
    "\"line\\nfeed \u{2028}\"",
    "0",
    "9007199254740991",
    "1.5e+300",
    "false",
    "null",
    r#""\ud800""#,
];

/// The child with Node's channel: a plain script, or what `SCENARIO_PEER` says.
pub(crate) fn talking(part: &str) -> Result<(Child, Channel), Box<dyn std::error::Error>> {
    if std::env::var_os("SCENARIO_PEER").is_some() {
        let wire = ChannelOptions { wire: Wire::Node, ..ChannelOptions::default() };
        return Ok(crate::again(part)?.fork_with(&wire)?);
    }
    let script = std::env::var_os("SCENARIO_PLAIN").ok_or("SCENARIO_PLAIN is not set")?;
    Ok(Command::new(script).args(["--child", part]).fork()?)
}

pub(crate) fn ended(facts: &mut Facts, channel: &Channel) -> Outcome {
    let Some(Event::Closed) = channel.next_event(Some(PATIENCE))? else { return Err("it goes on".into()) };
    facts.text("event", b"closed");
    let Some(Event::Exited(status)) = channel.next_event(Some(PATIENCE))? else { return Err("it runs on".into()) };
    put_status(facts, status);
    Ok(())
}

pub(crate) fn send(channel: &Channel, text: impl Into<String>) -> Outcome {
    Ok(channel.send_timeout(Message::encoded(Codec::Json, text.into()), PATIENCE)?)
}

fn objects(_: &Scene, facts: &mut Facts) -> Outcome {
    let (_child, channel) = talking("node-echo")?;
    for text in TEXTS {
        send(&channel, text)?;
        facts.text("json", &channel.recv_timeout(PATIENCE)?.body);
    }
    send(&channel, "[".repeat(500) + &"]".repeat(500))?;
    facts.bytes("json", &channel.recv_timeout(PATIENCE)?.body);
    channel.close();
    ended(facts, &channel)
}

fn large(facts: &mut Facts, sizes: &[usize]) -> Outcome {
    let (_child, channel) = talking("node-echo")?;
    for size in sizes {
        send(&channel, format!("\"{}\"", "y".repeat(*size)))?;
        facts.bytes("json", &channel.recv_timeout(PATIENCE)?.body);
    }
    channel.close();
    ended(facts, &channel)
}

/// Sends a handle; the one that comes back.
fn there_and_back(channel: &Channel, kind: &str, handle: impl Into<OwnedFd>) -> Result<OwnedFd, Box<dyn std::error::Error>> {
    channel.send_timeout(Message::json(&kind.into())?.with_fd(handle), PATIENCE)?;
    let mut back = channel.recv_timeout(PATIENCE)?;
    if back.to_json()? != json!(kind) || back.handle.is_none_or(|is| is.name() != kind) {
        return Err(format!("sent {kind}, back came {back:?}").into());
    }
    back.fds.pop().ok_or_else(|| "no descriptor".into())
}

pub(crate) fn read_all(mut stream: impl Read) -> Result<Vec<u8>, std::io::Error> {
    let mut got = Vec::new();
    stream.read_to_end(&mut got)?;
    Ok(got)
}

fn handles(scene: &Scene, facts: &mut Facts) -> Outcome {
    let (_child, channel) = talking("node-echo")?;
    let there = |kind, handle: OwnedFd| there_and_back(&channel, kind, handle);

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    TcpStream::from(there("tcp-socket", listener.accept()?.0.into())?).write_all(b"through")?;
    facts.text("tcp-socket", &read_all(client)?);

    let address = listener.local_addr()?;
    let listener = TcpListener::from(there("tcp-listener", listener.into())?);
    let client = TcpStream::connect(address)?;
    listener.set_nonblocking(false)?;
    listener.accept()?.0.write_all(b"accepted")?;
    facts.text("tcp-listener", &read_all(client)?);

    let (mine, theirs) = UnixStream::pair()?;
    UnixStream::from(there("unix-socket", theirs.into())?).write_all(b"through")?;
    facts.text("unix-socket", &read_all(mine)?);

    let path = scene.path("listener");
    let listener = UnixListener::from(there("unix-listener", UnixListener::bind(&path)?.into())?);
    let client = UnixStream::connect(path)?;
    listener.set_nonblocking(false)?;
    listener.accept()?.0.write_all(b"accepted")?;
    facts.text("unix-listener", &read_all(client)?);

    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    let socket = UdpSocket::from(there("udp-socket", socket.into())?);
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"datagram", address)?;
    socket.set_nonblocking(false)?;
    let mut buffer = [0; 100];
    let size = socket.recv(&mut buffer)?;
    facts.text("udp-socket", &buffer[..size]);

    channel.close();
    ended(facts, &channel)
}

fn handles_in_a_row(_: &Scene, facts: &mut Facts) -> Outcome {
    let (_child, channel) = talking("node-echo")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // Open to the end: Node closes a socket whose other end is closed, and then sends it no more.
    let mut clients = Vec::new();
    for index in 0..30 {
        clients.push(TcpStream::connect(listener.local_addr()?)?);
        channel.send_timeout(Message::json(&json!(2 * index))?.with_fd(listener.accept()?.0), PATIENCE)?;
        send(&channel, (2 * index + 1).to_string())?;
    }
    let (mut handed, mut in_order) = (0, true);
    for index in 0..60 {
        let message = channel.recv_timeout(PATIENCE)?;
        handed += message.fds.len();
        in_order &= message.to_json()? == json!(index);
    }
    facts.line(format!("flag handles={handed}"));
    facts.line(format!("flag in_order={in_order}"));
    channel.close();
    ended(facts, &channel)
}

fn refused(_: &Scene, facts: &mut Facts) -> Outcome {
    let (_child, channel) = talking("node-echo")?;
    let pipe = || std::io::pipe().map(|(_, write)| OwnedFd::from(write));
    let socket = || UnixStream::pair().map(|(one, _)| OwnedFd::from(one));
    for message in [
        Message::json(&json!({"cmd": "NODE_HANDLE_ACK"}))?,
        Message::raw(&b"raw"[..]),
        Message::json(&json!(1))?.with_buffer(&b"beside"[..]),
        Message::json(&json!(1))?.with_fd(socket()?).with_fd(socket()?),
        Message::json(&json!(1))?.with_fd(pipe()?),
    ] {
        put_error(facts, channel.send(message).expect_err("refused").error());
    }
    send(&channel, "\"on\"")?;
    facts.text("json", &channel.recv_timeout(PATIENCE)?.body);
    channel.close();
    ended(facts, &channel)
}

fn counted(facts: &mut Facts, part: &str) -> Outcome {
    let (_child, channel) = talking(part)?;
    let (mut count, mut in_order) = (0, true);
    while let Ok(message) = channel.recv_timeout(PATIENCE) {
        in_order &= message.to_json()?["index"] == json!(count);
        count += 1;
    }
    facts.line(format!("flag messages={count}"));
    facts.line(format!("flag in_order={in_order}"));
    ended(facts, &channel)
}

fn parent_disconnects(_: &Scene, facts: &mut Facts) -> Outcome {
    let (_child, channel) = talking("node-count")?;
    channel.recv_timeout(PATIENCE)?;
    for index in 0..100 {
        send(&channel, json!({"index": index}).to_string())?;
    }
    channel.close();
    ended(facts, &channel)
}

fn child_killed(_: &Scene, facts: &mut Facts) -> Outcome {
    let (child, channel) = talking("node-echo")?;
    send(&channel, "\"up\"")?;
    facts.text("json", &channel.recv_timeout(PATIENCE)?.body);
    child.kill()?;
    ended(facts, &channel)
}

fn parent_killed(_: &Scene, facts: &mut Facts) -> Outcome {
    let mut middle = Command::new(std::env::current_exe()?).args(["--child", "node-middle"]).stdout(Stdio::piped()).spawn()?;
    let mut stdout = middle.stdout.take().ok_or("no pipe")?;
    let mut said = vec![0; b"ready\n".len()];
    stdout.read_exact(&mut said)?;
    middle.kill()?;
    stdout.read_to_end(&mut said)?;
    facts.text("stdout", &said);
    put_status(facts, middle.wait()?);
    Ok(())
}

/// What the children do, and with which code they end.
pub(crate) fn part(name: &str) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if name == "node-middle" {
        let (mut child, _channel) = talking("node-orphan")?;
        child.wait()?;
        return Err("the child ended before its parent".into());
    }
    if let Some(code) = crate::node_faults::part(name)? {
        return Ok(code);
    }
    let channel = Channel::from_env()?;
    let code = match name {
        "node-echo" => {
            while let Ok(message) = channel.recv() {
                channel.send(message)?;
            }
            7
        }
        "node-count" => {
            send(&channel, "\"ready\"")?;
            let mut count = 0;
            while channel.recv().is_ok() {
                count += 1;
            }
            count
        }
        "node-burst" => {
            (0..300).try_for_each(|index| send(&channel, json!({"index": index, "text": "x".repeat(10_000)}).to_string()))?;
            5
        }
        "node-last-words" => {
            (0..100).try_for_each(|index| send(&channel, json!({"index": index, "text": "x".repeat(1000)}).to_string()))?;
            6
        }
        "node-orphan" => {
            println!("ready");
            let ended = channel.recv().expect_err("nothing is sent");
            println!("{}", if ended.kind() == procs::ErrorKind::Closed { "gone" } else { ended.detail() });
            0
        }
        other => return Err(format!("no part {other}").into()),
    };
    Ok(ExitCode::from(code))
}
