//! Fault rows E05 and E06 of arenas: whoever lends or holds blocks is killed.

use procs::{Arena, Block, BlockPlace, Child, Command, ErrorKind, Seat, SharedMemory, Stdio, duplicate_fd};
use procs_tests::{Isolation, Random, Test, count, isolated_in};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Where a child of these tests finds its memory.
const FD: i32 = 3;
/// A number that the child sets when it has lent its block.
const SAID: usize = 0;

fn start(role: &str, fd: OwnedFd, arguments: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", role, "--ignored", "--nocapture"]).env("SHM_ROLE", arguments).stdout(Stdio::null());
    command.fd(FD, Stdio::fd(fd)).spawn().expect("a start")
}

fn killing(name: &str, body: impl FnOnce(&Test)) {
    isolated_in(name, &Isolation::new().watchdog(240), body);
}

/// Attaches and drops the blocks whose places it finds in the memory, until it is killed.
#[test]
#[ignore = "a child that another test starts"]
fn e06_receiver() {
    let Ok(seat) = std::env::var("SHM_ROLE") else { return };
    let arena = Arena::open(duplicate_fd(FD).expect("the descriptor"), Seat::from_number(seat.parse().expect("a number"))).expect("the arena");
    let mail = SharedMemory::from_fd(duplicate_fd(FD + 1).expect("the descriptor")).expect("the memory");
    let turn = mail.cell_u32(0).expect("a cell");
    let mut kept: Vec<Block> = Vec::new();
    for number in 1.. {
        while turn.load() < number * 2 - 1 {
            let _ = turn.wait(turn.load(), Duration::from_millis(20));
        }
        let field = |at: usize| mail.load::<u64>(64 + at * 8).expect("a number");
        let place = BlockPlace { segment: field(0) as u32, serial: field(1) as u32, offset: field(2), len: field(3) };
        let block = arena.attach(place).expect("a lent block");
        assert!(block.as_slice().expect("its bytes").iter().all(|byte| *byte == number as u8), "torn or mixed bytes");
        kept.push(block);
        if number % 3 == 0 {
            kept.clear();
        }
        turn.store(number * 2);
        turn.notify(usize::MAX);
    }
}

#[test]
fn e06_what_a_killed_receiver_held_is_taken_back() {
    killing("e06_what_a_killed_receiver_held_is_taken_back", |t| {
        let arena = Arena::options(1 << 20).max_bytes(1 << 20).create().expect("an arena");
        let mut random = Random::from_env("e06");
        for round in 0..count(300) {
            let seat = arena.seat().expect("a free seat");
            let mail = SharedMemory::new(4096).expect("memory");
            let turn = mail.cell_u32(0).expect("a cell");
            let mut command = Command::new(std::env::current_exe().expect("this test"));
            command.args(["--exact", "e06_receiver", "--ignored", "--nocapture"]).env("SHM_ROLE", seat.number().to_string());
            command.fd(FD, Stdio::fd(arena.segment_fd(0).expect("a descriptor"))).fd(FD + 1, Stdio::fd(mail.try_clone_fd().expect("one")));
            let mut receiver = command.stdout(Stdio::null()).spawn().expect("a start");
            let messages = 1 + random.below(12) as u32;
            for number in 1..=messages {
                let mut block = arena.alloc(1 + random.below(40_000) as usize).expect("room");
                block.write(0, &vec![number as u8; block.len()]).expect("a write");
                let place = block.lend(seat).expect("a place");
                for (at, value) in [u64::from(place.segment), u64::from(place.serial), place.offset, place.len].into_iter().enumerate() {
                    mail.write(64 + at * 8, &value.to_le_bytes()).expect("a write");
                }
                turn.store(number * 2 - 1);
                turn.notify(usize::MAX);
                drop(block);
                // The last one is not waited for: the kill may come before, inside or after the attaching.
                if number < messages {
                    t.wait_until("the receiver has it", || turn.load() == number * 2 || receiver.try_wait().expect("a look").is_some());
                    assert!(receiver.try_wait().expect("a look").is_none(), "round {round}: the receiver failed");
                }
            }
            receiver.kill().expect("a kill");
            receiver.wait().expect("an end");
            // A receiver that died before it opened the arena left no name at its seat.
            let unopened = arena.owners().expect("owners").iter().any(|(_, pid)| pid.is_none());
            if unopened { arena.reclaim(seat) } else { arena.reclaim_dead() }.expect("a count");
            assert_eq!((arena.used_bytes().expect("a count"), arena.owners().expect("owners").len()), (0, 0), "round {round}");
        }
    });
}

/// Makes an arena, lends a block to its parent and goes on allocating and freeing until it is killed.
#[test]
#[ignore = "a child that another test starts"]
fn e05_creator() {
    let Ok(_) = std::env::var("SHM_ROLE") else { return };
    let mail = SharedMemory::from_fd(duplicate_fd(FD).expect("the descriptor")).expect("the memory");
    let arena = Arena::new(1 << 20).expect("an arena");
    let seat = arena.seat().expect("a seat");
    let mut block = arena.alloc(50_000).expect("a block");
    block.write(0, &vec![7; 50_000]).expect("a write");
    let place = block.lend(seat).expect("a place");
    let fd = arena.segment_fd(0).expect("a descriptor");
    let number = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd())).expect("a number");
    for (at, value) in [number, u64::from(place.serial), place.offset, place.len].into_iter().enumerate() {
        mail.write(64 + at * 8, &value.to_le_bytes()).expect("a write");
    }
    drop(block);
    mail.cell_u32(SAID).expect("a cell").store(1);
    let mut kept: Vec<Block> = Vec::new();
    for number in 0u64.. {
        kept.extend(arena.alloc(1 + (number as usize * 7919) % 60_000));
        if kept.len() > 8 || number % 5 == 0 {
            kept.remove((number as usize) % kept.len());
        }
    }
}

#[test]
fn e05_a_killed_creator_leaves_lent_blocks_whole() {
    killing("e05_a_killed_creator_leaves_lent_blocks_whole", |t| {
        for round in 0..count(200) {
            let mail = SharedMemory::new(4096).expect("memory");
            let mut creator = start("e05_creator", mail.try_clone_fd().expect("a descriptor"), "creator");
            let said = mail.cell_u32(SAID).expect("a cell");
            t.wait_until("the block is lent", || said.load() == 1);
            let field = |at: usize| mail.load::<u64>(64 + at * 8).expect("a number");
            let path = format!("/proc/{}/fd/{}", creator.id(), field(0));
            let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("its memory");
            let arena = Arena::open(file, Seat::from_number(0)).expect("the arena");
            let place = BlockPlace { segment: 0, serial: field(1) as u32, offset: field(2), len: field(3) };
            let before = (round % 2 == 0).then(|| arena.attach(place).expect("the block"));
            creator.kill().expect("a kill");
            creator.wait().expect("an end");
            let block = before.unwrap_or_else(|| arena.attach(place).expect("the block, after its creator's death"));
            assert!(block.as_slice().expect("its bytes").iter().all(|byte| *byte == 7));
            assert_eq!(arena.alloc(1).expect_err("only the creator allocates").kind(), ErrorKind::InvalidState);
        }
    });
}
