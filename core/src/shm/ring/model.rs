//! The ring's own code under a model checker, which tries every order of steps and every weak memory order that the language allows; and
//! broken memories, each of which it has to find.

use super::{FUTEX_DATA, FUTEX_ROOM, Index, Memory, RingReader, RingWriter, Word};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use loom::sync::{Condvar, Mutex};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What is broken in a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    Nothing,
    /// An index is published without what was done before.
    RelaxedPublish,
    /// An index is looked at without what was done before it was published.
    RelaxedLook,
    /// No barrier between publishing and looking whether the other side sleeps.
    NoBarrierAfterPublish,
    /// No barrier between saying "I sleep" and looking again.
    NoBarrierAfterSleep,
    /// Sleeping without looking again.
    NoSecondLook,
    /// A sleeping side is never told.
    NoWake,
    /// The end is looked for after the bytes.
    EndAfterBytes,
}

struct ModelIndex(AtomicU64, Break);
struct ModelWord(AtomicU32, Break);

impl Index for ModelIndex {
    fn load(&self) -> u64 {
        self.0.load(if self.1 == Break::RelaxedLook { Ordering::Relaxed } else { Ordering::Acquire })
    }

    fn publish(&self, value: u64) {
        self.0.store(value, if self.1 == Break::RelaxedPublish { Ordering::Relaxed } else { Ordering::Release });
        if self.1 != Break::NoBarrierAfterPublish && self.1 != Break::RelaxedPublish {
            fence(Ordering::SeqCst);
        }
    }
}

impl Word for ModelWord {
    fn load(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, bits: u32) -> u32 {
        let value = self.0.fetch_or(bits, Ordering::AcqRel) | bits;
        if self.1 != Break::NoBarrierAfterSleep {
            fence(Ordering::SeqCst);
        }
        value
    }

    fn clear(&self, bits: u32) -> u32 {
        self.0.fetch_and(!bits, Ordering::AcqRel)
    }
}

const CAPACITY: usize = 2;

struct ModelMemory {
    tail: ModelIndex,
    head: ModelIndex,
    writer_waiting: ModelWord,
    reader_waiting: ModelWord,
    writer_closed: ModelWord,
    bytes: [UnsafeCell<u8>; CAPACITY],
    sleepers: Mutex<()>,
    bell: Condvar,
    broken: Break,
}

impl ModelMemory {
    // The checker's own Arc panics a second time when a test fails, which would end the process.
    #[allow(clippy::arc_with_non_send_sync, reason = "the checker's threads are coroutines of one thread")]
    fn new(broken: Break) -> Arc<ModelMemory> {
        let index = || ModelIndex(AtomicU64::new(0), broken);
        let word = || ModelWord(AtomicU32::new(0), broken);
        Arc::new(ModelMemory {
            tail: index(),
            head: index(),
            writer_waiting: word(),
            reader_waiting: word(),
            writer_closed: word(),
            bytes: [UnsafeCell::new(0), UnsafeCell::new(0)],
            sleepers: Mutex::new(()),
            bell: Condvar::new(),
            broken,
        })
    }

    /// What the kernel does for a futex: it sleeps if the word is the expected one, atomically with a wake.
    fn sleep(&self, word: &ModelWord, expected: u32) {
        let guard = self.sleepers.lock().expect("lock");
        if word.0.load(Ordering::Relaxed) == expected {
            drop(self.bell.wait(guard).expect("lock"));
        }
    }

    fn wake(&self) {
        if self.broken != Break::NoWake {
            let _guard = self.sleepers.lock().expect("lock");
            self.bell.notify_all();
        }
    }
}

impl Memory for Arc<ModelMemory> {
    type Index = ModelIndex;
    type Word = ModelWord;

    fn tail(&self) -> &ModelIndex {
        &self.tail
    }

    fn head(&self) -> &ModelIndex {
        &self.head
    }

    fn writer_waiting(&self) -> &ModelWord {
        &self.writer_waiting
    }

    fn reader_waiting(&self) -> &ModelWord {
        &self.reader_waiting
    }

