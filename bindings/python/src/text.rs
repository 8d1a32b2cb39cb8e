//! The text of a child's output: what its file has decoded, handed out as lines, many at once.

use crate::error::guard;
use memchr::{memchr, memrchr};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyIterator, PyList, PySlice, PyString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that one read takes at most; it takes what there is.
const BLOCK: usize = 65536;

/// Bytes of the lines handed out at once: while they are used up, lines and text stay in the cache.
const BATCH: usize = 16384;

/// Decoded text of which a part may be used up.
struct Chunk {
    text: Py<PyString>,
    /// What is used up: a position in UTF-8 bytes, or in characters for text that UTF-8 cannot hold (surrogates).
    at: usize,
    utf8: bool,
}

impl Chunk {
    fn new(text: Bound<'_, PyString>) -> Chunk {
        Chunk { utf8: text.to_str().is_ok(), text: text.unbind(), at: 0 }
    }

    fn str<'a>(&'a self, py: Python<'a>) -> PyResult<&'a str> {
        self.text.bind(py).to_str()
    }

    fn len(&self, py: Python<'_>) -> PyResult<usize> {
        if self.utf8 { Ok(self.str(py)?.len()) } else { self.text.bind(py).len() }
    }

    /// The position after the next line end, before `to` if that is given.
    fn line_end(&self, py: Python<'_>, to: Option<usize>) -> PyResult<Option<usize>> {
        if self.utf8 {
            let bytes = self.str(py)?.as_bytes();
            return Ok(memchr(b'\n', &bytes[self.at..to.unwrap_or(bytes.len())]).map(|found| self.at + found + 1));
        }
        let found: isize = self.text.bind(py).call_method1(intern!(py, "find"), ("\n", self.at, to))?.extract()?;
        Ok(usize::try_from(found).ok().map(|found| found + 1))
    }

    /// The position after the last line end within a batch, or after a longer line.
    fn batch_end(&self, py: Python<'_>) -> PyResult<Option<usize>> {
        if self.utf8 {
            let rest = &self.str(py)?.as_bytes()[self.at..];
            let found = memrchr(b'\n', &rest[..rest.len().min(BATCH)]);
            return found.map_or_else(|| self.line_end(py, None), |found| Ok(Some(self.at + found + 1)));
        }
        let found: isize = self.text.bind(py).call_method1(intern!(py, "rfind"), ("\n", self.at))?.extract()?;
        Ok(usize::try_from(found).ok().map(|found| found + 1))
    }

    /// The position `chars` characters on, or how many there are if they are fewer.
    fn forward(&self, py: Python<'_>, chars: usize) -> PyResult<Result<usize, usize>> {
        if !self.utf8 {
            let left = self.len(py)? - self.at;
            return Ok(if left >= chars { Ok(self.at + chars) } else { Err(left) });
        }
        let rest = &self.str(py)?[self.at..];
        if rest.as_bytes().get(..chars).is_some_and(<[u8]>::is_ascii) {
            return Ok(Ok(self.at + chars));
        }
        let there = rest.chars().take(chars + 1).count();
        let to = rest.char_indices().nth(chars).map(|(to, _)| to).or_else(|| (there == chars).then_some(rest.len()));
        Ok(to.map_or(Err(there), |to| Ok(self.at + to)))
    }

    fn slice<'py>(&self, py: Python<'py>, from: usize, to: usize) -> PyResult<Bound<'py, PyString>> {
        if self.utf8 {
            return Ok(PyString::new(py, &self.str(py)?[from..to]));
        }
        let part = PySlice::new(py, isize::try_from(from)?, isize::try_from(to)?, 1);
        Ok(self.text.bind(py).get_item(part)?.cast_into()?)
    }

    /// Uses up what is before a position.
    fn take<'py>(&mut self, py: Python<'py>, to: usize) -> PyResult<Bound<'py, PyString>> {
        let from = std::mem::replace(&mut self.at, to);
        self.slice(py, from, to)
    }
}

/// Lines handed out together, of which a loop may have left some.
struct Held {
    lines: Py<PyIterator>,
    /// Without their ends.
    bare: bool,
}

/// What was decoded and not used up, in this order.
#[derive(Default)]
struct State {
    held: Option<Held>,
    /// Beginnings of a line that goes on.
    parts: Vec<Py<PyString>>,
    chunk: Option<Chunk>,
    /// Why nothing can be read any more.
    closed: Option<&'static str>,
}

fn join<'py>(py: Python<'py>, parts: impl IntoIterator<Item = Bound<'py, PyString>>) -> PyResult<Bound<'py, PyString>> {
    let parts = PyList::new(py, parts.into_iter().collect::<Vec<_>>())?;
    Ok(PyString::new(py, "").call_method1(intern!(py, "join"), (parts,))?.cast_into()?)
}

