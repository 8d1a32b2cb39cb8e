//! The allocator from inside: two "processes" that are two mappings of the same segment.

use super::*;
use std::os::fd::AsFd;

fn pair(bytes: usize) -> (Arena, Arena, Seat) {
    let arena = Arena::new(bytes).unwrap();
    let seat = arena.seat().unwrap();
    let theirs = Arena::open(arena.segment_fd(0).unwrap(), seat).unwrap();
    (arena, theirs, seat)
}

#[test]
fn a_block_is_used_again_only_when_both_sides_dropped_it() {
    let (arena, theirs, seat) = pair(4 * PAGE);
    let mut block = arena.alloc(4 * PAGE).unwrap();
    block.write(10, b"abc").unwrap();
    let place = block.lend(seat).unwrap();
    assert_eq!(block.write(0, b"x").unwrap_err().kind(), ErrorKind::InvalidState);
    drop(block);
    let full = |arena: &Arena| arena.0.parts.lock()[0].space.free() == 0;
    assert!(arena.0.parts.lock()[0].live.len() == 1 && full(&arena));
    let held = theirs.attach(place).unwrap();
    assert_eq!(held.read(10, 3).unwrap(), b"abc");
    assert_eq!(held.as_slice().unwrap()[10..13], *b"abc");
    assert_eq!(theirs.attach(place).unwrap_err().kind(), ErrorKind::Protocol);
    drop(held);
    assert_eq!(theirs.attach(place).unwrap_err().kind(), ErrorKind::Protocol);
    let again = arena.alloc(4 * PAGE).unwrap();
    assert_eq!((again.offset() as u64, again.len()), (place.offset, 4 * PAGE));
    assert_ne!(again.place().serial, place.serial);
    assert_eq!(arena.segments(), 1);
}

#[test]
fn either_order_of_dropping_frees_and_each_lent_reference_counts() {
    let (arena, theirs, seat) = pair(16 * PAGE);
    let block = arena.alloc(PAGE).unwrap();
    let places: Vec<BlockPlace> = (0..3).map(|_| block.lend(seat).unwrap()).collect();
    let mut held: Vec<Block> = places.iter().map(|place| theirs.attach(*place).unwrap()).collect();
    assert!(theirs.attach(places[0]).is_err());
    held.truncate(1);
    assert_eq!(arena.used_bytes().unwrap(), PAGE);
    held.clear();
    assert_eq!(arena.used_bytes().unwrap(), PAGE);
    drop(block);
    assert_eq!(arena.used_bytes().unwrap(), 0);
}

#[test]
fn lending_has_a_limit_and_can_be_undone() {
    let (arena, theirs, seat) = pair(PAGE);
    let block = arena.alloc(1).unwrap();
    for _ in 0..255 {
        block.lend(seat).unwrap();
    }
    assert_eq!(block.lend(seat).unwrap_err().kind(), ErrorKind::WouldBlock);
    for _ in 0..255 {
        block.unlend(seat).unwrap();
    }
    assert!(block.unlend(seat).is_err() && theirs.attach(block.place()).is_err());
    drop(block);
    assert_eq!(arena.used_bytes().unwrap(), 0);
}

#[test]
fn sixty_four_seats_hold_a_block_apart_from_one_another() {
    let arena = Arena::new(4 * PAGE).unwrap();
    let others: Vec<(Seat, Arena)> = (0..64)
        .map(|_| {
            let seat = arena.seat().unwrap();
            (seat, Arena::open(arena.segment_fd(0).unwrap(), seat).unwrap())
        })
        .collect();
    assert_eq!(arena.seat().unwrap_err().kind(), ErrorKind::Exhausted);
    let block = arena.alloc(PAGE).unwrap();
    let held: Vec<Block> = others.iter().map(|(seat, theirs)| theirs.attach(block.lend(*seat).unwrap()).unwrap()).collect();
    drop(block);
    for (left, block) in held.into_iter().enumerate().rev() {
        assert_eq!(arena.used_bytes().unwrap(), PAGE, "{left} others have it");
        drop(block);
    }
    assert_eq!(arena.used_bytes().unwrap(), 0);
}

