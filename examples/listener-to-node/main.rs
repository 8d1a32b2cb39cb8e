//! A listening socket that is opened here and handed to a plain Node program, which serves HTTP on it.

use procs::{Command, Error, Message, Result};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/listener-to-node/server.cjs");
    let (mut child, channel) = Command::new(script).fork()?;
    let failed = |error| Error::from_io("example", &error, "cannot talk");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    channel.send(Message::json(&json!({"greeting": "hello"}))?.with_fd(listener))?;
    channel.recv_timeout(LONG)?;
    println!("Node serves on the socket that was opened here");
    for name in ["world", "again"] {
        println!("GET /{name}: {}", get(address, name).map_err(failed)?);
    }
    channel.close();
    println!("the child ended with {}", child.wait()?);
    Ok(())
}

/// The body of a page.
fn get(address: SocketAddr, name: &str) -> std::io::Result<String> {
    let mut client = TcpStream::connect(address)?;
    write!(client, "GET /{name} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
}
