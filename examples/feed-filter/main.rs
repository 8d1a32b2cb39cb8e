//! Writing to a child and reading from it at the same time.

use procs::{Command, Result, Stdio};
use std::io::Write;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    println!("text through a filter:");
    let upper = Command::new("tr").args(["a-z", "A-Z"]).input("hello from libprocs\n").output()?;
    println!("  {}", String::from_utf8_lossy(&upper.stdout).trim());

    let bytes: Vec<u8> = (b'a'..=b'z').cycle().take(4_000_000).collect();
    println!("{} bytes through cat:", bytes.len());
    let copy = Command::new("cat").input(bytes.as_slice()).output()?;
    println!("  came back: {} bytes, equal: {}", copy.stdout.len(), *copy.stdout == *bytes);

    println!("a filter that stops reading early:");
    let first = first_line()?;
    println!("  first line: {}", first.0);
    println!("  ended: {}", first.1);

    conversation()
}

/// Input that nobody reads any more is no error.
fn first_line() -> Result<(String, procs::ExitStatus)> {
    let numbers: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    let head = Command::new("head").args(["-n", "1"]).input(numbers).output()?;
    Ok((String::from_utf8_lossy(&head.stdout).trim().to_owned(), head.status))
}

fn conversation() -> std::result::Result<(), Box<dyn std::error::Error>> {
    println!("a conversation:");
    let script = r#"while read -r word; do echo "got $word"; done"#;
    let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut answers = child.lines()?;
    for word in ["one", "two", "three"] {
        let stdin = child.stdin.as_mut().ok_or("standard input is a pipe until wait closes it")?;
        writeln!(stdin, "{word}")?;
        let answer = answers.next_line()?.unwrap_or_default();
        println!("  {word} -> {}", String::from_utf8_lossy(answer));
    }
    println!("  ended: {}", child.wait()?);
    Ok(())
}
