//! A plain Node program as the child: objects both ways, a connection that it is handed, its end.

use procs::{Command, Error, Message, Result};
use serde_json::json;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/node-child/child.cjs");
    let (mut child, channel) = Command::new(script).fork()?;

    let question = json!({"number": 12});
    channel.send(Message::json(&question)?)?;
    println!("sent {question}, got back {}", channel.recv_timeout(LONG)?.to_json()?);

    let failed = |error| Error::from_io("example", &error, "cannot talk");
    let (connection, client) = connection().map_err(failed)?;
    channel.send(Message::json(&json!({"name": "client"}))?.with_fd(connection))?;
    println!("the child answered on the connection: {}", read_all(client).map_err(failed)?);

    channel.close();
    println!("the child ended with {}", child.wait()?);
    Ok(())
}

/// A connection as a server accepts it, and the client's end of it.
fn connection() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((listener.accept()?.0, client))
}

/// What comes until the end; the connection is closed then.
fn read_all(mut client: TcpStream) -> std::io::Result<String> {
    let mut said = String::new();
    client.read_to_string(&mut said)?;
    Ok(said)
}
