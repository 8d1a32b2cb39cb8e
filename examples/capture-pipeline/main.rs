//! A shell command line, and pipelines without a shell: what each stage did is known.

use procs::{Command, Pipeline, PipelineOutput, Result};

fn main() -> Result<()> {
    println!("a shell command line:");
    let line = Command::shell(r"seq 1 5 | sort -r | tr '\n' ' '").output()?;
    println!("  output: {}", on_one_line(&line.stdout));
    println!("  ended: {}", line.status);

    println!("the same three programs without a shell:");
    let stages = [Command::new("sort"), Command::new("uniq"), upper()];
    show(&Pipeline::new(stages).input("pear\napple\nfig\napple\n").output()?);

    println!("a pipeline whose second stage fails:");
    let mut failing = Command::new("sh");
    failing.args(["-c", "cat; echo second stage gave up >&2; exit 3"]);
    show(&Pipeline::new([Command::new("cat"), failing, upper()]).input("partial\n").output()?);
    Ok(())
}

fn upper() -> Command {
    let mut command = Command::new("tr");
    command.args(["a-z", "A-Z"]);
    command
}

fn show(result: &PipelineOutput) {
    println!("  output: {}", on_one_line(&result.stdout));
    for (index, stage) in result.stages.iter().enumerate() {
        let stderr = String::from_utf8_lossy(&stage.stderr);
        let comment = if stderr.is_empty() { String::new() } else { format!(", stderr: {}", stderr.trim()) };
        println!("  stage {}: {}{comment}", index + 1, stage.status);
    }
    println!("  success: {}", result.success());
}

fn on_one_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}
