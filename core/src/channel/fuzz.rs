//! Frames of a hostile peer: the parser, the tables, the payloads and the states of calls.

use super::call::{Calls, Served};
use super::codec::CodecSet;
use super::control::{FailureBody, Hello, SegmentBody, decode_credit};
use super::frame::{FLAG_STREAM, FrameKind, Limits};
use super::message::Message;
use super::parser::{Frame, Parser};
use crate::error::{Error, ErrorKind};

pub(crate) use super::node::fuzz::lines as node_lines;

const LIMITS: Limits = Limits { max_message: 1 << 20, max_fds: 16, codecs: CodecSet::from_bits(0b0111) };

/// Every frame of a stream that comes in pieces of at most `piece` bytes, and the error it ends with.
fn parse(stream: &[u8], piece: usize) -> (Vec<Frame>, Option<Error>) {
    let mut parser = Parser::new(LIMITS);
    let mut frames = Vec::new();
    for mut piece in stream.chunks(piece) {
        while !piece.is_empty() {
            match parser.push(&mut piece) {
                Ok(frame) => frames.extend(frame),
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, parser.finish().err())
}

/// The first byte is the size of the pieces, the rest the stream.
pub(crate) fn frames(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let (whole, error) = parse(stream, stream.len().max(1));
    let (pieces, piece_error) = parse(stream, usize::from(*piece) + 1);
    assert!(whole == pieces, "pieces of {} bytes give other frames", usize::from(*piece) + 1);
    assert_eq!(error.as_ref().map(Error::detail), piece_error.as_ref().map(Error::detail));
    if let Some(error) = error {
        assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::TooLarge), "{error}");
    }
    let (mut calls, mut served) = (Calls::default(), Served::default());
    for stream in [false, true, true] {
        calls.open(stream);
    }
    for frame in whole {
        if states(&mut calls, &mut served, frame).is_none() {
            break;
        }
    }
    for id in 1..=3 {
        while let super::call::Step::Message(_) = calls.next(id, None) {
            calls.credit_due(id);
        }
        calls.forget(id);
    }
}

/// What the endpoint does with a frame; `None` when it is the peer's fault.
fn states(calls: &mut Calls, served: &mut Served, frame: Frame) -> Option<()> {
    let Frame { header, payload } = frame;
    let id = header.id;
    let mut size = 0;
    if header.kind.is_message() {
        let (body, buffers) = header.parse_places(&payload[..header.table_len()], &LIMITS).ok()?;
        size = buffers.iter().fold(body.len(), |sum, place| sum + place.len());
        assert!(size <= LIMITS.max_message && buffers.len() == usize::from(header.buffers));
    }
    let message = || Some(Message::raw(vec![0; usize::try_from(size.min(16)).unwrap_or(0)]));
    match header.kind {
        FrameKind::Hello => drop(Hello::decode(&payload).ok()?),
        FrameKind::Call => served.on_call(id, header.flags & FLAG_STREAM != 0).ok()?,
        FrameKind::Reply | FrameKind::ReplyPart => drop(calls.on_reply(header.kind, id, message()).ok()?),
        FrameKind::ReplyEnd => drop(calls.on_reply(header.kind, id, None).ok()?),
        FrameKind::Error => drop(calls.on_failure(id, FailureBody::decode(&payload).ok()?).ok()?),
        FrameKind::Cancel => drop(served.on_cancel(id)),
        FrameKind::Credit => drop(served.on_credit(id, decode_credit(&payload).ok()?).ok()?),
        FrameKind::Segment => drop(SegmentBody::decode(&payload).ok()?),
        FrameKind::Data | FrameKind::Close | FrameKind::Ping | FrameKind::Pong => {}
    }
    Some(())
}

#[cfg(test)]
mod seeds {
    use super::super::codec::Codec;
    use super::super::frame::{Header, Place, encode_head};
    use super::*;

    fn stream(piece: u8, frames: &[(FrameKind, u64, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![piece];
        for (seq, (kind, id, payload)) in frames.iter().enumerate() {
            let mut header = Header { seq: seq as u64, length: payload.len() as u64, ..Header::new(*kind, *id) };
            header.fds = u16::from(*kind == FrameKind::Segment);
            bytes.extend_from_slice(&header.encode());
            bytes.extend_from_slice(payload);
        }
        bytes
    }

    /// Inputs to begin with: every kind of frame, tables, and a few that are refused. Run with PROCS_WRITE_CORPUS=1 to write them again.
    #[test]
    fn frames_of_the_corpus_are_what_the_code_writes() -> std::io::Result<()> {
        let hello = Hello { major: 1, minor: 0, flags: 0, ring_bytes: 0, max_message: 9, codecs: CodecSet::default(), max_fds: 1 }.encode();
        let failure = FailureBody { kind: ErrorKind::TaskFailed, name: "E".into(), message: "m".into(), trace: "t".into() }.encode();
        let segment = SegmentBody { segment: 0, seat: 1, size: 4096 }.encode();
        let credit = 3_u32.to_le_bytes();
        let mut table = vec![7];
        let header = Header { codec: Codec::Json, ..Header::new(FrameKind::Data, 0) };
        let block = Place::Segment { segment: 0, serial: 1, offset: 64, len: 9 };
        table.extend(encode_head(header, Place::Inline { len: 2 }, &[Place::Inline { len: 3 }, block]));
        table.extend_from_slice(b"{}abc");
        let mut placed = vec![255];
        placed.extend(encode_head(header, block, &[Place::Inline { len: 3 }]));
        placed.extend_from_slice(b"abc");
        let inputs = [
            ("data", stream(0, &[(FrameKind::Data, 0, b"hello"), (FrameKind::Data, 0, b""), (FrameKind::Close, 0, b"")])),
            ("hello", stream(9, &[(FrameKind::Hello, 0, &hello), (FrameKind::Ping, 1, b""), (FrameKind::Pong, 1, b"")])),
            ("call", stream(3, &[(FrameKind::Call, 1, b"f"), (FrameKind::Cancel, 1, b""), (FrameKind::Call, 2, b"g")])),
            ("reply", stream(40, &[(FrameKind::Reply, 1, b"r"), (FrameKind::Error, 2, &failure), (FrameKind::Reply, 1, b"late")])),
            ("parts", stream(31, &[(FrameKind::ReplyPart, 2, b"1"), (FrameKind::ReplyPart, 2, b"2"), (FrameKind::ReplyEnd, 2, b"")])),
            ("credit", stream(32, &[(FrameKind::Call, 5, b"s"), (FrameKind::Credit, 5, &credit)])),
            ("segment", stream(33, &[(FrameKind::Segment, 0, &segment), (FrameKind::Data, 0, b"x")])),
            ("table", table),
            ("placed", placed),
            ("cut", stream(1, &[(FrameKind::Data, 0, b"whole"), (FrameKind::Data, 0, b"half")])[..60].to_vec()),
            ("answer-to-nothing", stream(1, &[(FrameKind::Reply, 99, b"x")])),
        ];
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/frames");
        for (name, bytes) in inputs {
            if std::env::var_os("PROCS_WRITE_CORPUS").is_some() {
                std::fs::write(folder.join(name), &bytes)?;
            }
            assert!(std::fs::read(folder.join(name))? == bytes, "{name} is not what the code writes");
            frames(&bytes);
        }
        Ok(())
    }
}
