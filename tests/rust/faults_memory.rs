//! Fault rows E01, E02, E03, E11, E12, E14 to E18: memory that processes share.

use procs::{Arena, Channel, ChannelOptions, Command, ErrorKind, Message, SharedMemory, SharedMutex, Stdio, duplicate_fd, memory_layout};
use procs_tests::{Isolation, count, host, isolated, isolated_in, kill_loop, rawmem, read_source, run};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Where a child of these tests finds its memory.
const FD: i32 = 3;

/// This test program again, as the child that `role` describes, with the memory at [`FD`].
fn child(role: &str, memory: &SharedMemory) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", role, "--ignored", "--nocapture"]).env("SHM_ROLE", role).stdout(Stdio::null());
    command.fd(FD, Stdio::fd(memory.try_clone_fd().expect("a descriptor")));
    command
}

/// The memory of a child, unless somebody runs the role by hand.
fn given() -> Option<SharedMemory> {
    std::env::var_os("SHM_ROLE")?;
    Some(SharedMemory::from_fd(duplicate_fd(FD).expect("the memory's descriptor")).expect("the memory"))
}

fn refused(fd: impl Into<OwnedFd>, what: &str) -> ErrorKind {
    match SharedMemory::from_fd(fd) {
        Ok(_) => panic!("{what} was accepted"),
        Err(error) => error.kind(),
    }
}

#[test]
fn e01_memory_that_could_shrink_is_refused() {
    isolated("e01_memory_that_could_shrink_is_refused", |t| {
        let all = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        let good = SharedMemory::new(4096).expect("memory");
        for seals in [0, libc::F_SEAL_SHRINK, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW, all & !libc::F_SEAL_SHRINK, all & !libc::F_SEAL_GROW] {
            assert_eq!(refused(rawmem::memfd(8192, seals), "unsealed memory"), ErrorKind::PermissionDenied, "seals {seals:#x}");
        }
        // Sealed, but nothing of ours: too small, empty, enormous, all zero.
        for len in [0, 1, 63, 64, 8192, i64::MAX & !4095] {
            let kind = refused(rawmem::memfd(len, all), "a stranger's memory");
            assert!(matches!(kind, ErrorKind::Protocol | ErrorKind::Exhausted), "length {len}: {kind:?}");
        }
        let file = t.dir().join("file");
        fs::write(&file, [0; 8192]).expect("a file");
        assert_eq!(refused(fs::File::open(&file).expect("a file"), "a file"), ErrorKind::PermissionDenied);
        assert_eq!(refused(fs::File::open(t.dir()).expect("a folder"), "a folder"), ErrorKind::PermissionDenied);
        assert_eq!(refused(fs::File::open("/dev/null").expect("a device"), "a device"), ErrorKind::PermissionDenied);
        let (read, _write) = std::io::pipe().expect("a pipe");
        assert_eq!(refused(read, "a pipe"), ErrorKind::PermissionDenied);
        let (socket, _other) = std::os::unix::net::UnixStream::pair().expect("sockets");
        assert_eq!(refused(socket, "a socket"), ErrorKind::PermissionDenied);
        let arena = Arena::new(1 << 20).expect("an arena");
        assert_eq!(refused(arena.segment_fd(0).expect("a descriptor"), "an arena"), ErrorKind::Protocol);
        assert!(SharedMemory::from_fd(good.try_clone_fd().expect("a descriptor")).is_ok());
    });
}

/// Shortens, grows and empties the memory for as long as it lives.
#[test]
#[ignore = "a child that another test starts"]
fn e01_evil_peer() {
    let Some(memory) = given() else { return };
    let done = memory.cell_u32(0).expect("a cell");
    loop {
        assert_eq!(rawmem::set_size(memory.as_fd(), 0), Err(libc::EPERM));
        assert_eq!(rawmem::set_size(memory.as_fd(), 1 << 30), Err(libc::EPERM));
        // Allowed by the seals: the bytes become zero, the size stays.
        let _ = rawmem::punch_hole(memory.as_fd(), 8192, 1 << 19);
        done.fetch_add(1);
    }
}

