use super::super::control::{FailureBody, Hello, SegmentBody, decode_credit};
use super::super::parser::{Frame, Parser};
use super::*;

type AnyError = Box<dyn std::error::Error>;

const LIMITS: Limits = Limits { max_message: 16 << 20, max_fds: 16, codecs: CodecSet::from_bits(0b1111) };

/// xorshift64*: the same numbers on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap_or(0) % bound
    }
}

fn sample(random: &mut Random, seq: u64) -> Vec<u8> {
    let body: Vec<u8> = (0..random.below(300)).map(|byte| byte as u8).collect();
    let buffers: Vec<Vec<u8>> = (0..random.below(4)).map(|_| vec![7; random.below(100)]).collect();
    let kind = [FrameKind::Data, FrameKind::Call, FrameKind::Reply, FrameKind::Cancel, FrameKind::Ping][random.below(5)];
    let mut header = Header::new(kind, if kind == FrameKind::Data { 0 } else { seq + 1 });
    header.seq = seq;
    if !kind.is_message() {
        return header.encode().to_vec();
    }
    header.codec = Codec::ALL[random.below(4)];
    header.fds = random.below(17) as u16;
    let places: Vec<Place> = buffers.iter().map(|buffer| Place::Inline { len: buffer.len() as u64 }).collect();
    let mut bytes = encode_head(header, Place::Inline { len: body.len() as u64 }, &places);
    bytes.extend_from_slice(&body);
    bytes.extend(buffers.iter().flatten());
    bytes
}

fn parse_all(parser: &mut Parser, mut input: &[u8]) -> crate::error::Result<Vec<Frame>> {
    let mut frames = Vec::new();
    while !input.is_empty() {
        if let Some(frame) = parser.push(&mut input)? {
            frame.header.parse_places(&frame.payload[..frame.header.table_len()], &LIMITS).map_err(|fault| fault.at(0))?;
            frames.push(frame);
        }
    }
    Ok(frames)
}

/// D01: a thousand frames byte by byte, in random pieces and at once.
#[test]
fn any_pieces_give_the_same_frames() -> Result<(), AnyError> {
    let mut random = Random(7);
    let stream: Vec<u8> = (0..1000).flat_map(|seq| sample(&mut random, seq)).collect();
    let whole = parse_all(&mut Parser::new(LIMITS), &stream)?;
    assert_eq!(whole.len(), 1000);
    for largest in [1, 2, 31, 33, 1000] {
        let (mut parser, mut frames, mut rest) = (Parser::new(LIMITS), Vec::new(), stream.as_slice());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 + random.below(largest)));
            frames.extend(parse_all(&mut parser, piece)?);
            rest = after;
        }
        parser.finish()?;
        assert!(frames == whole, "pieces of up to {largest} bytes");
    }
    Ok(())
}

/// D01 and D04: a stream of three frames cut at every byte: the whole frames before the cut, then how much of the next one came.
#[test]
fn every_cut_is_told() -> Result<(), AnyError> {
    let mut random = Random(3);
    let frames: Vec<Vec<u8>> = (0..3).map(|seq| sample(&mut random, seq)).collect();
    let stream = frames.concat();
    for cut in 0..=stream.len() {
        let mut parser = Parser::new(LIMITS);
        let before = parse_all(&mut parser, &stream[..cut])?;
        let mut start = 0;
        let whole = frames
            .iter()
            .take_while(|frame| {
                start + frame.len() <= cut && {
                    start += frame.len();
                    true
                }
            })
            .count();
        assert_eq!(before.len(), whole, "cut at {cut}");
        let end = parser.finish().map_err(|error| (error.kind(), error.detail().to_owned()));
        if cut == start {
            assert_eq!(end, Ok(()));
            continue;
        }
        let want = if cut - start < HEADER_LEN { HEADER_LEN } else { frames[whole].len() };
        let detail = format!("the peer ended inside a frame (got = {} bytes, want = {want}, offset = {start})", cut - start);
        assert_eq!(end, Err((ErrorKind::Protocol, detail)), "cut at {cut}");
        let after = parse_all(&mut parser, &stream[cut..])?;
        assert_eq!(after.len(), 3 - whole, "the rest of the stream completes it");
    }
    Ok(())
}

