//! What is kept of one stream in memory, under its limit.

use super::bytes::Bytes;
use crate::error::{Error, Result};
use crate::io::transfer::{self, DEFAULT_PIPE, GrowBuffer};
use crate::spawn::OutputLimit;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// Up to this size bytes are collected on the heap by copying: small outputs cost one exact allocation and no zeroing.
const SMALL: usize = DEFAULT_PIPE;

/// From this size on bytes lie in a mapping, which grows without copying.
const LARGE: usize = 1 << 20;

enum Data {
    Heap(Vec<u8>),
    Mapping(GrowBuffer),
}

/// The kept bytes of one stream.
pub(super) struct Store {
    limit: OutputLimit,
    data: Data,
    spill: Option<File>,
    dropped: bool,
    exceeded: bool,
}

impl Store {
    pub(super) fn new(limit: OutputLimit) -> Store {
        Store { limit, data: Data::Heap(Vec::new()), spill: None, dropped: false, exceeded: false }
    }

    fn held(&self) -> &[u8] {
        match &self.data {
            Data::Heap(bytes) => bytes,
            Data::Mapping(buffer) => buffer.as_slice(),
        }
    }

    /// The bytes kept so far.
    pub(super) fn bytes(&self) -> &[u8] {
        let held = self.held();
        match self.limit {
            OutputLimit::Tail(limit) => &held[held.len().saturating_sub(size(limit))..],
            _ => held,
        }
    }

    /// Whether bytes were given up although a buffer was asked for.
    pub(super) fn dropped(&self) -> bool {
        self.dropped
    }

    /// Whether a limit that is an error was exceeded.
    pub(super) fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// How many bytes may be read straight into the buffer now; `None` when they must pass through [`Store::push`].
    ///
    /// One byte more than the limit is asked for, because only a byte too many proves that the limit was exceeded.
    pub(super) fn direct_room(&self) -> Option<usize> {
        let held = self.held().len();
        if held < SMALL {
            return None;
        }
        let room = match self.limit {
            OutputLimit::Unlimited | OutputLimit::Tail(_) => usize::MAX,
            OutputLimit::Error(limit) if !self.exceeded => (size(limit) - held).saturating_add(1),
            OutputLimit::Spill(limit) if self.spill.is_none() && !self.dropped => (size(limit) - held).saturating_add(1),
            OutputLimit::Head(limit) => size(limit) - held,
            _ => 0,
        };
        (room > 0).then_some(room.min(transfer::CHUNK))
    }

    /// Reads at most `max` bytes straight into the buffer; 0 at end of file. `max` is what [`Store::direct_room`] allowed.
    pub(super) fn read_direct(&mut self, fd: BorrowedFd<'_>, max: usize) -> Result<usize> {
        self.enlarge().map_err(|error| no_memory(&error))?;
        let count = match &mut self.data {
            Data::Heap(bytes) => {
                if bytes.capacity() - bytes.len() < DEFAULT_PIPE {
                    bytes.try_reserve(bytes.len().max(DEFAULT_PIPE)).map_err(|_| no_memory(&io::Error::from_raw_os_error(libc::ENOMEM)))?;
                }
                transfer::read_vec(fd, bytes, max)
            }
            Data::Mapping(buffer) => buffer.read_from(fd, max),
        };
        let count = count.map_err(|error| Error::from_io("capture", &error, "cannot read the child's output"))?;
        self.settle()?;
        Ok(count)
    }

    /// Moves from the heap to a mapping once the output is large.
    fn enlarge(&mut self) -> io::Result<()> {
        if let Data::Heap(bytes) = &self.data
            && bytes.len() >= LARGE
        {
            let mut buffer = GrowBuffer::new();
            buffer.extend(bytes)?;
            self.data = Data::Mapping(buffer);
        }
        Ok(())
    }

