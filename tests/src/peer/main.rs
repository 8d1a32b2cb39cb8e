//! The other end of a channel: a child that uses libprocs. Subcommands are named by what they do on the channel they are given.

#![deny(unsafe_code)]

use nix::sys::signal::{Signal, raise};
use procs::{Channel, Command, ErrorKind, Message};
use procs_tests::evil::Evil;
use serde_json::json;
use std::process::ExitCode;

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Row = (&'static str, fn(&Channel, &[String]) -> Outcome);

const TABLE: &[Row] = &[
    ("echo", echo),
    ("echo-bytes", echo_bytes),
    ("burst", burst),
    ("burst-json", burst_json),
    ("hurry", hurry),
    ("close-then-wait", close_then_wait),
    ("leave-a-holder", leave_a_holder),
    ("take-twice", take_twice),
    ("what-children-get", what_children_get),
    ("exit", exit),
    ("flood", flood),
    ("sleep", sleep),
    ("host-echo", host_echo),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else { return usage() };
    if name == "die-at" {
        return ended(name, die_at(rest));
    }
    let Some((_, run)) = TABLE.iter().find(|row| row.0 == name) else { return usage() };
    let channel = match Channel::from_env() {
        Ok(channel) => channel,
        Err(error) => {
            eprintln!("procs-peer: {error}");
            return ExitCode::from(66);
        }
    };
    ended(name, run(&channel, rest))
}

fn ended(name: &str, outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("procs-peer: {name}: {error}");
            ExitCode::from(70)
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: procs-peer SUBCOMMAND …, with a channel");
    ExitCode::from(64)
}

fn number(args: &[String], index: usize) -> Result<usize, String> {
    args.get(index).and_then(|arg| arg.parse().ok()).ok_or(format!("argument {index} is not a number"))
}

/// Sends back what comes until the other side closes.
fn echo(channel: &Channel, _: &[String]) -> Outcome {
    loop {
        match channel.recv() {
            Ok(message) => channel.send(message)?,
            Err(error) if error.kind() == ErrorKind::Closed => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// As `echo`, for bytes, which are received where the last ones were.
fn echo_bytes(channel: &Channel, _: &[String]) -> Outcome {
    let mut bytes = Vec::new();
    loop {
        match channel.recv_into(&mut bytes) {
            Ok(()) => channel.send_bytes(&bytes)?,
            Err(error) if error.kind() == ErrorKind::Closed => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends COUNT messages of SIZE bytes, then ends by HOW: `return`, `exit` or `abort`. The first four bytes of each are its number.
fn burst(channel: &Channel, args: &[String]) -> Outcome {
    let size = number(args, 1)?.max(4);
    for index in 0..number(args, 0)? {
        let mut body = vec![index as u8; size];
        body[..4].copy_from_slice(&u32::try_from(index)?.to_le_bytes());
        channel.send(Message::raw(body))?;
    }
    match args.get(2).map(String::as_str) {
        Some("exit") => std::process::exit(3),
        Some("abort") => std::process::abort(),
        _ => Ok(()),
    }
}

/// Sends COUNT JSON objects with their number and SIZE characters, then ends.
fn burst_json(channel: &Channel, args: &[String]) -> Outcome {
    let text = "x".repeat(number(args, 1)?);
    for index in 0..number(args, 0)? {
        channel.send(Message::json(&json!({ "index": index, "text": text }))?)?;
    }
    Ok(())
}

/// Sends COUNT messages of SIZE characters without waiting for any to be written, says so on standard output, and ends.
fn hurry(channel: &Channel, args: &[String]) -> Outcome {
    let text = "x".repeat(number(args, 1)?);
    for index in 0..number(args, 0)? {
        channel.try_send(Message::json(&json!({ "index": index, "text": text }))?)?;
    }
    println!("sent");
    Ok(())
}

/// Closes its end and runs on until its standard input ends.
fn close_then_wait(channel: &Channel, _: &[String]) -> Outcome {
    channel.send_bytes(b"last")?;
    channel.close();
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// Ends without closing and leaves a process behind that has every descriptor of this one, the channel too.
fn leave_a_holder(channel: &Channel, args: &[String]) -> Outcome {
    let fds: Vec<i32> = std::fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    let mut holder = Command::new(args.first().ok_or("the helper child is missing")?);
    holder.args(["sleep", "30000"]).stdin(procs::Stdio::null());
    for fd in fds.into_iter().filter(|fd| *fd > 2) {
        if std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok() {
            holder.fd(fd, procs::Stdio::borrowed(fd));
        }
    }
    let holder = holder.spawn()?;
    channel.send(Message::raw(holder.id().to_string()))?;
    holder.detach();
    std::process::exit(0)
}

/// Tells what a second taking gives.
fn take_twice(channel: &Channel, _: &[String]) -> Outcome {
    let again = Channel::from_env().map(drop).map_err(|error| error.kind().name());
    channel.send(Message::raw(format!("{again:?}")))?;
    Ok(())
}

/// Tells what a child of this process finds of the channel, with everything passed on that can be.
fn what_children_get(channel: &Channel, _: &[String]) -> Outcome {
    let mut command = Command::new("sh");
    command.args(["-c", "echo ${PROCS_CHANNEL_FD-none}; ls -l /proc/self/fd | grep -c socket:"]).keep_control_env(true).keep_fds(true);
    let inherited = command.output()?;
    command.env("ANOTHER", "1");
    let copied = command.output()?;
    channel.send(Message::raw(inherited.stdout.to_vec()))?;
    channel.send(Message::raw(copied.stdout.to_vec()))?;
    Ok(())
}

/// Ends at once with CODE.
fn exit(_: &Channel, args: &[String]) -> Outcome {
    std::process::exit(i32::try_from(number(args, 0)?)?)
}

/// Sends messages of SIZE bytes for ever: the first eight are its number, the others the lowest byte of that.
fn flood(channel: &Channel, args: &[String]) -> Outcome {
    let size = number(args, 0)?.max(8);
    for index in 0_u64.. {
        let mut body = vec![index as u8; size];
        body[..8].copy_from_slice(&index.to_le_bytes());
        if channel.send(Message::raw(body)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Receives nothing.
fn sleep(_: &Channel, _: &[String]) -> Outcome {
    loop {
        std::thread::park();
    }
}

/// Does by hand what a sender does up to STEP, and is killed there.
fn die_at(args: &[String]) -> Outcome {
    let given = std::env::var("PROCS_CHANNEL_FD")?;
    let number = given.split(':').next().unwrap_or_default().parse()?;
    let mut raw = Evil::new(procs_tests::host::own(number))?;
    let frame = raw.frame(b"whole");
    match args.first().map(String::as_str) {
        Some("hello") => {}
        Some("bytes") => raw.put(&frame)?,
        Some("part of a header") => {
            raw.put(&frame[..20])?;
            raw.publish()?;
        }
        Some("part of a frame") => {
            raw.put(&frame[..frame.len() - 1])?;
            raw.publish()?;
        }
        Some("published") => {
            raw.put(&frame)?;
            // Without waking anybody.
            raw.set_tail(frame.len() as u64)?;
        }
        Some("descriptor") => drop(raw.send(b"F", &[0])?),
        // As if it slept on its word.
        Some("waiting") => raw.set_waiting(15)?,
        // It reads nothing: the other side fills the ring and waits.
        Some("corked") => std::thread::park_timeout(std::time::Duration::from_millis(2)),
        Some("closed") => {
            raw.put(&frame)?;
            raw.publish()?;
            raw.set_closed()?;
        }
        _ => return Err("no such step".into()),
    }
    raise(Signal::SIGKILL)?;
    Ok(())
}

/// Starts PROGRAM as an echo, says its number, and talks to it without end.
fn host_echo(channel: &Channel, args: &[String]) -> Outcome {
    let (child, echo) = Command::new(args.first().ok_or("the program is missing")?).arg("echo").fork()?;
    channel.send(Message::raw(child.id().to_string()))?;
    loop {
        echo.send_bytes(&[1; 200])?;
        echo.recv()?;
    }
}