/// D02: lengths from the peer, each with the bytes of a header only.
#[test]
fn lengths_are_checked_before_anything_is_allocated() {
    let max = LIMITS.max_message;
    let parse = |length: u64| {
        let mut header = Header::new(FrameKind::Data, 0);
        header.length = length;
        Header::parse(&header.encode(), 0, &LIMITS).map(|header| header.length).map_err(|fault| fault.kind)
    };
    for length in [0, 1, max] {
        assert_eq!(parse(length), Ok(length));
    }
    for length in [max + 1, 1 << 31, (1 << 32) - 1, 1 << 63, u64::MAX] {
        assert_eq!(parse(length), Err(ErrorKind::TooLarge));
    }
    let mut parser = Parser::new(LIMITS);
    let mut header = Header::new(FrameKind::Data, 0);
    header.length = max;
    assert_eq!(parser.push(&mut [&header.encode()[..], &[1; 100]].concat().as_slice()).map_err(|error| error.kind()), Ok(None));
    assert_eq!(parser.wanted(), max - 100);
}

/// D03: each field of a header and a table with values that do not fit.
#[test]
fn fields_that_do_not_fit_are_refused() {
    let data = Header::new(FrameKind::Data, 0);
    let control = |kind, id| Header::new(kind, id);
    let refused = [
        (Header { seq: 1, ..data }, "seq = 1, expected 0"),
        (Header { id: 1, ..data }, "id = 1, expected 0 for data"),
        (control(FrameKind::Call, 0), "id = 0, expected not 0 for call"),
        (Header { flags: FLAG_STREAM, ..data }, "flags = 1"),
        (Header { flags: 4, ..data }, "flags = 4"),
        (Header { flags: FLAG_BODY_PLACED, ..data }, "length = 0, expected at least 24"),
        (Header { buffers: 1, length: 23, ..data }, "length = 23, expected at least 24"),
        (Header { handle: HandleKind::File, ..data }, "handle = file, fds = 0"),
        (Header { length: 1, ..control(FrameKind::Ping, 1) }, "length = 1, expected 0 to 0"),
        (Header { fds: 1, ..control(FrameKind::Close, 0) }, "fds = 1"),
        (Header { buffers: 1, ..control(FrameKind::Cancel, 1) }, "buffers = 1"),
        (Header { codec: Codec::Json, ..control(FrameKind::ReplyEnd, 1) }, "codec = json"),
        (Header { length: 47, ..control(FrameKind::Hello, 0) }, "length = 47"),
        (Header { length: 48, fds: 2, ..control(FrameKind::Hello, 0) }, "fds = 2"),
        (Header { length: 16, ..control(FrameKind::Segment, 0) }, "fds = 0"),
        (Header { length: 3, ..control(FrameKind::Credit, 1) }, "length = 3"),
    ];
    for (header, why) in refused {
        let fault = Header::parse(&header.encode(), 0, &LIMITS).expect_err(why);
        assert_eq!(fault.kind, ErrorKind::Protocol, "{why}: {}", fault.why);
        assert!(fault.why.contains(why), "{} should say {why}", fault.why);
    }
    for (at, values) in [(24, &[0, 14, 255][..]), (25, &[4, 255]), (26, &[1, 4, 128, 255]), (27, &[1, 8, 255])] {
        for value in values {
            let mut bytes = data.encode();
            bytes[at] = *value;
            assert!(Header::parse(&bytes, 0, &LIMITS).is_err(), "byte {at} = {value}");
        }
    }
    let too_large = [
        Header { fds: 17, ..data },
        Header { buffers: MAX_BUFFERS + 1, length: 1 << 20, ..data },
        Header { length: MAX_CONTROL + 1, ..control(FrameKind::Error, 1) },
        Header { length: 4097, ..control(FrameKind::Hello, 0) },
    ];
    for header in too_large {
        assert_eq!(Header::parse(&header.encode(), 0, &LIMITS).map_err(|fault| fault.kind), Err(ErrorKind::TooLarge), "{header:?}");
    }
}

#[test]
fn a_malformed_frame_is_the_end() {
    let mut parser = Parser::new(LIMITS);
    let good = Header::new(FrameKind::Close, 0).encode();
    assert!(matches!(parser.push(&mut good.as_slice()), Ok(Some(_))));
    let error = parser.push(&mut [0; HEADER_LEN].as_slice()).expect_err("kind 0");
    assert_eq!(error.to_string(), "channel.recv: malformed frame (kind = 0, expected 1 to 13) (offset = 32)");
    let next = Header { seq: 1, ..Header::new(FrameKind::Close, 0) }.encode();
    assert_eq!(parser.push(&mut next.as_slice()).map_err(|error| error.kind()), Err(ErrorKind::Protocol), "nothing is searched for");
}

