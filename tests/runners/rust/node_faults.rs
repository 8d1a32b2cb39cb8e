//! Node's wire where something goes wrong: handles that are held, lost or never acknowledged, ends in the middle of a stream, kills at any moment.

use crate::node_wire::{PATIENCE, ended, read_all, send, talking};
use crate::{Outcome, Row, Scene};
use procs::{Channel, ChannelOptions, Command, ErrorKind, Event, ExitStatus, Message, Stdio};
use procs_tests::Facts;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub(crate) const TABLE: &[Row] = &[
    ("node-handles-of-child", own_handles),
    ("node-handle-killed", killed_with_handle),
    ("node-handle-kept", kept_open),
    ("node-handle-unanswered", not_acknowledged),
    ("node-handle-lost", lost),
    ("node-child-leaves", child_leaves),
    ("node-killed-at-random", killed_at_random),
    ("node-parent-killed-at-random", parent_killed_at_random),
    ("node-advanced", advanced),
];

fn number(variable: &str) -> Result<u64, Box<dyn std::error::Error>> {
    Ok(std::env::var(variable)?.parse()?)
}

/// Numbers below a limit, the same ones in every language.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = (self.0 * 75 + 74) % 65_537;
        self.0 % most
    }
}

/// Whether the middle one is within what the driver allows.
fn noticed(mut late: Vec<Duration>) -> Result<bool, Box<dyn std::error::Error>> {
    late.sort();
    Ok(late[late.len() / 2].as_millis() < u128::from(number("SCENARIO_NOTICE_MS")?))
}

/// Both ends of a connection.
fn connection() -> Result<(TcpStream, TcpStream), std::io::Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    client.set_read_timeout(Some(PATIENCE))?;
    Ok((client, listener.accept()?.0))
}

fn send_handle(channel: &Channel, value: Value, handle: TcpStream) -> Outcome {
    Ok(channel.send_timeout(Message::json(&value)?.with_fd(handle), PATIENCE)?)
}

fn own_handles(_: &Scene, facts: &mut Facts) -> Outcome {
    let (_child, channel) = talking("node-own-handles")?;
    let mut came = channel.recv_timeout(PATIENCE)?;
    let listener = TcpListener::from(came.fds.pop().ok_or("no listener")?);
    let client = TcpStream::connect(("127.0.0.1", came.to_json()?["port"].as_u64().ok_or("no port")? as u16))?;
    listener.set_nonblocking(false)?;
    listener.accept()?.0.write_all(b"accepted")?;
    facts.text("tcp-listener", &read_all(client)?);

    let mut came = channel.recv_timeout(PATIENCE)?;
    let udp = UdpSocket::from(came.fds.pop().ok_or("no socket")?);
    let port = came.to_json()?["port"].as_u64().ok_or("no port")? as u16;
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"datagram", ("127.0.0.1", port))?;
    udp.set_nonblocking(false)?;
    let mut buffer = [0; 100];
    let size = udp.recv(&mut buffer)?;
    facts.text("udp-socket", &buffer[..size]);

    let listener = TcpListener::bind("127.0.0.1:0")?;
    send(&channel, json!({"port": listener.local_addr()?.port()}).to_string())?;
    let stream = listener.accept()?.0;
    let mut came = channel.recv_timeout(PATIENCE)?;
    TcpStream::from(came.fds.pop().ok_or("no connection")?).write_all(b"through")?;
    facts.text("tcp-socket", &read_all(stream)?);
    channel.close();
    ended(facts, &channel)
}

fn killed_with_handle(_: &Scene, facts: &mut Facts) -> Outcome {
    let (child, channel) = talking("node-holds")?;
    let (client, mine) = connection()?;
    send_handle(&channel, json!(1), mine)?;
    channel.recv_timeout(PATIENCE)?;
    child.kill()?;
    facts.text("client", &read_all(client)?);
    ended(facts, &channel)
}

fn kept_open(_: &Scene, facts: &mut Facts) -> Outcome {
    let (_child, channel) = talking("node-writes")?;
    let (client, mut mine) = connection()?;
    send_handle(&channel, json!(1), mine.try_clone()?)?;
    channel.recv_timeout(PATIENCE)?;
    mine.write_all(b"parent")?;
    mine.shutdown(Shutdown::Both)?;
    facts.text("client", &read_all(client)?);
    channel.close();
    ended(facts, &channel)
}

