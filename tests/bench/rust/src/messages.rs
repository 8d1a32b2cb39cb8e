//! The two sides of a measurement over any way to exchange messages, as in limits/messages.h.

use crate::common::{Options, quantile};
use std::io;
use std::time::Instant;

/// A way to exchange messages. Both sides know the length of the next one.
pub trait Link {
    fn send(&mut self, data: &[u8]) -> io::Result<()>;
    /// The bytes belong to the receiver afterwards; whatever was in `into` is replaced.
    fn receive(&mut self, len: usize, into: &mut Vec<u8>) -> io::Result<()>;
}

pub const ORDER: usize = 16;
const END: u32 = 0;
const ECHO: u32 = 1;
const SINK: u32 = 2;

fn order(kind: u32, count: u32, size: usize) -> [u8; ORDER] {
    let mut bytes = [0; ORDER];
    bytes[..4].copy_from_slice(&kind.to_ne_bytes());
    bytes[4..8].copy_from_slice(&count.to_ne_bytes());
    bytes[8..].copy_from_slice(&(size as u64).to_ne_bytes());
    bytes
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte))
}

/// The sizes that will be sent.
pub fn sizes(options: &Options) -> Vec<usize> {
    let text = options.text("sizes").unwrap_or("64");
    text.split(',').filter_map(|word| word.parse().ok()).collect()
}

/// The child's side, until it is told to end.
pub fn serve(link: &mut impl Link) -> io::Result<()> {
    let (mut told, mut message) = (Vec::new(), Vec::new());
    loop {
        receive(link, ORDER, &mut told)?;
        let (kind, count, size) = (number(&told[..4]) as u32, number(&told[4..8]), number(&told[8..]));
        if kind == END {
            return Ok(());
        }
        for _ in 0..count {
            receive(link, size, &mut message)?;
            if kind == ECHO {
                link.send(&message)?;
            }
        }
        if kind == SINK {
            link.send(&told)?;
        }
    }
}

fn receive(link: &mut impl Link, len: usize, into: &mut Vec<u8>) -> io::Result<()> {
    link.receive(len, into)?;
    if into.len() != len {
        return Err(io::Error::other(format!("took {} bytes of {len}", into.len())));
    }
    Ok(())
}

/// One batch of round trips; gives its seconds.
fn round_trips(link: &mut impl Link, (message, answer): (&[u8], &mut Vec<u8>), count: u32, samples: &mut Vec<f64>) -> io::Result<f64> {
    samples.clear();
    link.send(&order(ECHO, count, message.len()))?;
    let begin = Instant::now();
    let mut last = begin;
    for _ in 0..count {
        link.send(message)?;
        receive(link, message.len(), answer)?;
        let now = Instant::now();
        samples.push((now - last).as_nanos() as f64 / 1e3);
        last = now;
    }
    Ok((last - begin).as_secs_f64())
}

