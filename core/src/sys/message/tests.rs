use super::*;
use crate::sys::{fd, socket};
use std::os::fd::AsFd;

fn one(fd: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    send(fd, &[IoSlice::new(bytes)], fds)
}

#[test]
fn bytes_and_descriptors_arrive_together() -> io::Result<()> {
    let (a, b) = socket::pair()?;
    let (read, write) = fd::pipe()?;
    assert_eq!(send(a.as_fd(), &[IoSlice::new(b"he"), IoSlice::new(b"llo")], &[write.as_fd(), read.as_fd()])?, 5);
    drop((read, write));
    let (mut buf, mut fds) = ([0; 16], Vec::new());
    assert_eq!(recv(b.as_fd(), &mut buf, &mut fds)?, Received { len: 5, lost_fds: false });
    assert_eq!(&buf[..5], b"hello");
    assert_eq!(fds.len(), 2);
    for got in &fds {
        assert_eq!(fd::is_close_on_exec(got.as_raw_fd()), Some(true));
        assert!(got.as_raw_fd() > 2);
    }
    assert_eq!(fd::write(fds[0].as_fd(), b"x")?, 1);
    fds.remove(0);
    let mut rest = Vec::new();
    assert_eq!(fd::read_vec(fds[0].as_fd(), &mut rest, 10)?, 1);
    assert_eq!(fd::read_vec(fds[0].as_fd(), &mut rest, 10)?, 0, "no copy of the write end is left");
    Ok(())
}

#[test]
fn as_many_descriptors_as_the_kernel_takes() -> io::Result<()> {
    let (a, b) = socket::pair()?;
    let many: Vec<_> = std::iter::repeat_n(a.as_fd(), MAX_FDS).collect();
    assert_eq!(one(a.as_fd(), b"x", &many)?, 1);
    let more: Vec<_> = std::iter::repeat_n(a.as_fd(), MAX_FDS + 1).collect();
    assert_eq!(one(a.as_fd(), b"x", &more).map_err(|error| error.raw_os_error()), Err(Some(libc::EINVAL)));
    let (mut vec, mut fds) = (Vec::new(), Vec::new());
    assert_eq!(recv_vec(b.as_fd(), &mut vec, 100, &mut fds)?, Received { len: 1, lost_fds: false });
    assert_eq!(fds.len(), MAX_FDS);
    Ok(())
}

#[test]
fn descriptors_of_two_sends_are_not_mixed() -> io::Result<()> {
    let (a, b) = socket::pair()?;
    one(a.as_fd(), b"0", &[])?;
    one(a.as_fd(), b"11", &[a.as_fd()])?;
    one(a.as_fd(), b"222", &[a.as_fd(), b.as_fd()])?;
    one(a.as_fd(), b"3", &[])?;
    let (mut buf, mut fds) = ([0; 16], Vec::new());
    assert_eq!(recv(b.as_fd(), &mut buf, &mut fds)?.len, 3, "plain bytes before descriptors may join");
    assert_eq!(fds.len(), 1);
    assert_eq!(recv(b.as_fd(), &mut buf, &mut fds)?.len, 3);
    assert_eq!(fds.len(), 3);
    assert_eq!(recv(b.as_fd(), &mut buf, &mut fds)?.len, 1);
    assert_eq!(fds.len(), 3);
    Ok(())
}

#[test]
fn a_descriptor_needs_a_byte_to_travel_with() -> io::Result<()> {
    let (a, _b) = socket::pair()?;
    assert_eq!(one(a.as_fd(), b"", &[a.as_fd()]).map_err(|error| error.raw_os_error()), Err(Some(libc::EINVAL)));
    Ok(())
}

#[test]
fn nothing_waits_and_nothing_signals() -> io::Result<()> {
    let (a, b) = socket::pair()?;
    let (mut buf, mut fds) = ([0; 16], Vec::new());
    assert_eq!(recv(b.as_fd(), &mut buf, &mut fds).map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    let big = vec![1; 1 << 16];
    let mut sent = 0;
    let full = loop {
        match one(a.as_fd(), &big, &[]) {
            Ok(count) => sent += count,
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(full, io::ErrorKind::WouldBlock);
    let mut vec = Vec::new();
    while vec.len() < sent {
        recv_vec(b.as_fd(), &mut vec, usize::MAX, &mut fds)?;
    }
    assert_eq!(vec.len(), sent);
    drop(b);
    assert_eq!(one(a.as_fd(), b"x", &[]).map_err(|error| error.kind()), Err(io::ErrorKind::BrokenPipe));
    assert_eq!(recv(a.as_fd(), &mut buf, &mut fds)?, Received { len: 0, lost_fds: false });
    Ok(())
}

#[test]
fn kinds_are_told_apart() -> Result<(), Box<dyn std::error::Error>> {
    let (a, _b) = socket::pair()?;
    let stream = FdKind::Socket { domain: libc::AF_UNIX, kind: libc::SOCK_STREAM, listening: false };
    assert_eq!(fd_kind(a.as_fd())?, stream);
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    assert_eq!(fd_kind(listener.as_fd())?, FdKind::Socket { domain: libc::AF_INET, kind: libc::SOCK_STREAM, listening: true });
    let udp = std::net::UdpSocket::bind("127.0.0.1:0")?;
    assert_eq!(fd_kind(udp.as_fd())?, FdKind::Socket { domain: libc::AF_INET, kind: libc::SOCK_DGRAM, listening: false });
    let (read, _write) = fd::pipe()?;
    assert_eq!(fd_kind(read.as_fd())?, FdKind::Pipe);
    assert_eq!(fd_kind(fd::open(c"/", libc::O_RDONLY, 0)?.as_fd())?, FdKind::Directory);
    assert_eq!(fd_kind(fd::open(c"/", libc::O_PATH, 0)?.as_fd())?, FdKind::Path);
    assert_eq!(fd_kind(fd::open(c"/dev/null", libc::O_RDONLY, 0)?.as_fd())?, FdKind::Device);
    let exe = std::fs::File::open(std::env::current_exe()?)?;
    assert_eq!(fd_kind(exe.as_fd())?, FdKind::File);
    Ok(())
}