#[test]
fn places_cannot_reach_outside() {
    let table = |places: &[Place]| places.iter().flat_map(Place::encode).collect::<Vec<u8>>();
    let check = |header: Header, bytes: &[u8]| header.parse_places(bytes, &LIMITS).map_err(|fault| fault.kind);
    let segment = |offset, len| Place::Segment { segment: 3, serial: 8, offset, len };
    let header = |buffers, flags, inline: u64| {
        let header = Header { buffers, flags, ..Header::new(FrameKind::Data, 0) };
        Header { length: header.table_len() as u64 + inline, ..header }
    };
    let (one, two) = (Place::Inline { len: 1 }, Place::Inline { len: 2 });
    assert_eq!(check(header(0, 0, 5), &[]), Ok((Place::Inline { len: 5 }, vec![])));
    assert_eq!(check(header(2, 0, 5), &table(&[one, two])), Ok((two, vec![one, two])));
    assert_eq!(check(header(1, FLAG_BODY_PLACED, 1), &table(&[segment(64, 9), one])), Ok((segment(64, 9), vec![one])));
    assert_eq!(check(header(1, 0, 1), &table(&[two])), Err(ErrorKind::Protocol), "more inline bytes than there are");
    assert_eq!(check(header(0, FLAG_BODY_PLACED, 1), &table(&[segment(64, 9)])), Err(ErrorKind::Protocol), "bytes without a place");
    assert_eq!(check(header(1, 0, 0), &table(&[segment(u64::MAX - 8, 9)])), Err(ErrorKind::Protocol), "the sum wraps");
    assert_eq!(check(header(1, 0, 0), &table(&[segment(0, LIMITS.max_message + 1)])), Err(ErrorKind::TooLarge));
    let half = LIMITS.max_message / 2 + 1;
    assert_eq!(check(header(2, 0, 0), &table(&[segment(0, half), segment(0, half)])), Err(ErrorKind::TooLarge), "together");
    assert_eq!(check(header(1, 0, half), &table(&[segment(0, half)])), Err(ErrorKind::TooLarge), "with the body");
    for at in [8, 20] {
        let mut bytes = table(&[one]);
        bytes[at] = 2;
        assert_eq!(check(header(1, 0, 1), &bytes), Err(ErrorKind::Protocol), "inline with an offset or serial");
    }
}

#[test]
fn heads_say_what_was_meant() -> Result<(), AnyError> {
    let header = Header { seq: 9, id: 4, codec: Codec::Json, fds: 2, handle: HandleKind::File, ..Header::new(FrameKind::Call, 4) };
    let places = [Place::Inline { len: 3 }, Place::Segment { segment: 1, serial: 5, offset: 128, len: 1 << 20 }];
    for body in [Place::Inline { len: 10 }, Place::Segment { segment: 0, serial: 0, offset: 64, len: 77 }] {
        let bytes = encode_head(header, body, &places);
        let head: &[u8; HEADER_LEN] = bytes[..HEADER_LEN].try_into()?;
        let read = Header::parse(head, 9, &LIMITS).map_err(|fault| fault.why)?;
        assert_eq!((read.id, read.codec, read.fds, read.handle, read.buffers), (4, Codec::Json, 2, HandleKind::File, 2));
        let (read_body, read_places) = read.parse_places(&bytes[HEADER_LEN..], &LIMITS).map_err(|fault| fault.why)?;
        assert_eq!((read_body, read_places.as_slice()), (body, places.as_slice()));
    }
    Ok(())
}

/// D24: the frame after number 2^64 - 1 has number 0.
#[test]
fn numbers_wrap() -> Result<(), AnyError> {
    let mut parser = Parser::starting_at(LIMITS, u64::MAX);
    let stream: Vec<u8> = [u64::MAX, 0, 1].iter().flat_map(|seq| Header { seq: *seq, ..Header::new(FrameKind::Ping, 1) }.encode()).collect();
    assert_eq!(parse_all(&mut parser, &stream)?.len(), 3);
    Ok(())
}