/// One batch in one direction, until the child says that it has all of it; gives its seconds.
fn one_way(link: &mut impl Link, message: &[u8], count: u32) -> io::Result<f64> {
    link.send(&order(SINK, count, message.len()))?;
    let begin = Instant::now();
    for _ in 0..count {
        link.send(message)?;
    }
    receive(link, ORDER, &mut Vec::new())?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Doubles a batch until it takes this long, which warms up; the first waits for the child to be there.
fn doubled(mut batch: impl FnMut(u32) -> io::Result<f64>, seconds: f64) -> io::Result<(u32, f64)> {
    batch(1)?;
    let mut count = 1;
    let mut taken = twice(&mut batch, count, seconds)?;
    while taken < seconds && count < 1 << 24 {
        count *= 2;
        taken = twice(&mut batch, count, seconds)?;
    }
    Ok((count, taken))
}

/// The seconds of a batch; one that only just took long enough may have been interrupted and is run again.
fn twice(mut batch: impl FnMut(u32) -> io::Result<f64>, count: u32, seconds: f64) -> io::Result<f64> {
    let taken = batch(count)?;
    if (seconds..4.0 * seconds).contains(&taken) { Ok(taken.min(batch(count)?)) } else { Ok(taken) }
}

fn label(size: usize) -> String {
    match size {
        0x0010_0000.. => format!("{}m", size >> 20),
        0x0400.. => format!("{}k", size >> 10),
        _ => size.to_string(),
    }
}

/// Median and 99th percentile of the round trip.
fn measure_round(link: &mut impl Link, message: &[u8], seconds: f64) -> io::Result<String> {
    // One buffer for all batches, as in C: fresh memory would be measured instead.
    let (mut samples, mut answer) = (Vec::with_capacity(1 << 20), vec![0; message.len()]);
    let (count, taken) = doubled(|count| round_trips(link, (message, &mut answer), count, &mut samples), seconds / 4.0)?;
    round_trips(link, (message, &mut answer), ((seconds / taken * f64::from(count)) as u32).max(1), &mut samples)?;
    let (name, middle, late) = (label(message.len()), quantile(&mut samples, 0.5), quantile(&mut samples, 0.99));
    Ok(format!("\"us_{name}\": {middle:.4}, \"p99_us_{name}\": {late:.4}"))
}

/// The median rate of four batches: million messages up to 1 KiB, GiB above.
fn measure_way(link: &mut impl Link, message: &[u8], seconds: f64) -> io::Result<String> {
    let (count, _) = doubled(|count| one_way(link, message, count), seconds / 4.0)?;
    let mut rates = Vec::new();
    for _ in 0..4 {
        rates.push(f64::from(count) / one_way(link, message, count)?);
    }
    let (name, rate) = (label(message.len()), quantile(&mut rates, 0.5));
    Ok(if message.len() <= 1024 {
        format!("\"mmsg_{name}\": {:.5}", rate / 1e6)
    } else {
        format!("\"gib_{name}\": {:.5}", rate * message.len() as f64 / (1u64 << 30) as f64)
    })
}

/// The parent's side: all sizes, one line of JSON, then the child is told to end.
pub fn measure(link: &mut impl Link, options: &Options) -> io::Result<()> {
    let round = options.text("mode").unwrap_or("round") == "round";
    let seconds = options.number("seconds", 0.1);
    let mut parts = Vec::new();
    for size in sizes(options) {
        let message = vec![b'x'; size];
        parts.push(if round { measure_round(link, &message, seconds)? } else { measure_way(link, &message, seconds)? });
    }
    link.send(&order(END, 0, 0))?;
    println!("{{{}}}", parts.join(", "));
    Ok(())
}

/// A child that sends back whatever it is sent, and is told nothing.
#[allow(dead_code)] // not every program has one
pub trait Echo {
    type Value: PartialEq;
    fn value(&self) -> Self::Value;
    fn send(&mut self, value: &Self::Value) -> io::Result<()>;
    fn receive(&mut self) -> io::Result<Self::Value>;
}

/// Messages on their way when the rate is measured.
const WINDOW: usize = 64;

/// Round trips one by one, then echoes a second with a window, each for `seconds=` after as long a warm-up. One line of JSON.
#[allow(dead_code)]
pub fn measure_echo(echo: &mut impl Echo, options: &Options) -> io::Result<()> {
    let seconds = options.number("seconds", 0.1);
    let mut samples = Vec::new();
    for _ in 0..2 {
        samples.clear();
        echo_window(echo, 1, seconds, |micros| samples.push(micros))?;
    }
    echo_window(echo, WINDOW, seconds, |_| ())?;
    let rate = echo_window(echo, WINDOW, seconds, |_| ())?;
    let (middle, late) = (quantile(&mut samples, 0.5), quantile(&mut samples, 0.99));
    println!("{{\"us_64\": {middle:.4}, \"p99_us_64\": {late:.4}, \"kmsg\": {:.4}}}", rate / 1e3);
    Ok(())
}

/// Keeps `window` messages on their way for this long; tells the time between answers and gives the answers a second.
#[allow(dead_code)]
fn echo_window(echo: &mut impl Echo, window: usize, seconds: f64, mut told: impl FnMut(f64)) -> io::Result<f64> {
    let value = echo.value();
    for _ in 0..window {
        echo.send(&value)?;
    }
    let begin = Instant::now();
    let (mut last, mut count) = (begin, 0u32);
    while (last - begin).as_secs_f64() < seconds {
        if echo.receive()? != value {
            return Err(io::Error::other("the answer is something else"));
        }
        echo.send(&value)?;
        let now = Instant::now();
        told((now - last).as_nanos() as f64 / 1e3);
        last = now;
        count += 1;
    }
    for _ in 0..window {
        echo.receive()?;
    }
    Ok(f64::from(count) / (last - begin).as_secs_f64())
}
