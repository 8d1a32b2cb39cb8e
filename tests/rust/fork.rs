//! A command with a channel to its child: D05, D18, D20 and what the child gets.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procs::{Channel, ChannelOptions, Child, Command, ErrorKind, Event, ExitStatus, Message, Spin, Stdio, Wire};
use procs_tests::{Isolation, Random, Stalls, count, helper, host, isolated_in, run};
use std::time::{Duration, Instant};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

fn peer(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procs-peer"));
    command.args(args);
    command
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.body).into_owned()
}

fn fork(args: &[&str]) -> (Child, Channel) {
    peer(args).fork().expect("a child with a channel")
}

#[test]
fn messages_go_to_the_child_and_back() {
    for options in [
        ChannelOptions::default(),
        ChannelOptions { spin: Spin::Off, ..ChannelOptions::default() },
        ChannelOptions { ring_bytes: 4096, ..ChannelOptions::default() },
        ChannelOptions { ring_bytes: 0, ..ChannelOptions::default() },
    ] {
        run("messages_go_to_the_child_and_back", |_| {
            let (mut child, channel) = peer(&["echo"]).fork_with(&options).expect("a child with a channel");
            for size in [0, 1, 64, 5000, 1 << 20] {
                let body: Vec<u8> = (0..size).map(|at| at as u8).collect();
                let (read, write) = std::io::pipe().expect("a pipe");
                drop(write);
                channel.send(Message::raw(body.clone()).with_buffer(body.clone()).with_fd(read)).expect("sent");
                let back = channel.recv().expect("an echo");
                assert!(*back.body == *body && back.buffers.len() == 1 && *back.buffers[0] == *body && back.fds.len() == 1, "{size} bytes");
            }
            channel.close();
            assert_eq!(child.wait().expect("a wait"), ExitStatus::Exited(0));
        });
    }
}

/// D05 and D20: everything sent before the child ended, in order, then the end, then the exit.
#[test]
fn d20_messages_then_closed_then_exited() {
    run("d20_messages_then_closed_then_exited", |t| {
        let mut random = Random::from_env(t.name());
        for round in 0..count(1000) {
            let messages = 1 + random.below(if round % 10 == 0 { 1000 } else { 20 }) as u32;
            let size = 4 + random.below(if round % 20 == 0 { 1 << 20 } else { 2000 }) / u64::from(messages);
            let (how, status) = match round % 3 {
                0 => ("return", ExitStatus::Exited(0)),
                1 => ("exit", ExitStatus::Exited(3)),
                _ => ("abort", ExitStatus::Signaled { signal: libc::SIGABRT, core_dumped: false }),
            };
            let mut command = peer(&["burst", &messages.to_string(), &size.to_string(), how]);
            command.limit(procs::Resource::Core, Some(0), Some(0));
            let (_child, channel) = command.fork().expect("a child with a channel");
            for index in 0..messages {
                let event = channel.next_event(PATIENCE).expect("an event");
                let Some(Event::Message(message)) = event else { panic!("round {round}: message {index} of {messages}, found {event:?}") };
                assert_eq!(message.body[..4], index.to_le_bytes(), "round {round}");
                assert_eq!(message.size() as u64, size.max(4), "round {round}");
            }
            assert!(matches!(channel.next_event(PATIENCE), Ok(Some(Event::Closed))), "round {round}");
            match channel.next_event(PATIENCE).expect("an event") {
                Some(Event::Exited(found)) => assert_eq!(found, status, "round {round}"),
                other => panic!("round {round}: expected the exit, found {other:?}"),
            }
            assert_eq!(channel.next_event(PATIENCE).expect_err("nothing more").kind(), ErrorKind::Closed);
        }
    });
}

/// D05: what was sent before the end arrives, also when nobody asks until the child has long ended.
#[test]
fn d05_nothing_sent_is_lost_at_exit() {
    run("d05_nothing_sent_is_lost_at_exit", |_| {
        for _ in 0..count(300) {
            let (mut child, channel) = fork(&["burst", "100", "1000", "exit"]);
            child.wait().expect("a wait");
            for index in 0..100_u32 {
                assert_eq!(channel.recv().expect("a message").body[..4], index.to_le_bytes());
            }
            assert_eq!(channel.recv().expect_err("the end").kind(), ErrorKind::Closed);
        }
    });
}

