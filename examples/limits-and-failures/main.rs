//! How programs end, why they do not start, and bounds on what they write and use.

use procs::{Command, OutputLimit, Resource};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    println!("how programs end:");
    println!("  {}", Command::shell("exit 3").output()?.status);
    println!("  {}", Command::shell("kill -TERM $$").output()?.status);

    println!("why programs do not start:");
    let mut nowhere = Command::new("true");
    nowhere.current_dir("/no/such/directory");
    let starts =
        [("missing program", Command::new("no-such-program")), ("missing directory", nowhere), ("a directory as program", Command::new("/"))];
    for (what, mut command) in starts {
        if let Err(error) = command.output() {
            println!("  {what}: {} at {}", error.kind().name(), error.stage().map_or("no step", |stage| stage.name()));
        }
    }

    println!("a checked run:");
    if let Err(error) = Command::shell("echo cannot do that >&2; exit 2").check(true).output() {
        let output = error.output().ok_or("an error of a run carries it")?;
        println!("  {}: {}, stderr: {}", error.kind().name(), output.status, on_one_line(&output.stderr));
    }

    limited_output()?;

    println!("limits of the child:");
    let files = Command::shell("ulimit -n").limit(Resource::NoFile, Some(64), Some(64)).output()?;
    println!("  open files: {}", on_one_line(&files.stdout));
    Ok(())
}

/// The four things that can happen to output beyond a limit.
fn limited_output() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let head = numbers(OutputLimit::Head(8)).output()?;
    println!("{} bytes of output, limited:", head.stdout_report.total_bytes);
    if let Err(error) = numbers(OutputLimit::Error(1000)).check(true).output() {
        println!("  error: {}, {} bytes kept", error.kind().name(), error.output().map_or(0, |output| output.stdout.len()));
    }
    println!("  head: {} bytes in all, kept: {}", head.stdout_report.total_bytes, on_one_line(&head.stdout));
    let tail = numbers(OutputLimit::Tail(13)).output()?;
    println!("  tail: {} bytes in all, kept: {}", tail.stdout_report.total_bytes, on_one_line(&tail.stdout));
    let spill = numbers(OutputLimit::Spill(16)).output()?;
    let file = spill.stdout_report.spill.as_ref().ok_or("more than the limit is in a file")?;
    println!("  spill: {} bytes in all, in the file: {}", spill.stdout_report.total_bytes, file.metadata()?.len());
    Ok(())
}

fn numbers(limit: OutputLimit) -> Command {
    let mut command = Command::new("seq");
    command.args(["1", "100000"]).stdout_limit(limit);
    command
}

fn on_one_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}