fn not_acknowledged(_: &Scene, facts: &mut Facts) -> Outcome {
    let (child, channel) = talking("node-stalls")?;
    channel.recv_timeout(PATIENCE)?;
    let (client, mine) = connection()?;
    send_handle(&channel, json!(1), mine)?;
    let refused = channel.send_timeout(Message::json(&json!(2))?, Duration::from_millis(100)).err().map(|refused| refused.kind());
    facts.line(format!("flag waits={}", refused == Some(ErrorKind::Timeout)));
    child.kill()?;
    // The end takes the handle with it that was not acknowledged.
    let Some(Event::Closed) = channel.next_event(Some(PATIENCE))? else { return Err("it goes on".into()) };
    facts.text("client", &read_all(client)?);
    facts.text("event", b"closed");
    let Some(Event::Exited(status)) = channel.next_event(Some(PATIENCE))? else { return Err("it runs on".into()) };
    crate::put_status(facts, status);
    Ok(())
}

fn lost(_: &Scene, facts: &mut Facts) -> Outcome {
    let (child, channel) = talking("node-echo")?;
    let limits = |nofile: &str| Command::new("prlimit").args(["--pid", &child.id().to_string(), nofile]).status();
    send(&channel, "\"up\"")?;
    channel.recv_timeout(PATIENCE)?;
    // It has more open than that already.
    limits("--nofile=5:4096")?;
    send_handle(&channel, json!("lost"), connection()?.1)?;
    send(&channel, "\"on\"")?;
    let told = channel.recv_timeout(PATIENCE).err().map(|error| error.kind());
    facts.line(format!("flag lost={}", told == Some(ErrorKind::Exhausted)));
    facts.text("json", &channel.recv_timeout(PATIENCE)?.body);
    limits("--nofile=4096:4096")?;
    let (_client, mine) = connection()?;
    send_handle(&channel, json!("there"), mine)?;
    facts.line(format!("flag handles={}", channel.recv_timeout(PATIENCE)?.fds.len()));
    channel.close();
    ended(facts, &channel)
}

fn child_leaves(_: &Scene, facts: &mut Facts) -> Outcome {
    let (_child, channel) = talking("node-leaves")?;
    channel.recv_timeout(PATIENCE)?;
    let text = json!({"text": "x".repeat(10_000)}).to_string();
    let refused = (0..100_000).find_map(|_| channel.send_timeout(Message::encoded(procs::Codec::Json, text.clone()), PATIENCE).err());
    facts.line(format!("flag refused={}", refused.is_some_and(|refused| refused.kind() == ErrorKind::Closed)));
    ended(facts, &channel)
}

/// The message of this number in a flood.
fn flooding(index: u64) -> Value {
    json!({"index": index, "text": "x".repeat((index * 79_193 % 400_000) as usize)})
}

fn killed_at_random(_: &Scene, facts: &mut Facts) -> Outcome {
    let mut numbers = Numbers(number("SCENARIO_SEED")?);
    let (mut late, mut whole, mut killed) = (Vec::new(), true, true);
    for _ in 0..number("SCENARIO_ROUNDS")? {
        let (child, channel) = talking("node-floods")?;
        let most = numbers.below(40);
        let (mut count, mut last) = (0, Instant::now());
        let status = loop {
            match channel.next_event(Some(PATIENCE)) {
                Ok(Some(Event::Message(message))) => {
                    whole &= message.to_json()? == flooding(count);
                    if count == most {
                        child.kill()?;
                    }
                    (count, last) = (count + 1, Instant::now());
                }
                Ok(Some(Event::Closed)) => late.push(last.elapsed()),
                Ok(Some(Event::Exited(status))) => break status,
                // Cut off inside a message.
                Err(error) if error.kind() == ErrorKind::Protocol => {}
                other => return Err(format!("{other:?}").into()),
            }
        };
        killed &= matches!(status, ExitStatus::Signaled { signal: libc::SIGKILL, .. }) && count > most;
    }
    facts.line(format!("flag whole={whole}"));
    facts.line(format!("flag killed={killed}"));
    facts.line(format!("flag noticed={}", noticed(late)?));
    Ok(())
}

