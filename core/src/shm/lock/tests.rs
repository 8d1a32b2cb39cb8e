//! Locks between the threads of one process, where nobody dies; death is tested with processes in `tests/rust/faults_memory.rs`.

use super::*;
use crate::error::ErrorKind;
use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Instant;

fn memory() -> SharedMemory {
    SharedMemory::new(32 << 10).unwrap()
}

struct Unpark(thread::Thread, AtomicUsize);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.unpark();
    }
}

/// Drives a future on this thread; gives its result and how often it was woken.
fn drive<T>(future: impl Future<Output = T>) -> (T, usize) {
    let unpark = Arc::new(Unpark(thread::current(), AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&unpark));
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (value, unpark.1.load(Ordering::SeqCst));
        }
        thread::park();
    }
}

fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn places_are_checked() {
    let memory = memory();
    for offset in [1, 32, 63, (32 << 10) - 64, 32 << 10, usize::MAX - 63] {
        assert_eq!(SharedMutex::create(&memory, offset).unwrap_err().kind(), ErrorKind::InvalidArgument, "offset {offset}");
    }
    assert_eq!(SharedMutex::open(&memory, 0).unwrap_err().kind(), ErrorKind::Protocol);
    SharedEvent::create(&memory, 0).unwrap();
    assert_eq!(SharedMutex::open(&memory, 0).unwrap_err().kind(), ErrorKind::Protocol);
    assert_eq!(SharedMutex::open_or_create(&memory, 0).unwrap_err().kind(), ErrorKind::Protocol);
    assert!(SharedEvent::open(&memory, 0).is_ok() && SharedEvent::open_or_create(&memory, 0).is_ok());
    let read_only = SharedMemory::options().read_only(true).create(4096).unwrap();
    let theirs = SharedMemory::from_fd(read_only.try_clone_fd().unwrap()).unwrap();
    assert_eq!(SharedMutex::create(&theirs, 0).unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn one_of_many_makes_the_lock() {
    let memory = memory();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let semaphore = SharedSemaphore::open_or_create(&memory, 0, 3).unwrap();
                drop(semaphore.acquire().unwrap());
            });
        }
    });
    assert_eq!(SharedSemaphore::open(&memory, 0).unwrap().available().unwrap(), 3);
}

#[test]
fn a_maker_that_died_is_followed() {
    let memory = memory();
    // Nobody has number 4194305: the largest is 4194304.
    memory.cell_u64(L_STARTER).unwrap().store(4_194_305);
    assert!(SharedMutex::open_or_create(&memory, 0).unwrap().try_lock().is_ok());
}

#[test]
fn counting_under_each_lock_loses_nothing() {
    let memory = memory();
    let mutex = SharedMutex::create(&memory, 0).unwrap();
    let rwlock = SharedRwLock::create(&memory, 4096).unwrap();
    let semaphore = SharedSemaphore::create(&memory, 8192, 1).unwrap();
    let add = |offset: usize| {
        let value: u64 = memory.load(offset).unwrap();
        memory.write(offset, &(value + 1).to_le_bytes()).unwrap();
    };
    const ROUNDS: u64 = 3000;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let guard = mutex.lock().unwrap();
                    add(2048);
                    drop(guard);
                    let guard = rwlock.write().unwrap();
                    add(2056);
                    drop(guard);
                    let permit = semaphore.acquire().unwrap();
                    add(2064);
                    drop(permit);
                }
            });
        }
    });
    for offset in [2048, 2056, 2064] {
        assert_eq!(memory.load::<u64>(offset).unwrap(), 4 * ROUNDS, "offset {offset}");
    }
}

#[test]
fn futures_wait_without_blocking() {
    let memory = memory();
    let mutex = SharedMutex::create(&memory, 0).unwrap();
    let semaphore = SharedSemaphore::create(&memory, 8192, 0).unwrap();
    let event = SharedEvent::create(&memory, 2048).unwrap();
    let once = SharedOnce::create(&memory, 2112).unwrap();
    let rwlock = SharedRwLock::create(&memory, 12288).unwrap();
    let held = mutex.lock().unwrap();
    let reading = rwlock.read().unwrap();
    let turn = once.begin().unwrap().unwrap();
    thread::scope(|scope| {
        let waiting = [
            scope.spawn(|| drop(drive(mutex.acquire_async(Some(LONG))).0.map(|_| mutex.release()).unwrap())),
            scope.spawn(|| drive(semaphore.acquire_async(Some(LONG))).0.unwrap().consume().unwrap()),
            scope.spawn(|| drive(event.wait_async(Some(LONG))).0.unwrap()),
            scope.spawn(|| assert!(drive(once.begin_async(Some(LONG))).0.unwrap().is_none())),
            scope.spawn(|| drop(drive(rwlock.write_async(Some(LONG))).0.unwrap())),
        ];
        let head = |head: &Head| head.waiters.load(Ordering::SeqCst) == 1;
        while !(head(&mutex.head) && head(&event.head)) {
            thread::yield_now();
        }
        drop(held);
        semaphore.release(1).unwrap();
        event.set();
        turn.done();
        drop(reading);
        for thread in waiting {
            thread.join().unwrap();
        }
    });
    assert_eq!(event.head.waiters.load(Ordering::SeqCst), 0);
    assert!(mutex.try_lock().is_ok() && rwlock.try_write().is_ok());
}

