use super::super::line::Framing;
use super::super::outgoing::{Handles, Plan};
use super::*;
use crate::channel::{Codec, Message};
use crate::error::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};

type Test = std::result::Result<(), Box<dyn std::error::Error>>;

fn text_of(outgoing: &Outgoing) -> String {
    outgoing.slices().iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

fn control(text: &str) -> Option<Control> {
    json::scan(text.as_bytes(), 64).ok().and_then(|members| Control::of(text.as_bytes(), members))
}

fn plan(message: &Message) -> Result<Plan> {
    Plan::of(message, Framing::Json, Handles::Managed, 1 << 20)
}

fn outgoing(message: Message) -> Result<Outgoing> {
    Ok(Outgoing::new(plan(&message)?, message, Framing::Json))
}

#[test]
fn reserved_messages_are_told_apart() {
    assert_eq!(control(r#"{"cmd":"NODE_HANDLE_ACK"}"#), Some(Control::Ack));
    assert_eq!(control(r#"{"cmd":"NODE_HANDLE_NACK"}"#), Some(Control::Nack));
    assert_eq!(control(r#"{"cmd":"NODE_CLUSTER","act":"online"}"#), Some(Control::Other));
    assert_eq!(control(r#"{"cmd":"NODE_SOCKET_GET_COUNT"}"#), Some(Control::Other), "without a key there is nothing to answer");
    assert_eq!(control(r#"{"cmd":"hello"}"#), None);
    assert_eq!(control(r#"{"cmd":"NODE_HANDLE","type":"net.Later","msg":1}"#), Some(Control::Handle { kind: None, msg: Some(46..47) }));
    for kind in Type::ALL {
        let text = format!(r#"{{"cmd":"NODE_HANDLE","type":"{}","msg":7}}"#, kind.name());
        assert!(matches!(control(&text), Some(Control::Handle { kind: Some(found), .. }) if found == kind));
    }
}

#[test]
fn questions_about_sockets_are_answered() -> Test {
    let text = r#"{"cmd":"NODE_SOCKET_GET_COUNT","key":"4:null:80"}"#;
    let answer = control(text).and_then(|control| control.answer(text.as_bytes())).ok_or("no answer")?;
    assert_eq!(text_of(&answer), "{\"cmd\":\"NODE_SOCKET_COUNT\",\"key\":\"4:null:80\",\"count\":0}\n");
    let text = "{\"cmd\":\"NODE_SOCKET_NOTIFY_CLOSE\",\"key\":[\n1]}";
    let answer = control(text).and_then(|control| control.answer(text.as_bytes())).ok_or("no answer")?;
    assert_eq!(text_of(&answer), "{\"cmd\":\"NODE_SOCKET_ALL_CLOSED\",\"key\":[ 1]}\n");
    Ok(())
}

#[test]
fn handles_are_wrapped_as_node_wraps_them() -> Test {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let cases: [(Message, &str); 4] = [
        (Message::json(&"a".into())?.with_fd(listener), "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Server\",\"msg\":\"a\"}\n"),
        (Message::encoded(Codec::Json, "{\n}").with_fd(stream), "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":{ }}\n"),
        (
            Message::json(&1.into())?.with_fd(UdpSocket::bind("127.0.0.1:0")?),
            "{\"cmd\":\"NODE_HANDLE\",\"type\":\"dgram.Socket\",\"dgramType\":\"udp4\",\"msg\":1}\n",
        ),
        (Message::json(&1.into())?, "1\n"),
    ];
    for (message, expected) in cases {
        assert_eq!(text_of(&outgoing(message)?), expected);
    }
    Ok(())
}

#[test]
fn what_the_wire_cannot_carry_is_refused() -> Test {
    let refused = |message: Message, kind: ErrorKind, part: &str| {
        let error = plan(&message).err().map(|error| (error.kind(), error.to_string()));
        assert!(matches!(&error, Some((found, text)) if *found == kind && text.contains(part)), "{error:?}");
    };
    let file = || std::fs::File::open("/dev/null");
    refused(Message::raw("bytes"), ErrorKind::InvalidArgument, "codec = raw, expected json");
    refused(Message::encoded(Codec::V8, "x"), ErrorKind::InvalidArgument, "codec = v8, expected json");
    refused(Message::encoded(Codec::Json, "{"), ErrorKind::InvalidArgument, "no JSON");
    refused(Message::encoded(Codec::Json, ""), ErrorKind::InvalidArgument, "no JSON");
    refused(Message::encoded(Codec::Json, "1\n2"), ErrorKind::InvalidArgument, "no JSON");
    refused(Message::json(&serde_json::json!({"cmd": "NODE_x"}))?, ErrorKind::InvalidArgument, "reserved");
    refused(Message::encoded(Codec::Json, r#"{"cmd":"NODE_x","cmd":"y"}"#), ErrorKind::InvalidArgument, "reserved");
    refused(Message::json(&1.into())?.with_buffer("x"), ErrorKind::InvalidArgument, "buffers = 1");
    refused(Message::json(&1.into())?.with_fd(file()?).with_fd(file()?), ErrorKind::InvalidArgument, "fds = 2");
    refused(Message::json(&1.into())?.with_fd(file()?), ErrorKind::InvalidArgument, "sockets only");
    refused(Message::json(&"x".repeat(1 << 20).into())?, ErrorKind::TooLarge, "max_message = 1048576");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    refused(Message::json(&1.into())?.with_fd(listener).with_handle(HandleKind::TcpSocket), ErrorKind::InvalidArgument, "tcp-socket");
    assert!(plan(&Message::json(&serde_json::json!({"cmd": "NODE_"}))?).is_ok());
    Ok(())
}

/// Three more times, and answers that nobody awaits are nothing.
#[test]
fn a_handle_is_sent_again_three_times() -> Test {
    let mut gate = Gate::default();
    gate.acknowledged();
    assert!(matches!(gate.refused(), Refusal::Unexpected));
    let mut handle = outgoing(Message::json(&1.into())?.with_fd(TcpListener::bind("127.0.0.1:0")?))?;
    gate.close();
    gate.acknowledged();
    assert!(gate.is_closed(), "not written yet, so the answer cannot be for it");
    for _ in 0..RETRANSMISSIONS {
        assert!(handle.fd().is_some());
        assert!(!handle.advance(5) && handle.fd().is_none());
        assert!(handle.advance(handle.len() - 5));
        gate.keep(handle);
        handle = match gate.refused() {
            Refusal::Again(handle) => handle,
            other => return Err(format!("{other:?}").into()),
        };
    }
    gate.keep(handle);
    assert!(gate.is_closed());
    assert!(matches!(gate.refused(), Refusal::GivenUp));
    assert!(!gate.is_closed());
    Ok(())
}

/// Also when it is a copy: blocking is a property of what all copies share.
#[test]
fn a_handle_does_not_block_for_node() -> Test {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let flags = || -> std::io::Result<String> {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", listener.as_raw_fd()))?;
        Ok(info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default().trim().to_owned())
    };
    let before = i32::from_str_radix(&flags()?, 8)?;
    outgoing(Message::json(&1.into())?.with_fd(listener.try_clone()?))?;
    let after = i32::from_str_radix(&flags()?, 8)?;
    assert_eq!((before & libc::O_NONBLOCK, after & libc::O_NONBLOCK), (0, libc::O_NONBLOCK));
    Ok(())
}
