//! Text whose characters all fit one byte, as the runtime keeps most text: between that form and UTF-8.

use crate::spare::{keep, room_for};

/// Bytes copied before they are looked at, while the nearest cache has them.
const PIECE: usize = 16 << 10;

/// One byte for each character of text in UTF-8; `None` where one does not fit, the bytes are no UTF-8, or there is no memory.
pub(crate) fn from_utf8(text: &[u8]) -> Option<Vec<u8>> {
    let mut narrow = room_for(text.len())?;
    for (index, piece) in text.chunks(PIECE).enumerate() {
        let from = narrow.len();
        // The copy is looked at, not what another process may be writing to.
        narrow.extend_from_slice(piece);
        if !narrow[from..].is_ascii() {
            narrow.truncate(from);
            if !decode(&text[index * PIECE..], &mut narrow) {
                keep(narrow);
                return None;
            }
            break;
        }
    }
    Some(narrow)
}

fn decode(mut text: &[u8], narrow: &mut Vec<u8>) -> bool {
    loop {
        match *text {
            [] => return true,
            [byte @ ..0x80, ref rest @ ..] => {
                narrow.push(byte);
                text = rest;
            }
            [lead @ 0xc2..=0xc3, next @ 0x80..=0xbf, ref rest @ ..] => {
                narrow.push(lead << 6 | next & 0x3f);
                text = rest;
            }
            _ => return false,
        }
    }
}

/// The bytes as they are; `None` where there is no memory.
pub(crate) fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut room = room_for(bytes.len())?;
    room.extend_from_slice(bytes);
    Some(room)
}

/// The text in UTF-8; `None` where there is no memory.
pub(crate) fn to_utf8(narrow: &[u8]) -> Option<Vec<u8>> {
    let high = narrow.iter().filter(|byte| !byte.is_ascii()).count();
    let mut text = Vec::new();
    text.try_reserve_exact(narrow.len() + high).ok()?;
    for &byte in narrow {
        if byte.is_ascii() {
            text.push(byte);
        } else {
            text.extend([0xc0 | byte >> 6, 0x80 | byte & 0x3f]);
        }
    }
    Some(text)
}
