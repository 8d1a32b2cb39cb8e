//! A deadline ends a run with everything that it started; what was written until then is kept.

use procs::{Command, Output, Result};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    println!("a tree of sleepers, deadline 2 s:");
    let tree = Command::shell("sleep 60 & sleep 60 & echo started; wait").kill_tree(true).timeout(DEADLINE).output()?;
    show(&tree);
    if let Some(report) = &tree.stopped {
        println!("  survivors: {}", report.survivors.len());
    }

    println!("a program that cleans up when asked to:");
    let polite = r#"trap "echo cleaned up; exit 7" TERM; echo ready; while :; do sleep 0.1; done"#;
    show(&Command::shell(polite).grace(Duration::from_secs(10)).timeout(DEADLINE).output()?);

    println!("a program that ignores the request:");
    let stubborn = r#"trap "" TERM; echo not listening; while :; do sleep 0.1; done"#;
    show(&Command::shell(stubborn).grace(Duration::from_millis(200)).kill_tree(true).timeout(DEADLINE).output()?);
    Ok(())
}

fn show(output: &Output) {
    let lines = String::from_utf8_lossy(&output.stdout);
    println!("  output so far: {}", lines.lines().collect::<Vec<_>>().join(", "));
    println!("  timed out: {}", output.timed_out);
    println!("  ended: {}", output.status);
}
