//! The peer of Rust: `std::process`, as a reader of its documentation would use it.

mod common;

use common::{Job, Options, Spawner};
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

struct Std;

impl Spawner for Std {
    type Child = Child;

    fn start(&self, program: &str) -> io::Result<Child> {
        Command::new(program).spawn()
    }

    fn wait(&self, child: &mut Child) -> io::Result<()> {
        check(child.wait()?)
    }
}

fn check(status: std::process::ExitStatus) -> io::Result<()> {
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("child ended with {status}")))
    }
}

fn output(job: &Job) -> io::Result<u64> {
    let output = Command::new(&job.producer).args(&job.arguments).output()?;
    check(output.status)?;
    Ok(black_box(&output.stdout).len() as u64)
}

/// Starts the producer, gives its stdout to `take` and waits for its end.
fn stream(job: &Job, take: impl Fn(ChildStdout) -> io::Result<u64>) -> io::Result<u64> {
    let mut child = Command::new(&job.producer).args(&job.arguments).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no stdout"))?;
    let taken = take(stdout)?;
    check(child.wait()?)?;
    Ok(taken)
}

fn read_64k(mut stdout: ChildStdout) -> io::Result<u64> {
    let mut buffer = vec![0u8; 65536];
    let mut total = 0;
    loop {
        match stdout.read(&mut buffer)? {
            0 => return Ok(total),
            n => total += n as u64,
        }
    }
}

fn lines(stdout: ChildStdout) -> io::Result<u64> {
    let mut total = 0;
    for line in BufReader::new(stdout).lines() {
        total += line?.len() as u64;
    }
    Ok(total)
}

fn read_line(stdout: ChildStdout) -> io::Result<u64> {
    let mut reader = BufReader::new(stdout);
    let mut line = String::new();
    let mut total = 0;
    while reader.read_line(&mut line)? > 0 {
        total += line.len() as u64;
        line.clear();
    }
    Ok(total)
}

fn read_until(stdout: ChildStdout) -> io::Result<u64> {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    let mut total = 0;
    while reader.read_until(b'\n', &mut line)? > 0 {
        total += line.len() as u64;
        line.clear();
    }
    Ok(total)
}

fn main() -> io::Result<()> {
    let (case, options) = Options::from_args()?;
    match case.as_str() {
        "spawn" => common::spawn(&Std, &options),
        "output" => common::capture(&options, output),
        "read-64k" => common::capture(&options, |job| stream(job, read_64k)),
        "lines" => common::capture(&options, |job| stream(job, lines)),
        "read-line" => common::capture(&options, |job| stream(job, read_line)),
        "read-until" => common::capture(&options, |job| stream(job, read_until)),
        other => Err(io::Error::other(format!("unknown case {other}"))),
    }
}