#[test]
fn growth_makes_segments_that_the_other_side_adds() {
    let arena = Arena::options(2 * PAGE).max_bytes(12 * PAGE).create().unwrap();
    let seat = arena.seat().unwrap();
    let theirs = Arena::open(arena.segment_fd(0).unwrap(), seat).unwrap();
    let first = arena.alloc(2 * PAGE).unwrap();
    let second = arena.alloc(10 * PAGE).unwrap();
    assert_eq!((arena.segments(), second.place().segment), (2, 1));
    assert_eq!(arena.alloc(1).unwrap_err().kind(), ErrorKind::Exhausted);
    let place = second.lend(seat).unwrap();
    assert_eq!(theirs.attach(place).unwrap_err().kind(), ErrorKind::InvalidState);
    assert_eq!(theirs.add_segment(arena.segment_fd(0).unwrap()).unwrap_err().kind(), ErrorKind::Protocol);
    theirs.add_segment(arena.segment_fd(1).unwrap()).unwrap();
    assert_eq!(theirs.attach(place).unwrap().len(), 10 * PAGE);
    drop(first);
    assert!(arena.alloc(1).is_ok());
}

#[test]
fn what_a_seat_held_is_taken_back_also_without_a_hint() {
    let (arena, theirs, seat) = pair(8 * PAGE);
    let other = arena.seat().unwrap();
    let blocks: Vec<Block> = (0..8).map(|_| arena.alloc(PAGE).unwrap()).collect();
    for block in &blocks {
        std::mem::forget(theirs.attach(block.lend(seat).unwrap()).unwrap());
    }
    blocks[0].lend(other).unwrap();
    drop(blocks);
    assert_eq!(arena.used_bytes().unwrap(), 8 * PAGE);
    assert_eq!(arena.reclaim(seat).unwrap(), 8);
    assert_eq!(arena.used_bytes().unwrap(), PAGE);
    assert_eq!(arena.reclaim(other).unwrap(), 1);
    assert_eq!(arena.used_bytes().unwrap(), 0);
    assert_eq!(arena.owners().unwrap(), []);
    // A releaser that was killed before it set the bit.
    let seat = arena.seat().unwrap();
    let block = arena.alloc(8 * PAGE).unwrap();
    block.lend(seat).unwrap();
    let table = Arc::clone(&arena.0.parts.lock()[0].table);
    drop(block);
    table.clear(0, seat.0 as usize).unwrap();
    assert!(arena.alloc(PAGE).is_ok());
}

