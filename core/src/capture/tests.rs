//! Tests of the parts that need no child; `runs`, `stops` and `futures` have children.

mod futures;
mod runs;
mod stops;

use super::lines::Lines;
use super::splitter::{Ends, Splitter};
use super::store::Store;
use crate::spawn::OutputLimit;
use std::io::{Cursor, Read};
use std::time::Duration;

/// A timeout before which a child has said or set up something, on a busy machine, too.
fn words_time() -> Duration {
    let slow = std::env::var("PROCS_TEST_SLOW").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    Duration::from_secs_f64(2.0 * slow)
}

#[test]
fn what_crosses_threads_may_cross_threads() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<crate::Capture>();
    send::<crate::OutputFuture>();
    send::<crate::LineStream>();
    send::<crate::Lines>();
    send::<crate::Chunks>();
    send::<crate::Pipeline>();
    send::<crate::PipelineChild>();
    send::<crate::Output>();
    send::<crate::Command>();
    sync::<crate::Command>();
    sync::<crate::Output>();
    sync::<crate::PipelineOutput>();
    sync::<crate::Bytes>();
}

fn store_of(limit: OutputLimit, blocks: &[&[u8]]) -> Store {
    let mut store = Store::new(limit);
    for block in blocks {
        store.push(block).expect("memory and temporary directory");
    }
    store
}

#[test]
fn an_unlimited_store_keeps_everything() {
    let store = store_of(OutputLimit::Unlimited, &[b"ab", b"", b"cd"]);
    assert_eq!(store.bytes(), b"abcd");
    assert!(!store.dropped() && !store.exceeded());
}

#[test]
fn caps_are_exact_at_every_boundary() {
    for limit in 0..6u64 {
        let store = store_of(OutputLimit::Error(limit), &[b"ab", b"cd"]);
        assert_eq!(store.bytes(), &b"abcd"[..limit.min(4) as usize], "limit {limit}");
        assert_eq!(store.exceeded(), limit < 4, "limit {limit}");
        assert_eq!(store.dropped(), limit < 4, "limit {limit}");

        let store = store_of(OutputLimit::Head(limit), &[b"ab", b"cd"]);
        assert_eq!(store.bytes(), &b"abcd"[..limit.min(4) as usize], "limit {limit}");
        assert!(!store.exceeded());

        let store = store_of(OutputLimit::Tail(limit), &[b"ab", b"cd"]);
        assert_eq!(store.bytes(), &b"abcd"[4 - limit.min(4) as usize..], "limit {limit}");
        assert_eq!(store.dropped(), limit < 4, "limit {limit}");
        let (bytes, spill) = store.finish().expect("memory");
        assert_eq!(bytes, &b"abcd"[4 - limit.min(4) as usize..]);
        assert!(spill.is_none());
    }
}

#[test]
fn a_spill_file_holds_everything_and_memory_the_head() {
    for limit in [0u64, 1, 3, 4, 5, 8, 9] {
        let store = store_of(OutputLimit::Spill(limit), &[b"abcd", b"ef", b"gh"]);
        let (bytes, spill) = store.finish().expect("temporary directory");
        assert_eq!(bytes, &b"abcdefgh"[..limit.min(8) as usize], "limit {limit}");
        assert_eq!(spill.is_some(), limit < 8, "limit {limit}");
        if let Some(mut file) = spill {
            let mut all = Vec::new();
            file.read_to_end(&mut all).expect("a readable file at its start");
            assert_eq!(all, b"abcdefgh");
        }
    }
}

#[test]
fn a_tail_keeps_the_end_of_much_more() {
    let block: Vec<u8> = (0..=250u8).cycle().take(100_000).collect();
    let mut whole = Vec::new();
    let mut store = Store::new(OutputLimit::Tail(150_000));
    for _ in 0..20 {
        store.push(&block).expect("memory");
        whole.extend_from_slice(&block);
        assert_eq!(store.bytes(), &whole[whole.len().saturating_sub(150_000)..]);
    }
}

#[test]
fn reading_straight_into_the_store_obeys_the_same_limits() {
    let limits = [OutputLimit::Error(100_000), OutputLimit::Head(100_000), OutputLimit::Tail(100_000), OutputLimit::Spill(100_000)];
    let data: Vec<u8> = (0..=250u8).cycle().take(300_000).collect();
    for limit in limits {
        let mut file = tempfile_with(&data);
        let mut store = Store::new(limit);
        let mut start = vec![0; 80_000];
        file.read_exact(&mut start).expect("enough data");
        store.push(&start).expect("memory");
        while let Some(room) = store.direct_room() {
            if store.read_direct(std::os::fd::AsFd::as_fd(&file), room).expect("a readable file") == 0 {
                break;
            }
        }
        let expected = if matches!(limit, OutputLimit::Tail(_)) { &data[200_000..] } else { &data[..100_000] };
        assert_eq!(store.bytes(), expected, "{limit:?}");
        assert_eq!(store.exceeded(), matches!(limit, OutputLimit::Error(_)));
        // A head that is full has not seen more yet; the others were told by a byte too many.
        assert_eq!(store.dropped(), !matches!(limit, OutputLimit::Head(_)), "{limit:?}");
    }
}

