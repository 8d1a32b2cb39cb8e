//! Small plain values as JSON and back, without a call into the `json` module for each message.
//!
//! Both directions do the common case exactly as `json` does it, and give up on everything else (`None`): large or deep values, classes of the
//! user, strings that are no Unicode, texts that are no JSON. `json` itself then does it, or says what is wrong.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// Bytes of a text up to which it pays. `json` shares the keys of a larger text, which saves memory.
const SMALL: usize = 4096;
/// Levels of arrays and objects.
const DEEP: usize = 32;

/// The text of a value.
pub(crate) fn write(value: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(96);
    write_value(&mut out, value, DEEP)?;
    Some(out)
}

fn write_value(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, depth: usize) -> Option<()> {
    if out.len() > SMALL {
        return None;
    }
    if let Ok(text) = value.cast_exact::<PyString>() {
        return write_text(out, text);
    }
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        let rest = depth.checked_sub(1)?;
        out.push(b'{');
        for (index, (key, value)) in dict.iter().enumerate() {
            separate(out, index);
            write_text(out, key.cast_exact::<PyString>().ok()?)?;
            out.push(b':');
            write_value(out, &value, rest)?;
        }
        out.push(b'}');
        return Some(());
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        return write_array(out, list.iter(), depth);
    }
    if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        return write_array(out, tuple.iter(), depth);
    }
    write_scalar(out, value)
}

fn write_array<'py>(out: &mut Vec<u8>, items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) -> Option<()> {
    let rest = depth.checked_sub(1)?;
    out.push(b'[');
    for (index, item) in items.enumerate() {
        separate(out, index);
        write_value(out, &item, rest)?;
    }
    out.push(b']');
    Some(())
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

fn write_scalar(out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> Option<()> {
    if value.is_none() {
        out.extend_from_slice(b"null");
    } else if let Ok(truth) = value.cast_exact::<PyBool>() {
        out.extend_from_slice(if truth.is_true() { b"true" } else { b"false" });
    } else if let Ok(number) = value.cast_exact::<PyInt>() {
        out.extend_from_slice(number.extract::<i64>().ok()?.to_string().as_bytes());
    } else {
        let number = value.cast_exact::<PyFloat>().ok().filter(|number| number.value().is_finite())?;
        out.extend_from_slice(number.repr().ok()?.to_str().ok()?.as_bytes());
    }
    Some(())
}

fn write_text(out: &mut Vec<u8>, text: &Bound<'_, PyString>) -> Option<()> {
    // A large string would keep its UTF-8 beside it for as long as it lives.
    if text.len().ok()? > SMALL {
        return None;
    }
    let mut rest = text.to_str().ok()?.as_bytes();
    out.push(b'"');
    while let Some(at) = rest.iter().position(|byte| is_special(*byte)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
    Some(())
}

/// What a string has to escape.
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The value of a text.
pub(crate) fn read<'py>(py: Python<'py>, text: &str) -> Option<Bound<'py, PyAny>> {
    if text.len() > SMALL {
        return None;
    }
    let mut reader = Reader { py, text, at: 0 };
    let value = reader.value(DEEP)?;
    (reader.next().is_none()).then_some(value)
}

struct Reader<'py, 'text> {
    py: Python<'py>,
    text: &'text str,
    at: usize,
}

impl<'py> Reader<'py, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no space, not taken.
    fn next(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    /// Takes a byte if it comes next.
    fn takes(&mut self, byte: u8) -> bool {
        let found = self.next() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<Bound<'py, PyAny>> {
        match self.next()? {
            b'"' => self.string().map(Bound::into_any),
            b'{' => self.object(depth.checked_sub(1)?).map(Bound::into_any),
            b'[' => self.array(depth.checked_sub(1)?).map(Bound::into_any),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Bound<'py, PyDict>> {
        let dict = PyDict::new(self.py);
        self.at += 1;
        if self.takes(b'}') {
            return Some(dict);
        }
        loop {
            if self.next()? != b'"' {
                return None;
            }
            let key = self.string()?;
            if !self.takes(b':') {
                return None;
            }
            dict.set_item(key, self.value(depth)?).ok()?;
            if self.takes(b'}') {
                return Some(dict);
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Bound<'py, PyList>> {
        let list = PyList::empty(self.py);
        self.at += 1;
        if self.takes(b']') {
            return Some(list);
        }
        loop {
            list.append(self.value(depth)?).ok()?;
            if self.takes(b']') {
                return Some(list);
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<Bound<'py, PyString>> {
        let from = self.at + 1;
        let len = self.text.as_bytes().get(from..)?.iter().position(|byte| is_special(*byte))?;
        self.at = from + len;
        if self.peek() != Some(b'"') {
            return None;
        }
        self.at += 1;
        Some(PyString::new(self.py, &self.text[from..from + len]))
    }

    fn number(&mut self) -> Option<Bound<'py, PyAny>> {
        let from = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let digits = self.at;
        if self.digits() == 0 || (self.text.as_bytes()[digits] == b'0' && self.at - digits > 1) {
            return None;
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            whole = false;
            if self.digits() == 0 {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            whole = false;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return None;
            }
        }
        let text = &self.text[from..self.at];
        if whole {
            return Some(text.parse::<i64>().ok()?.into_pyobject(self.py).ok()?.into_any());
        }
        Some(PyFloat::new(self.py, text.parse().ok()?).into_any())
    }

    /// Takes digits and says how many.
    fn digits(&mut self) -> usize {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - from
    }

    fn word(&mut self) -> Option<Bound<'py, PyAny>> {
        let rest = &self.text[self.at..];
        for (word, value) in [("null", None), ("true", Some(true)), ("false", Some(false))] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Some(match value {
                    None => self.py.None().into_bound(self.py),
                    Some(truth) => PyBool::new(self.py, truth).to_owned().into_any(),
                });
            }
        }
        None
    }
}
