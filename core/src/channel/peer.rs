//! The process at the other end of a channel, where it is known, and what was told of its end.

use super::channel::Channel;
use crate::error::{Error, Result};
use std::any::Any;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bits of [`Channel::told`].
const TOLD_END: u8 = 1;
const TOLD_EXIT: u8 = 2;

/// A process whose end a channel reports. The layer that starts processes implements it; the channel only watches.
pub(crate) trait PeerProcess: Send + Sync + fmt::Debug {
    /// Readable once the process has ended (a pidfd).
    fn as_fd(&self) -> BorrowedFd<'_>;

    /// For the layer that put it here: to get its own type back.
    fn as_any(&self) -> &dyn Any;
}

impl Channel {
    /// Names the process at the other end: the other side counts as gone once it has ended, even if something it started holds its end open.
    pub(crate) fn set_peer(&self, process: Arc<dyn PeerProcess>) -> Result<()> {
        let pidfd = process.as_fd().try_clone_to_owned();
        let pidfd = pidfd.map_err(|error| Error::from_io("channel", &error, "cannot watch the process at the other end"))?;
        self.link()?.watch_process(pidfd)?;
        let _ = self.peer.set(process);
        Ok(())
    }

    pub(crate) fn peer(&self) -> Option<&dyn PeerProcess> {
        self.peer.get().map(|peer| &**peer)
    }

    /// Notes that the end of the channel was told; false when it was before.
    pub(crate) fn tell_end(&self) -> bool {
        self.told.fetch_or(TOLD_END, Ordering::Relaxed) & TOLD_END == 0
    }

    pub(crate) fn end_was_told(&self) -> bool {
        self.told.load(Ordering::Relaxed) & TOLD_END != 0
    }

    /// Notes that the end of the process was told; false when it was before.
    pub(crate) fn tell_exit(&self) -> bool {
        self.told.fetch_or(TOLD_EXIT, Ordering::Relaxed) & TOLD_EXIT == 0
    }

    pub(crate) fn exit_was_told(&self) -> bool {
        self.told.load(Ordering::Relaxed) & TOLD_EXIT != 0
    }
}
