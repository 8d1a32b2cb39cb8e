//! Rows N of `docs/faults.md`: what a plain Node program at the other end of its own wire may do to us, and we to it. More of them in `node_wire.rs`
//! and in the tests of `core/src/channel/node`.

use procs::{Channel, ChannelOptions, Child, Command, ErrorKind, Event, HandleKind, Message, Stdio, Wire};
use procs_tests::{FdWalk, Isolation, Stalls, count, isolated_in, run};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rust/node_wire/child.cjs");
const RUNNER: &str = env!("CARGO_BIN_EXE_procs-scenarios");
const PLAIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/runners/node/plain.cjs");

fn fork(act: &str) -> (Child, Channel) {
    Command::new(SCRIPT).arg(act).stdin(Stdio::piped()).fork().expect("a Node child with a channel")
}

fn message(value: &Value) -> Message {
    Message::json(value).expect("JSON")
}

fn recv(channel: &Channel) -> Value {
    channel.recv_timeout(PATIENCE).expect("a message").to_json().expect("JSON")
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a listener")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn n01_a_child_that_does_not_read_costs_no_memory() {
    run("n01_a_child_that_does_not_read_costs_no_memory", |_| {
        let (mut child, channel) = fork("stall");
        assert_eq!(recv(&channel), json!("ready"));
        let text = json!("x".repeat(10_000));
        let mut sent = 0;
        let refused = loop {
            match channel.try_send(message(&text)) {
                Ok(()) => sent += 1,
                Err(refused) => break refused.kind(),
            }
            assert!(sent < 500, "three mebibytes may be unwritten, and what the socket holds is in the kernel");
        };
        assert_eq!(refused, ErrorKind::WouldBlock);
        assert_eq!(channel.send_timeout(message(&text), Duration::from_millis(50)).expect_err("full").kind(), ErrorKind::Timeout);
        // It reads again.
        child.stdin.take().expect("a pipe").write_all(b"go\n").expect("written");
        channel.send_timeout(message(&json!("last")), PATIENCE).expect("sent");
        assert_eq!(recv(&channel), json!(sent));
        child.kill().expect("a signal");
    });
}

#[test]
fn n02_a_killed_child_is_noticed() {
    run("n02_a_killed_child_is_noticed", |_| {
        let stalls = Stalls::watch();
        let rounds = (0..count(50)).map(|_| {
            let (mut child, channel) = fork("echo");
            channel.send(message(&json!("up"))).expect("sent");
            assert_eq!(recv(&channel), json!("up"));
            let killed = Instant::now();
            child.kill().expect("a signal");
            assert!(matches!(channel.next_event(Some(PATIENCE)), Ok(Some(Event::Closed))));
            assert!(matches!(channel.next_event(Some(PATIENCE)), Ok(Some(Event::Exited(_)))));
            let late = killed.elapsed();
            child.wait().expect("an end");
            late
        });
        let late = median(rounds.collect());
        assert!(late < stalls.notice_limit(), "noticed after {late:?}");
    });
}

#[test]
fn n03_a_killed_parent_is_noticed() {
    run("n03_a_killed_parent_is_noticed", |_| {
        // The child is a plain Node program, then one of ours.
        let stalls = Stalls::watch();
        for peer in [None, Some(RUNNER)] {
            let rounds = (0..count(50)).map(|_| {
                let mut command = Command::new(RUNNER);
                command.args(["--child", "node-middle"]).env("SCENARIO_PLAIN", PLAIN).stdout(Stdio::piped());
                if let Some(peer) = peer {
                    command.env("SCENARIO_PEER", peer);
                }
                let mut middle = command.spawn().expect("a parent");
                let mut stdout = middle.stdout.take().expect("a pipe");
                let mut said = [0; b"ready\n".len()];
                stdout.read_exact(&mut said).expect("a child that is ready");
                let killed = Instant::now();
                middle.kill().expect("a signal");
                let mut rest = String::new();
                stdout.read_to_string(&mut rest).expect("the last words of the child");
                assert_eq!(rest, "gone\n");
                middle.wait().expect("an end");
                killed.elapsed()
            });
            let late = median(rounds.collect());
            assert!(late < stalls.notice_limit(), "{peer:?} noticed after {late:?}");
        }
    });
}

