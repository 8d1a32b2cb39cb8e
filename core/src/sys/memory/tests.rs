use super::*;
use std::os::fd::AsFd;

/// Tests share the process-wide pool, so those that look at it run one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn keeps_bytes_while_it_grows_and_moves() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut buffer = GrowBuffer::new();
    let block: Vec<u8> = (0..=255u8).cycle().take(1 << 20).collect();
    for _ in 0..9 {
        buffer.extend(&block).expect("memory");
    }
    assert_eq!(buffer.as_slice().len(), 9 << 20);
    assert!(buffer.as_slice().chunks(block.len()).all(|chunk| chunk == block));
}

#[test]
fn truncates_and_drops_the_front() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut buffer = GrowBuffer::new();
    buffer.extend(b"0123456789").expect("memory");
    buffer.discard_front(4);
    assert_eq!(buffer.as_slice(), b"456789");
    buffer.truncate(2);
    assert_eq!(buffer.as_slice(), b"45");
    buffer.discard_front(9);
    assert_eq!(buffer.as_slice(), b"");
    buffer.extend(b"x").expect("memory");
    assert_eq!(buffer.as_slice(), b"x");
}

#[test]
fn reads_from_a_descriptor_up_to_the_limit() {
    let _turn = ONE_AT_A_TIME.lock();
    let (reader, writer) = crate::sys::fd::pipe().expect("pipe");
    crate::sys::fd::write(writer.as_fd(), b"hello world").expect("write");
    let mut buffer = GrowBuffer::new();
    assert_eq!(buffer.read_from(reader.as_fd(), 5).expect("read"), 5);
    assert_eq!(buffer.as_slice(), b"hello");
    assert_eq!(buffer.read_from(reader.as_fd(), 100).expect("read"), 6);
    assert_eq!(buffer.as_slice(), b"hello world");
    drop(writer);
    assert_eq!(buffer.read_from(reader.as_fd(), 100).expect("read"), 0);
}

#[test]
fn a_recycled_mapping_shows_nothing_of_its_past() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut first = GrowBuffer::new();
    first.extend(&vec![7u8; 3 << 20]).expect("memory");
    drop(first);
    assert!(!POOL.lock().is_empty());
    let mut second = GrowBuffer::new();
    assert_eq!(second.as_slice(), b"");
    assert!(second.mapping.as_ref().is_some_and(|mapping| mapping.touched >= 3 << 20));
    second.extend(b"new").expect("memory");
    assert_eq!(second.as_slice(), b"new");
    second.trim();
    assert_eq!(second.as_slice(), b"new");
    assert!(second.mapping.as_ref().is_some_and(|mapping| mapping.touched <= 64 << 10));
}

#[test]
fn the_pool_is_bounded_in_bytes_and_entries() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut many: Vec<GrowBuffer> = (0..2 * POOL_ENTRIES).map(|_| GrowBuffer::new()).collect();
    for buffer in &mut many {
        buffer.extend(&[1]).expect("memory");
        // Claims to be larger than it is: the bound is on the claim, and the test need not touch so much memory.
        if let Some(mapping) = &mut buffer.mapping {
            mapping.grow(POOL_BYTES / 3).expect("address space");
            mapping.touched = POOL_BYTES / 3;
        }
    }
    drop(many);
    let pool = POOL.lock();
    assert!(pool.len() <= POOL_ENTRIES);
    assert!(pool.iter().map(|mapping| mapping.touched).sum::<usize>() <= POOL_BYTES);
}

#[test]
fn bytes_move_to_memory_of_malloc() {
    let _turn = ONE_AT_A_TIME.lock();
    for len in [0, 1, PAGE - LEAD, PAGE, 1 << 20, (9 << 20) + 5] {
        // With the offset of the allocator that pages are made to fit, and with another.
        for offset in [LEAD, 0, 64] {
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let mut buffer = GrowBuffer::new();
            buffer.extend(&bytes).expect("memory");
            let before = buffer.mapping.as_ref().map(|mapping| mapping.base.addr());
            let room = Mapping::fresh((len + 2 * PAGE).next_multiple_of(PAGE)).expect("memory");
            let to = room.base.as_ptr().wrapping_add(offset);
            // SAFETY: the room is large enough and the test's own.
            buffer.move_to(unsafe { std::slice::from_raw_parts_mut(to.cast(), len) });
            // SAFETY: the same bytes, which were written now.
            let moved = unsafe { std::slice::from_raw_parts(to, len) };
            assert!(moved == bytes, "{len} bytes to offset {offset}");
            // The mapping is given up when its pages were moved, kept when they were copied.
            let kept = before.is_some_and(|base| POOL.lock().iter().any(|mapping| mapping.base.addr() == base));
            assert_eq!(kept, before.is_some() && (offset != LEAD || len < 2 * PAGE - LEAD), "{len} bytes to offset {offset}");
        }
    }
}
