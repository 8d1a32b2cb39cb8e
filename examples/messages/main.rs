//! Two processes that exchange messages: objects, and bytes as they are.

use procs::{Channel, Codec, Command, Error, ErrorKind, Message, Result};
use std::env;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    if env::args().len() > 1 { child() } else { parent() }
}

fn parent() -> Result<()> {
    let program = env::current_exe().map_err(|error| Error::from_io("example", &error, "where this program is"))?;
    let (mut child, channel) = Command::new(program).arg("child").fork()?;
    for word in ["apple", "fig"] {
        let text = format!("{{\"word\":\"{word}\"}}");
        channel.send(Message::encoded(Codec::Json, text.clone().into_bytes()))?;
        println!("sent {text}, got back {}", channel.recv_timeout(LONG)?.to_json()?);
    }
    let data = vec![0; 1 << 20];
    channel.send_bytes(&data)?;
    println!("a mebibyte came back as it was: {}", *channel.recv_timeout(LONG)?.body == *data);
    channel.send(Message::json(&"enough".into())?)?;
    let end = channel.recv_timeout(LONG).err();
    println!("the other side has ended: {}", end.map_or("", |error| error.kind().name()));
    println!("the child ended with {}", child.wait()?);
    Ok(())
}

fn child() -> Result<()> {
    let channel = Channel::from_env()?;
    loop {
        let message = channel.recv()?;
        if message.codec == Codec::Raw {
            channel.send(message)?;
            continue;
        }
        let value = message.to_json()?;
        if value.as_str() == Some("enough") {
            return Ok(());
        }
        let word = value["word"].as_str().ok_or_else(|| Error::new(ErrorKind::Protocol, "example", "no word"))?;
        let text = format!("{{\"length\":{},\"word\":\"{}\"}}", word.len(), word.to_uppercase());
        channel.send(Message::encoded(Codec::Json, text.into_bytes()))?;
    }
}