#[test]
fn e01_a_reader_survives_an_evil_peer() {
    isolated("e01_a_reader_survives_an_evil_peer", |t| {
        let memory = SharedMemory::new(1 << 20).expect("memory");
        let mut peer = child("e01_evil_peer", &memory).spawn().expect("a start");
        let rounds = memory.cell_u32(0).expect("a cell");
        t.wait_until("the peer has begun", || rounds.load() > 0 || peer.try_wait().expect("a look").is_some());
        let mut bytes = vec![0; 1 << 20];
        for _ in 0..count(1000) {
            memory.fill(16384, 1 << 18, 7).expect("a write");
            memory.read_into(0, &mut bytes).expect("a read");
        }
        assert!(peer.try_wait().expect("a look").is_none(), "the peer's attempts did not fail as they should");
        peer.kill().expect("a kill");
        peer.wait().expect("an end");
        assert_eq!(memory.len(), 1 << 20);
    });
}

#[test]
fn e02_what_is_not_there_is_missing_at_creation() {
    isolated("e02_what_is_not_there_is_missing_at_creation", |_| {
        let kind = |len: usize| SharedMemory::new(len).expect_err("memory that nobody has").kind();
        assert_eq!(kind(0), ErrorKind::InvalidArgument);
        for len in [1 << 46, 1 << 50] {
            assert_eq!(kind(len), ErrorKind::Exhausted, "{len}");
        }
        for len in [1 << 63, usize::MAX, usize::MAX - 64, isize::MAX as usize] {
            assert_eq!(kind(len), ErrorKind::TooLarge, "{len}");
        }
        for len in [1, 63, 64, 65, 4095, 4096, 4097] {
            let memory = SharedMemory::new(len).expect("memory");
            assert_eq!((memory.len(), memory.read(0, len).expect("a read")), (len, vec![0; len]));
            assert!(memory.read(0, len + 1).is_err() && memory.write(len, &[1]).is_err() && memory.read(usize::MAX, 2).is_err());
            memory.write(len - 1, &[9]).expect("the last byte");
        }
        // A larger file would be a signal that ends the host.
        rawmem::limit(libc::RLIMIT_FSIZE, 1 << 20);
        assert_eq!(kind(2 << 20), ErrorKind::TooLarge);
        assert!(SharedMemory::new(1 << 19).is_ok());
    });
}

#[test]
#[ignore = "a child that another test starts"]
fn e02_greedy() {
    let Some(_memory) = given() else { return };
    match SharedMemory::new(64 << 20) {
        Ok(memory) => assert!(memory.fill(0, memory.len(), 1).is_ok(), "it fits after all"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Exhausted),
    }
}

#[test]
fn e02_a_cgroups_limit_ends_that_child_at_most() {
    isolated_in("e02_a_cgroups_limit_ends_that_child_at_most", &Isolation::new().watchdog(60), |_| {
        let group = std::path::PathBuf::from(format!("/sys/fs/cgroup/memory/procs-test-{}", std::process::id()));
        fs::create_dir(&group).expect("a memory cgroup (root and cgroup v1)");
        fs::write(group.join("memory.limit_in_bytes"), (32 << 20).to_string()).expect("a limit");
        let memory = SharedMemory::new(4096).expect("memory");
        let mut command = child("e02_greedy", &memory);
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let home = own.lines().find_map(|line| line.split_once(":memory:")).map_or("/", |(_, path)| path).to_owned();
        // The child is born inside; this process goes back at once.
        fs::write(group.join("cgroup.procs"), std::process::id().to_string()).expect("a move");
        let started = command.spawn();
        let back = std::path::PathBuf::from(format!("/sys/fs/cgroup/memory{home}")).join("cgroup.procs");
        fs::write(back, std::process::id().to_string()).expect("a move back");
        let status = started.expect("a start").wait().expect("an end");
        assert!(status.success() || status.signal() == Some(9), "{status}");
        memory.write(0, b"still here").expect("this process lives");
        fs::remove_dir(group).expect("an empty group");
    });
}