fn parent_killed_at_random(_: &Scene, facts: &mut Facts) -> Outcome {
    let mut numbers = Numbers(number("SCENARIO_SEED")?);
    let (mut late, mut in_order) = (Vec::new(), true);
    for _ in 0..number("SCENARIO_ROUNDS")? {
        let mut middle = Command::new(std::env::current_exe()?).args(["--child", "node-middle-floods"]).stdout(Stdio::piped()).spawn()?;
        let mut stdout = middle.stdout.take().ok_or("no pipe")?;
        let mut said = vec![0; b"ready\n".len()];
        stdout.read_exact(&mut said)?;
        std::thread::sleep(Duration::from_millis(numbers.below(20)));
        middle.kill()?;
        let at = Instant::now();
        stdout.read_to_end(&mut said)?;
        late.push(at.elapsed());
        middle.wait()?;
        in_order &= said == b"ready\nin order\n";
    }
    facts.line(format!("flag in_order={in_order}"));
    facts.line(format!("flag noticed={}", noticed(late)?));
    Ok(())
}

fn advanced(_: &Scene, facts: &mut Facts) -> Outcome {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--child", "node-advanced"]).env("NODE_CHANNEL_FD", "3").env("NODE_CHANNEL_SERIALIZATION_MODE", "advanced");
    facts.text("stdout", &command.output()?.stdout);
    Ok(())
}

fn flood(channel: &Channel) -> Outcome {
    (0..).try_for_each(|index| send(channel, flooding(index).to_string()))
}

/// Receives what [`flood`] sends until the end: whether it came in order. Says when the first has come.
fn comes_in_order(channel: &Channel) -> Result<bool, Box<dyn std::error::Error>> {
    let (mut count, mut in_order) = (0, true);
    while let Ok(message) = channel.recv() {
        if count == 0 {
            println!("ready");
        }
        in_order &= message.to_json()? == flooding(count);
        count += 1;
    }
    Ok(in_order)
}

/// What the children do, and with which code they end; `None` for a part of another file.
pub(crate) fn part(name: &str) -> Result<Option<ExitCode>, Box<dyn std::error::Error>> {
    if name == "node-middle-floods" {
        let (_child, channel) = talking("node-sink")?;
        flood(&channel)?;
    }
    if name == "node-advanced" {
        println!("{}", Channel::from_env_with(&ChannelOptions::default()).map(drop).expect_err("unsupported").kind().name());
        return Ok(Some(ExitCode::SUCCESS));
    }
    let code = match name {
        "node-own-handles" => {
            give(&Channel::from_env()?)?;
            9
        }
        "node-holds" => {
            let channel = Channel::from_env()?;
            let _held = channel.recv()?;
            send(&channel, "\"held\"")?;
            channel.recv()?;
            1
        }
        "node-writes" => {
            let channel = Channel::from_env()?;
            TcpStream::from(channel.recv()?.fds.pop().ok_or("no connection")?).write_all(b"child")?;
            send(&channel, "\"written\"")?;
            channel.recv().expect_err("nothing more is sent");
            7
        }
        "node-stalls" => {
            let channel = Channel::from_env()?;
            send(&channel, "\"ready\"")?;
            std::thread::sleep(Duration::from_secs(3600));
            1
        }
        "node-leaves" => {
            let channel = Channel::from_env()?;
            send(&channel, "\"ready\"")?;
            (0..10).try_for_each(|_| channel.recv().map(drop))?;
            8
        }
        "node-floods" => {
            flood(&Channel::from_env()?)?;
            1
        }
        "node-sink" => {
            println!("{}", if comes_in_order(&Channel::from_env()?)? { "in order" } else { "out of order" });
            0
        }
        _ => return Ok(None),
    };
    Ok(Some(ExitCode::from(code)))
}

/// Handles of the child's own.
fn give(channel: &Channel) -> Outcome {
    let port = |address: std::net::SocketAddr| json!({"port": address.port()});
    let listener = TcpListener::bind("127.0.0.1:0")?;
    channel.send(Message::json(&port(listener.local_addr()?))?.with_fd(listener))?;
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    channel.send(Message::json(&port(udp.local_addr()?))?.with_fd(udp))?;
    let address = channel.recv()?.to_json()?["port"].as_u64().ok_or("no port")? as u16;
    channel.send(Message::json(&json!("connection"))?.with_fd(TcpStream::connect(("127.0.0.1", address))?))?;
    channel.recv().expect_err("nothing more is sent");
    Ok(())
}
