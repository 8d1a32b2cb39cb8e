//! Reading a child's output while it runs: slowly, fast, and only its beginning.

use procs::{Command, Result, Stdio, Stop};

fn main() -> Result<()> {
    println!("a command that takes its time, line by line:");
    let script = "for i in 1 2 3 4; do echo \"step $i of 4\"; sleep 0.1; done";
    let mut slow = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn()?;
    for (index, line) in slow.lines()?.enumerate() {
        println!("  {}: {}", index + 1, String::from_utf8_lossy(&line?));
    }
    println!("  ended: {}", slow.wait()?);

    println!("a fast one, counted:");
    let mut fast = Command::new("seq").args(["1", "200000"]).stdout(Stdio::piped()).spawn()?;
    // next_line lends each line: nothing is allocated for it.
    let mut lines = fast.lines()?;
    let (mut count, mut bytes) = (0, 0);
    while let Some(line) = lines.next_line()? {
        count += 1;
        bytes += line.len() + 1;
    }
    println!("  {count} lines, {bytes} bytes, ended: {}", fast.wait()?);

    println!("an endless one, left after 3 lines:");
    let mut endless = Command::new("sh").args(["-c", "while :; do echo tick; done"]).stdout(Stdio::piped()).spawn()?;
    let mut ticks = endless.lines()?;
    for number in 1..=3 {
        let line = ticks.next_line()?.unwrap_or_default();
        println!("  {number}: {}", String::from_utf8_lossy(line));
    }
    let report = endless.stop(&Stop::default())?;
    match report.status {
        Some(status) => println!("  stopped: {status}"),
        None => println!("  stopped: not yet, process {} outlived SIGKILL", endless.id()),
    }
    Ok(())
}
