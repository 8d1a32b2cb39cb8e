//! How an end comes to be: by pairs, by a descriptor, by the environment; and how it leaves unused.

use super::channel::Channel;
use super::handoff::{Given, take_from_env};
use super::link::Link;
use super::native;
use super::native::pair::{Unopened, open, pair};
use super::options::ChannelOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::fork;
use parking_lot::Mutex;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, OnceLock};

impl Channel {
    /// Makes both ends, with default options.
    ///
    /// # Errors
    /// `Exhausted` when the system has no descriptor or memory left.
    pub fn pair() -> Result<(Channel, Channel)> {
        Channel::pair_with(&ChannelOptions::default())
    }

    /// Makes both ends. Each can be used in this process, or handed to another one as a descriptor ([`Channel::into_fd`]) while it is unused.
    ///
    /// # Errors
    /// `Exhausted` when the system has no descriptor or memory left.
    pub fn pair_with(options: &ChannelOptions) -> Result<(Channel, Channel)> {
        let (a, b) = pair(options)?;
        Ok((Channel::unopened(a, options), Channel::unopened(b, options)))
    }

    /// The end that [`Channel::into_fd`] gave, with default options.
    ///
    /// # Errors
    /// Never now; the first use tells when the descriptor is not an end of a channel.
    pub fn from_fd(fd: impl Into<OwnedFd>) -> Result<Channel> {
        Channel::from_fd_with(fd, &ChannelOptions::default())
    }

    /// The end that [`Channel::into_fd`] gave.
    ///
    /// # Errors
    /// Never now; the first use tells when the descriptor is not an end of a channel.
    pub fn from_fd_with(fd: impl Into<OwnedFd>, options: &ChannelOptions) -> Result<Channel> {
        Ok(Channel::unopened(Unopened { socket: fd.into(), rings: None, generation: fork::generation() }, options))
    }

    /// The channel to the parent that started this process with one. Once in a process: the descriptor is taken out of the environment and is
    /// not passed on to children.
    ///
    /// # Errors
    /// - `NotFound`: this process was not given a channel.
    /// - `InvalidState`: it was taken before.
    pub fn from_env() -> Result<Channel> {
        Channel::from_env_with(&ChannelOptions::default())
    }

    /// As [`Channel::from_env`], with options.
    ///
    /// # Errors
    /// As there.
    pub fn from_env_with(options: &ChannelOptions) -> Result<Channel> {
        match take_from_env()? {
            Given::Native(fd) => {
                let channel = Channel::from_fd_with(fd, options)?;
                // Now rather than at the first message: a parent of another version is known at once.
                channel.link()?;
                Ok(channel)
            }
            Given::Node(fd) => Channel::node(fd, options),
        }
    }

    /// Both ends for Node's wire: one's own, and the socket for a child that speaks it.
    ///
    /// # Errors
    /// As [`node`](Channel::node).
    pub(crate) fn node_pair(options: &ChannelOptions) -> Result<(Channel, OwnedFd)> {
        let (mine, theirs) = crate::sys::socket::pair().map_err(|error| Error::from_io("channel", &error, "cannot make a pair of sockets"))?;
        Ok((Channel::node(mine, options)?, theirs))
    }

    /// Node's wire on one end of a pair of stream sockets.
    ///
    /// # Errors
    /// `InvalidArgument` when the options do not take JSON, `Exhausted` when the system has no descriptor left.
    pub(crate) fn node(fd: OwnedFd, options: &ChannelOptions) -> Result<Channel> {
        let link = OnceLock::from(Link::node(fd, options)?);
        Ok(Channel { link, unopened: Mutex::new(None), options: options.clone(), peer: OnceLock::new(), told: AtomicU8::new(0) })
    }

    fn unopened(end: Unopened, options: &ChannelOptions) -> Channel {
        Channel { link: OnceLock::new(), unopened: Mutex::new(Some(end)), options: options.clone(), peer: OnceLock::new(), told: AtomicU8::new(0) }
    }

    #[cold]
    pub(super) fn open(&self) -> Result<&Link> {
        let mut unopened = self.unopened.lock();
        if unopened.as_ref().is_some_and(|end| end.generation != fork::generation()) {
            return Err(Error::new(ErrorKind::InvalidState, "channel", native::FORKED));
        }
        if let Some(end) = unopened.take() {
            let native = open(end, &self.options)?;
            let _ = self.link.set(Link::Native(Arc::new(native)));
        }
        drop(unopened);
        let closed = || Error::new(ErrorKind::InvalidState, "channel", "the channel was closed before its first use, or could not be opened");
        self.link.get().ok_or_else(closed)
    }

    /// The descriptor of an end that nobody has used, for another process: it is all that the process needs. See [`Channel::from_fd`].
    ///
    /// # Errors
    /// `InvalidState` when the end was used.
    pub fn into_fd(self) -> Result<OwnedFd> {
        self.take_fd()
    }

    /// As [`Channel::into_fd`], for a handle that others share; the handle is closed then.
    ///
    /// # Errors
    /// As there.
    pub fn take_fd(&self) -> Result<OwnedFd> {
        let end = self.unopened.lock().take();
        end.map(|end| end.socket).ok_or_else(|| Error::new(ErrorKind::InvalidState, "channel.into_fd", "the end was used in this process"))
    }
}
