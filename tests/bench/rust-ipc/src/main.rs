//! The message peers of Rust: ipc-channel and iceoryx2, as their documentation shows them.
//! `ipc-peers CASE mode=M sizes=N,N seconds=S peer-cpu=C`; the child is this program again, with `join=NAME`.

mod channels;
#[allow(dead_code)] // shared with the programs that start children
#[path = "../../rust/src/common.rs"]
mod common;
#[path = "../../rust/src/messages.rs"]
mod messages;
mod services;

use common::Options;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::io;
use std::process::{Child, Command};

/// Starts this program as the child, which joins under a name.
fn start(name: &str) -> io::Result<Child> {
    Command::new(std::env::current_exe()?).args(std::env::args().skip(1)).arg(format!("join={name}")).spawn()
}

fn finish(mut child: Child) -> io::Result<()> {
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("child ended with {status}"))) }
}

/// Any peer's error, in the words that it prints.
fn failed(error: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("{error:?}"))
}

fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

fn main() -> io::Result<()> {
    let (case, options) = Options::from_args()?;
    let joins = options.text("join").is_ok();
    if joins && let Ok(cpu) = options.text("peer-cpu") {
        pin(cpu.parse().map_err(io::Error::other)?)?;
    }
    match (case.as_str(), joins) {
        ("ipc-channel-vec", false) => channels::parent::<channels::Vectors>(&options),
        ("ipc-channel-vec", true) => channels::child::<channels::Vectors>(&options),
        ("ipc-channel-bytes", false) => channels::parent::<channels::Bytes>(&options),
        ("ipc-channel-bytes", true) => channels::child::<channels::Bytes>(&options),
        ("iceoryx2-polling", false) => services::parent(&options, false),
        ("iceoryx2-polling", true) => services::child(&options, false),
        ("iceoryx2-event", false) => services::parent(&options, true),
        ("iceoryx2-event", true) => services::child(&options, true),
        (other, _) => Err(io::Error::other(format!("unknown case {other}"))),
    }
}
