//! Links: many messages in one piece, and messages that leave together.

use super::*;

type Ends = (NodeLink, UnixStream);

fn link() -> std::result::Result<Ends, Box<dyn std::error::Error>> {
    link_in(Codec::Json)
}

fn link_in(codec: Codec) -> std::result::Result<Ends, Box<dyn std::error::Error>> {
    let (link, theirs) = NodeLink::pair(codec)?;
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
    assert!(link.take_frames(&mut lines)?.is_none());
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
        let found = link.take_frames(&mut lines)?;
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
        match link.take_frames(&mut lines) {
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

fn block(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes(), body].concat()
}

/// In V8's encoding: one is told from many, what is cut waits for its rest, a long one comes alone; and a length that is too large is an error once
/// everything before it was taken.
#[test]
fn blocks_in_one_piece() -> Test {
    let (link, mut raw) = link_in(Codec::V8)?;
    let mut bytes = Vec::new();
    assert!(link.take_frames(&mut bytes)?.is_none());
    let mut take = |sent: &[u8]| -> std::result::Result<_, Box<dyn std::error::Error>> {
        raw.write_all(sent)?;
        let found = link.take_frames(&mut bytes)?.map(|found| (found.one, found.more));
        Ok((found, bytes.clone()))
    };
    assert_eq!(take(&block(b"one"))?, (Some((true, false)), block(b"one")));
    let (two, three) = ([block(b""), block(b"two")].concat(), block(b"three"));
    assert_eq!(take(&[&two[..], &three[..6]].concat())?, (Some((false, false)), two));
    assert_eq!(take(&three[6..])?, (Some((true, false)), three));
    assert_eq!(take(&[0, 0])?, (Some((false, false)), Vec::new()));
    assert_eq!(take(&[&[0, 1, b'x'][..], &block(b"y")].concat())?, (Some((false, false)), [block(b"x"), block(b"y")].concat()));
    assert_eq!(take(&[&block(b"last")[..], &[0xff; 4]].concat())?.1, block(b"last"));
    assert_eq!(kind(link.take_frames(&mut bytes)), Some(ErrorKind::TooLarge));
    Ok(())
}

/// A long message in V8's encoding, and one after it.
#[test]
fn a_long_block_comes_alone() -> Test {
    let (link, mut raw) = link_in(Codec::V8)?;
    let sent = [block(&vec![7; 3 << 20]), block(b"next")];
    let theirs = sent.concat();
    let writer = thread::spawn(move || raw.write_all(&theirs).map(|()| raw));
    let (mut bytes, mut all, mut more) = (Vec::new(), Vec::new(), false);
    while all.len() < 2 {
        assert!(more || readable(&link)?);
        let found = link.take_frames(&mut bytes)?;
        more = found.as_ref().is_some_and(|found| found.more);
        if found.is_some_and(|found| found.one) {
            all.push(std::mem::take(&mut bytes));
        }
    }
    assert!(all == sent);
    drop(writer.join().map_err(|_| "writer")??);
    assert_eq!(kind(link.take_frames(&mut bytes)), Some(ErrorKind::Closed));
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
