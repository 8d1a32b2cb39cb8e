//! A listening socket is passed to another process, which answers who connects to it.

use procs::{Channel, Command, Error, ErrorKind, Message, Result};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

fn main() -> Result<()> {
    if env::args().len() > 1 { answer() } else { parent() }
}

fn failed(error: std::io::Error) -> Error {
    Error::from_io("example", &error, "the socket")
}

/// The first line that a connection brings.
fn line(connection: &TcpStream) -> Result<String> {
    let mut text = String::new();
    BufReader::new(connection).read_line(&mut text).map_err(failed)?;
    Ok(text)
}

fn parent() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let program = env::current_exe().map_err(|error| Error::from_io("example", &error, "where this program is"))?;
    let (mut child, channel) = Command::new(program).arg("answer").fork()?;
    // The message has the socket, and closes it once it is sent.
    channel.send(Message::raw("listen").with_fd(OwnedFd::from(listener)))?;
    println!("a listening socket goes to another process");
    println!("this process has closed its own");
    let mut connection = TcpStream::connect(address).map_err(failed)?;
    connection.write_all(b"hello\n").map_err(failed)?;
    println!("asked at the same address, the other process answers: {}", line(&connection)?.trim_end());
    println!("the child ended with {}", child.wait()?);
    Ok(())
}

fn answer() -> Result<()> {
    let mut message = Channel::from_env()?.recv_timeout(Duration::from_secs(20))?;
    let fd = message.fds.pop().ok_or_else(|| Error::new(ErrorKind::Protocol, "example", "no socket came"))?;
    let (mut connection, _) = TcpListener::from(fd).accept().map_err(failed)?;
    let answer = line(&connection)?.to_uppercase();
    connection.write_all(answer.as_bytes()).map_err(failed)
}
