//! A block of text as lines.

use crate::error::guard;
use crate::memory::parts;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// The high bit of each byte that is a newline, for bytes that are ASCII.
fn newlines(word: u64) -> u64 {
    let zero_where_equal = word ^ (ONES * b'\n' as u64);
    !(zero_where_equal + (HIGH - ONES)) & HIGH
}

/// Where the lines of an ASCII text end, the last one at its end.
fn line_ends(text: &[u8]) -> Vec<usize> {
    let mut ends = Vec::with_capacity(text.len() / 16 + 1);
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let mut found = newlines(u64::from_le_bytes(*word));
        while found != 0 {
            ends.push(index * 8 + found.trailing_zeros() as usize / 8);
            found &= found - 1;
        }
    }
    let begun = text.len() - rest.len();
    ends.extend(rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| begun + at));
    ends.push(text.len());
    ends
}

/// `text.split("\n")`, which looks at one character after the other.
#[pyfunction]
pub(crate) fn split_lines<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyList>> {
    let py = text.py();
    guard(py, || {
        if text.call_method0(intern!(py, "isascii"))?.is_truthy()? {
            return parts(text, &line_ends(text.to_str()?.as_bytes()));
        }
        Ok(text.call_method1(intern!(py, "split"), (intern!(py, "\n"),))?.cast_into()?)
    })
}
