//! `docs/wire.md` says what the code does: the tables of the document are compared with the constants.

use super::super::control::{FAILURE_LAYOUT, HELLO_LAYOUT, HELLO_LEN, MAGIC, MAJOR, MINOR, SEGMENT_LAYOUT};
use super::*;

type AnyError = Box<dyn std::error::Error>;

/// The rows of the table under a heading: the name and the next columns.
fn rows<'a>(document: &'a str, heading: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let section = document.split(heading).nth(1).unwrap_or_default();
    let section = section.split("\n#").next().unwrap_or_default();
    let row = |line: &'a str| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        Some((cells.next()?.trim_end_matches('`'), cells.collect()))
    };
    section.lines().filter_map(row).collect()
}

#[test]
fn layouts() -> Result<(), AnyError> {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire.md"))?;
    type Rows = &'static [(&'static str, usize, usize)];
    let tables: [(&str, Rows); 5] = [
        ("\n### Header\n", &HEADER_LAYOUT),
        ("\n### Place\n", &PLACE_LAYOUT),
        ("\n### Hello\n", &HELLO_LAYOUT),
        ("\n### Error\n", &FAILURE_LAYOUT),
        ("\n### Segment\n", &SEGMENT_LAYOUT),
    ];
    for (heading, layout) in tables {
        let found: Vec<_> = rows(&document, heading).iter().map(|(name, cells)| (*name, cells[0].to_owned(), cells[1].to_owned())).collect();
        let expected: Vec<_> = layout.iter().map(|(name, at, size)| (*name, at.to_string(), size.to_string())).collect();
        assert_eq!(found, expected, "{heading}");
    }
    Ok(())
}

#[test]
fn kinds_and_constants() -> Result<(), AnyError> {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire.md"))?;
    let found: Vec<_> = rows(&document, "\n### Kinds\n").iter().map(|(name, cells)| (*name, cells[0].to_owned(), cells[1].to_owned())).collect();
    let id = |kind: FrameKind| match kind.id() {
        Id::Zero => "0",
        Id::Set => "not 0",
        Id::Any => "any",
    };
    let expected: Vec<_> = FrameKind::ALL.iter().map(|kind| (kind.name(), (*kind as u8).to_string(), id(*kind).to_owned())).collect();
    assert_eq!(found, expected);
    let says = |text: String| assert!(document.contains(&text), "the document should say: {text}");
    says(format!("version {MAJOR}.{MINOR}"));
    says(format!("a header of {HEADER_LEN} bytes"));
    says(format!("the letters `{}`", String::from_utf8_lossy(&MAGIC)));
    says(format!("at least {HELLO_LEN} bytes"));
    says(format!("at most {MAX_BUFFERS} |"));
    for codec in Codec::ALL {
        says(format!(
            "{} {}",
            *codec as u8,
            if *codec == Codec::Json {
                "JSON"
            } else if *codec == Codec::V8 {
                "V8"
            } else {
                codec.name()
            }
        ));
    }
    Ok(())
}

/// Each field lies where its table says.
#[test]
fn fields_lie_where_the_layout_says() {
    let header = Header {
        length: 0x0101_0101_0101_0101,
        seq: 0x0202_0202_0202_0202,
        id: 0x0303_0303_0303_0303,
        kind: FrameKind::Reply,
        codec: Codec::V8,
        flags: 5,
        handle: HandleKind::File,
        fds: 0x0707,
        buffers: 0x0808,
    };
    let bytes = header.encode();
    let values = [1, 2, 3, FrameKind::Reply as u8, Codec::V8 as u8, 5, HandleKind::File as u8, 7, 8];
    for ((name, at, size), value) in HEADER_LAYOUT.iter().zip(values) {
        assert!(bytes[*at..at + size].iter().all(|byte| *byte == value), "{name}");
    }
    let place = Place::Segment { segment: 0x0303_0302, serial: 0x0404_0404, offset: 0x0202_0202_0202_0202, len: 0x0101_0101_0101_0101 }.encode();
    for ((name, at, size), value) in PLACE_LAYOUT.iter().zip([1, 2, 3, 4]) {
        assert!(place[*at..at + size].iter().all(|byte| *byte == value), "{name}");
    }
}
