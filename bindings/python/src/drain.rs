//! Reading a descriptor to its end into one `bytes` object.

use crate::convert;
use crate::error::{IntoPy, guard, raise};
use crate::gather::Gather;
use crate::interrupt::until;
use procs::{Deadline, Error, PipeReader};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// Size of the first reads; most outputs are small.
const FIRST_BLOCK: usize = 16 << 10;

/// Size of a read once one was full.
const BLOCK: usize = 256 << 10;

/// Size of a pipe with a long stream. Source: performance measurements of 64 KiB and 1 MiB pipes, in docs/benchmarks.md.
const LARGE_PIPE: usize = 1 << 20;

/// Reads between two looks at what else the interpreter has to do.
const READS_PER_TURN: usize = 4;

/// A copy of a descriptor, read to its end. The original stays the caller's.
#[pyclass(frozen, module = "procs._native")]
pub(crate) struct Drain {
    source: Mutex<Source>,
    gather: Gather,
}

struct Source {
    pipe: PipeReader,
    block: Vec<u8>,
    grown: bool,
}

/// What a turn of reads came to.
#[derive(PartialEq)]
enum Turn {
    More,
    Empty,
    Ended,
}

impl Source {
    /// Reads once; `None` when there is nothing now.
    fn read(&mut self, gather: &Gather) -> PyResult<Turn> {
        let direct = gather.read_from(self.pipe.as_fd(), BLOCK);
        let in_place = direct.is_some();
        let count = match direct.unwrap_or_else(|| (&self.pipe).read(&mut self.block)) {
            Ok(0) => return Ok(Turn::Ended),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Turn::Empty),
            Err(error) => return Err(Python::attach(|py| raise(py, &Error::from_io("read", &error, "cannot read the child's output")))),
        };
        if !in_place {
            gather.accept(&self.block[..count])?;
        }
        if count == self.block.len() && self.block.len() < BLOCK {
            self.block.resize(BLOCK, 0);
        } else if count >= 4 * FIRST_BLOCK && !self.grown {
            self.grown = true;
            self.pipe.grow(LARGE_PIPE);
        }
        Ok(Turn::More)
    }

    fn turn(&mut self, gather: &Gather) -> PyResult<Turn> {
        for _ in 1..READS_PER_TURN {
            let turn = self.read(gather)?;
            if turn != Turn::More {
                return Ok(turn);
            }
        }
        self.read(gather)
    }
}

#[pymethods]
impl Drain {
    #[new]
    fn new(py: Python<'_>, fd: RawFd) -> PyResult<Drain> {
        guard(py, || {
            let pipe = PipeReader::from(procs::duplicate_fd(fd).or_raise(py)?);
            Ok(Drain { source: Mutex::new(Source { pipe, block: vec![0; FIRST_BLOCK], grown: false }), gather: Gather::new() })
        })
    }

    /// Reads what there is from a descriptor that does not block, at most 1 MiB: `None` at the end, else whether there may be more now.
    fn turn(&self, py: Python<'_>) -> PyResult<Option<bool>> {
        guard(py, || {
            let turn = py.detach(|| self.source.lock().unwrap_or_else(PoisonError::into_inner).turn(&self.gather))?;
            Ok(match turn {
                Turn::More => Some(true),
                Turn::Empty => Some(false),
                Turn::Ended => None,
            })
        })
    }

    /// Reads to the end, blocking at most `timeout` seconds; `False` when it passed. Signal handlers run meanwhile and may raise.
    #[pyo3(signature = (timeout=None))]
    fn run(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        guard(py, || {
            let deadline = Deadline::from_timeout(timeout.map(convert::seconds).transpose()?);
            let ended = until(py, deadline, |slice| {
                let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
                while source.pipe.wait_readable(slice)? {
                    match source.read(&self.gather) {
                        Ok(Turn::Ended) => return Ok(Some(Ok(()))),
                        Ok(_) => {}
                        Err(error) => return Ok(Some(Err(error))),
                    }
                }
                Ok(None)
            })?;
            ended.transpose().map(|ended| ended.is_some())
        })
    }

    /// All that was read, once.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        guard(py, || self.gather.take(py))
    }
}
