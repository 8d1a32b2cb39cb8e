//! Many commands, a few at a time; and whichever of several children ends first.

use procs::{ChildHandle, Command, Result, Stdio, run_many, wait_any};

fn main() -> Result<()> {
    let commands = vec![job("one", "0"), job("two", "0"), job("three", "3"), job("four", "0"), Command::new("no-such-program"), job("six", "0")];
    println!("{} commands, 2 at a time:", commands.len());
    let mut finished = 0;
    let results = run_many(commands, 2, |_, _| finished += 1);
    for (index, result) in results.iter().enumerate() {
        match result {
            Ok(output) => println!("  job {}: {}, output: {}", index + 1, output.status, String::from_utf8_lossy(&output.stdout).trim()),
            Err(error) => println!("  job {}: {}", index + 1, error.kind().name()),
        }
    }
    println!("  finished: {finished}");
    whichever_ends_first()
}

fn job(word: &str, code: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"echo "$1"; exit "$2""#, "sh", word, code]);
    command
}

fn whichever_ends_first() -> Result<()> {
    println!("3 children, in the order in which they end:");
    let mut children = Vec::new();
    for number in 1..=3 {
        children.push((number, Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?));
    }
    for number in [3, 1, 2] {
        // Without its input, cat ends.
        children.iter_mut().filter(|(own, _)| *own == number).for_each(|(_, child)| child.stdin = None);
        let handles: Vec<&ChildHandle> = children.iter().map(|(_, child)| child.handle()).collect();
        if let Some(index) = wait_any(&handles, None)? {
            let (number, mut child) = children.remove(index);
            println!("  child {number}: {}", child.wait()?);
        }
    }
    Ok(())
}