fn tempfile_with(data: &[u8]) -> std::fs::File {
    let store = store_of(OutputLimit::Spill(0), &[data]);
    store.finish().expect("temporary directory").1.expect("a spilled file")
}

#[test]
fn large_outputs_move_to_a_mapping_and_stay_whole() {
    let block: Vec<u8> = (0..=255u8).cycle().take(64 << 10).collect();
    let mut store = Store::new(OutputLimit::Unlimited);
    for _ in 0..48 {
        store.push(&block).expect("memory");
    }
    let (bytes, _) = store.finish().expect("memory");
    assert_eq!(bytes.len(), 3 << 20);
    assert!(bytes.chunks(block.len()).all(|chunk| chunk == block));
    assert_eq!(bytes.clone(), bytes);
    assert_eq!(bytes.into_vec().len(), 3 << 20);
}

/// A reader that gives one byte, two bytes, and so on, to put boundaries everywhere.
struct Dribble(Cursor<Vec<u8>>, usize);

impl Read for Dribble {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.1 += 1;
        let size = (self.1 % 7 + 1).min(buf.len());
        self.0.read(&mut buf[..size])
    }
}

fn lines_of(text: &[u8]) -> Lines<Dribble> {
    Lines::new(Dribble(Cursor::new(text.to_vec()), 0))
}

fn collect(lines: Lines<Dribble>) -> Vec<Vec<u8>> {
    lines.map(|line| line.expect("a reader that does not fail")).collect()
}

#[test]
fn lines_end_with_a_line_feed_and_the_last_may_lack_it() {
    assert_eq!(collect(lines_of(b"")), Vec::<Vec<u8>>::new());
    assert_eq!(collect(lines_of(b"\n")), [b"".to_vec()]);
    assert_eq!(collect(lines_of(b"one\n\ntwo\0x\r\nlast")), [&b"one"[..], b"", b"two\0x\r", b"last"]);
    assert_eq!(collect(lines_of(b"one\r\ntwo\r").strip_cr(true)), [&b"one"[..], b"two\r"]);
    assert_eq!(collect(lines_of(b"one\r\ntwo").keep_ends(true)), [&b"one\r\n"[..], b"two"]);
}

#[test]
fn a_line_has_no_length_limit() {
    let mut text = vec![b'x'; 2 << 20];
    text.extend_from_slice(b"\nshort\n");
    let lines: Vec<usize> = Lines::new(Cursor::new(text)).map(|line| line.map_or(0, |line| line.len())).collect();
    assert_eq!(lines, [2 << 20, 5]);
}

#[test]
fn a_splitter_moves_only_what_is_unfinished() {
    let mut splitter = Splitter::new();
    splitter.room()[..7].copy_from_slice(b"ab\ncd\ne");
    splitter.filled(7);
    let first = splitter.next(Ends::default()).expect("a line");
    assert_eq!(splitter.slice(first), b"ab");
    let second = splitter.next(Ends::default()).expect("a line");
    assert_eq!(splitter.slice(second), b"cd");
    assert!(splitter.next(Ends::default()).is_none());
    splitter.room()[..2].copy_from_slice(b"f\n");
    splitter.filled(2);
    let third = splitter.next(Ends::default()).expect("a line");
    assert_eq!(splitter.slice(third), b"ef");
    assert!(splitter.last().is_none());
}

#[test]
fn lines_shown_many_at_once_are_those_of_one_at_a_time() {
    // Lines of 0 to 150 bytes, some with a carriage return: their ends lie anywhere in the blocks that are searched.
    let mut text = Vec::new();
    for number in 0..4000usize {
        text.extend(std::iter::repeat_n(b'a' + (number % 26) as u8, number * 7 % 151));
        text.extend_from_slice(if number % 3 == 0 { b"\r\n" } else { b"\n" });
    }
    text.extend_from_slice(b"the last");
    for (keep, strip) in [(false, false), (false, true), (true, false)] {
        let start = || Lines::new(Cursor::new(text.clone())).keep_ends(keep).strip_cr(strip);
        let expected: Vec<Vec<u8>> = start().map(|line| line.expect("a reader that does not fail")).collect();
        for max in [1, 2, 7, 64, usize::MAX] {
            let (mut lines, mut found) = (start(), Vec::new());
            while let Some(line) = lines.next_line().expect("a reader that does not fail") {
                found.push(line.to_vec());
                let before = found.len();
                let count = lines.buffered(max, |line| found.push(line.to_vec()));
                assert!(count <= max && found.len() - before == count);
            }
            assert!(found == expected, "keep = {keep}, strip = {strip}, max = {max}");
        }
    }
}
