//! Area C, our side: two processes, messages back and forth or one way.

mod ipc;

use ipc::{Link, Options};
use procs::{Channel, ChannelOptions, Spin};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

struct Ours {
    channel: Channel,
    buffer: Vec<u8>,
}

impl Link for Ours {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        Ok(self.channel.send_bytes(bytes)?)
    }

    fn recv(&mut self) -> io::Result<usize> {
        self.channel.recv_into(&mut self.buffer)?;
        Ok(self.buffer.len())
    }
}

fn options(options: &Options) -> ChannelOptions {
    let spin = if options.text("spin").is_ok_and(|text| text == "off") { Spin::Off } else { Spin::Adaptive };
    ChannelOptions { spin, ring_bytes: options.number("ring", (1 << 20) as f64) as usize, ..ChannelOptions::default() }
}

fn main() -> io::Result<()> {
    let (case, given) = Options::from_args()?;
    if given.text("role").is_ok() {
        let fd: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
        let channel = Channel::from_fd_with(fd, &options(&given))?;
        return ipc::serve(&case, &given, &mut Ours { channel, buffer: Vec::new() });
    }
    let (here, there) = Channel::pair_with(&options(&given))?;
    let mut child = ipc::start_peer(Stdio::from(there.into_fd()?))?;
    ipc::measure(&case, &given, &mut Ours { channel: here, buffer: Vec::new() })?;
    child.wait().map(drop)
}
