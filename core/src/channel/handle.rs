//! What a descriptor in a message is said to be, and whether it is.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::message::{FdKind, fd_kind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// What the descriptors of a message are. Declared by the sender, checked on both sides without reading from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum HandleKind {
    /// Anything, unchecked: the receiver must find out itself.
    Raw = 0,
    /// A TCP socket that does not accept connections.
    TcpSocket = 1,
    /// A TCP socket that accepts connections.
    TcpListener = 2,
    /// A Unix stream socket that does not accept connections.
    UnixSocket = 3,
    /// A Unix stream socket that accepts connections.
    UnixListener = 4,
    /// A UDP socket.
    UdpSocket = 5,
    /// A regular file.
    File = 6,
    /// Memory that cannot change its size: a memfd sealed against shrinking and growing.
    Memory = 7,
}

impl HandleKind {
    /// Every kind, in the order of the numbers on the wire.
    pub const ALL: &'static [HandleKind] = &[
        HandleKind::Raw,
        HandleKind::TcpSocket,
        HandleKind::TcpListener,
        HandleKind::UnixSocket,
        HandleKind::UnixListener,
        HandleKind::UdpSocket,
        HandleKind::File,
        HandleKind::Memory,
    ];

    /// The stable name, such as `"tcp-socket"`.
    pub const fn name(self) -> &'static str {
        match self {
            HandleKind::Raw => "raw",
            HandleKind::TcpSocket => "tcp-socket",
            HandleKind::TcpListener => "tcp-listener",
            HandleKind::UnixSocket => "unix-socket",
            HandleKind::UnixListener => "unix-listener",
            HandleKind::UdpSocket => "udp-socket",
            HandleKind::File => "file",
            HandleKind::Memory => "memory",
        }
    }

    /// The kind with this number on the wire.
    pub fn from_number(number: u8) -> Option<HandleKind> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The most telling kind that this descriptor is; raw when it is none of the others.
    ///
    /// # Errors
    /// `Io` when the descriptor cannot be looked at.
    pub fn of(fd: impl AsFd) -> Result<HandleKind> {
        let fd = fd.as_fd();
        let kind = fd_kind(fd).map_err(|error| Error::from_io("handle", &error, format!("cannot look at it (fd = {})", fd.as_raw_fd())))?;
        Ok(HandleKind::of_kind(kind))
    }

    fn of_kind(kind: FdKind) -> HandleKind {
        const SIZE_IS_FIXED: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
        match kind {
            FdKind::Socket { domain: libc::AF_INET | libc::AF_INET6, kind: libc::SOCK_STREAM, listening } => {
                if listening {
                    HandleKind::TcpListener
                } else {
                    HandleKind::TcpSocket
                }
            }
            FdKind::Socket { domain: libc::AF_UNIX, kind: libc::SOCK_STREAM, listening } => {
                if listening {
                    HandleKind::UnixListener
                } else {
                    HandleKind::UnixSocket
                }
            }
            FdKind::Socket { domain: libc::AF_INET | libc::AF_INET6, kind: libc::SOCK_DGRAM, .. } => HandleKind::UdpSocket,
            FdKind::Memory { seals, .. } if seals & SIZE_IS_FIXED == SIZE_IS_FIXED => HandleKind::Memory,
            FdKind::File | FdKind::Memory { .. } => HandleKind::File,
            _ => HandleKind::Raw,
        }
    }
}

/// Checks that each descriptor is what it is said to be. `wrong` is the kind of error of a mismatch: the caller's argument or the peer's fault.
pub(crate) fn check_handles(fds: &[OwnedFd], said: Option<HandleKind>, operation: &'static str, wrong: ErrorKind) -> Result<()> {
    let Some(said) = said.filter(|said| *said != HandleKind::Raw) else {
        return Ok(());
    };
    if fds.is_empty() {
        return Err(Error::new(wrong, operation, format!("a kind of descriptor without a descriptor (handle = {}, fds = 0)", said.name())));
    }
    for (index, fd) in fds.iter().enumerate() {
        let is = HandleKind::of(fd)?;
        if is != said {
            let detail = format!("descriptor {index} is not what it is said to be (handle = {}, expected {})", is.name(), said.name());
            return Err(Error::new(wrong, operation, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{fd, socket};
    use std::os::unix::net::UnixListener;

    /// Each kind of descriptor against each kind it may be said to be.
    #[test]
    fn what_is_said_is_checked() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let client = std::net::TcpStream::connect(listener.local_addr()?)?;
        let (unix, unix_peer) = socket::pair()?;
        let (pipe, pipe_end) = fd::pipe()?;
        let dir = std::env::temp_dir().join(format!("procs-handle-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let unix_listener = UnixListener::bind(dir.join("socket"))?;
        let file = std::fs::File::open(std::env::current_exe()?)?;
        std::fs::remove_dir_all(&dir)?;
        let all: [(OwnedFd, HandleKind); 10] = [
            (client.into(), HandleKind::TcpSocket),
            (listener.into(), HandleKind::TcpListener),
            (unix, HandleKind::UnixSocket),
            (unix_listener.into(), HandleKind::UnixListener),
            (std::net::UdpSocket::bind("127.0.0.1:0")?.into(), HandleKind::UdpSocket),
            (file.into(), HandleKind::File),
            (pipe, HandleKind::Raw),
            (fd::open(c"/", libc::O_RDONLY, 0)?, HandleKind::Raw),
            (fd::open(c"/dev/null", libc::O_RDWR, 0)?, HandleKind::Raw),
            (fd::open(c"/", libc::O_PATH, 0)?, HandleKind::Raw),
        ];
        for (fd, is) in all {
            assert_eq!(HandleKind::of(&fd)?, is);
            let fds = [fd];
            for said in HandleKind::ALL {
                let result = check_handles(&fds, Some(*said), "test", ErrorKind::Protocol).map_err(|error| error.kind());
                let right = *said == is || *said == HandleKind::Raw;
                assert_eq!(result, if right { Ok(()) } else { Err(ErrorKind::Protocol) }, "{is:?} said to be {said:?}");
            }
            assert!(check_handles(&fds, None, "test", ErrorKind::Protocol).is_ok());
        }
        assert!(check_handles(&[], Some(HandleKind::File), "test", ErrorKind::InvalidArgument).is_err());
        drop((unix_peer, pipe_end));
        Ok(())
    }
}
