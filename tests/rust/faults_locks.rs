//! Fault rows E08 and E09, and those of E05 that concern locks: whoever holds something is killed.

use procs::{
    Child, Command, Counters, ErrorKind, SharedBarrier, SharedEvent, SharedMemory, SharedMutex, SharedOnce, SharedRwLock, SharedSemaphore, Stdio,
    duplicate_fd,
};
use procs_tests::{Isolation, Random, Stalls, Test, block_on, count, isolated_in};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Where a child of these tests finds its memory.
const FD: i32 = 3;
/// A number that the child sets when it has what it wants.
const SAID: usize = 0;
const MUTEX: usize = 1024;
const ONCE: usize = 2048;
const EVENT: usize = 2112;
const COUNTERS: usize = 3072;
const RWLOCK: usize = 4096;
const SEMAPHORE: usize = 8192;
const BARRIER: usize = 12288;
const LEN: usize = 16384;

/// Longer than any wake-up, shorter than a watchdog.
const LONG: Duration = Duration::from_secs(20);

fn start(role: &str, fd: OwnedFd, arguments: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", role, "--ignored", "--nocapture"]).env("SHM_ROLE", arguments).stdout(Stdio::null());
    command.fd(FD, Stdio::fd(fd)).spawn().expect("a start")
}

fn memory() -> SharedMemory {
    let memory = SharedMemory::new(LEN).expect("memory");
    SharedMutex::create(&memory, MUTEX).expect("a mutex");
    SharedRwLock::create(&memory, RWLOCK).expect("a rwlock");
    SharedSemaphore::create(&memory, SEMAPHORE, 1).expect("a semaphore");
    SharedBarrier::create(&memory, BARRIER, 2).expect("a barrier");
    SharedOnce::create(&memory, ONCE).expect("a once");
    SharedEvent::create(&memory, EVENT).expect("an event");
    Counters::create(&memory, COUNTERS, 8).expect("counters");
    memory
}

/// Takes what it is told to take, says so and stays until it is killed.
#[test]
#[ignore = "a child that another test starts"]
fn e08_holder() {
    let Ok(what) = std::env::var("SHM_ROLE") else { return };
    let memory = SharedMemory::from_fd(duplicate_fd(FD).expect("the descriptor")).expect("the memory");
    let say = || {
        let said = memory.cell_u32(SAID).expect("a cell");
        said.store(1);
        said.notify(usize::MAX);
        std::thread::park_timeout(LONG * 3);
    };
    match what.as_str() {
        "mutex" => {
            let guard = SharedMutex::open(&memory, MUTEX).expect("the mutex").lock_timeout(LONG).expect("the lock");
            if guard.owner_died() {
                guard.repair();
            }
            say();
        }
        "write" => {
            let guard = SharedRwLock::open(&memory, RWLOCK).expect("the rwlock").write_timeout(LONG).expect("the lock");
            guard.repair();
            say();
        }
        "read" => {
            let _guard = SharedRwLock::open(&memory, RWLOCK).expect("the rwlock").read_timeout(LONG).expect("the lock");
            say();
        }
        "semaphore" => {
            let _permit = SharedSemaphore::open(&memory, SEMAPHORE).expect("the semaphore").acquire_timeout(LONG).expect("a permit");
            say();
        }
        "once" => {
            let _turn = SharedOnce::open(&memory, ONCE).expect("the once").begin_timeout(LONG).expect("a turn");
            say();
        }
        "barrier" => {
            let barrier = SharedBarrier::open(&memory, BARRIER).expect("the barrier");
            let mut arrived = barrier.wait_async(None);
            let pending = std::pin::Pin::new(&mut arrived).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending();
            assert!(pending, "nobody else is there");
            say();
        }
        other => panic!("no such role: {other}"),
    }
}

use std::future::Future;

/// Starts a holder, waits until it holds, kills it, and calls `next`, which must get what it wants within `LONG`; gives the longest it took.
fn kill_holders(t: &Test, what: &str, rounds: usize, mut next: impl FnMut(&SharedMemory)) -> Duration {
    let memory = memory();
    let said = memory.cell_u32(SAID).expect("a cell");
    let mut longest = Duration::ZERO;
    let stalls = Stalls::watch();
    for round in 0..rounds {
        said.store(0);
        let mut holder = start("e08_holder", memory.try_clone_fd().expect("a descriptor"), what);
        t.wait_until("the holder holds", || said.load() == 1 || holder.try_wait().expect("a look").is_some());
        assert_eq!(said.load(), 1, "{what}, round {round}: the holder got nothing");
        holder.kill().expect("a kill");
        let killed = Instant::now();
        next(&memory);
        let late = killed.elapsed();
        longest = longest.max(late);
        stalls.note(&format!("{what}, round {round}"), late);
        holder.wait().expect("an end");
    }
    longest
}

