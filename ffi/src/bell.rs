//! A descriptor that a foreign event loop can poll while the library waits inside.

use procs::{Error, Result};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// Rung by a waker from any thread; readable until it is silenced.
#[derive(Debug)]
pub(crate) struct Bell {
    hear: UnixStream,
    ring: UnixStream,
}

impl Bell {
    /// A bell that rings already, so that a loop which polls first makes its first dispatch at once.
    pub(crate) fn new(operation: &'static str) -> Result<Arc<Bell>> {
        let failed = |error: std::io::Error| Error::from_io(operation, &error, "cannot make a pollable descriptor");
        let (hear, ring) = UnixStream::pair().map_err(failed)?;
        hear.set_nonblocking(true).map_err(failed)?;
        ring.set_nonblocking(true).map_err(failed)?;
        let bell = Arc::new(Bell { hear, ring });
        bell.ring();
        Ok(bell)
    }

    /// Rings. A full buffer rings already.
    pub(crate) fn ring(&self) {
        let _ = (&self.ring).write(&[1]);
    }

    /// Silences it; call before looking for work, so that a ring during the look is kept.
    pub(crate) fn silence(&self) {
        let mut rings = [0; 64];
        while matches!((&self.hear).read(&mut rings), Ok(64)) {}
    }

    /// A waker that rings it.
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// The descriptor to poll for reading.
    pub(crate) fn fd(&self) -> RawFd {
        self.hear.as_fd().as_raw_fd()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}