#[test]
fn seats_are_kept_taken_and_given_once() {
    let arena = Arena::new(PAGE).unwrap();
    let open = |seat| Arena::open(arena.segment_fd(0).unwrap(), seat);
    assert_eq!(open(Seat::from_number(0)).unwrap_err().kind(), ErrorKind::InvalidState);
    assert_eq!(open(Seat::from_number(64)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let seats: Vec<Seat> = (0..SEATS).map(|_| arena.seat().unwrap()).collect();
    assert_eq!(arena.seat().unwrap_err().kind(), ErrorKind::Exhausted);
    let theirs = open(seats[3]).unwrap();
    assert_eq!(arena.owners().unwrap()[3], (seats[3], Some(std::process::id())));
    assert_eq!(arena.owners().unwrap()[4], (seats[4], None));
    assert_eq!(theirs.alloc(1).unwrap_err().kind(), ErrorKind::InvalidState);
    assert_eq!(arena.attach(BlockPlace { segment: 0, serial: 0, offset: 0, len: 0 }).unwrap_err().kind(), ErrorKind::InvalidState);
    assert_eq!(arena.reclaim_dead().unwrap(), 0);
    assert_eq!(arena.owners().unwrap().len(), SEATS);
}

/// Nonsense in `place` and in the shared descriptors is refused; no read leaves the mapping.
#[test]
fn hostile_places_and_descriptors_are_refused() {
    let (arena, theirs, seat) = pair(8 * PAGE);
    let block = arena.alloc(3 * PAGE).unwrap();
    let good = block.lend(seat).unwrap();
    let size = theirs.0.parts.lock()[0].table.segment.map().len() as u64;
    let numbers = [0, 1, 63, 64, PAGE as u64 - 1, PAGE as u64, good.offset - 1, good.offset + 1, size - 1, size, u64::MAX - 4095, u64::MAX, 1 << 63];
    for offset in numbers {
        for len in numbers {
            let place = BlockPlace { offset, len, ..good };
            assert!(theirs.attach(place).is_err() || (offset == good.offset && len <= 3 * PAGE as u64), "{place:?}");
        }
    }
    assert!(theirs.attach(BlockPlace { serial: good.serial + 1, ..good }).is_err());
    assert!(theirs.attach(BlockPlace { segment: u32::MAX, ..good }).is_err());
    let map = Arc::clone(arena.0.parts.lock()[0].table.segment.map());
    let descriptor = arena.0.parts.lock()[0].table.descriptor(0);
    for pages in [0, 9, 1 << 31, u32::MAX] {
        map.write(descriptor + table::B_PAGES, &pages.to_le_bytes()).unwrap();
        assert!(theirs.attach(good).is_err(), "pages = {pages}");
    }
    map.write(descriptor + table::B_PAGES, &8u32.to_le_bytes()).unwrap();
    map.write(descriptor + table::B_LEN, &u64::MAX.to_le_bytes()).unwrap();
    assert!(theirs.attach(BlockPlace { len: 9 * PAGE as u64, ..good }).is_err());
}

#[test]
fn segments_of_strangers_are_checked_field_by_field() {
    let arena = Arena::new(64 * PAGE).unwrap();
    let memory = crate::shm::SharedMemory::new(PAGE).unwrap();
    let seat = arena.seat().unwrap();
    let wrong_kind = Arena::open(memory.as_fd().try_clone_to_owned().unwrap(), seat);
    assert_eq!(wrong_kind.unwrap_err().kind(), ErrorKind::Protocol);
    let map = Arc::clone(arena.0.parts.lock()[0].table.segment.map());
    for (at, width) in [(table::A_NUMBER, 4), (table::A_PAGES, 8), (table::A_BITS, 8), (table::A_TABLE, 8), (table::A_BLOCKS, 8)] {
        let mut before = vec![0; width];
        map.read(64 + at, &mut before).unwrap();
        for value in [3u64, 63, 1 << 31, u64::MAX] {
            map.write(64 + at, &value.to_le_bytes()[..width]).unwrap();
            assert_eq!(Arena::open(arena.segment_fd(0).unwrap(), seat).unwrap_err().kind(), ErrorKind::Protocol, "field at {at}: {value}");
        }
        map.write(64 + at, &before).unwrap();
    }
    assert!(Arena::open(arena.segment_fd(0).unwrap(), seat).is_ok());
}

#[test]
fn shared_handles_keep_a_block_on_either_side() {
    let (arena, theirs, seat) = pair(4 * PAGE);
    let block = arena.alloc(2 * PAGE).unwrap();
    let part = block.share(100).unwrap();
    assert_eq!((part.len(), part.offset(), part.is_writable()), (100, block.offset(), true));
    assert_eq!(block.share(2 * PAGE + 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let place = part.lend(seat).unwrap();
    assert!(!part.is_writable() && !block.is_writable());
    drop(block);
    let held = theirs.attach(place).unwrap();
    let again = held.share(50).unwrap();
    assert!(!held.is_writable() && theirs.attach(place).is_err());
    drop((held, part));
    assert_eq!(arena.used_bytes().unwrap(), 2 * PAGE);
    assert_eq!(again.read(0, 50).unwrap().len(), 50);
    drop(again);
    assert_eq!(arena.used_bytes().unwrap(), 0);
}

#[test]
fn arena_of_nothing_is_a_bad_argument_and_one_too_large_is_too_large() {
    assert_eq!(Arena::new(0).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(Arena::new(usize::MAX).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn blocks_are_lent_by_their_owner_to_seats_that_were_kept() {
    let (arena, theirs, seat) = pair(PAGE);
    let block = arena.alloc(1).unwrap();
    let nobody = Seat::from_number(seat.number() + 1);
    assert_eq!(block.lend(nobody).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(block.lend(Seat::from_number(SEATS as u32)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let held = theirs.attach(block.lend(seat).unwrap()).unwrap();
    assert_eq!(held.lend(seat).unwrap_err().kind(), ErrorKind::InvalidState);
    assert_eq!(arena.seat().unwrap(), nobody);
    assert!(block.lend(nobody).is_ok());
    drop((held, block));
    assert_eq!(arena.reclaim(nobody).unwrap(), 1);
    let block = arena.alloc(1).unwrap();
    assert_eq!(block.lend(nobody).unwrap_err().kind(), ErrorKind::InvalidArgument);
}
