//! Bytes of a hostile peer on Node's wire: cut into messages, looked over, compared with a parser.

use super::handle::Control;
use super::json::{MAX_DEPTH, scan};
use super::line::{Framing, Splitter};
use crate::error::ErrorKind;

const MAX: usize = 1 << 16;

/// Every message of a stream that comes in pieces, and the kind of the error it ends with.
fn split(framing: Framing, stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<ErrorKind>) {
    let mut splitter = Splitter::new(framing, MAX);
    let mut messages = Vec::new();
    for piece in stream.chunks(piece) {
        splitter.space().extend_from_slice(piece);
        loop {
            match splitter.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error.kind())),
            }
        }
    }
    (messages, None)
}

/// The first byte is the size of the pieces, the rest the stream.
pub(crate) fn lines(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    for framing in [Framing::Json, Framing::Advanced] {
        let whole = split(framing, stream, stream.len().max(1));
        assert!(whole == split(framing, stream, usize::from(*piece) + 1), "pieces of {} bytes give other messages", usize::from(*piece) + 1);
        for text in whole.0.iter().filter(|_| framing == Framing::Json) {
            look_over(text);
        }
    }
}

fn look_over(text: &[u8]) {
    let parsed = serde_json::from_slice::<serde_json::Value>(text);
    let Ok(members) = scan(text, MAX_DEPTH) else {
        assert!(parsed.is_err(), "refused although it is JSON: {}", String::from_utf8_lossy(text));
        return;
    };
    for part in [&members.cmd, &members.kind, &members.msg, &members.key].into_iter().flatten() {
        assert!(scan(&text[part.clone()], MAX_DEPTH).is_ok(), "a part is no JSON: {}", String::from_utf8_lossy(text));
    }
    let control = Control::of(text, members);
    if let Ok(value) = parsed {
        let reserved = value["cmd"].as_str().is_some_and(|cmd| cmd.len() > 5 && cmd.starts_with("NODE_"));
        assert!(control.is_some() == reserved, "{}", String::from_utf8_lossy(text));
    }
    if let Some(answer) = control.and_then(|control| control.answer(text)) {
        let line: Vec<u8> = answer.slices().iter().flat_map(|part| part.to_vec()).collect();
        assert!(line.iter().filter(|byte| **byte == b'\n').count() == 1 && scan(&line, MAX_DEPTH + 1).is_ok());
    }
}
