//! A counter that processes share under a lock, also when one of them is killed while it holds the lock.

use procs::{Child, Command, Error, Result, SharedMemory, SharedMutex, Stdio, duplicate_fd};
use std::env;
use std::time::Duration;

/// Where things are in the memory: the lock, then what it protects. The two numbers are equal whenever nobody is inside.
const LOCK: usize = 0;
const COUNT: usize = 128;
const COPY: usize = 136;
/// A number that the worker to be killed sets when it is inside.
const INSIDE: usize = 144;
/// Where a worker finds the descriptor of the memory.
const FD: i32 = 3;

fn main() -> Result<()> {
    match env::args().nth(1).as_deref() {
        Some("count") => count(),
        Some("die") => be_killed_inside(),
        _ => parent(),
    }
}

fn parent() -> Result<()> {
    let memory = SharedMemory::new(4096)?;
    let lock = SharedMutex::create(&memory, LOCK)?;
    let mut workers = (0..4).map(|_| start(&memory, "count")).collect::<Result<Vec<Child>>>()?;
    for worker in &mut workers {
        worker.wait()?;
    }
    println!("4 workers counted to {}", memory.load::<u64>(COUNT)?);

    let mut victim = start(&memory, "die")?;
    memory.cell_u32(INSIDE)?.wait(0, Duration::from_secs(20))?;
    victim.kill()?;
    println!("a worker was killed while it held the lock: {}", victim.wait()?);

    // Nobody waits for ever: the next one has the lock, and is told.
    let guard = lock.lock()?;
    let (count, copy): (u64, u64) = (memory.load(COUNT)?, memory.load(COPY)?);
    println!("the next one is told: owner died = {}, {count} and {copy} differ", guard.owner_died());
    memory.write(COUNT, &copy.to_le_bytes())?;
    guard.repair();
    drop(guard);

    drop(lock.lock()?);
    println!("repaired: {} and {}", memory.load::<u64>(COUNT)?, memory.load::<u64>(COPY)?);
    Ok(())
}

/// This program again, with the memory.
fn start(memory: &SharedMemory, part: &str) -> Result<Child> {
    let program = env::current_exe().map_err(|error| Error::from_io("example", &error, "where this program is"))?;
    Command::new(program).arg(part).fd(FD, Stdio::fd(memory.try_clone_fd()?)).spawn()
}

fn count() -> Result<()> {
    let memory = SharedMemory::from_fd(duplicate_fd(FD)?)?;
    let lock = SharedMutex::open(&memory, LOCK)?;
    for _ in 0..1000 {
        let _guard = lock.lock()?;
        for number in [COUNT, COPY] {
            memory.write(number, &(memory.load::<u64>(number)? + 1).to_le_bytes())?;
        }
    }
    Ok(())
}

fn be_killed_inside() -> Result<()> {
    let memory = SharedMemory::from_fd(duplicate_fd(FD)?)?;
    let lock = SharedMutex::open(&memory, LOCK)?;
    let _guard = lock.lock()?;
    memory.write(COUNT, &9999u64.to_le_bytes())?;
    let inside = memory.cell_u32(INSIDE)?;
    inside.store(1);
    inside.notify(1);
    // Half of the change is made; the kill comes now.
    inside.wait(1, Duration::from_secs(60))
}
