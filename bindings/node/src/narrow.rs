//! Text whose characters all fit one byte, as the runtime keeps most text: between that form and UTF-8.

use crate::spare::{keep, room_for};
use procs::Room;

/// Bytes copied before they are looked at, while the nearest cache has them.
const PIECE: usize = 16 << 10;

/// One byte for each character of text in UTF-8; `None` where one does not fit, the bytes are no UTF-8, or there is no memory.
pub(crate) fn from_utf8(text: &[u8]) -> Option<Room> {
    let mut narrow = room_for(text.len())?;
    let mut from = 0;
    for piece in text.chunks(PIECE) {
        let copy = narrow.get_mut(from..from + piece.len())?;
        // The copy is looked at, not what another process may be writing to.
        copy.copy_from_slice(piece);
        if !copy.is_ascii() {
            let Some(rest) = decode(&text[from..], &mut narrow[from..]) else {
                keep(narrow);
                return None;
            };
            narrow.resize(from + rest);
            break;
        }
        from += piece.len();
    }
    Some(narrow)
}

/// How many characters there are, written to memory that has at least as many bytes as the text.
fn decode(mut text: &[u8], narrow: &mut [u8]) -> Option<usize> {
    let mut count = 0;
    loop {
        let byte;
        (byte, text) = match *text {
            [] => return Some(count),
            [byte @ ..0x80, ref rest @ ..] => (byte, rest),
            [lead @ 0xc2..=0xc3, next @ 0x80..=0xbf, ref rest @ ..] => (lead << 6 | next & 0x3f, rest),
            _ => return None,
        };
        *narrow.get_mut(count)? = byte;
        count += 1;
    }
}

/// The bytes as they are; `None` where there is no memory.
pub(crate) fn copy(bytes: &[u8]) -> Option<Room> {
    let mut room = room_for(bytes.len())?;
    room.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(room)
}

/// The text in UTF-8.
pub(crate) fn to_utf8(narrow: &[u8]) -> Vec<u8> {
    let high = narrow.iter().filter(|byte| !byte.is_ascii()).count();
    let mut text = Vec::with_capacity(narrow.len() + high);
    for &byte in narrow {
        if byte.is_ascii() {
            text.push(byte);
        } else {
            text.extend([0xc0 | byte >> 6, 0x80 | byte & 0x3f]);
        }
    }
    text
}