    /// Applies the limit after bytes were added without regard to it.
    fn settle(&mut self) -> Result<()> {
        let held = self.held().len();
        match self.limit {
            OutputLimit::Error(limit) if held > size(limit) => {
                self.truncate(size(limit));
                self.dropped = true;
                self.exceeded = true;
            }
            OutputLimit::Spill(limit) if held > size(limit) => {
                let started = self.start_spill();
                self.truncate(size(limit));
                self.dropped = true;
                started?;
            }
            OutputLimit::Tail(limit) if held > size(limit) => {
                self.dropped = true;
                // Moved only once as much has gathered as is kept, so that each byte is moved about once.
                if held - size(limit) > size(limit).max(SMALL) {
                    self.discard_front(held - size(limit));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds bytes under the limit.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(file) = &self.spill {
            return transfer::write_file(file, bytes).map_err(|error| {
                self.spill = None;
                spill_error(&error)
            });
        }
        let held = self.held().len();
        let room = match self.limit {
            OutputLimit::Unlimited | OutputLimit::Tail(_) => bytes.len(),
            OutputLimit::Error(limit) | OutputLimit::Head(limit) => size(limit) - held,
            OutputLimit::Spill(_) if self.dropped => 0,
            OutputLimit::Spill(limit) => size(limit) - held,
        };
        let (kept, rest) = bytes.split_at(room.min(bytes.len()));
        self.extend(kept).map_err(|error| no_memory(&error))?;
        if rest.is_empty() {
            return self.settle();
        }
        match self.limit {
            OutputLimit::Error(_) => self.exceeded = true,
            OutputLimit::Spill(_) if !self.dropped => {
                self.dropped = true;
                self.start_spill()?;
                return self.push(rest);
            }
            _ => {}
        }
        self.dropped = true;
        Ok(())
    }

    fn extend(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.enlarge()?;
        match &mut self.data {
            Data::Heap(held) => {
                held.try_reserve(bytes.len()).map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
                held.extend_from_slice(bytes);
            }
            Data::Mapping(buffer) => buffer.extend(bytes)?,
        }
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        match &mut self.data {
            Data::Heap(bytes) => bytes.truncate(len),
            Data::Mapping(buffer) => buffer.truncate(len),
        }
    }

    fn discard_front(&mut self, count: usize) {
        match &mut self.data {
            Data::Heap(bytes) => drop(bytes.drain(..count)),
            Data::Mapping(buffer) => buffer.discard_front(count),
        }
    }

    /// Opens the file and writes what is held.
    fn start_spill(&mut self) -> Result<()> {
        // Above 2: what a host prints that has closed its standard streams must not end up in it.
        let file = unlinked_file().and_then(|file| transfer::above_stdio(file.into())).map_err(|error| spill_error(&error))?;
        let file = File::from(file);
        transfer::write_file(&file, self.held()).map_err(|error| spill_error(&error))?;
        self.spill = Some(file);
        Ok(())
    }

    /// The kept bytes, and the file with everything at position 0 when it spilled.
    pub(super) fn finish(mut self) -> Result<(Bytes, Option<File>)> {
        if let OutputLimit::Tail(limit) = self.limit {
            let surplus = self.held().len().saturating_sub(size(limit));
            self.discard_front(surplus);
        }
        if let Some(file) = &mut self.spill {
            file.rewind().map_err(|error| spill_error(&error))?;
        }
        let bytes = match self.data {
            Data::Heap(bytes) => Bytes::from(bytes),
            Data::Mapping(buffer) => Bytes::from_mapping(buffer),
        };
        Ok((bytes, self.spill))
    }
}

/// A limit as a size of memory; more than the address space is no limit.
fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn no_memory(error: &io::Error) -> Error {
    Error::from_io("capture", error, "no memory for the child's output")
}

fn spill_error(error: &io::Error) -> Error {
    Error::from_io("capture", error, "cannot spill output to a temporary file").with_path(std::env::temp_dir())
}

/// A file without a name in the temporary directory, readable and writable by this user only.
fn unlinked_file() -> io::Result<File> {
    let dir = std::env::temp_dir();
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    if let Ok(file) = options.clone().custom_flags(libc::O_TMPFILE).open(&dir) {
        return Ok(file);
    }
    // Some file systems have no O_TMPFILE: a fresh name, removed at once.
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!(".procs-spill-{}-{number}", std::process::id()));
        match options.clone().create_new(true).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
