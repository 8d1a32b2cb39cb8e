//! Reading a descriptor to its end into one `bytes` object.

use crate::error::{IntoPy, guard, raise};
use crate::gather::Gather;
use crate::interrupt::until;
use crate::timeout::Timeout;
use procs::{Error, Flow, PipeReader};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::io::ErrorKind;
use std::os::fd::{AsFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// Size of the first reads; most outputs are small.
const FIRST_BLOCK: usize = 16 << 10;

/// Size of a read once one was full.
const BLOCK: usize = 256 << 10;

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
    flow: Flow,
}

/// What a turn of reads came to.
#[derive(PartialEq)]
enum Turn {
    More,
    Empty,
    Ended,
}

impl Source {
    /// Reads what one read gives.
    fn read(&mut self, gather: &Gather) -> PyResult<Turn> {
        loop {
            match self.read_once(gather)? {
                Turn::More if self.flow.holds() => {}
                turn => return Ok(turn),
            }
        }
    }

    fn read_once(&mut self, gather: &Gather) -> PyResult<Turn> {
        let fd = self.pipe.as_fd();
        let source = self.flow.source(fd, BLOCK);
        let direct = source.and_then(|(fd, max)| gather.read_from(fd, max).transpose());
        let in_place = !matches!(direct, Ok(None));
        let count = match direct.and_then(|count| count.map_or_else(|| self.flow.read(fd, &mut self.block), Ok)) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Turn::Empty),
            Err(error) => return Err(Python::attach(|py| raise(py, &Error::from_io("read", &error, "cannot read the child's output")))),
        };
        if in_place {
            self.flow.took(count);
        } else {
            gather.accept(&self.block[..count])?;
        }
        let larger = BLOCK - self.block.len();
        // Without memory for that small reads do as well.
        if count == self.block.len() && self.block.try_reserve_exact(larger).is_ok() {
            self.block.resize(BLOCK, 0);
        }
        Ok(if count == 0 { Turn::Ended } else { Turn::More })
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
            Ok(Drain { source: Mutex::new(Source { pipe, block: vec![0; FIRST_BLOCK], flow: Flow::default() }), gather: Gather::new() })
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
    fn run(&self, py: Python<'_>, timeout: Option<Timeout>) -> PyResult<bool> {
        guard(py, || {
            let deadline = Timeout::deadline(timeout);
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