#[test]
fn n04_a_child_of_the_child_holds_the_channel() {
    run("n04_a_child_of_the_child_holds_the_channel", |t| {
        // Node passes descriptor 3 on if it is told to.
        let (mut child, channel) = fork("leave-a-holder");
        let holder = recv(&channel).as_u64().expect("a process id");
        assert!(matches!(channel.next_event(Some(PATIENCE)), Ok(Some(Event::Closed))));
        assert!(matches!(channel.next_event(Some(PATIENCE)), Ok(Some(Event::Exited(_)))));
        child.wait().expect("an end");
        let status = Command::new("kill").args(["-9", &holder.to_string()]).status().expect("kill");
        assert!(status.success(), "the holder was there to the end");
        t.wait_until("the holder to be gone", || !std::path::Path::new(&format!("/proc/{holder}/fd/0")).exists());
    });
}

#[test]
fn n05_a_handle_that_cannot_be_received_here() {
    isolated_in("n05_a_handle_that_cannot_be_received_here", &Isolation::new().watchdog(60), |_| {
        let (mut child, channel) = fork("give");
        assert_eq!(recv(&channel), json!("ready"));
        channel.send(message(&json!("give"))).expect("sent");
        // Node sends it four times, says on its standard error that it gives up, and goes on.
        let few = FdWalk::leave(0);
        assert_eq!(recv(&channel), json!("after"));
        drop(few);
        channel.send(message(&json!("give"))).expect("sent");
        let came = channel.recv_timeout(PATIENCE).expect("a message");
        assert_eq!((came.to_json().expect("JSON"), came.handle), (json!("handle"), Some(HandleKind::TcpListener)));
        assert_eq!(recv(&channel), json!("after"));
        child.kill().expect("a signal");
        child.wait().expect("an end");
    });
}

#[test]
fn n06_a_handle_that_the_child_cannot_receive() {
    run("n06_a_handle_that_the_child_cannot_receive", |_| {
        let (child, channel) = fork("echo");
        let limit = |limits: &str| {
            let pid = child.id().to_string();
            assert!(Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={limits}")]).status().expect("prlimit").success());
        };
        channel.send(message(&json!("up"))).expect("sent");
        assert_eq!(recv(&channel), json!("up"));
        // It has more open than that already.
        limit("5:4096");
        channel.send_timeout(message(&json!("lost")).with_fd(listener()), PATIENCE).expect("sent");
        channel.send_timeout(message(&json!("on")), PATIENCE).expect("sent once the handle was given up");
        assert_eq!(channel.recv_timeout(PATIENCE).expect_err("lost").kind(), ErrorKind::Exhausted);
        assert_eq!(recv(&channel), json!("on"));
        limit("4096:4096");
        channel.send_timeout(message(&json!("there")).with_fd(listener()), PATIENCE).expect("sent");
        let back = channel.recv_timeout(PATIENCE).expect("a message");
        assert_eq!((back.to_json().expect("JSON"), back.fds.len()), (json!("there"), 1));
        child.kill().expect("a signal");
    });
}

#[test]
fn n13_what_was_accepted_is_written_at_the_end() {
    run("n13_what_was_accepted_is_written_at_the_end", |_| {
        // More than a socket holds, less than what may be unwritten.
        let wire = ChannelOptions { wire: Wire::Node, ..ChannelOptions::default() };
        let mut command = Command::new(env!("CARGO_BIN_EXE_procs-peer"));
        let (mut child, channel) = command.args(["hurry", "600", "1000"]).stdout(Stdio::piped()).fork_with(&wire).expect("a child");
        let mut said = [0; b"sent\n".len()];
        child.stdout.take().expect("a pipe").read_exact(&mut said).expect("a child that has sent");
        assert_eq!(child.wait_timeout(Duration::from_millis(500)).expect("a wait"), None, "it has something left to write");
        for index in 0..600 {
            assert_eq!(recv(&channel)["index"], json!(index));
        }
        assert!(matches!(channel.next_event(Some(PATIENCE)), Ok(Some(Event::Closed))));
        assert_eq!(child.wait().expect("an end").code(), Some(0));
    });
}
