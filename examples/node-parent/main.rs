//! A child of a plain Node program: it finds Node's channel, answers a message, and reads from the connection that it is handed.

use procs::{Channel, Command, Error, Message, Result};
use serde_json::{Value, json};
use std::io::Read;
use std::net::TcpStream;
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    if std::env::args().len() > 1 { child() } else { start_node() }
}

/// Node, with this program as its child.
fn start_node() -> Result<ExitCode> {
    let program = std::env::current_exe().map_err(|error| Error::from_io("example", &error, "where this program is"))?;
    let parent = concat!(env!("CARGO_MANIFEST_DIR"), "/node-parent/parent.cjs");
    let status = Command::new("node").arg(parent).arg(program).arg("child").status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn child() -> Result<ExitCode> {
    let channel = Channel::from_env()?;
    while let Ok(mut message) = channel.recv() {
        let answer = match message.fds.pop() {
            Some(connection) => json!({"read": read_all(TcpStream::from(connection))?}),
            None => json!({"sum": message.to_json()?["numbers"].as_array().into_iter().flatten().filter_map(Value::as_i64).sum::<i64>()}),
        };
        channel.send(Message::json(&answer)?)?;
    }
    Ok(ExitCode::from(3))
}

fn read_all(mut connection: TcpStream) -> Result<String> {
    let mut words = String::new();
    // Node's sockets never block.
    connection
        .set_nonblocking(false)
        .and_then(|()| connection.read_to_string(&mut words))
        .map_err(|error| Error::from_io("example", &error, "cannot read"))?;
    Ok(words)
}