/// Everything that a reader may try on memory that it shall only read.
#[test]
#[ignore = "a child that another test starts"]
fn e03_reader() {
    let Some(memory) = given() else { return };
    assert!(memory.is_read_only() && !memory.is_writable());
    assert_eq!(memory.read(0, 5).expect("a read"), b"fixed");
    assert_eq!(memory.load::<u32>(8).expect("a load"), 7);
    assert_eq!(memory.write(0, b"x").expect_err("a write").kind(), ErrorKind::PermissionDenied);
    assert_eq!(memory.cell_u32(0).expect_err("a cell").kind(), ErrorKind::PermissionDenied);
    let again = fs::OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{FD}")).expect("the kernel opens it anew");
    for fd in [memory.as_fd(), again.as_fd()] {
        assert_eq!(rawmem::map_writable(fd), Err(libc::EPERM));
        assert!(matches!(rawmem::make_writable(fd), Err(libc::EACCES | libc::EPERM)));
        assert_eq!(rawmem::write_at(fd, 64), Err(libc::EPERM));
        assert_eq!(rawmem::punch_hole(fd, 0, 4096), Err(libc::EPERM));
        assert_eq!(rawmem::set_size(fd, 0), Err(libc::EPERM));
    }
}

#[test]
fn e03_read_only_means_read_only() {
    isolated("e03_read_only_means_read_only", |_| {
        let memory = SharedMemory::options().read_only(true).prefault(true).huge_pages(true).create(1 << 20).expect("memory");
        memory.write(0, b"fixed").expect("the creator writes");
        memory.cell_u32(8).expect("a cell").store(7);
        let status = child("e03_reader", &memory).spawn().expect("a start").wait().expect("an end");
        assert!(status.success(), "{status}");
        assert_eq!(memory.read(0, 5).expect("a read"), b"fixed");
    });
}

/// Makes memory, locks a lock in it, and stays.
#[test]
#[ignore = "a child that another test starts"]
fn e11_hoarder() {
    if std::env::var_os("SHM_ROLE").is_none() {
        return;
    }
    let regions: Vec<SharedMemory> = (0..8).map(|_| SharedMemory::new(1 << 20).expect("memory")).collect();
    let locks: Vec<SharedMutex> = regions.iter().map(|memory| SharedMutex::create(memory, 0).expect("a lock")).collect();
    let _held: Vec<_> = locks.iter().map(|lock| lock.lock().expect("a free lock")).collect();
    std::thread::park();
}

fn shared_kib() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").expect("the kernel's figures");
    let line = text.lines().find(|line| line.starts_with("Shmem:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn e11_nothing_is_left_after_kills() {
    isolated_in("e11_nothing_is_left_after_kills", &Isolation::new().watchdog(240), |t| {
        let names = || {
            fs::read_dir("/dev/shm")
                .map_or(0, |entries| entries.flatten().filter(|entry| entry.file_name().to_string_lossy().contains("procs")).count())
        };
        let before = (names(), shared_kib());
        let start = |_| {
            let mut command = std::process::Command::new(std::env::current_exe().expect("this test"));
            command.args(["--exact", "e11_hoarder", "--ignored", "--nocapture"]).env("SHM_ROLE", "e11").stdout(std::process::Stdio::null());
            command
        };
        let rounds = count(1000);
        kill_loop(rounds, Duration::from_millis(50), start, |_| {});
        assert_eq!(names(), before.0, "names in /dev/shm");
        assert_eq!(fs::read_dir(t.dir()).expect("the folder").count(), 0);
        // Other programs of the machine share memory too: what these children had is far more than that.
        let limit = (rounds as i64 * 8 * 1024) / 4;
        t.wait_until("their memory is back", || shared_kib() - before.1 < limit);
    });
}

/// Reads until told to stop; says so before it goes.
#[test]
#[ignore = "a child that another test starts"]
fn e12_user() {
    let Some(memory) = given() else { return };
    let (seen, stop) = (memory.cell_u32(0).expect("a cell"), memory.cell_u32(4).expect("a cell"));
    let mine: u32 = std::env::var("E12_NUMBER").expect("a number").parse().expect("a number");
    seen.fetch_add(1);
    seen.notify(usize::MAX);
    while stop.load() < mine {
        let _ = stop.wait(stop.load(), Duration::from_millis(50));
    }
    assert_eq!(memory.read(4096, 6).expect("a read"), b"shared");
}

#[test]
fn e12_the_first_to_go_takes_nothing_away() {
    isolated("e12_the_first_to_go_takes_nothing_away", |t| {
        let memory = SharedMemory::new(8192).expect("memory");
        memory.write(4096, b"shared").expect("a write");
        let mut users: Vec<_> =
            (1..=3).map(|number| child("e12_user", &memory).env("E12_NUMBER", number.to_string()).spawn().expect("a start")).collect();
        let (seen, stop) = (memory.cell_u32(0).expect("a cell"), memory.cell_u32(4).expect("a cell"));
        t.wait_until("all are there", || seen.load() == 3);
        let children = fs::read_dir("/proc/self/task")
            .expect("tasks")
            .flatten()
            .map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default().split_whitespace().count());
        assert_eq!(children.sum::<usize>(), 3, "a process that nobody asked for");
        for number in 1..=3u32 {
            stop.store(number);
            stop.notify(usize::MAX);
            let status = users.remove(0).wait().expect("an end");
            assert!(status.success(), "user {number}: {status}");
            assert!(users.iter_mut().all(|user| user.try_wait().expect("a look").is_none()), "another one went too");
        }
    });
}

