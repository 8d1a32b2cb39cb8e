//! The tour: six things that libprocs does, each with what it prints.

use procs::{Command, Error, Message, Stdio};
use std::path::Path;
use std::time::{Duration, Instant};

/// Three processes: a shell, its child, and a grandchild in a session of its own. Each tells its process id.
const TREE: &str = "sleep 60 & echo $!; setsid sleep 60 & echo $!; echo $$; wait";

/// A plain program of Node, which knows nothing of libprocs.
const ADDER: &str = "process.once('message', ({ a, b }) => { process.send({ sum: a + b }); process.disconnect(); })";

fn main() -> Result<(), Error> {
    run_and_capture()?;
    stream_lines()?;
    feed_a_filter()?;
    stop_a_tree()?;
    honest_errors();
    talk_with_node()
}

fn run_and_capture() -> Result<(), Error> {
    println!("1. run a program and capture what it says");
    let output = Command::new("sh").args(["-c", "echo hello; echo oops >&2; exit 3"]).output()?;
    println!("   stdout {:?}, stderr {:?}, {}", text(&output.stdout), text(&output.stderr), output.status);
    Ok(())
}

fn stream_lines() -> Result<(), Error> {
    println!("2. stream a long runner, line by line");
    let began = Instant::now();
    let mut child = Command::new("sh").args(["-c", "for i in 1 2 3; do echo step $i of 3; sleep 0.3; done"]).stdout(Stdio::piped()).spawn()?;
    let mut lines = child.lines()?;
    while let Some(line) = lines.next_line()? {
        println!("   after {:.1} s: {}", began.elapsed().as_secs_f64(), text(line));
    }
    println!("   ended with {}", child.wait()?);
    Ok(())
}

fn feed_a_filter() -> Result<(), Error> {
    println!("3. feed a filter");
    let output = Command::new("sort").input("pear\nfig\napple\n").output()?;
    println!("   pear fig apple sorted: {}", text(&output.stdout).replace('\n', " "));
    Ok(())
}

fn stop_a_tree() -> Result<(), Error> {
    println!("4. a deadline that stops a whole tree");
    let output = Command::new("sh").args(["-c", TREE]).timeout(Duration::from_secs(2)).kill_tree(true).output()?;
    let said = text(&output.stdout);
    let pids: Vec<&str> = said.lines().collect();
    println!("   {}, after {:.1} s", if output.timed_out { "the deadline passed" } else { "it ended early" }, output.wall_time.as_secs_f64());
    println!("   {} processes had started, {} are left", pids.len(), pids.iter().filter(|pid| alive(pid)).count());
    Ok(())
}

fn honest_errors() {
    println!("5. honest errors");
    for command in [&mut Command::new("no-such-program"), Command::new("true").current_dir("/no/such/folder")] {
        if let Err(error) = command.output() {
            println!("   {} at {}: {error}", error.kind().name(), error.stage().map_or("no stage", |stage| stage.name()));
        }
    }
}

fn talk_with_node() -> Result<(), Error> {
    println!("6. talk with a plain Node program");
    let (mut child, channel) = Command::new("node").args(["-e", ADDER]).fork()?;
    channel.send(Message::encoded(procs::Codec::Json, r#"{"a":20,"b":22}"#))?;
    println!("   it answered {}", text(&channel.recv()?.body));
    println!("   then {}", child.wait()?);
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// Whether the process exists and is more than a zombie that its new parent has not looked at yet.
fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}
