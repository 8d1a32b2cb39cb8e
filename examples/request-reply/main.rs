//! Questions to another process: an answer, a failure, a deadline.

use procs::{Channel, Command, Error, ErrorKind, Message, RemoteFailure, Request, Result, Stdio};
use std::io::Read;
use std::time::Duration;
use std::{env, io};

fn main() -> Result<()> {
    if env::args().len() > 1 { Channel::from_env()?.serve(answer) } else { parent() }
}

fn parent() -> Result<()> {
    let program = env::current_exe().map_err(|error| Error::from_io("example", &error, "where this program is"))?;
    let (mut child, channel) = Command::new(program).arg("serve").stdin(Stdio::piped()).fork()?;
    let ask = |numbers: &str, timeout| channel.call(Message::json(&numbers.into())?, Some(timeout));
    let sum = |numbers: &str| -> Result<String> { Ok(ask(numbers, Duration::from_secs(20))?.to_json()?.to_string()) };
    println!("2 + 3 = {}", sum("2 3")?);
    let failure = sum("").err();
    println!("a failure comes back: {}", failure.as_ref().and_then(Error::remote).map_or("", |remote| &remote.name));
    let late = ask("slowly", Duration::from_millis(100)).err();
    println!("no answer in 0.1 s: {}", late.map_or("", |error| error.kind().name()));
    // The end of the input makes the child answer what it was slow with.
    child.stdin = None;
    println!("and it goes on: 40 + 2 = {}", sum("40 2")?);
    channel.close();
    println!("the child ended with {}", child.wait()?);
    Ok(())
}

fn answer(request: Request) {
    let numbers = request.message().to_json().unwrap_or_default();
    let words = numbers.as_str().unwrap_or_default();
    if words.is_empty() {
        return request.fail(RemoteFailure { name: "ValueError".into(), message: "no sum of nothing".into(), trace: String::new() });
    }
    if words == "slowly" {
        drop(io::stdin().read_to_end(&mut Vec::new()));
    }
    let sum: i64 = words.split(' ').filter_map(|word| word.parse::<i64>().ok()).sum();
    // Who asked may have given up.
    if let Some(error) = Message::json(&sum.into()).map(|reply| request.reply(reply).err()).ok().flatten() {
        assert!(matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Closed), "{error}");
    }
}