impl State {
    /// The beginnings of a line, used up, and what belongs behind them.
    fn joined<'py>(&mut self, py: Python<'py>, last: Bound<'py, PyString>) -> PyResult<Bound<'py, PyString>> {
        if self.parts.is_empty() {
            return Ok(last);
        }
        let whole = join(py, self.parts.iter().map(|part| part.bind(py).clone()).chain([last]))?;
        self.parts.clear();
        Ok(whole)
    }

    /// The lines that a loop left, with their ends.
    fn left<'py>(&mut self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyString>>> {
        let Some(Held { lines, bare }) = self.held.take() else { return Ok(Vec::new()) };
        let end = PyString::intern(py, "\n");
        let mut left = Vec::new();
        for line in lines.bind(py) {
            left.push(line?.cast_into()?);
            if bare {
                left.push(end.clone());
            }
        }
        Ok(left)
    }

    /// Puts all there is into the chunk.
    fn settle(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.held.is_none() && self.parts.is_empty() {
            return Ok(());
        }
        let mut pieces = self.left(py)?;
        pieces.extend(self.parts.drain(..).map(|part| part.into_bound(py)));
        if let Some(mut chunk) = self.chunk.take() {
            let end = chunk.len(py)?;
            pieces.push(chunk.take(py, end)?);
        }
        self.chunk = Some(Chunk::new(join(py, pieces)?));
        Ok(())
    }

    /// The next line, where there is nothing to do but to take it: most calls, which are the shorter for it.
    fn ready_line<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        match &mut self.chunk {
            Some(chunk) if chunk.utf8 && self.held.is_none() && self.parts.is_empty() => {
                let rest = &chunk.str(py)?[chunk.at..];
                let Some(found) = memchr(b'\n', rest.as_bytes()) else { return Ok(None) };
                let line = PyString::new(py, &rest[..=found]);
                chunk.at += found + 1;
                Ok(Some(line))
            }
            _ => Ok(None),
        }
    }

    /// What is left of the chunk goes to the parts; its length in characters.
    fn set_aside(&mut self, py: Python<'_>) -> PyResult<usize> {
        let Some(mut chunk) = self.chunk.take() else { return Ok(0) };
        let end = chunk.len(py)?;
        if chunk.at == end {
            return Ok(0);
        }
        let part = chunk.take(py, end)?;
        let length = part.len()?;
        self.parts.push(part.unbind());
        Ok(length)
    }

    /// The next whole lines of the chunk, at most a batch of them.
    fn lines<'py>(&mut self, py: Python<'py>, bare: bool) -> PyResult<Option<Bound<'py, PyList>>> {
        let Some(chunk) = &mut self.chunk else { return Ok(None) };
        let Some(end) = chunk.batch_end(py)? else { return Ok(None) };
        let lines = split(&chunk.take(py, end)?, bare)?;
        if !self.parts.is_empty() {
            let first = lines.get_item(0)?.cast_into()?;
            lines.set_item(0, self.joined(py, first)?)?;
        }
        Ok(Some(lines))
    }
}

/// Whether `str.splitlines` would split elsewhere, too.
fn has_other_ends(text: &str) -> bool {
    const FIRST: u8 = 0x0b;
    const LAST: u8 = 0x1e;
    !text.is_ascii() || text.bytes().fold(false, |found, byte| found | (byte.wrapping_sub(FIRST) <= LAST - FIRST))
}

/// Whole lines as a list. Strings are made by Python's own methods: an extension would need a call for each.
fn split<'py>(piece: &Bound<'py, PyString>, bare: bool) -> PyResult<Bound<'py, PyList>> {
    let py = piece.py();
    if !bare && piece.to_str().is_ok_and(|text| !has_other_ends(text)) {
        return Ok(piece.call_method1(intern!(py, "splitlines"), (true,))?.cast_into()?);
    }
    let lines = piece.call_method1(intern!(py, "split"), (intern!(py, "\n"),))?.cast_into::<PyList>()?;
    lines.del_item(lines.len() - 1)?;
    if !bare {
        for (index, line) in lines.iter().enumerate() {
            lines.set_item(index, line.add(intern!(py, "\n"))?)?;
        }
    }
    Ok(lines)
}

/// Takes what `read` and `read_all` of a file give through `decode` of an incremental decoder.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct Text {
    read: Py<PyAny>,
    read_all: Py<PyAny>,
    decode: Py<PyAny>,
    state: Mutex<State>,
    /// Whether anything was read.
    started: AtomicBool,
}