#[test]
fn e14_views_outlive_the_memory() {
    run("e14_views_outlive_the_memory", |_| {
        for round in 0..100u64 {
            let memory = SharedMemory::new(1 << 16).expect("memory");
            let cells: Vec<_> = (0..1000).map(|index| memory.cell_u64(index * 8).expect("a cell")).collect();
            let lock = SharedMutex::create(&memory, 32 << 10).expect("a lock");
            let arena = Arena::new(1 << 16).expect("an arena");
            let mut block = arena.alloc(5000).expect("a block");
            let guard = lock.lock().expect("a free lock");
            drop((memory, arena, lock));
            for (index, cell) in cells.iter().enumerate() {
                cell.store(round + index as u64);
            }
            assert!(cells.iter().enumerate().all(|(index, cell)| cell.load() == round + index as u64));
            block.write(4999, &[1]).expect("a write");
            assert_eq!(block.read(4999, 1).expect("a read"), [1]);
            drop(guard);
        }
    });
}

#[test]
fn e15_the_layout_is_the_documents() {
    let text = read_source("docs/memory.md").text;
    for field in memory_layout() {
        let row = format!("| `{}` | {} | {} |", field.name, field.offset, field.size);
        assert!(text.contains(&row), "docs/memory.md does not have the row {row}");
    }
    let rows = text.lines().filter(|line| line.starts_with("| `") && line.contains('.')).count();
    assert_eq!(rows, memory_layout().len(), "docs/memory.md has rows that the code does not have");
}

#[test]
fn e16_a_forked_copy_leaves_the_parents_things_alone() {
    isolated("e16_a_forked_copy_leaves_the_parents_things_alone", |_| {
        let memory = SharedMemory::new(4096).expect("memory");
        let lock = SharedMutex::create(&memory, 0).expect("a lock");
        let arena = Arena::new(1 << 16).expect("an arena");
        let seat = arena.seat().expect("a seat");
        let theirs = Arena::open(arena.segment_fd(0).expect("a descriptor"), seat).expect("the other side");
        let block = arena.alloc(100).expect("a block");
        let held = theirs.attach(block.lend(seat).expect("a place")).expect("the block");
        let mut held = Some((lock.lock().expect("a free lock"), held));
        let copy = host::fork(|| {
            let refuses = [arena.alloc(1).err(), block.lend(seat).err(), theirs.attach(block.place()).err()];
            let all = refuses.iter().all(|error| error.as_ref().is_some_and(|error| error.kind() == ErrorKind::InvalidState));
            drop(held.take());
            i32::from(!all || arena.reclaim(seat).is_ok())
        });
        assert_eq!(host::wait_for(copy).expect("its end"), 0, "the copy was not refused");
        let locked = std::thread::scope(|scope| scope.spawn(|| lock.try_lock().is_err()).join().expect("no panic"));
        assert!(locked, "the copy gave the parent's lock back");
        drop(block);
        assert_eq!(arena.used_bytes().expect("a count"), 4096, "the copy gave the parent's block back");
        drop(held);
        assert_eq!(arena.used_bytes().expect("a count"), 0);
        assert!(lock.try_lock().is_ok());
    });
}

