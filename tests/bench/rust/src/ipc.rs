//! What the programs of area C share: a peer process, round trips and one-way streams, one line of JSON.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// One end, whatever carries the messages.
pub trait Link {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Receives one message, owns its bytes, gives their number.
    fn recv(&mut self) -> io::Result<usize>;
}

/// Options as `key=value`.
pub struct Options(HashMap<String, String>);

impl Options {
    /// The case (first argument) and the options after it.
    pub fn from_args() -> io::Result<(String, Options)> {
        let mut args = std::env::args().skip(1);
        let case = args.next().ok_or_else(|| io::Error::other("case missing"))?;
        let pairs = args.filter_map(|arg| arg.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())));
        Ok((case, Options(pairs.collect())))
    }

    pub fn text(&self, key: &str) -> io::Result<&str> {
        self.0.get(key).map(String::as_str).ok_or_else(|| io::Error::other(format!("option {key} missing")))
    }

    pub fn number(&self, key: &str, default: f64) -> f64 {
        self.0.get(key).and_then(|text| text.parse().ok()).unwrap_or(default)
    }
}

/// Puts this process on the processor of `key=`, if that is given.
fn pin(options: &Options, key: &str) -> io::Result<()> {
    if let Ok(text) = options.text(key) {
        let mut set = CpuSet::new();
        set.set(text.parse().map_err(io::Error::other)?)?;
        sched_setaffinity(Pid::from_raw(0), &set)?;
    }
    Ok(())
}

/// Starts this program again as the other side; its end is its standard input.
pub fn start_peer(end: Stdio) -> io::Result<Child> {
    Command::new(std::env::current_exe()?).args(std::env::args().skip(1)).arg("role=peer").stdin(end).spawn()
}

/// The other side: echoes, or counts and answers the last message.
pub fn serve(case: &str, options: &Options, link: &mut impl Link) -> io::Result<()> {
    pin(options, "peer_cpu")?;
    let size = options.number("size", 64.0) as usize;
    let bytes = vec![7_u8; size];
    match case {
        "rtt" => loop {
            match link.recv() {
                Ok(1) | Err(_) => return Ok(()),
                Ok(_) => link.send(&bytes)?,
            }
        },
        "oneway" => {
            link.send(&[0])?;
            let mut count = 0_u64;
            loop {
                if link.recv()? == 1 {
                    link.send(&count.to_le_bytes()[..2])?;
                    return Ok(());
                }
                count += 1;
            }
        }
        other => Err(io::Error::other(format!("unknown case {other}"))),
    }
}

/// This side: prints the result.
pub fn measure(case: &str, options: &Options, link: &mut impl Link) -> io::Result<()> {
    pin(options, "cpu")?;
    let size = options.number("size", 64.0) as usize;
    let seconds = Duration::from_secs_f64(options.number("seconds", 0.4));
    let bytes = vec![7_u8; size];
    if case == "rtt" { round_trips(link, &bytes, seconds) } else { one_way(link, &bytes, seconds) }
}

fn quantile(samples: &mut [u64], q: f64) -> f64 {
    samples.sort_unstable();
    let last = samples.len().saturating_sub(1);
    samples.get((q * last as f64).round() as usize).map_or(0.0, |nanos| *nanos as f64 / 1000.0)
}

/// One sample is the mean of a few round trips where one is too short for the clock.
fn round_trips(link: &mut impl Link, bytes: &[u8], seconds: Duration) -> io::Result<()> {
    let batch = if bytes.len() <= 4096 { 16 } else { 1 };
    for _ in 0..200 {
        link.send(bytes)?;
        link.recv()?;
    }
    let mut samples = Vec::with_capacity(1 << 20);
    let stop = Instant::now() + seconds;
    loop {
        let begin = Instant::now();
        if begin >= stop {
            break;
        }
        for _ in 0..batch {
            link.send(bytes)?;
            link.recv()?;
        }
        samples.push(begin.elapsed().as_nanos() as u64 / batch);
    }
    link.send(&[0])?;
    println!("{{\"rtt_us\": {:.3}, \"p99_us\": {:.3}, \"count\": {}}}", quantile(&mut samples, 0.5), quantile(&mut samples, 0.99), samples.len());
    Ok(())
}

fn one_way(link: &mut impl Link, bytes: &[u8], seconds: Duration) -> io::Result<()> {
    link.recv()?;
    let begin = Instant::now();
    let mut count = 0_u64;
    let look = (65_536 / bytes.len().max(1)).clamp(1, 512) as u64;
    while !count.is_multiple_of(look) || begin.elapsed() < seconds {
        link.send(bytes)?;
        count += 1;
    }
    link.send(&[0])?;
    link.recv()?;
    let taken = begin.elapsed().as_secs_f64();
    println!(
        "{{\"mmsg_s\": {:.4}, \"gib_s\": {:.4}, \"count\": {count}}}",
        count as f64 / taken / 1e6,
        count as f64 * bytes.len() as f64 / taken / (1u64 << 30) as f64
    );
    Ok(())
}
