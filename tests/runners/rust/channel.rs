//! Channels to a child: messages, descriptors, calls, and the end.

use crate::memory::put_kind;
use crate::{Outcome, Row, Scene, put_status};
use procs::{Channel, Message, RemoteFailure, Stdio};
use procs_tests::Facts;
use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

pub(crate) const TABLE: &[Row] = &[
    ("channel-echo", echo),
    ("channel-sizes", sizes),
    ("channel-large", large),
    ("channel-descriptor", descriptor),
    ("channel-call", call),
    ("channel-child-killed", killed),
    ("channel-close-first", close_first),
    ("channel-close-unread", close_unread),
];

const PATIENCE: Duration = Duration::from_secs(20);

fn echo(_: &Scene, facts: &mut Facts) -> Outcome {
    let (mut child, channel) = crate::again("channel-echo")?.fork()?;
    channel.send(Message::json(&serde_json::json!({"n": 1, "t": "ä€", "l": [1, null, true]}))?)?;
    facts.text("json", channel.recv_timeout(PATIENCE)?.to_json()?.to_string().as_bytes());
    let bytes: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
    channel.send_bytes(&bytes)?;
    facts.bytes("body", &channel.recv_timeout(PATIENCE)?.body);
    channel.send(Message::raw(&b"body"[..]).with_buffer(&b"one"[..]).with_buffer(vec![b'z'; 200_000]))?;
    let message = channel.recv_timeout(PATIENCE)?;
    facts.text("body", &message.body);
    facts.text("buffer", &message.buffers[0]);
    facts.bytes("buffer", &message.buffers[1]);
    channel.close();
    put_status(facts, child.wait()?);
    Ok(())
}

fn sizes(_: &Scene, facts: &mut Facts) -> Outcome {
    let (mut child, channel) = crate::again("channel-echo")?.fork()?;
    for size in [0u32, 1, 64, 4096, 65_537, 1 << 20] {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        channel.send(Message::raw(bytes.clone()).with_buffer(bytes))?;
        let message = channel.recv_timeout(PATIENCE)?;
        facts.bytes("body", &message.body);
        facts.bytes("buffer", &message.buffers[0]);
    }
    channel.close();
    put_status(facts, child.wait()?);
    Ok(())
}

fn large(_: &Scene, facts: &mut Facts) -> Outcome {
    let (mut child, channel) = crate::again("channel-echo")?.fork()?;
    let bytes: Vec<u8> = (0..64 << 20).map(|at: u32| (at % 251) as u8).collect();
    channel.send(Message::raw(bytes))?;
    facts.bytes("body", &channel.recv_timeout(PATIENCE)?.body);
    channel.close();
    put_status(facts, child.wait()?);
    Ok(())
}

fn descriptor(_: &Scene, facts: &mut Facts) -> Outcome {
    let (mut child, channel) = crate::again("channel-descriptor")?.fork()?;
    let (mut read, write) = std::io::pipe()?;
    channel.send(Message::raw(&b"through the pipe"[..]).with_fd(write))?;
    let mut text = Vec::new();
    read.read_to_end(&mut text)?;
    facts.text("pipe", &text);
    put_status(facts, child.wait()?);
    Ok(())
}

fn call(_: &Scene, facts: &mut Facts) -> Outcome {
    let mut command = crate::again("channel-call")?;
    let (mut child, channel) = command.stdin(Stdio::piped()).fork()?;
    let ask = |value: &str, timeout| channel.call(Message::json(&value.into())?, Some(timeout));
    let put_value = |facts: &mut Facts, reply: &Message| -> Outcome {
        facts.text("value", reply.to_json()?.as_str().unwrap_or_default().as_bytes());
        Ok(())
    };
    put_value(facts, &ask("hello", PATIENCE)?)?;
    put_kind(facts, ask("fail", PATIENCE))?;
    put_kind(facts, ask("sleep", Duration::from_millis(100)))?;
    child.stdin = None;
    put_value(facts, &ask("again", PATIENCE)?)?;
    channel.close();
    put_status(facts, child.wait()?);
    Ok(())
}

fn killed(_: &Scene, facts: &mut Facts) -> Outcome {
    let (mut child, channel) = crate::again("channel-three")?.fork()?;
    facts.text("body", &channel.recv_timeout(PATIENCE)?.body);
    facts.text("body", &channel.recv_timeout(PATIENCE)?.body);
    facts.text("body", &channel.recv_timeout(PATIENCE)?.body);
    child.kill()?;
    put_kind(facts, channel.recv_timeout(PATIENCE))?;
    put_status(facts, child.wait()?);
    Ok(())
}

fn close_first(_: &Scene, facts: &mut Facts) -> Outcome {
    let (mut child, channel) = crate::again("channel-close-first")?.stdin(Stdio::piped()).fork()?;
    facts.text("body", &channel.recv_timeout(PATIENCE)?.body);
    put_kind(facts, channel.recv_timeout(PATIENCE))?;
    child.stdin = None;
    put_status(facts, child.wait()?);
    channel.close();
    Ok(())
}

fn close_unread(_: &Scene, facts: &mut Facts) -> Outcome {
    let (mut child, channel) = crate::again("channel-three")?.fork()?;
    facts.text("body", &channel.recv_timeout(PATIENCE)?.body);
    channel.close();
    put_status(facts, child.wait()?);
    Ok(())
}

/// What the children do.
pub(crate) fn part(name: &str) -> Outcome {
    let channel = Channel::from_env()?;
    match name {
        "channel-echo" => {
            while let Ok(message) = channel.recv() {
                channel.send(message)?;
            }
        }
        "channel-descriptor" => {
            let mut message = channel.recv()?;
            let fd = message.fds.pop().ok_or("no descriptor")?;
            File::from(fd).write_all(&message.body)?;
        }
        "channel-call" => channel.serve(|request| {
            let value = request.message().to_json().unwrap_or_default();
            match value.as_str() {
                Some("fail") => return request.fail(RemoteFailure { name: "KeyError".into(), message: "no such key".into(), trace: String::new() }),
                Some("sleep") => drop(std::io::stdin().read_to_end(&mut Vec::new())),
                _ => {}
            }
            // Who asked may have given up.
            drop(Message::json(&value).map(|message| request.reply(message)));
        })?,
        "channel-three" => {
            // The other side may close after the first.
            drop(["1", "2", "3"].iter().try_for_each(|text| channel.send_bytes(text.as_bytes())));
            drop(channel.recv());
        }
        "channel-close-first" => {
            channel.send_bytes(b"last")?;
            channel.close();
            std::io::stdin().read_to_end(&mut Vec::new())?;
        }
        other => return Err(format!("no part {other}").into()),
    }
    Ok(())
}