fn killing(name: &str, body: impl FnOnce(&Test)) {
    isolated_in(name, &Isolation::new().watchdog(240), body);
}

#[test]
fn e08_a_killed_holder_of_a_mutex_is_noticed() {
    killing("e08_a_killed_holder_of_a_mutex_is_noticed", |t| {
        let longest = kill_holders(t, "mutex", count(500), |memory| {
            let guard = SharedMutex::open(memory, MUTEX).expect("the mutex").lock_timeout(LONG).expect("the lock");
            assert!(guard.owner_died(), "the death was not told");
            guard.repair();
        });
        println!("longest wait after a kill: {longest:?}");
    });
}

#[test]
fn e08_a_killed_writer_and_a_killed_reader_are_noticed() {
    killing("e08_a_killed_writer_and_a_killed_reader_are_noticed", |t| {
        kill_holders(t, "write", count(200), |memory| {
            let lock = SharedRwLock::open(memory, RWLOCK).expect("the rwlock");
            // Whoever reads first is told, and gets nothing.
            assert_eq!(lock.read_timeout(LONG).expect_err("a reader of half-written bytes").kind(), ErrorKind::OwnerDied);
            let guard = lock.write_timeout(LONG).expect("the lock");
            assert!(guard.owner_died());
            guard.repair();
            drop(guard);
            drop(lock.read_timeout(LONG).expect("a whole state"));
        });
        kill_holders(t, "read", count(200), |memory| {
            let guard = SharedRwLock::open(memory, RWLOCK).expect("the rwlock").write_timeout(LONG).expect("the lock");
            assert!(!guard.owner_died(), "a reader breaks nothing");
        });
    });
}

#[test]
fn e08_a_killed_holder_of_a_permit_gives_it_back() {
    killing("e08_a_killed_holder_of_a_permit_gives_it_back", |t| {
        kill_holders(t, "semaphore", count(200), |memory| {
            let semaphore = SharedSemaphore::open(memory, SEMAPHORE).expect("the semaphore");
            drop(semaphore.acquire_timeout(LONG).expect("the dead one's permit"));
            assert_eq!(semaphore.available().expect("a count"), 1);
        });
    });
}

#[test]
fn e08_a_killed_turn_goes_to_the_next() {
    killing("e08_a_killed_turn_goes_to_the_next", |t| {
        kill_holders(t, "once", count(200), |memory| {
            let once = SharedOnce::open(memory, ONCE).expect("the once");
            let turn = once.begin_timeout(LONG).expect("no wait for ever").expect("a turn");
            assert!(turn.owner_died());
        });
    });
}

#[test]
fn e08_a_killed_arrival_breaks_its_round_only() {
    killing("e08_a_killed_arrival_breaks_its_round_only", |t| {
        let memory = memory();
        let barrier = SharedBarrier::create(&memory, BARRIER, 3).expect("a barrier");
        let said = memory.cell_u32(SAID).expect("a cell");
        for _ in 0..count(100) {
            said.store(0);
            let mut holder = start("e08_holder", memory.try_clone_fd().expect("a descriptor"), "barrier");
            t.wait_until("it arrived", || said.load() == 1);
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| barrier.wait_timeout(LONG));
                holder.kill().expect("a kill");
                let error = waiting.join().expect("no panic").expect_err("a round without one");
                assert_eq!(error.kind(), ErrorKind::OwnerDied);
            });
            holder.wait().expect("an end");
            let turned: Vec<bool> = std::thread::scope(|scope| {
                let all: Vec<_> = (0..3).map(|_| scope.spawn(|| barrier.wait_timeout(LONG).expect("a whole round"))).collect();
                all.into_iter().map(|one| one.join().expect("no panic")).collect()
            });
            assert_eq!(turned.iter().filter(|leader| **leader).count(), 1);
        }
    });
}

#[test]
fn e08_who_comes_last_is_told_of_an_arrival_that_died_alone() {
    killing("e08_who_comes_last_is_told_of_an_arrival_that_died_alone", |t| {
        let memory = memory();
        let (barrier, said) = (SharedBarrier::create(&memory, BARRIER, 2).expect("a barrier"), memory.cell_u32(SAID).expect("a cell"));
        for _ in 0..count(20) {
            said.store(0);
            let mut holder = start("e08_holder", memory.try_clone_fd().expect("a descriptor"), "barrier");
            t.wait_until("it arrived", || said.load() == 1);
            holder.kill().expect("a kill");
            holder.wait().expect("an end");
            let error = barrier.wait_timeout(LONG).expect_err("a round of one");
            assert_eq!(error.kind(), ErrorKind::OwnerDied);
            let leaders = std::thread::scope(|scope| {
                let other = scope.spawn(|| barrier.wait_timeout(LONG).expect("a whole round"));
                [barrier.wait_timeout(LONG).expect("a whole round"), other.join().expect("no panic")]
            });
            assert_eq!(leaders.iter().filter(|leader| **leader).count(), 1);
        }
    });
}

