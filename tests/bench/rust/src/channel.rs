//! libprocs' channel from Rust. `rust-channel CASE mode=M sizes=N,N seconds=S peer-cpu=C`; the child is this program again, or in the case
//! `node` a plain Node script, `echo=PATH`.

#[allow(dead_code)] // shared with the programs that start children
mod common;
mod messages;

use common::Options;
use messages::{Echo, Link};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use procs::{Channel, ChannelOptions, Command, Message, Spin, Wire};
use serde_json::Value;
use std::io;

struct Ours(Channel);

impl Link for Ours {
    fn send(&mut self, data: &[u8]) -> io::Result<()> {
        Ok(self.0.send_bytes(data)?)
    }

    fn receive(&mut self, _len: usize, into: &mut Vec<u8>) -> io::Result<()> {
        Ok(self.0.recv_into(into)?)
    }
}

/// The same messages by reference: built in a block of the memory that both sides share, of which each touches the first bytes, and read there.
struct InPlace(Channel);

impl Link for InPlace {
    fn send(&mut self, data: &[u8]) -> io::Result<()> {
        if data.len() <= messages::ORDER {
            return Ok(self.0.send_bytes(data)?);
        }
        let mut block = self.0.alloc(data.len())?;
        block.write(0, &data[..messages::ORDER])?;
        self.0.send(Message::raw(block)).map_err(io::Error::other)
    }

    /// Only the first bytes are looked at; `into` is as long as the message.
    fn receive(&mut self, len: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let message = self.0.recv()?;
        into.resize(message.body.len(), 0);
        let seen = len.min(messages::ORDER).min(into.len());
        into[..seen].copy_from_slice(&message.body[..seen]);
        Ok(())
    }
}

/// `native` as a program gets it, `in-place` by reference, `no-spin` with the option that never looks twice.
fn channel_options(case: &str) -> io::Result<ChannelOptions> {
    let mut options = ChannelOptions::default();
    match case {
        "native" | "in-place" => (),
        "no-spin" => options.spin = Spin::Off,
        "node" => options.wire = Wire::Node,
        other => return Err(io::Error::other(format!("unknown case {other}"))),
    }
    Ok(options)
}

fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

fn parent(case: &str, options: &Options, channel: &ChannelOptions) -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    let (mut child, channel) = command.args(std::env::args_os().skip(1)).arg("role=peer").fork_with(channel)?;
    match case {
        "in-place" => messages::measure(&mut InPlace(channel), options)?,
        _ => messages::measure(&mut Ours(channel), options)?,
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("child ended with {status:?}"))) }
}

fn child(case: &str, options: &Options, channel: &ChannelOptions) -> io::Result<()> {
    if let Ok(cpu) = options.text("peer-cpu") {
        pin(cpu.parse().map_err(io::Error::other)?)?;
    }
    let channel = Channel::from_env_with(channel)?;
    if case == "in-place" { messages::serve(&mut InPlace(channel)) } else { messages::serve(&mut Ours(channel)) }
}

/// JSON to and from a script that sends back what it is sent.
struct Script(Channel);

impl Echo for Script {
    type Value = Value;

    fn value(&self) -> Value {
        Value::String("x".repeat(64))
    }

    fn send(&mut self, value: &Value) -> io::Result<()> {
        self.0.send(Message::json(value)?).map_err(io::Error::other)?;
        Ok(())
    }

    fn receive(&mut self) -> io::Result<Value> {
        Ok(self.0.recv()?.to_json()?)
    }
}

/// The script under Node as it is; pinned, if it is to run on another processor.
fn script(options: &Options, channel: &ChannelOptions) -> io::Result<()> {
    let echo = options.text("echo")?;
    let mut command = match options.text("peer-cpu") {
        Ok(cpu) => {
            let mut command = Command::new("taskset");
            command.args(["-c", cpu, "node", echo]);
            command
        }
        Err(_) => Command::new(echo),
    };
    let (mut child, channel) = command.fork_with(channel)?;
    let mut script = Script(channel);
    messages::measure_echo(&mut script, options)?;
    drop(script);
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("script ended with {status:?}"))) }
}

fn main() -> io::Result<()> {
    let (case, options) = Options::from_args()?;
    let channel = channel_options(&case)?;
    if case == "node" {
        return script(&options, &channel);
    }
    if options.text("role").is_ok() { child(&case, &options, &channel) } else { parent(&case, &options, &channel) }
}