impl Text {
    fn state(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, State>> {
        let state = self.state.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        state.closed.map_or(Ok(state), |why| Err(PyValueError::new_err(why)))
    }

    /// Reads and decodes what there is; whether it was the end. Nothing is locked meanwhile.
    fn more(&self, py: Python<'_>) -> PyResult<bool> {
        self.started.store(true, Ordering::Relaxed);
        let data = self.read.bind(py).call1((BLOCK,))?;
        if data.is_none() {
            return Err(PyTypeError::new_err("underlying read() should have returned a bytes-like object, not 'NoneType'"));
        }
        let ended = data.len()? == 0;
        let text = self.decode.bind(py).call1((data, ended))?.cast_into::<PyString>()?;
        let mut state = self.state(py)?;
        state.set_aside(py)?;
        state.chunk = Some(Chunk::new(text));
        Ok(ended)
    }

    fn next_batch<'py>(&self, py: Python<'py>, bare: bool) -> PyResult<Option<Bound<'py, PyIterator>>> {
        let mut ended = false;
        let mut state = self.state(py)?;
        if state.held.is_some() {
            // A loop has left lines, and may have wanted them otherwise.
            let left = state.left(py)?;
            if !left.is_empty() {
                let rest = join(py, left)?;
                state.parts.insert(0, rest.unbind());
                state.settle(py)?;
            }
        }
        drop(state);
        loop {
            let mut state = self.state(py)?;
            let mut lines = state.lines(py, bare)?;
            let mut without_end = false;
            if lines.is_none() {
                state.set_aside(py)?;
                if ended {
                    let last = state.joined(py, PyString::new(py, ""))?;
                    if last.is_empty()? {
                        return Ok(None);
                    }
                    without_end = true;
                    lines = Some(PyList::new(py, [last])?);
                }
            }
            if let Some(lines) = lines {
                let lines = lines.try_iter()?;
                state.held = Some(Held { lines: lines.clone().unbind(), bare: bare && !without_end });
                return Ok(Some(lines));
            }
            drop(state);
            ended = self.more(py)?;
        }
    }

    /// Everything to the end of the file.
    fn rest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        drop(self.state(py)?);
        self.started.store(true, Ordering::Relaxed);
        let data = self.read_all.bind(py).call0()?;
        let last = self.decode.bind(py).call1((data, true))?.cast_into::<PyString>()?;
        let mut state = self.state(py)?;
        state.settle(py)?;
        state.set_aside(py)?;
        state.joined(py, last)
    }

    /// The next line, or the next `limit` characters, of one line if `lines`.
    fn next_of<'py>(&self, py: Python<'py>, limit: Option<usize>, lines: bool) -> PyResult<Bound<'py, PyString>> {
        let mut ended = false;
        let mut before = 0;
        let mut state = self.state(py)?;
        if lines
            && limit.is_none()
            && let Some(line) = state.ready_line(py)?
        {
            return Ok(line);
        }
        state.settle(py)?;
        loop {
            if let Some(chunk) = &state.chunk {
                let allowed = limit.map(|limit| chunk.forward(py, limit - before)).transpose()?.and_then(Result::ok);
                let line_end = if lines { chunk.line_end(py, allowed)? } else { None };
                if let Some(to) = line_end.or(allowed) {
                    let part = state.chunk.as_mut().map(|chunk| chunk.take(py, to)).transpose()?;
                    return part.map_or_else(|| Ok(PyString::new(py, "")), |part| state.joined(py, part));
                }
            }
            before += state.set_aside(py)?;
            if ended {
                return state.joined(py, PyString::new(py, ""));
            }
            drop(state);
            ended = self.more(py)?;
            state = self.state(py)?;
        }
    }
}

#[pymethods]
impl Text {
    #[new]
    fn new(read: Py<PyAny>, read_all: Py<PyAny>, decode: Py<PyAny>) -> Text {
        Text { read, read_all, decode, state: Mutex::default(), started: AtomicBool::new(false) }
    }

    #[getter]
    fn started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// An iterator over some of the next lines, `None` at the end. What a loop leaves of it stays here.
    fn batch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyIterator>>> {
        guard(py, || self.next_batch(py, false))
    }

    /// The same without line ends.
    fn batch_bare<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyIterator>>> {
        guard(py, || self.next_batch(py, true))
    }

    /// The next line with its end, at most `size` characters of it; `""` at the end.
    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyString>> {
        guard(py, || self.next_of(py, size.and_then(|size| usize::try_from(size).ok()), true))
    }

    /// The next `size` characters, fewer at the end; without `size`, or with a negative one, all there are.
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyString>> {
        guard(py, || match size.and_then(|size| usize::try_from(size).ok()) {
            None => self.rest(py),
            size => self.next_of(py, size, false),
        })
    }

    /// Forgets everything; from now on each call raises `ValueError` with this message.
    fn close(&self, py: Python<'_>, detached: bool) -> PyResult<()> {
        let why = if detached { "underlying buffer has been detached" } else { "I/O operation on closed file." };
        let mut before = {
            let mut state = self.state.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *state, State { closed: Some(why), ..State::default() })
        };
        // A loop may go on with the lines it has.
        before.left(py).map(drop)
    }
}