#[test]
fn a_child_that_closes_its_end_and_runs_on() {
    run("a_child_that_closes_its_end_and_runs_on", |_| {
        let mut command = peer(&["close-then-wait"]);
        command.stdin(Stdio::piped());
        let (mut child, channel) = command.fork().expect("a child with a channel");
        assert!(matches!(channel.next_event(PATIENCE), Ok(Some(Event::Message(message))) if message.body == *b"last"));
        assert!(matches!(channel.next_event(PATIENCE), Ok(Some(Event::Closed))));
        assert!(matches!(channel.next_event(Some(Duration::from_millis(20))), Ok(None)), "it runs on");
        child.stdin = None;
        assert!(matches!(channel.next_event(PATIENCE), Ok(Some(Event::Exited(ExitStatus::Exited(0))))));
    });
}

/// Ends a process whatever happens to the test: one that holds the test's own output open keeps whoever reads that waiting.
struct Killed(i32);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0), Signal::SIGKILL);
    }
}

/// D18: the end is told although somebody else holds the child's end open.
#[test]
fn d18_a_grandchild_holds_the_channel() {
    run("d18_a_grandchild_holds_the_channel", |t| {
        let helper = helper();
        let stalls = Stalls::watch();
        for _ in 0..count(30) {
            let (child, channel) = fork(&["leave-a-holder", helper.to_str().expect("a path")]);
            let Ok(Some(Event::Message(message))) = channel.next_event(PATIENCE) else { panic!("the holder's number") };
            let holder: i32 = text(&message).parse().expect("a number");
            let ending = Killed(holder);
            let held = std::fs::read_dir(format!("/proc/{holder}/fd")).expect("the holder lives").count();
            assert!(held > 4, "the holder has the descriptors of the child: {held}");
            let closed = channel.next_event(PATIENCE);
            let told = Instant::now();
            assert!(matches!(closed, Ok(Some(Event::Closed))), "told by the process, not by the socket: {closed:?}");
            assert!(matches!(channel.next_event(PATIENCE), Ok(Some(Event::Exited(ExitStatus::Exited(0))))));
            stalls.note("the exit after the end", told.elapsed());
            assert_eq!(channel.send(Message::raw("x")).expect_err("nobody is there").kind(), ErrorKind::Closed);
            drop(child);
            drop(ending);
            t.wait_until("the holder is gone", || std::fs::metadata(format!("/proc/{holder}")).is_err());
        }
    });
}

#[test]
fn the_channel_is_taken_once_and_not_passed_on() {
    run("the_channel_is_taken_once_and_not_passed_on", |_| {
        let (_child, channel) = fork(&["take-twice"]);
        assert_eq!(text(&channel.recv().expect("an answer")), "Err(\"INVALID_STATE\")");
        let (_child, channel) = fork(&["what-children-get"]);
        // The first holds no socket, the second holds none either: `grep -c` says 0.
        for way in ["inherited", "copied"] {
            assert_eq!(text(&channel.recv().expect("an answer")), "none\n0\n", "{way}");
        }
    });
}

#[test]
fn the_number_avoids_what_the_user_placed() {
    run("the_number_avoids_what_the_user_placed", |_| {
        let (read, write) = std::io::pipe().expect("a pipe");
        let mut command = peer(&["echo"]);
        command.fd(3, Stdio::fd(read.try_clone().expect("a copy"))).fd(4, Stdio::null()).fd(6, Stdio::null()).env("X", "1");
        let (_child, channel) = command.fork().expect("a child with a channel");
        channel.send_bytes(b"5 was free").expect("sent");
        assert_eq!(channel.recv().expect("an echo").body, *b"5 was free");
        // The command keeps nothing of it.
        let (again, second) = peer(&["echo"]).fd(3, Stdio::fd(read)).fork().expect("a child with a channel");
        second.close();
        drop((again, write));
        let mut plain = Command::new("sh");
        plain.args(["-c", "test -z \"$PROCS_CHANNEL_FD\""]);
        let (mut with, _channel) = plain.fork().expect("a shell with a channel");
        assert_eq!(with.wait().expect("a wait"), ExitStatus::Exited(1));
        assert_eq!(plain.status().expect("a run"), ExitStatus::Exited(0), "the variable was for one start");
    });
}