/// How often this thread has slept.
fn sleeps() -> i64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_THREAD).expect("the usage of this thread").voluntary_context_switches()
}

/// Whether the kernel tells of the end of a thread (since 6.9); the holder of a mutex is one.
fn threads_are_told_of() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's release");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(9))
}

#[test]
fn e08_who_waits_long_is_told_of_a_death_without_looking() {
    type Take = fn(&SharedMemory);
    let ways: [(&str, Take); 7] = [
        ("mutex", |memory| {
            let guard = block_on(SharedMutex::open(memory, MUTEX).expect("the mutex").lock_async(Some(LONG))).expect("the lock");
            assert!(guard.owner_died());
            guard.repair();
        }),
        ("barrier", |memory| {
            let broken = SharedBarrier::open(memory, BARRIER).expect("the barrier").wait_timeout(LONG).expect_err("a round without one");
            assert_eq!(broken.kind(), ErrorKind::OwnerDied);
        }),
        ("barrier", |memory| {
            let barrier = SharedBarrier::open(memory, BARRIER).expect("the barrier");
            assert_eq!(block_on(barrier.wait_async(Some(LONG))).expect_err("a round without one").kind(), ErrorKind::OwnerDied);
        }),
        ("write", |memory| {
            let guard = SharedRwLock::open(memory, RWLOCK).expect("the rwlock").write_timeout(LONG).expect("the lock");
            assert!(guard.owner_died());
            guard.repair();
        }),
        ("read", |memory| drop(SharedRwLock::open(memory, RWLOCK).expect("the rwlock").write_timeout(LONG).expect("the lock"))),
        ("semaphore", |memory| drop(SharedSemaphore::open(memory, SEMAPHORE).expect("the semaphore").acquire_timeout(LONG).expect("a permit"))),
        ("once", |memory| {
            let turn = SharedOnce::open(memory, ONCE).expect("the once").begin_timeout(LONG).expect("no wait for ever").expect("a turn");
            assert!(turn.owner_died());
        }),
    ];
    killing("e08_who_waits_long_is_told_of_a_death_without_looking", |t| {
        let stalls = Stalls::watch();
        for (what, take) in ways {
            let mut times = Vec::new();
            // A machine that stops one thread for a while makes a single try late.
            while !times.last().is_some_and(|late| stalls.is_prompt(*late)) {
                assert!(times.len() < 3, "{what}: noticed after {times:?}");
                times.push(told_after(t, what, take));
            }
        }
    });
}

/// How long after the death of the holder of `what` somebody is told who has waited for half a second.
fn told_after(t: &Test, what: &str, take: fn(&SharedMemory)) -> Duration {
    let memory = memory();
    SharedBarrier::create(&memory, BARRIER, 3).expect("a barrier");
    let said = memory.cell_u32(SAID).expect("a cell");
    let mut holder = start("e08_holder", memory.try_clone_fd().expect("a descriptor"), what);
    t.wait_until("the holder holds", || said.load() == 1);
    let began = Instant::now();
    let late = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let before = sleeps();
            take(&memory);
            (sleeps() - before, Instant::now())
        });
        t.wait_until("half a second has passed", || began.elapsed() > Duration::from_millis(500));
        holder.kill().expect("a kill");
        let killed = Instant::now();
        let (sleeps, got) = waiting.join().expect("no panic");
        let waited = got.saturating_duration_since(began).as_millis() as i64;
        // By looking every 10 ms it would be 50 in half a second.
        assert!(sleeps < 20 + waited / 50 || what == "mutex" && !threads_are_told_of(), "{what}: woke up {sleeps} times in {waited} ms");
        got.saturating_duration_since(killed)
    });
    holder.wait().expect("an end");
    late
}

#[test]
fn e08_who_waits_at_a_barrier_is_told_of_the_death_of_a_later_one() {
    killing("e08_who_waits_at_a_barrier_is_told_of_the_death_of_a_later_one", |t| {
        let memory = memory();
        let barrier = SharedBarrier::create(&memory, BARRIER, 3).expect("a barrier");
        let said = memory.cell_u32(SAID).expect("a cell");
        let stalls = Stalls::watch();
        for _ in 0..count(50) {
            said.store(0);
            let began = Instant::now();
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| (barrier.wait_timeout(LONG), Instant::now()));
                t.wait_until("it has begun to watch", || began.elapsed() > Duration::from_millis(50));
                let mut holder = start("e08_holder", memory.try_clone_fd().expect("a descriptor"), "barrier");
                t.wait_until("the other has arrived", || said.load() == 1);
                holder.kill().expect("a kill");
                let killed = Instant::now();
                let (error, got) = waiting.join().expect("no panic");
                assert_eq!(error.expect_err("a round without one").kind(), ErrorKind::OwnerDied);
                stalls.note("the death of a later one", got.saturating_duration_since(killed));
                holder.wait().expect("an end");
            });
        }
    });
}