/// D03: streams with random changes are parsed or refused, whatever comes.
#[test]
fn mutated_streams_never_panic() {
    let mut random = Random(11);
    let (mut refused, mut taken) = (0_u32, 0_u32);
    for round in 0..100_000_u32 {
        let mut stream: Vec<u8> = (0..1 + random.below(3) as u64).flat_map(|seq| sample(&mut random, seq)).collect();
        for _ in 0..1 + random.below(3) {
            let at = random.below(stream.len());
            match random.below(4) {
                0 => stream[at] = random.below(256) as u8,
                1 => stream[at] ^= 1 << random.below(8),
                2 => drop(stream.splice(at..at, [0xff; 8])),
                _ => stream.truncate(at.max(1)),
            }
        }
        match parse_all(&mut Parser::new(LIMITS), &stream) {
            Ok(_) => taken += 1,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::TooLarge), "round {round}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 10_000 && taken > 10_000, "both ends of the parser are met ({refused} refused, {taken} taken)");
}

#[test]
fn hello_names_both_versions() {
    let hello = Hello { major: 1, minor: 7, flags: 1, ring_bytes: 1 << 20, max_message: 5, codecs: CodecSet::default(), max_fds: 3 };
    assert_eq!(Hello::decode(&[&hello.encode()[..], b"later fields"].concat()), Ok(hello));
    let newer = Hello { major: 2, minor: 3, ..hello };
    let fault = Hello::decode(&newer.encode()).expect_err("another major version");
    assert!(fault.why.contains("2.3") && fault.why.contains("1.x"), "{}", fault.why);
    assert!(Hello::decode(&hello.encode()[..47]).is_err());
    assert!(Hello::decode(&[b'x'; 48]).is_err());
    assert!(Hello::decode(&Hello { flags: 4, minor: 0, ..hello }.encode()).is_err());
}

#[test]
fn failures_travel_whole_or_clipped() {
    let failure = FailureBody { kind: ErrorKind::NotFound, name: "KeyError".into(), message: "no such é".into(), trace: "line 1\n".into() };
    assert_eq!(FailureBody::decode(&failure.encode()), Ok(failure.clone()));
    let long = FailureBody { message: "é".repeat(1 << 20), trace: "x".repeat(1 << 21), ..failure.clone() };
    let bytes = long.encode();
    assert!(bytes.len() as u64 <= MAX_CONTROL);
    assert!(FailureBody::decode(&bytes).is_ok_and(|read| long.message.starts_with(&read.message) && !read.trace.is_empty()));
    let mut later = failure.encode();
    later[0] = 250;
    assert_eq!(FailureBody::decode(&later).map(|read| read.kind), Ok(ErrorKind::TaskFailed), "a kind of a later version");
    let broken: [&[u8]; 4] =
        [&[0; 11], &[1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], b"\x01\0\0\0\x01\0\0\0\0\0\0\0\xff"];
    for bytes in broken {
        assert!(FailureBody::decode(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn small_payloads() {
    let segment = SegmentBody { segment: 3, seat: 2, size: 1 << 40 };
    assert_eq!(SegmentBody::decode(&segment.encode()), Ok(segment));
    assert!(SegmentBody::decode(&[0; 15]).is_err());
    assert!(SegmentBody::decode(&[1; 17]).is_err());
    assert_eq!(decode_credit(&7_u32.to_le_bytes()), Ok(7));
    assert!(decode_credit(&[0; 4]).is_err());
}

#[test]
fn short_way_takes_what_the_long_way_takes_as_a_body_alone() {
    let limits = Limits { max_message: 100, max_fds: 2, codecs: CodecSet::default() };
    let mut plain = Header::new(FrameKind::Data, 0);
    (plain.seq, plain.length) = (7, 64);
    let mut seen = [0, 0];
    let mut compare = |bytes: &[u8; HEADER_LEN], seq: u64| {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let long = Header::parse(bytes, seq, &limits).ok().filter(|header| header.kind == FrameKind::Data && header.fds == 0 && header.places() == 0);
        let short = Header::parse_plain([word(0), word(8), word(16), word(24)], seq, &limits);
        assert_eq!(short, long.map(|header| (header.codec, header.length)), "{bytes:?}");
        seen[usize::from(short.is_some())] += 1;
    };
    for codec in Codec::ALL {
        let encoded = Header { codec: *codec, ..plain }.encode();
        compare(&encoded, 7);
        compare(&encoded, 8);
        for at in 0..HEADER_LEN {
            for value in [0, 1, 2, 3, 4, 7, 8, 13, 14, 100, 101, 255] {
                let mut bytes = encoded;
                bytes[at] = value;
                compare(&bytes, 7);
            }
        }
    }
    assert!(seen[0] > 100 && seen[1] > 20, "{seen:?}");
}
