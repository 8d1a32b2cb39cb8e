//! Fault rows C08, C09, C10: bytes stay bytes, characters stay whole, lines of any length.

mod common;

use common::child;
use procs::{Command, Stdio};
use procs_tests::{Isolation, count, isolated, isolated_in};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};

fn lines_of(command: &mut Command) -> Vec<Vec<u8>> {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a start");
    let lines: Result<Vec<_>, _> = child.lines().expect("its output").collect();
    assert!(child.wait().expect("an end").success());
    lines.expect("lines")
}

/// The same lines by the async stream, driven without a runtime.
fn streamed(command: &mut Command) -> Vec<Vec<u8>> {
    struct Bell(std::sync::Mutex<std::sync::mpsc::Sender<()>>);
    impl Wake for Bell {
        fn wake(self: std::sync::Arc<Self>) {
            let _ = self.0.lock().expect("no panic under it").send(());
        }
    }
    let (sender, woken) = channel();
    let waker = Waker::from(std::sync::Arc::new(Bell(std::sync::Mutex::new(sender))));
    let mut context = Context::from_waker(&waker);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a start");
    let mut stream = child.line_stream().expect("its output");
    let mut lines = Vec::new();
    loop {
        match stream.poll_next(&mut context) {
            Poll::Ready(None) => break,
            Poll::Ready(Some(line)) => lines.push(line.expect("a line")),
            Poll::Pending => woken.recv_timeout(std::time::Duration::from_secs(20)).expect("to be woken"),
        }
    }
    assert!(child.wait().expect("an end").success());
    lines
}

#[test]
fn c08_every_byte_value_makes_the_round_trip() {
    isolated("c08_every_byte_value_makes_the_round_trip", |_| {
        let block: Vec<u8> = (0..=255).collect();
        let bytes = block.repeat(4096);
        let output = child(&["cat"]).input(bytes.clone()).output().expect("a run");
        assert!(output.stdout == bytes, "{} of {} bytes came back, or others", output.stdout.len(), bytes.len());
        let mut chunked = child(&["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a start");
        let mut input = chunked.stdin.take().expect("a pipe");
        let feeder = {
            let bytes = bytes.clone();
            std::thread::spawn(move || std::io::Write::write_all(&mut input, &bytes))
        };
        let found: Vec<u8> = chunked.chunks().expect("its output").flat_map(|chunk| chunk.expect("a chunk")).collect();
        feeder.join().expect("the feeding thread").expect("all was taken");
        assert!(found == bytes && chunked.wait().expect("an end").success());
    });
}

#[test]
fn c09_characters_split_over_writes_stay_whole() {
    isolated("c09_characters_split_over_writes_stay_whole", |_| {
        let text = "\u{20ac}\u{1f600}\n\u{1f600}";
        let escaped: String = text.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        let expected = [text.as_bytes()[..7].to_vec(), text.as_bytes()[8..].to_vec()];
        assert_eq!(lines_of(&mut child(&["drip", &escaped, "5"])), expected);
        assert_eq!(streamed(&mut child(&["drip", &escaped, "5"])), expected);
        // A character that never gets its end is delivered as it is.
        assert_eq!(lines_of(&mut child(&["drip", "\\xe2\\x82", "1"])), [b"\xe2\x82".to_vec()]);
    });
}

#[test]
fn c09_characters_at_every_block_boundary() {
    isolated_in("c09_characters_at_every_block_boundary", &Isolation::new().watchdog(60), |t| {
        for block in [64 << 10, 256 << 10] {
            for offset in (block - 4)..=(block + 4) {
                let mut text = vec![b'x'; offset];
                text.extend_from_slice("\u{1f600}\u{20ac}\n\u{20ac}".as_bytes());
                let file = t.dir().join("text");
                std::fs::write(&file, &text).expect("a file");
                let expected: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
                for _ in 0..count(10) {
                    let mut command = child(&["cat"]);
                    command.stdin(Stdio::read_file(&file));
                    assert_eq!(lines_of(&mut command), expected, "offset {offset}");
                    assert_eq!(streamed(&mut command), expected, "offset {offset}, async");
                }
            }
        }
    });
}

#[test]
fn c10_lines_of_every_shape() {
    isolated("c10_lines_of_every_shape", |_| {
        let golden: [(&str, &[&[u8]]); 10] = [
            ("", &[]),
            ("\\n", &[b""]),
            ("\\n\\n", &[b"", b""]),
            ("a", &[b"a"]),
            ("a\\n", &[b"a"]),
            ("a\\nb", &[b"a", b"b"]),
            ("a\\r\\nb", &[b"a\r", b"b"]),
            ("a\\0b\\nc\\0", &[b"a\0b", b"c\0"]),
            ("\\r\\n", &[b"\r"]),
            ("\\na", &[b"", b"a"]),
        ];
        for (text, expected) in golden {
            assert_eq!(lines_of(&mut child(&["print", text])), expected, "{text:?}");
            assert_eq!(streamed(&mut child(&["print", text])), expected, "{text:?}, async");
        }
        let mut windows = child(&["print", "a\\r\\nb\\rc\\r\\n\\r\\nd\\r"]).stdout(Stdio::piped()).spawn().expect("a start");
        let lines: Vec<Vec<u8>> = windows.lines().expect("its output").strip_cr(true).map(|line| line.expect("a line")).collect();
        assert_eq!(lines[..3], [&b"a"[..], b"b\rc", b""]);
        assert!(lines[3].starts_with(b"d") && lines.len() == 4, "{lines:?}");
        let mut kept = child(&["print", "a\\r\\nb"]).stdout(Stdio::piped()).spawn().expect("a start");
        let lines: Vec<Vec<u8>> = kept.lines().expect("its output").keep_ends(true).map(|line| line.expect("a line")).collect();
        assert_eq!(lines, [&b"a\r\n"[..], b"b"]);
        windows.wait().and_then(|_| kept.wait()).expect("two ends");
    });
}

#[test]
fn c10_a_line_of_10_mib() {
    isolated_in("c10_a_line_of_10_mib", &Isolation::new().watchdog(60), |_| {
        let length = 10 << 20;
        for lines in [lines_of(&mut child(&["line", &length.to_string()])), streamed(&mut child(&["line", &length.to_string()]))] {
            assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [length, 3]);
            assert!(lines[0].iter().all(|byte| *byte == b'x'));
        }
    });
}
