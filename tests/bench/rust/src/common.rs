//! What the peers' and our program share: options as `key=value`, samples, and one line of JSON as the result.

use nix::sys::resource::{UsageWho, getrusage};
use std::collections::HashMap;
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

/// A case that starts one child and waits for its end. The clock stops when the status is known; letting go of the child counts in the rate.
pub trait Spawner {
    type Child;
    fn start(&self, program: &str) -> io::Result<Self::Child>;
    fn wait(&self, child: &mut Self::Child) -> io::Result<()>;
}

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
        self.0
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| io::Error::other(format!("option {key} missing")))
    }

    pub fn number(&self, key: &str, default: f64) -> f64 {
        self.0.get(key).and_then(|text| text.parse().ok()).unwrap_or(default)
    }
}

#[derive(Default)]
struct Times {
    call: Vec<f64>,
    total: Vec<f64>,
}

pub fn quantile(samples: &mut [f64], q: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let last = samples.len().saturating_sub(1);
    samples.get((q * last as f64).round() as usize).copied().unwrap_or(0.0)
}

/// Touches and keeps this many MB: the parent whose size a fork would pay for.
fn hold(megabytes: f64) -> Vec<u8> {
    black_box(vec![1u8; (megabytes as usize) << 20])
}

/// Starts and ends children for `seconds=` on `threads=` threads; 20 rounds warm up.
pub fn spawn<S: Spawner + Sync>(spawner: &S, options: &Options) -> io::Result<()> {
    let held = hold(options.number("mb", 0.0));
    let threads = options.number("threads", 1.0) as usize;
    let begin = Instant::now();
    let mut times = if threads == 1 {
        spawn_loop(spawner, options)?
    } else {
        spawn_threads(spawner, options, threads)?
    };
    let elapsed = begin.elapsed().as_secs_f64();
    drop(black_box(held));
    println!(
        "{{\"call_us\": {:.3}, \"call_p99_us\": {:.3}, \"total_us\": {:.3}, \"total_p99_us\": {:.3}, \"per_s\": {:.1}, \"count\": {}}}",
        quantile(&mut times.call, 0.5),
        quantile(&mut times.call, 0.99),
        quantile(&mut times.total, 0.5),
        quantile(&mut times.total, 0.99),
        times.total.len() as f64 / elapsed,
        times.total.len()
    );
    Ok(())
}

fn spawn_threads<S: Spawner + Sync>(spawner: &S, options: &Options, threads: usize) -> io::Result<Times> {
    let mut all = Times::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| spawn_loop(spawner, options))).collect();
        for worker in workers {
            let times = worker.join().map_err(|_| io::Error::other("a thread panicked"))??;
            all.call.extend(times.call);
            all.total.extend(times.total);
        }
        Ok(all)
    })
}

fn spawn_loop<S: Spawner>(spawner: &S, options: &Options) -> io::Result<Times> {
    let program = options.text("true")?;
    for _ in 0..20 {
        spawner.wait(&mut spawner.start(program)?)?;
    }
    let mut times = Times::default();
    let stop = Instant::now() + Duration::from_secs_f64(options.number("seconds", 0.4));
    loop {
        let begin = Instant::now();
        if begin >= stop {
            return Ok(times);
        }
        let mut child = spawner.start(program)?;
        let called = begin.elapsed();
        spawner.wait(&mut child)?;
        times.total.push(begin.elapsed().as_secs_f64() * 1e6);
        times.call.push(called.as_secs_f64() * 1e6);
    }
}

/// A field of /proc/self/status in bytes: VmRSS now, VmHWM at its peak.
fn memory(field: &str) -> io::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    let kb = line.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok());
    Ok(kb.unwrap_or(0.0) * 1024.0)
}

/// What one producer run is to deliver, and the producer's command line.
pub struct Job {
    pub producer: String,
    pub arguments: Vec<String>,
    lines: f64,
    bytes: f64,
}

impl Job {
    fn from_options(options: &Options) -> io::Result<Job> {
        let lines = options.number("lines", 0.0);
        let bytes = if lines > 0.0 { lines * 12.0 } else { options.number("bytes", 0.0) };
        let arguments = if lines > 0.0 {
            vec!["lines".to_owned(), options.text("lines")?.to_owned(), "12".to_owned()]
        } else {
            vec![
                "flood".to_owned(),
                options.text("bytes")?.to_owned(),
                format!("{}", options.number("block", 65536.0)),
            ]
        };
        Ok(Job {
            producer: options.text("producer")?.to_owned(),
            arguments,
            lines,
            bytes,
        })
    }
}

/// Runs `take` (which returns the bytes it took in) `captures=` times and prints the median rate, CPU and memory of this process.
pub fn capture(options: &Options, take: impl Fn(&Job) -> io::Result<u64>) -> io::Result<()> {
    let job = Job::from_options(options)?;
    let captures = options.number("captures", 1.0);
    let baseline = memory("VmRSS:")?;
    let mut rates = Vec::new();
    for _ in 0..captures as usize {
        let begin = Instant::now();
        let taken = take(&job)?;
        let seconds = begin.elapsed().as_secs_f64();
        // Line cases may count the newlines or not.
        if taken as f64 != job.bytes && taken as f64 != job.bytes - job.lines {
            return Err(io::Error::other(format!("took {taken} bytes of {}", job.bytes)));
        }
        rates.push(
            if job.lines > 0.0 {
                job.lines / 1e6
            } else {
                job.bytes / (1u64 << 30) as f64
            } / seconds,
        );
    }
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let cpu = [usage.user_time(), usage.system_time()]
        .iter()
        .map(|t| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6)
        .sum::<f64>();
    println!(
        "{{\"{}\": {:.4}, \"cpu_s\": {:.4}, \"rss_ratio\": {:.4}, \"count\": {}}}",
        if job.lines > 0.0 { "mlines_s" } else { "gib_s" },
        quantile(&mut rates, 0.5),
        cpu / captures,
        (memory("VmHWM:")? - baseline) / job.bytes,
        rates.len()
    );
    Ok(())
}
