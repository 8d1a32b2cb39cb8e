//! Where the bytes of one stream go besides memory: descriptors, files, functions.

use super::store::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::io::transfer::{self, ATOMIC_WRITE};
use crate::spawn::{DirectRead, OutputCallback, OutputLimit, Sink};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A descriptor that may block, such as a pipe: what it does not take at once waits here, and the stream is not read meanwhile.
pub(super) struct Outflow {
    fd: OwnedFd,
    waiting: Vec<u8>,
    written: usize,
}

impl Outflow {
    fn new(fd: OwnedFd) -> Outflow {
        Outflow { fd, waiting: Vec::new(), written: 0 }
    }

    /// Writes as much as it takes without blocking and gives the number of bytes.
    ///
    /// The descriptor may be shared, so O_NONBLOCK is not ours to set: a write of at most PIPE_BUF bytes to a pipe that is ready for writing
    /// does not block. Source: pipe(7).
    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() && transfer::writable_now(self.fd.as_fd())? {
            let end = bytes.len().min(done + ATOMIC_WRITE);
            match transfer::write(self.fd.as_fd(), &bytes[done..end]) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn accept(&mut self, bytes: &[u8]) -> io::Result<()> {
        let done = if self.is_waiting() { 0 } else { self.write_now(bytes)? };
        self.waiting.extend_from_slice(&bytes[done..]);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.written += self.write_now(&self.waiting[self.written..])?;
        if !self.is_waiting() {
            self.waiting.clear();
            self.written = 0;
        }
        Ok(())
    }

    fn is_waiting(&self) -> bool {
        self.written < self.waiting.len()
    }
}

/// One place that output is passed on to.
enum Outlet {
    File(File),
    Flow(Outflow),
    Callback(OutputCallback),
}

impl Outlet {
    fn accept(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Outlet::File(file) => transfer::write_file(file, bytes),
            Outlet::Flow(flow) => flow.accept(bytes),
            Outlet::Callback(call) => {
                call(bytes);
                Ok(())
            }
        }
    }
}

/// Everything that one stream goes to.
pub(super) struct Sinks {
    pub(super) store: Option<Store>,
    outlets: Vec<Outlet>,
    /// What may read in place of us.
    pub(super) direct: Option<DirectRead>,
    error: Option<Error>,
    /// Whether bytes did not get as far as to what is kept.
    lost: bool,
}

impl Sinks {
    /// Opens what has to be opened.
    pub(super) fn open(sink: Sink, limit: OutputLimit) -> Result<Sinks> {
        let mut sinks = Sinks { store: None, outlets: Vec::new(), direct: None, error: None, lost: false };
        sinks.add(sink, limit)?;
        Ok(sinks)
    }

    fn add(&mut self, sink: Sink, limit: OutputLimit) -> Result<()> {
        match sink {
            Sink::Buffer => self.store = Some(Store::new(limit)),
            Sink::Discard => {}
            Sink::Fd(fd) => self.outlets.push(outlet_of(fd)),
            Sink::File(path) => self.outlets.push(open(&path, OpenOptions::new().write(true).create(true).truncate(true))?),
            Sink::Append(path) => self.outlets.push(open(&path, OpenOptions::new().append(true).create(true))?),
            Sink::Callback(call) => self.outlets.push(Outlet::Callback(call)),
            Sink::Direct(call, read) => {
                self.outlets.push(Outlet::Callback(call));
                self.direct = Some(read);
            }
            Sink::Tee(sinks) => sinks.into_iter().try_for_each(|sink| self.add(sink, limit))?,
        }
        Ok(())
    }

    /// How many bytes may be read straight into memory: only when nothing else wants to see them.
    pub(super) fn direct_room(&self) -> Option<usize> {
        if self.outlets.is_empty() { self.store.as_ref()?.direct_room() } else { None }
    }

    /// Passes bytes on to every sink. A sink that fails is given up; its error is reported and the others go on.
    pub(super) fn accept(&mut self, bytes: &[u8]) {
        if let Some(store) = &mut self.store
            && let Err(error) = store.push(bytes)
        {
            self.lose(error);
        }
        self.each(|outlet| outlet.accept(bytes));
    }

    /// Writes on what a descriptor did not take before.
    pub(super) fn flush(&mut self) {
        self.each(|outlet| match outlet {
            Outlet::Flow(flow) => flow.flush(),
            _ => Ok(()),
        });
    }

    fn each(&mut self, mut action: impl FnMut(&mut Outlet) -> io::Result<()>) {
        let error = &mut self.error;
        self.outlets.retain_mut(|outlet| match action(outlet) {
            Ok(()) => true,
            Err(failure) => {
                error.get_or_insert_with(|| Error::from_io("capture", &failure, "cannot write output to its sink"));
                false
            }
        });
    }

    /// A descriptor that has to take more before the stream is read on.
    pub(super) fn blocked_on(&self) -> Option<BorrowedFd<'_>> {
        self.outlets.iter().find_map(|outlet| match outlet {
            Outlet::Flow(flow) if flow.is_waiting() => Some(flow.fd.as_fd()),
            _ => None,
        })
    }

    /// Remembers a failure; the first one is reported.
    pub(super) fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// As above, of a failure that costs output: reading it, or keeping it.
    pub(super) fn lose(&mut self, error: Error) {
        self.lost = true;
        self.fail(error);
    }

    /// Whether output was lost.
    pub(super) fn lost(&self) -> bool {
        self.lost
    }

    /// What was kept, and the first failure. Bytes that a blocked descriptor has not taken are lost and reported.
    pub(super) fn finish(mut self) -> (Option<Store>, Option<Error>) {
        if self.blocked_on().is_some() {
            self.fail(Error::new(ErrorKind::Timeout, "capture", "a sink's descriptor did not take all output before the run ended"));
        }
        (self.store, self.error)
    }
}

fn open(path: &Path, options: &OpenOptions) -> Result<Outlet> {
    let file = options
        .open(path)
        .and_then(|file| transfer::above_stdio(file.into()))
        .map_err(|error| Error::from_io("capture", &error, format!("cannot open the sink (path = {})", path.display())).with_path(path))?;
    Ok(outlet_of(file))
}

/// Regular files never block for long and are written in one go.
fn outlet_of(fd: OwnedFd) -> Outlet {
    let file = File::from(fd);
    match file.metadata() {
        Ok(data) if data.is_file() => Outlet::File(file),
        _ => Outlet::Flow(Outflow::new(file.into())),
    }
}