/// Lets this process have so many bytes more than it has.
fn leave_memory(more: u64) {
    let statm = fs::read_to_string("/proc/self/statm").expect("figures");
    let used = statm.split(' ').next().and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096;
    rawmem::limit(libc::RLIMIT_AS, used + more);
}

#[test]
fn e17_address_space_runs_out_cleanly() {
    isolated("e17_address_space_runs_out_cleanly", |_| {
        leave_memory(64 << 20);
        for _ in 0..3 {
            let mut regions = Vec::new();
            let error = loop {
                match SharedMemory::new(1 << 20) {
                    Ok(memory) => regions.push(memory),
                    Err(error) => break error,
                }
                assert!(regions.len() < 200, "the limit is not one");
            };
            assert_eq!((error.kind(), error.os_error()), (ErrorKind::Exhausted, Some(libc::ENOMEM)));
            assert!(regions.len() > 40, "only {} regions", regions.len());
        }
    });
}

/// Two pairs in use, of which the second has no rings.
fn with_and_without_rings() -> [(Channel, Channel); 2] {
    [1 << 20, 0].map(|ring_bytes| {
        let (here, there) = Channel::pair_with(&ChannelOptions { ring_bytes, ..ChannelOptions::default() }).expect("a pair");
        here.send_bytes(b"first").expect("sent");
        assert_eq!(there.recv().expect("a message").body, *b"first");
        (here, there)
    })
}

/// A message that finds no shared memory goes through the ring, and what the ring does not take is kept: that may fail, too.
#[test]
fn e17_a_message_that_there_is_no_memory_for_is_refused() {
    isolated("e17_a_message_that_there_is_no_memory_for_is_refused", |_| {
        let ends = with_and_without_rings().map(|(here, there)| (here, there, vec![7; 100 << 20]));
        leave_memory(64 << 20);
        // The messages that came back stay: their memory would be room for the next one.
        let _refused = ends.map(|(here, there, large)| {
            let error = here.send(Message::raw(large)).expect_err("no memory");
            assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
            here.send_bytes(b"last").expect("sent");
            assert_eq!(there.recv().expect("a message").body, *b"last");
            error
        });
    });
}

/// The same on the other side: a message that comes through the ring or the socket, to a receiver that has no memory for it.
#[test]
fn e17_a_receiver_that_has_no_memory_for_a_message_lives() {
    isolated("e17_a_receiver_that_has_no_memory_for_a_message_lives", |t| {
        let ends = with_and_without_rings();
        // No memory to share: what is large goes byte by byte.
        t.inject(&["memfd_create:error=EMFILE"], || {
            for (here, _) in &ends {
                here.try_send(Message::raw(vec![7; 40 << 20])).expect("taken");
            }
        });
        leave_memory(2 << 20);
        for (_here, there) in &ends {
            for _ in 0..2 {
                let error = there.recv().expect_err("no memory");
                assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
                assert!(error.detail().starts_with("no memory for a message (size = "), "{error}");
            }
        }
    });
}

#[test]
fn e18_a_kernel_without_noexec_or_without_memfd() {
    isolated("e18_a_kernel_without_noexec_or_without_memfd", |t| {
        t.inject(&["memfd_create:error=EINVAL:when=1"], || {
            SharedMemory::new(4096).expect("the second try is without the new flag").write(0, b"x").expect("a write");
        });
        assert!(t.injection_log().contains("INJECTED"));
        for (rule, errno, kind) in [
            ("memfd_create:error=EACCES", libc::EACCES, ErrorKind::PermissionDenied),
            ("memfd_create:error=ENOSYS", libc::ENOSYS, ErrorKind::Unsupported),
            ("memfd_create:error=EMFILE", libc::EMFILE, ErrorKind::Exhausted),
            ("fallocate:error=ENOSPC", libc::ENOSPC, ErrorKind::Exhausted),
            ("fallocate:error=ENOMEM", libc::ENOMEM, ErrorKind::Exhausted),
        ] {
            let error = t.inject(&[rule], || SharedMemory::new(4096).expect_err(rule));
            assert_eq!((error.kind(), error.os_error()), (kind, Some(errno)), "{rule}");
        }
        let memory = t.inject(&["fallocate:error=EINTR:when=1"], || SharedMemory::new(4096));
        assert!(memory.is_ok(), "an interrupted call is repeated");
    });
}
