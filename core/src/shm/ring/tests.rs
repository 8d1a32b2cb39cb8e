//! The ring between two threads of one process, and against a hostile other side.

use super::*;
use crate::deadline::Deadline;
use crate::shm::layout::{HEADER, Kind};
use crate::shm::segment::{Options, Segment};
use crate::sys::futex;
use crate::sys::lane::{Keeper, LanePlace, SIDE_BYTES};
use std::sync::Arc;
use std::time::Duration;

const DATA_AT: usize = 4096;

fn memory(len: usize) -> Arc<dyn Keeper> {
    Arc::new(Segment::create(Kind::Ring, len as u64 - HEADER as u64, Options::default()).expect("memory"))
}

fn lane(capacity: usize) -> Lane {
    Lane::new(&memory(DATA_AT + capacity), LanePlace { writer: 128, reader: 128 + SIDE_BYTES, data: DATA_AT, capacity }).expect("a place")
}

fn ring(capacity: usize) -> (RingWriter<Lane>, RingReader<Lane>) {
    let lane = lane(capacity);
    (RingWriter::new(lane.clone()), RingReader::new(lane))
}

#[test]
fn a_place_outside_of_the_mapping_is_refused() {
    let mapping = memory(8192);
    let place = LanePlace { writer: 128, reader: 128 + SIDE_BYTES, data: DATA_AT, capacity: 4096 };
    assert!(Lane::new(&mapping, place).is_some());
    let wrong = [
        LanePlace { writer: 8192, ..place },
        LanePlace { writer: 8, ..place },
        LanePlace { reader: usize::MAX - 63, ..place },
        LanePlace { data: 4097, ..place },
        LanePlace { capacity: 8192, ..place },
        LanePlace { capacity: 3000, ..place },
        LanePlace { capacity: 0, ..place },
    ];
    for place in wrong {
        assert!(Lane::new(&mapping, place).is_none(), "{place:?}");
    }
}

#[test]
fn bytes_come_out_as_they_went_in_across_the_end_of_the_ring() {
    let (mut writer, mut reader) = ring(4096);
    let mut sent = 0_u8;
    let mut expected = 0_u8;
    for round in 0..1000 {
        let bytes: Vec<u8> = (0..round % 1500).map(|at| sent.wrapping_add(at as u8)).collect();
        sent = sent.wrapping_add(bytes.len() as u8);
        assert!(writer.has_room(bytes.len() as u64).expect("indices"));
        writer.put(&bytes);
        assert_eq!(reader.refresh().expect("indices"), 0, "seen before it was published");
        let _ = writer.publish();
        assert_eq!(reader.available(1).expect("indices"), bytes.len() as u64);
        let mut out = Vec::new();
        reader.append(0, bytes.len(), &mut out);
        assert_eq!(out, bytes);
        assert_eq!(out.first().copied().unwrap_or(expected), expected);
        expected = expected.wrapping_add(out.len() as u8);
        let _ = reader.consume(bytes.len() as u64);
    }
}

#[test]
fn a_full_ring_has_no_room_until_it_was_read() {
    let (mut writer, mut reader) = ring(4096);
    writer.put(&[7; 4096]);
    let _ = writer.publish();
    assert!(!writer.has_room(1).expect("indices"));
    assert_eq!(reader.available(1).expect("indices"), 4096);
    assert_eq!(reader.consume(100), 0);
    assert!(!writer.has_room(1).expect("indices"), "told too eagerly");
    let _ = reader.consume(500);
    assert!(writer.has_room(600).expect("indices"));
    assert!(!writer.has_room(601).expect("indices"));
}

#[test]
fn only_a_side_that_waits_is_woken_and_only_once() {
    let (mut writer, mut reader) = ring(4096);
    assert_eq!(writer.publish(), 0);
    Word::set(reader.memory().reader_waiting(), FUTEX_DATA | BELL_ROOM);
    writer.put(&[1; 600]);
    assert_eq!(writer.publish(), FUTEX_DATA);
    assert_eq!(writer.publish(), 0);
    Word::set(writer.memory().writer_waiting(), BELL_ROOM | BELL_DATA);
    reader.refresh().expect("indices");
    assert_eq!(reader.consume(600), BELL_ROOM);
    assert_eq!(Word::load(writer.memory().writer_waiting()), BELL_DATA);
}

