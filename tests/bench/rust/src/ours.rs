//! libprocs from Rust, the same cases as `peers.rs`.

mod common;

use common::{Job, Options, Spawner};
use procs::{Child, Command, ExitStatus, OutputLimit, Stdio};
use std::hint::black_box;
use std::io;

struct Ours {
    wait_for_exec: bool,
}

impl Spawner for Ours {
    type Child = Child;

    fn start(&self, program: &str) -> io::Result<Child> {
        Command::new(program).wait_for_exec(self.wait_for_exec).spawn().map_err(io::Error::other)
    }

    fn wait(&self, child: &mut Child) -> io::Result<()> {
        check(child.wait().map_err(io::Error::other)?)
    }
}

fn check(status: ExitStatus) -> io::Result<()> {
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("child ended with {status:?}")))
    }
}

fn output(job: &Job) -> io::Result<u64> {
    let mut command = Command::new(&job.producer);
    command.args(&job.arguments).max_output(OutputLimit::Unlimited);
    let output = command.output().map_err(io::Error::other)?;
    check(output.status)?;
    Ok(black_box(&output.stdout).len() as u64)
}

/// Starts the producer with a pipe, lets `take` read it and waits for its end.
fn stream(job: &Job, take: impl Fn(&mut Child) -> procs::Result<u64>) -> io::Result<u64> {
    let mut child = Command::new(&job.producer)
        .args(&job.arguments)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(io::Error::other)?;
    let taken = take(&mut child).map_err(io::Error::other)?;
    check(child.wait().map_err(io::Error::other)?)?;
    Ok(taken)
}

fn chunks(child: &mut Child) -> procs::Result<u64> {
    let mut chunks = child.chunks()?;
    let mut total = 0;
    while let Some(chunk) = chunks.next_chunk()? {
        total += chunk.len() as u64;
    }
    Ok(total)
}

fn lines(child: &mut Child) -> procs::Result<u64> {
    let mut lines = child.lines()?;
    let mut total = 0;
    while let Some(line) = lines.next_line()? {
        total += line.len() as u64;
    }
    Ok(total)
}

fn main() -> io::Result<()> {
    let (case, options) = Options::from_args()?;
    match case.as_str() {
        "spawn" => common::spawn(&Ours { wait_for_exec: true }, &options),
        "spawn-no-wait" => common::spawn(&Ours { wait_for_exec: false }, &options),
        "output" => common::capture(&options, output),
        "chunks" => common::capture(&options, |job| stream(job, chunks)),
        "lines" => common::capture(&options, |job| stream(job, lines)),
        other => Err(io::Error::other(format!("unknown case {other}"))),
    }
}