    fn capacity(&self) -> u64 {
        CAPACITY as u64
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        for (at, byte) in (at..).zip(bytes) {
            // The checker fails the test when another thread touches the cell meanwhile; `with_mut` hands out a pointer to a plain byte.
            self.bytes[at as usize % CAPACITY].with_mut(|cell| crate::sys::test_cell_write(cell, *byte));
        }
    }

    fn get(&self, at: u64, out: &mut [u8]) {
        for (at, byte) in (at..).zip(out) {
            *byte = self.bytes[at as usize % CAPACITY].with(crate::sys::test_cell_read);
        }
    }

    fn get_fresh(&self, at: u64, out: &mut [MaybeUninit<u8>]) {
        for (at, byte) in (at..).zip(out) {
            byte.write(self.bytes[at as usize % CAPACITY].with(crate::sys::test_cell_read));
        }
    }

    fn append(&self, at: u64, len: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + len, 0);
        self.get(at, &mut out[start..]);
    }
}

fn write(mut writer: RingWriter<Arc<ModelMemory>>, messages: u8) {
    let memory = Arc::clone(writer.memory());
    for message in 1..=messages {
        while !writer.has_room(1).expect("indices") {
            let seen = memory.writer_waiting.set(FUTEX_ROOM);
            if memory.broken == Break::NoSecondLook || writer.refresh().expect("indices") == 0 {
                memory.sleep(&memory.writer_waiting, seen);
            }
        }
        writer.put(&[message]);
        if writer.publish() != 0 {
            memory.wake();
        }
    }
    memory.writer_closed.set(1);
    if super::take(&memory.reader_waiting, FUTEX_DATA) != 0 {
        memory.wake();
    }
}

fn ended(reader: &mut RingReader<Arc<ModelMemory>>) -> bool {
    if reader.memory().broken == Break::EndAfterBytes {
        return reader.refresh().expect("indices") == 0 && reader.memory().writer_closed.load() != 0;
    }
    let memory = Arc::clone(reader.memory());
    reader.look(1, || memory.writer_closed.load() != 0).expect("indices") == (true, 0)
}

fn read(mut reader: RingReader<Arc<ModelMemory>>) -> u8 {
    let memory = Arc::clone(reader.memory());
    let mut count = 0;
    loop {
        if reader.available(1).expect("indices") > 0 {
            let mut byte = [0];
            reader.peek_at(0, &mut byte);
            count += 1;
            assert_eq!(byte[0], count, "a message is missing or torn");
            // A ring of two bytes tells its writer after every one.
            if reader.consume(1) | reader.release() != 0 {
                memory.wake();
            }
            continue;
        }
        if ended(&mut reader) {
            return count;
        }
        let seen = memory.reader_waiting.set(FUTEX_DATA);
        let nothing = memory.broken == Break::NoSecondLook || (reader.refresh().expect("indices") == 0 && memory.writer_closed.load() == 0);
        if nothing {
            memory.sleep(&memory.reader_waiting, seen);
        }
    }
}

fn check(broken: Break, messages: u8) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let memory = ModelMemory::new(broken);
        let writer = RingWriter::new(Arc::clone(&memory));
        let reader = RingReader::new(memory);
        let thread = loom::thread::spawn(move || write(writer, messages));
        assert_eq!(read(reader), messages, "messages before the close were lost");
        thread.join().expect("the writer");
    });
}

#[test]
fn no_message_and_no_wake_up_is_lost() {
    check(Break::Nothing, 3);
}

#[test]
fn every_seeded_break_is_found() {
    let breaks = [
        Break::RelaxedPublish,
        Break::RelaxedLook,
        Break::NoBarrierAfterPublish,
        Break::NoBarrierAfterSleep,
        Break::NoSecondLook,
        Break::NoWake,
        Break::EndAfterBytes,
    ];
    for broken in breaks {
        let found = catch_unwind(AssertUnwindSafe(|| check(broken, 3))).is_err();
        assert!(found, "{broken:?} was not found");
    }
}