#[test]
fn impossible_indices_are_an_error_and_touch_nothing() {
    for wrong in [4097, u64::MAX, 1 << 63, 10] {
        let (mut writer, mut reader) = ring(4096);
        writer.put(&[1; 100]);
        let _ = writer.publish();
        reader.refresh().expect("indices");
        writer.memory().tail().publish(wrong);
        assert_eq!(reader.refresh(), Err(Corrupt), "tail {wrong}");
        reader.memory().head().publish(if wrong == 10 { 101 } else { wrong });
        assert_eq!(writer.refresh(), Err(Corrupt), "head {wrong}");
    }
}

#[test]
fn what_was_written_before_the_close_is_not_the_end() {
    let (mut writer, mut reader) = ring(4096);
    writer.put(&[1; 3]);
    let _ = writer.publish();
    assert_eq!(reader.look(1, || true), Ok((true, 3)));
    let _ = reader.consume(3);
    assert_eq!(reader.look(1, || true), Ok((true, 0)));
    // What comes between the look for the end and the look for bytes is not lost.
    let late = reader.look(1, || {
        writer.put(&[2; 5]);
        let _ = writer.publish();
        false
    });
    assert_eq!(late, Ok((false, 5)));
}

/// Sends numbered records through a small ring; both sides sleep whenever they cannot go on.
fn exchange(records: u64, capacity: usize, spin: spin::Spin) {
    let (mut writer, mut reader) = ring(capacity);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut spinner = spin::Spinner::new(spin);
            for number in 0..records {
                while !writer.has_room(8).expect("indices") {
                    let word = writer.memory().writer_waiting();
                    let capacity = writer.memory().capacity();
                    let (tail, head) = (writer.tail(), writer.memory().head());
                    if spinner.wait(|| 7, 0, || capacity - (tail - Index::load(head)) >= 8) {
                        continue;
                    }
                    let seen = Word::set(word, FUTEX_ROOM);
                    if capacity - (tail - Index::load(head)) < 8 {
                        assert_ne!(futex::wait(word, seen, Deadline::after(Duration::from_secs(20))), futex::Waited::TimedOut, "writer stalls");
                    }
                }
                writer.put(&number.to_le_bytes());
                if writer.publish() & FUTEX_DATA != 0 {
                    futex::wake(writer.memory().reader_waiting(), i32::MAX);
                }
            }
        });
        let mut spinner = spin::Spinner::new(spin);
        for number in 0..records {
            while reader.available(8).expect("indices") < 8 {
                if reader.release() & FUTEX_ROOM != 0 {
                    futex::wake(reader.memory().writer_waiting(), i32::MAX);
                }
                let word = reader.memory().reader_waiting();
                let (tail, before) = (reader.memory().tail(), number * 8);
                if spinner.wait(|| 7, 0, || Index::load(tail) != before) {
                    continue;
                }
                let seen = Word::set(word, FUTEX_DATA);
                if Index::load(tail) == before {
                    assert_ne!(futex::wait(word, seen, Deadline::after(Duration::from_secs(20))), futex::Waited::TimedOut, "reader stalls");
                }
            }
            let mut bytes = [0; 8];
            reader.peek_at(0, &mut bytes);
            assert_eq!(u64::from_le_bytes(bytes), number);
            if reader.consume(8) & FUTEX_ROOM != 0 {
                futex::wake(reader.memory().writer_waiting(), i32::MAX);
            }
        }
    });
}

#[test]
fn nothing_is_lost_between_two_threads_that_sleep() {
    exchange(200_000, 64, spin::Spin::Off);
    exchange(200_000, 4096, spin::Spin::Off);
    exchange(200_000, 64, spin::Spin::Always(spin::CAP));
    exchange(200_000, 4096, spin::Spin::Adaptive);
}
