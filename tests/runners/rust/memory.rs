//! Shared memory: its layout, between processes, with a killed owner, and what is refused.

use crate::{Outcome, Row, Scene, put_status};
use procs::{Child, Error, ErrorKind, Result, SharedEvent, SharedMemory, SharedMutex, SharedSemaphore, Stdio, duplicate_fd};
use procs_tests::Facts;
use std::time::Duration;

pub(crate) const TABLE: &[Row] = &[
    ("memory-layout", layout),
    ("memory-two-processes", two_processes),
    ("memory-owner-killed", owner_killed),
    ("memory-semaphore-event", semaphore_event),
    ("memory-refused", refused),
];

/// Where a child finds the descriptor of the memory.
const FD: i32 = 3;
const PATIENCE: Duration = Duration::from_secs(20);

fn layout(_: &Scene, facts: &mut Facts) -> Outcome {
    let fields = procs::memory_layout();
    facts.flag("fields", fields.len());
    let text: String = fields.iter().map(|field| format!("{} {} {}\n", field.name, field.offset, field.size)).collect();
    facts.bytes("layout", text.as_bytes());
    Ok(())
}

/// The runner again, with the memory.
fn child(part: &str, memory: &SharedMemory) -> Result<Child> {
    let mut command = crate::again(part)?;
    command.fd(FD, Stdio::fd(memory.try_clone_fd()?)).spawn()
}

fn two_processes(_: &Scene, facts: &mut Facts) -> Outcome {
    let memory = SharedMemory::new(4096)?;
    facts.flag("size", memory.len());
    memory.write(0, b"to the child")?;
    child("memory-reverse", &memory)?.wait()?;
    facts.text("text", &memory.read(100, 12)?);
    let number = memory.cell_u64(200)?;
    number.fetch_add(1);
    facts.flag("number", number.load());
    Ok(())
}

fn owner_killed(_: &Scene, facts: &mut Facts) -> Outcome {
    let memory = SharedMemory::new(4096)?;
    let lock = SharedMutex::create(&memory, 0)?;
    let event = SharedEvent::create(&memory, 256)?;
    let mut owner = child("memory-own", &memory)?;
    event.wait_timeout(PATIENCE)?;
    owner.kill()?;
    put_status(facts, owner.wait()?);
    let guard = lock.lock()?;
    facts.flag("owner_died", guard.owner_died());
    guard.repair();
    drop(guard);
    facts.flag("owner_died", lock.lock()?.owner_died());
    Ok(())
}

fn semaphore_event(_: &Scene, facts: &mut Facts) -> Outcome {
    let memory = SharedMemory::new(8192)?;
    let semaphore = SharedSemaphore::create(&memory, 4096, 3)?;
    let (taken, go) = (SharedEvent::create(&memory, 256)?, SharedEvent::create(&memory, 512)?);
    let mut taker = child("memory-take", &memory)?;
    taken.wait_timeout(PATIENCE)?;
    facts.flag("available", semaphore.available()?);
    go.set();
    put_status(facts, taker.wait()?);
    facts.flag("available", semaphore.available()?);
    facts.flag("set", taken.is_set());
    taken.clear();
    facts.flag("set", taken.is_set());
    Ok(())
}

fn refused(_: &Scene, facts: &mut Facts) -> Outcome {
    let theirs = SharedMemory::from_fd(SharedMemory::options().read_only(true).create(4096)?.try_clone_fd()?)?;
    facts.flag("read_only", theirs.is_read_only());
    put_kind(facts, theirs.write(0, b"x"))?;
    put_kind(facts, SharedMutex::create(&theirs, 0))?;
    put_kind(facts, SharedMemory::from_fd(std::fs::File::open("/dev/null")?))?;
    put_kind(facts, SharedMemory::new(0))?;
    let memory = SharedMemory::new(4096)?;
    put_kind(facts, SharedMutex::create(&memory, 1))?;
    put_kind(facts, memory.write(memory.len(), b"x"))
}

/// The kind of an error that must come.
pub(crate) fn put_kind<T>(facts: &mut Facts, result: Result<T>) -> Outcome {
    let error = result.err().ok_or("succeeded")?;
    facts.line(format!("error kind={}", error.kind().name()));
    Ok(())
}

/// What the children do.
pub(crate) fn part(name: &str) -> Outcome {
    let memory = SharedMemory::from_fd(duplicate_fd(FD)?)?;
    match name {
        "memory-reverse" => {
            let mut text = memory.read(0, 12)?;
            text.reverse();
            memory.write(100, &text)?;
            memory.cell_u64(200)?.store(7);
        }
        "memory-own" => {
            let lock = SharedMutex::open(&memory, 0)?;
            let _guard = lock.lock()?;
            SharedEvent::open(&memory, 256)?.set();
            std::thread::sleep(PATIENCE * 3);
        }
        "memory-take" => {
            let semaphore = SharedSemaphore::open(&memory, 4096)?;
            let _permits = (semaphore.acquire()?, semaphore.acquire()?);
            SharedEvent::open(&memory, 256)?.set();
            SharedEvent::open(&memory, 512)?.wait_timeout(PATIENCE)?;
        }
        other => return Err(Error::new(ErrorKind::InvalidArgument, "scenario", format!("no part {other}")).into()),
    }
    Ok(())
}
