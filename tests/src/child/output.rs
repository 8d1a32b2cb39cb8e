//! Subcommands that write and read much, little or slowly.

use crate::basic::{pause_for, put};
use crate::{Args, Outcome, Row, raw};

pub(crate) const TABLE: &[Row] = &[
    ("cat", "[CODE]: copies 0 to 1 until the end, exits with CODE (0)", cat),
    ("upper", ": copies 0 to 1 with ASCII letters in upper case", upper),
    ("count", ": the number of bytes read from 0, and a newline", count),
    ("flood", "BYTES 1|2|both [BLOCK]: that many bytes to each; byte i is 'a' + i % 26; both: blocks in turn", flood),
    ("lines", "N [SECONDS]: N lines `line I`, I from 0, with a pause after each", lines),
    ("line", "BYTES: one line of this many `x`, then the line `end`", line),
    ("print", "TEXT: TEXT as it is, but \\n \\r \\t \\0 \\\\ and \\xHH stand for bytes; no newline added", print),
    ("drip", "TEXT MILLISECONDS: as print, byte by byte with this gap", drip),
    ("interleave", "N: `out I` to 1 and `err I` to 2 in turn, I from 0", interleave),
    ("stderr-then-stdout", "ERR SMALL OUT: ERR bytes to 2, SMALL and OUT bytes to 1, then reads 0 to its end and prints `read COUNT`", crossed),
    ("writes", "FDS..: its own number and a newline to each descriptor", writes),
    ("close-stdout", "SECONDS: closes 1, then sleeps", close_stdout),
    ("write-until-error", "FD: writes blocks of 4096 until an error, prints its errno on 2", write_until_error),
];

const BLOCK: usize = 64 << 10;

/// The bytes of `flood` from offset `start`.
fn pattern(start: usize, len: usize) -> Vec<u8> {
    (start..start + len).map(|i| b'a' + (i % 26) as u8).collect()
}

fn for_each_block(mut each: impl FnMut(&mut [u8]) -> Result<(), String>) -> Result<u64, String> {
    let mut buffer = vec![0; BLOCK];
    let mut total = 0;
    loop {
        let count = raw::read(0, &mut buffer).map_err(|e| format!("read from 0: {e}"))?;
        if count == 0 {
            return Ok(total);
        }
        total += count as u64;
        each(&mut buffer[..count])?;
    }
}

fn cat(args: &Args) -> Outcome {
    for_each_block(|block| put(1, block))?;
    args.number_or(0, 0)
}

fn upper(_: &Args) -> Outcome {
    for_each_block(|block| {
        block.make_ascii_uppercase();
        put(1, block)
    })?;
    Ok(0)
}

fn count(_: &Args) -> Outcome {
    let total = for_each_block(|_| Ok(()))?;
    put(1, format!("{total}\n").as_bytes())?;
    Ok(0)
}

fn flood(args: &Args) -> Outcome {
    let bytes: usize = args.number(0)?;
    let fds: &[i32] = match args.text(1)? {
        "1" => &[1],
        "2" => &[2],
        "both" => &[1, 2],
        other => return Err(format!("no stream {other}")),
    };
    let block: usize = args.number_or(2, BLOCK)?;
    let mut done = 0;
    while done < bytes {
        let len = block.min(bytes - done);
        let data = pattern(done, len);
        for fd in fds {
            put(*fd, &data)?;
        }
        done += len;
    }
    Ok(0)
}

fn lines(args: &Args) -> Outcome {
    let count: u64 = args.number(0)?;
    let pause: f64 = args.number_or(1, 0.0)?;
    let mut block = Vec::new();
    for index in 0..count {
        block.extend_from_slice(format!("line {index}\n").as_bytes());
        if pause > 0.0 || block.len() > BLOCK || index + 1 == count {
            put(1, &block)?;
            block.clear();
        }
        if pause > 0.0 {
            pause_for(pause);
        }
    }
    Ok(0)
}

fn line(args: &Args) -> Outcome {
    let mut text = vec![b'x'; args.number(0)?];
    text.extend_from_slice(b"\nend\n");
    put(1, &text)?;
    Ok(0)
}

/// Resolves the escapes of `print`.
fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'0') => out.push(0),
            Some(b'\\') => out.push(b'\\'),
            Some(b'x') => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                out.push(u8::from_str_radix(&digits, 16).map_err(|_| format!("bad escape \\x{digits}"))?);
            }
            other => return Err(format!("bad escape {other:?}")),
        }
    }
    Ok(out)
}

fn print(args: &Args) -> Outcome {
    put(1, &unescape(args.bytes(0)?)?)?;
    Ok(0)
}

fn drip(args: &Args) -> Outcome {
    let gap = args.number::<f64>(1)? / 1000.0;
    for byte in unescape(args.bytes(0)?)? {
        put(1, &[byte])?;
        pause_for(gap);
    }
    Ok(0)
}

fn interleave(args: &Args) -> Outcome {
    for index in 0..args.number::<u64>(0)? {
        put(1, format!("out {index}\n").as_bytes())?;
        put(2, format!("err {index}\n").as_bytes())?;
    }
    Ok(0)
}

fn crossed(args: &Args) -> Outcome {
    put(2, &pattern(0, args.number(0)?))?;
    put(1, &pattern(0, args.number(1)?))?;
    put(1, &pattern(0, args.number(2)?))?;
    let total = for_each_block(|_| Ok(()))?;
    put(1, format!("read {total}\n").as_bytes())?;
    Ok(0)
}

fn writes(args: &Args) -> Outcome {
    for index in 0..args.all().len() {
        let fd: i32 = args.number(index)?;
        put(fd, format!("{fd}\n").as_bytes())?;
    }
    Ok(0)
}

fn close_stdout(args: &Args) -> Outcome {
    raw::close(1).map_err(|e| e.to_string())?;
    pause_for(args.number(0)?);
    Ok(0)
}

fn write_until_error(args: &Args) -> Outcome {
    let fd = args.number(0)?;
    let block = pattern(0, 4096);
    loop {
        if let Err(error) = raw::write_all(fd, &block) {
            put(2, format!("{}\n", error.raw_os_error().unwrap_or(0)).as_bytes())?;
            return Ok(0);
        }
    }
}
