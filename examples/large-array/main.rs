//! A large array is handed to another process and back, without a copy: only a descriptor travels.

use procs::{Channel, Command, Error, ErrorKind, Message, Result, SharedMemory};
use std::env;
use std::time::Duration;

const COUNT: usize = 1_000_000;
const LONG: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    if env::args().len() > 1 { double() } else { parent() }
}

fn number(memory: &SharedMemory, at: usize) -> Result<u32> {
    memory.load(4 * at)
}

fn sum(memory: &SharedMemory) -> Result<u64> {
    (0..COUNT).try_fold(0, |total, at| Ok(total + u64::from(number(memory, at)?)))
}

fn parent() -> Result<()> {
    let memory = SharedMemory::new(4 * COUNT)?;
    for at in 0..COUNT {
        memory.write(4 * at, &(at as u32).to_le_bytes())?;
    }
    println!("an array of {COUNT} numbers, {} bytes: the sum is {}", memory.len(), sum(&memory)?);

    let program = env::current_exe().map_err(|error| Error::from_io("example", &error, "where this program is"))?;
    let (mut child, channel) = Command::new(program).arg("double").fork()?;
    channel.send(Message::raw("double").with_fd(memory.try_clone_fd()?))?;
    println!("handed over with a message of 6 bytes");
    println!("the other process has doubled {} numbers where they are", channel.recv_timeout(LONG)?.to_json()?);
    println!("the sum is {}, in the same memory", sum(&memory)?);
    channel.close();
    println!("the child ended with {}", child.wait()?);
    Ok(())
}

fn double() -> Result<()> {
    let channel = Channel::from_env()?;
    let fd = channel.recv_timeout(LONG)?.fds.pop().ok_or_else(|| Error::new(ErrorKind::Protocol, "example", "no descriptor came"))?;
    let memory = SharedMemory::from_fd(fd)?;
    for at in 0..COUNT {
        memory.write(4 * at, &(2 * number(&memory, at)?).to_le_bytes())?;
    }
    Ok(channel.send(Message::json(&COUNT.into())?)?)
}
