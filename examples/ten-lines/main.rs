use procs::Command;
use std::time::Duration;

fn main() -> procs::Result<()> {
    if let Err(error) = Command::new("no-such-sort").output() {
        println!("{}", error.kind().name());
    }
    let output = Command::new("sort").input("pear\nfig\napple\n").timeout(Duration::from_secs(5)).kill_tree(true).output()?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", output.status);
    Ok(())
}