#[test]
fn deadlines_end_every_wait_and_leave_nothing() {
    let memory = memory();
    let mutex = SharedMutex::create(&memory, 0).unwrap();
    let semaphore = SharedSemaphore::create(&memory, 8192, 0).unwrap();
    let event = SharedEvent::create(&memory, 2048).unwrap();
    let once = SharedOnce::create(&memory, 2112).unwrap();
    let rwlock = SharedRwLock::create(&memory, 12288).unwrap();
    let barrier = SharedBarrier::create(&memory, 16384, 2).unwrap();
    let _reading = rwlock.read().unwrap();
    let _turn = once.begin().unwrap().unwrap();
    let _held = mutex.lock().unwrap();
    let late = |timeout: Duration, kind: ErrorKind| {
        assert_eq!(semaphore.acquire_timeout(timeout).unwrap_err().kind(), kind);
        assert_eq!(event.wait_timeout(timeout).unwrap_err().kind(), kind);
        assert_eq!(once.begin_timeout(timeout).unwrap_err().kind(), kind);
        assert_eq!(rwlock.write_timeout(timeout).unwrap_err().kind(), kind);
        assert_eq!(barrier.wait_timeout(timeout).unwrap_err().kind(), kind);
        thread::scope(|scope| scope.spawn(|| assert_eq!(mutex.lock_timeout(timeout).unwrap_err().kind(), kind)).join().unwrap());
    };
    late(Duration::ZERO, ErrorKind::WouldBlock);
    late(Duration::from_millis(25), ErrorKind::Timeout);
    let soon = Some(Duration::from_millis(5));
    assert_eq!(drive(semaphore.acquire_async(soon)).0.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(drive(barrier.wait_async(soon)).0.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(drive(rwlock.write_async(soon)).0.unwrap_err().kind(), ErrorKind::Timeout);
    // What was withdrawn keeps nobody out: neither an arrival nor a writer's wish.
    assert!(rwlock.try_read().is_ok());
    assert_eq!(barrier.wait_timeout(Duration::ZERO).unwrap_err().kind(), ErrorKind::WouldBlock);
    // A future that is dropped while it waits.
    let mut dropped = (barrier.wait_async(None), rwlock.write_async(None), semaphore.acquire_async(None));
    assert!(poll_once(&mut dropped.0).is_pending() && poll_once(&mut dropped.1).is_pending() && poll_once(&mut dropped.2).is_pending());
    drop(dropped);
    assert!(rwlock.try_read().is_ok());
    assert_eq!(barrier.wait_timeout(Duration::ZERO).unwrap_err().kind(), ErrorKind::WouldBlock);
    // What waited does not count as waiting any more.
    assert_eq!(memory.load::<u32>(8192 + L_WAITERS).unwrap(), 0);
}

/// A holder that lives costs no looks: neither that of a mutex nor those who have arrived at a barrier.
#[test]
fn futures_do_not_look_while_nothing_happens() {
    let memory = memory();
    let mutex = SharedMutex::create(&memory, 0).unwrap();
    let barrier = SharedBarrier::create(&memory, 16384, 2).unwrap();
    let held = mutex.lock().unwrap();
    let while_nothing = Some(Duration::from_millis(400));
    let told_of_threads = crate::sys::alive::Thread::current().pidfd().is_some();
    let waited = thread::scope(|scope| scope.spawn(|| drive(mutex.acquire_async(while_nothing))).join().unwrap());
    assert_eq!(waited.0.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(waited.1 < 10 || !told_of_threads, "woken {} times", waited.1);
    let waited = drive(barrier.wait_async(while_nothing));
    assert_eq!(waited.0.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(waited.1 < 10, "woken {} times", waited.1);
    drop(held);
}

/// A thread that ends with the lock, in a process that lives on. On a machine that stands still for a moment a single try may be late.
#[test]
fn a_future_is_told_of_the_end_of_a_thread() {
    let times: Vec<Duration> = (0..3).map(|_| told_of_the_end_of_a_thread()).collect();
    assert!(times.iter().any(|late| *late < LONG_SLICE / 2), "noticed after {times:?}");
}

fn told_of_the_end_of_a_thread() -> Duration {
    let memory = memory();
    let mutex = SharedMutex::create(&memory, 0).unwrap();
    let (hold, held) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let theirs = mutex.clone();
    let holder = thread::spawn(move || {
        std::mem::forget(theirs.lock().unwrap());
        hold.send(()).unwrap();
        let _ = ended.recv();
    });
    held.recv().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            assert!(drive(mutex.acquire_async(Some(LONG))).0.unwrap(), "the holder died");
            mutex.repair();
            mutex.release().unwrap();
            Instant::now()
        });
        // The first looks are early; then it watches.
        let watching = Deadline::after(5 * SLICE);
        while !watching.passed() {
            thread::yield_now();
        }
        drop(end);
        holder.join().unwrap();
        let ended = Instant::now();
        waiting.join().unwrap().saturating_duration_since(ended)
    })
}

