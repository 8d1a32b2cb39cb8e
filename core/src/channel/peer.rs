//! The process at the other end of a channel, where it is known.

use std::any::Any;
use std::fmt;
use std::os::fd::BorrowedFd;

/// A process whose end a channel reports. The layer that starts processes implements it; the channel only watches.
pub(crate) trait PeerProcess: Send + Sync + fmt::Debug {
    /// Readable once the process has ended (a pidfd).
    fn as_fd(&self) -> BorrowedFd<'_>;

    /// For the layer that put it here: to get its own type back.
    fn as_any(&self) -> &dyn Any;
}
