//! Links: lines in one piece, and messages that leave together.

use super::*;

fn link() -> std::result::Result<(NodeLink, UnixStream), Box<dyn std::error::Error>> {
    let (link, theirs) = NodeLink::pair(Codec::Json)?;
    Ok((link, UnixStream::from(theirs)))
}

fn readable(fd: &impl AsFd) -> std::io::Result<bool> {
    crate::sys::poll::poll(&mut [crate::sys::poll::PollFd::new(fd.as_fd(), crate::sys::poll::Events::Read)], soon()).map(|count| count > 0)
}

/// Lines come in one piece, whole, wherever the stream is cut; their descriptors with them; then the end.
#[test]
fn lines_in_one_piece() -> Test {
    let (link, mut raw) = link()?;
    let (mut lines, mut all) = (Vec::new(), Vec::new());
    assert!(link.take_lines(&mut lines)?.is_none());
    let long = [vec![b'7'; 3 << 20], b"\n".to_vec()].concat();
    let sent = [&b"1\n2\n3\n"[..], &long, b"4\n"].concat();
    let theirs = sent.clone();
    let writer = thread::spawn(move || -> std::io::Result<UnixStream> {
        raw.write_all(&theirs)?;
        Ok(raw)
    });
    let mut more = false;
    while all.len() < sent.len() {
        assert!(more || readable(&link)?);
        let found = link.take_lines(&mut lines)?;
        more = found.as_ref().is_some_and(|found| found.more);
        if let Some(found) = found {
            assert!(found.fds.is_empty() && (lines.is_empty() || lines.last() == Some(&b'\n')));
            all.extend_from_slice(&lines);
        }
    }
    assert!(all == sent);
    let raw = writer.join().map_err(|_| "writer")??;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    message::send(raw.as_fd(), &[IoSlice::new(b"5\n6")], &[])?;
    message::send(raw.as_fd(), &[IoSlice::new(b"\n7\n")], &[listener.as_fd()])?;
    drop(raw);
    let (mut fds, mut rest) = (0, Vec::new());
    let end = loop {
        match link.take_lines(&mut lines) {
            Ok(Some(found)) => {
                rest.extend_from_slice(&lines);
                fds += found.fds.len();
            }
            Ok(None) => {}
            Err(error) => break error.kind(),
        }
    };
    assert_eq!((&*rest, fds, end), (&b"5\n6\n7\n"[..], 1, ErrorKind::Closed));
    Ok(())
}

/// What is corked leaves together and in order, descriptors in their place; and without anybody's doing, too.
#[test]
fn corked_messages_leave_together() -> Test {
    let (link, raw) = link()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    link.cork();
    for number in 0..300 {
        let fd = (number == 150).then(|| listener.as_fd().try_clone_to_owned()).transpose()?;
        link.send(number.to_string().into_bytes(), fd)?;
    }
    assert_eq!(link.uncork()?, 0);
    let (mut bytes, mut fds) = (Vec::new(), Vec::new());
    while message::recv_vec(raw.as_fd(), &mut bytes, 1 << 20, &mut fds).is_ok() {}
    let expected: String = (0..300).map(|number| format!("{number}\n")).collect();
    assert_eq!((String::from_utf8(bytes)?, fds.len()), (expected, 1));

    // The other side can begin with the first of many.
    link.cork();
    (0..8).try_for_each(|number: u32| link.send(number.to_string().into_bytes(), None).map(|_| ()))?;
    let mut first = Vec::new();
    message::recv_vec(raw.as_fd(), &mut first, 1 << 20, &mut Vec::new())?;
    assert_eq!(String::from_utf8(first)?, "0\n1\n2\n3\n4\n5\n6\n7\n");
    link.uncork()?;

    link.cork();
    link.send(b"\"nobody uncorks\"".to_vec(), None)?;
    assert!(readable(&raw)?);
    link.cork();
    link.send(vec![b'1'; 100_000], None)?;
    link.send(b"2".to_vec(), None)?;
    drop(link);
    let mut rest = String::new();
    (&raw).read_to_string(&mut rest)?;
    assert_eq!((rest.len(), rest.ends_with("\n2\n")), (17 + 100_001 + 2, true));
    Ok(())
}

/// A peer that is gone is found out when what was corked is written.
#[test]
fn corked_for_nobody() -> Test {
    let (link, raw) = link()?;
    link.cork();
    drop(raw);
    let sent = link.send(b"1".to_vec(), None);
    assert!(sent.is_ok() && kind(link.uncork()) == Some(ErrorKind::Closed));
    Ok(())
}