#[test]
fn more_waits_than_the_kernel_takes_at_once() {
    let memory = SharedMemory::new(64 << 10).unwrap();
    let events: Vec<SharedEvent> = (0..300).map(|index| SharedEvent::create(&memory, index * 64).unwrap()).collect();
    let mut futures: Vec<LockFuture<()>> = events.iter().map(|event| event.wait_async(Some(LONG))).collect();
    for future in &mut futures {
        assert!(poll_once(future).is_pending());
    }
    events.iter().for_each(SharedEvent::set);
    for future in futures {
        drive(future).0.unwrap();
    }
}

#[test]
fn a_barrier_turns_many_rounds() {
    let memory = memory();
    let barrier = SharedBarrier::create(&memory, 0, 3).unwrap();
    let rounds = memory.cell_u32(8192).unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 0..500 {
                    if barrier.wait_timeout(LONG).unwrap() {
                        assert_eq!(rounds.fetch_add(1), round);
                    }
                }
            });
        }
    });
    assert_eq!(rounds.load(), 500);
}

/// The table of holders as if other processes had filled it.
#[test]
fn a_full_table_waits_and_the_dead_make_room() {
    let memory = memory();
    let semaphore = SharedSemaphore::create(&memory, 0, 1000).unwrap();
    let count = u32::try_from(holders::HOLDERS).unwrap();
    let fill = |owner: u64| {
        for index in 0..holders::HOLDERS {
            let at = holders::G_HOLDERS + index * 16;
            memory.write(at, &[owner.to_le_bytes(), (1u64 | 7 << 32).to_le_bytes()].concat()).unwrap();
        }
        memory.cell_u32(holders::G_USED).unwrap().store(count);
    };
    fill(Owner::current().0);
    assert_eq!(semaphore.try_acquire().unwrap_err().kind(), ErrorKind::WouldBlock);
    memory.write(holders::G_HOLDERS + 100 * 16 + 8, &0u32.to_le_bytes()).unwrap();
    drop(semaphore.try_acquire().unwrap());
    assert_eq!(memory.load::<u32>(holders::G_USED).unwrap(), count);
    // Nobody has number 4194305: the largest is 4194304.
    fill(4_194_305);
    let permit = semaphore.try_acquire().unwrap();
    assert_eq!(memory.load::<u32>(holders::G_USED).unwrap(), 1);
    drop(permit);
    assert_eq!((memory.load::<u32>(holders::G_USED).unwrap(), semaphore.available().unwrap()), (0, 1000));
}

#[test]
fn a_failed_turn_goes_to_the_next() {
    let memory = memory();
    let once = SharedOnce::create(&memory, 0).unwrap();
    let failed = once.call_once(|| Err(Error::invalid("test", "no")));
    assert!(failed.is_err() && !once.is_done());
    drop(once.begin().unwrap().unwrap());
    once.call_once(|| Ok(())).unwrap();
    assert!(once.is_done() && once.begin().unwrap().is_none());
}

#[test]
fn an_event_wakes_also_those_who_sleep_through_its_clearing() {
    let memory = memory();
    let event = SharedEvent::create(&memory, 0).unwrap();
    for _ in 0..200 {
        thread::scope(|scope| {
            let waiting = scope.spawn(|| event.wait_timeout(LONG));
            while event.head.waiters.load(Ordering::SeqCst) == 0 && !waiting.is_finished() {
                thread::yield_now();
            }
            event.set();
            event.clear();
            waiting.join().unwrap().unwrap();
        });
    }
}