#[test]
fn e09_what_is_not_repaired_is_lost_for_everybody() {
    killing("e09_what_is_not_repaired_is_lost_for_everybody", |t| {
        for what in ["mutex", "write"] {
            let mut lost = None;
            kill_holders(t, what, 1, |memory| {
                let (mutex, rwlock) = (SharedMutex::open(memory, MUTEX).expect("a mutex"), SharedRwLock::open(memory, RWLOCK).expect("a rwlock"));
                if what == "mutex" {
                    drop(mutex.lock_timeout(LONG).expect("the lock, to look at the damage"));
                    lost = mutex.lock_timeout(LONG).err();
                    assert!(mutex.try_lock().is_err());
                    drop(SharedMutex::create(memory, MUTEX).expect("a new one").lock().expect("a free lock"));
                } else {
                    drop(rwlock.write_timeout(LONG).expect("the lock, to look at the damage"));
                    lost = rwlock.write_timeout(LONG).err();
                    assert_eq!(rwlock.read_timeout(LONG).expect_err("a reader").kind(), ErrorKind::OwnerDied);
                }
            });
            assert_eq!(lost.expect("nobody gets it").kind(), ErrorKind::OwnerDied, "{what}");
        }
    });
}

/// Uses every lock at random until it is killed.
#[test]
#[ignore = "a child that another test starts"]
fn e08_user() {
    let Ok(seed) = std::env::var("SHM_ROLE") else { return };
    let memory = SharedMemory::from_fd(duplicate_fd(FD).expect("the descriptor")).expect("the memory");
    let mutex = SharedMutex::open(&memory, MUTEX).expect("the mutex");
    let rwlock = SharedRwLock::open(&memory, RWLOCK).expect("the rwlock");
    let semaphore = SharedSemaphore::open(&memory, SEMAPHORE).expect("the semaphore");
    let table = Counters::open(&memory, COUNTERS).expect("the counters");
    let mut number: u64 = seed.parse().expect("a number");
    loop {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        match number >> 61 {
            0 | 1 => {
                if let Ok(guard) = mutex.lock_timeout(LONG) {
                    guard.repair();
                    drop(guard);
                }
            }
            2 => drop(rwlock.read_timeout(Duration::from_millis(20))),
            3 => {
                if let Ok(guard) = rwlock.write_timeout(LONG) {
                    guard.repair();
                    drop(guard);
                }
            }
            4 | 5 => drop(semaphore.acquire_timeout(LONG)),
            6 => drop(table.counter(["one", "two", "three"][(number >> 50) as usize % 3]).expect("a counter").add(1)),
            _ => drop(SharedEvent::open_or_create(&memory, EVENT).map(|event| event.set())),
        }
    }
}

/// Kills at any point, inside the locks' own book-keeping too: the state stays usable for whoever comes next.
#[test]
fn e08_a_kill_at_any_point_leaves_usable_locks() {
    killing("e08_a_kill_at_any_point_leaves_usable_locks", |_| {
        let memory = memory();
        let mut random = Random::from_env("e08");
        for round in 0..count(1000) {
            let mut users: Vec<Child> =
                (0..3).map(|_| start("e08_user", memory.try_clone_fd().expect("a descriptor"), &random.next_number().to_string())).collect();
            std::thread::park_timeout(Duration::from_micros(random.below(20_000)));
            for user in &mut users {
                user.kill().expect("a kill");
            }
            for user in &mut users {
                let status = user.wait().expect("an end");
                assert_eq!(status.signal(), Some(9), "round {round}: {status}");
            }
            let guard = SharedMutex::open(&memory, MUTEX).expect("the mutex").lock_timeout(LONG).expect("the mutex");
            guard.repair();
            drop(guard);
            let rwlock = SharedRwLock::open(&memory, RWLOCK).expect("the rwlock");
            let guard = rwlock.write_timeout(LONG).expect("the rwlock");
            guard.repair();
            drop(guard);
            drop(rwlock.try_read().expect("a reader"));
            let semaphore = SharedSemaphore::open(&memory, SEMAPHORE).expect("the semaphore");
            assert_eq!(semaphore.available().expect("a count"), 1, "round {round}: permits");
            let names = Counters::open(&memory, COUNTERS).expect("the counters").list().expect("a list");
            assert!(names.len() <= 3, "round {round}: {names:?}");
        }
    });
}