#[test]
fn what_is_announced_falsely_is_not_taken() {
    let socket = |t: &procs_tests::Test| {
        let listener = std::os::unix::net::UnixListener::bind(t.dir().join("socket")).expect("a listener");
        std::os::fd::OwnedFd::from(listener)
    };
    run("what_is_announced_falsely_is_not_taken", |t| {
        let (one, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let file = std::fs::File::open("/dev/null").expect("a file");
        let refused: [(&str, Option<Stdio>, &str); 9] = [
            ("", None, "names no descriptor"),
            ("x", None, "names no descriptor"),
            ("-1", None, "names no descriptor"),
            ("1", None, "closed"),
            ("77", None, "closed"),
            ("2147483647", None, "closed"),
            ("9", Some(Stdio::fd(file)), "no connected Unix stream socket"),
            ("9", Some(Stdio::fd(socket(t))), "no connected Unix stream socket"),
            ("9:1", Some(Stdio::fd(one)), "another process or is closed"),
        ];
        for (value, stdio, why) in refused {
            let mut command = peer(&["exit", "0"]);
            command.env("PROCS_CHANNEL_FD", value);
            if let Some(stdio) = stdio {
                command.fd(9, stdio);
            }
            let output = command.output().expect("a run");
            assert_eq!(output.status, ExitStatus::Exited(66), "{value}");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(why) && said.contains(value), "{value}: {said}");
        }
        let output = peer(&["exit", "0"]).output().expect("a run");
        assert!(String::from_utf8_lossy(&output.stderr).contains("was not given a channel"));
    });
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    run("a_start_that_fails_leaves_nothing", |_| {
        let error = Command::new("/no/such/program").fork().expect_err("it does not exist");
        assert_eq!((error.kind(), error.os_error()), (ErrorKind::NotFound, Some(libc::ENOENT)));
        let options = ChannelOptions { wire: Wire::Native, ..ChannelOptions::default() };
        assert!(Command::new("/no/such/node").fork_with(&options).is_err());
    });
}

/// The child's end is a number above 2 also in a host that has closed its own standard streams.
#[test]
fn a_host_without_standard_streams() {
    isolated_in("a_host_without_standard_streams", &Isolation::new(), |_| {
        let kept = host::copy_above(0, 10);
        host::close(0);
        let (mut child, channel) = fork(&["echo"]);
        channel.send_bytes(b"x").expect("sent");
        assert_eq!(channel.recv().expect("an echo").body, *b"x");
        channel.close();
        assert_eq!(child.wait().expect("a wait"), ExitStatus::Exited(0));
        host::copy_to(kept, 0);
        host::close(kept);
    });
}

/// Whoever reads docs/wire.md can write the other end: a hundred lines of Python that use nothing of this library.
#[test]
fn a_fifth_implementation_speaks_the_wire() {
    run("a_fifth_implementation_speaks_the_wire", |_| {
        let mut command = Command::new(procs_tests::python());
        command.arg(procs_tests::root().join("tests/wire/fifth.py"));
        let options = ChannelOptions { ring_bytes: 0, ..ChannelOptions::default() };
        let (mut child, channel) = command.fork_with(&options).expect("a child with a channel");
        for size in [0, 1, 1000, 3 << 20] {
            let body = vec![b'x'; size];
            let (read, _write) = std::io::pipe().expect("a pipe");
            let message = Message::raw(body.clone()).with_buffer("one").with_buffer("").with_fd(read);
            channel.send(message).expect("sent");
            let back = channel.recv_timeout(Duration::from_secs(20)).expect("an echo");
            assert!(*back.body == *body && back.buffers[0] == *b"one" && back.buffers[1].is_empty() && back.fds.len() == 1, "{size} bytes");
        }
        let json = Message::json(&serde_json::json!({ "k": [1, 2] })).expect("json");
        let reply = channel.call(json, PATIENCE).expect("a reply");
        assert_eq!(reply.to_json().expect("json")["k"][1], 2);
        let error = channel.call(Message::raw("fail"), PATIENCE).expect_err("it fails");
        assert_eq!((error.kind(), error.detail()), (ErrorKind::TaskFailed, "LookupError: nothing \u{e9}"));
        assert_eq!(error.remote().map(|remote| remote.trace.as_str()), Some("line 7"));
        let parts: Vec<String> = channel.call_stream(Message::raw("parts")).expect("a call").map(|part| text(&part.expect("a part"))).collect();
        assert_eq!(parts, ["one", "two", "three"]);
        channel.close();
        assert_eq!(child.wait().expect("a wait"), ExitStatus::Exited(5));
    });
}
