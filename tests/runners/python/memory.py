"""Shared memory in two processes."""

import os
import threading

import procs
from facts import flag, long, scenario, status, text
from peers import PATIENCE, again, kind, part

# Where a child finds the descriptor of the memory.
FD = 3


@scenario("memory-layout", own=True)
def layout():
    fields = procs.memory_layout()
    flag("fields", len(fields))
    long("layout", "".join(f"{name} {offset} {size}\n" for name, offset, size in fields).encode())


def child(name, memory):
    return procs.Popen(again(name), fds={FD: memory})


@scenario("memory-two-processes", own=True)
def two_processes():
    memory = procs.SharedMemory(4096)
    flag("size", memory.size)
    memory.write(0, b"to the child")
    child("memory-reverse", memory).wait()
    text("text", memory.read(100, 12))
    number = memory.cell(200)
    number.fetch_add(1)
    flag("number", number.load())


@scenario("memory-owner-killed", own=True)
def owner_killed():
    memory = procs.SharedMemory(4096)
    lock, event = memory.mutex(0, create=True), memory.event(256, create=True)
    owner = child("memory-own", memory)
    assert event.wait(PATIENCE)
    owner.kill()
    status(owner.wait())
    with lock:
        flag("owner_died", lock.owner_died)
        lock.repair()
    with lock:
        flag("owner_died", lock.owner_died)


@scenario("memory-semaphore-event", own=True)
def semaphore_event():
    memory = procs.SharedMemory(8192)
    semaphore = memory.semaphore(4096, 3, create=True)
    taken, go = memory.event(256, create=True), memory.event(512, create=True)
    taker = child("memory-take", memory)
    assert taken.wait(PATIENCE)
    flag("available", semaphore.available)
    go.set()
    status(taker.wait())
    flag("available", semaphore.available)
    flag("set", taken.is_set())
    taken.clear()
    flag("set", taken.is_set())


@scenario("memory-refused", own=True)
def refused():
    ours = procs.SharedMemory(4096, read_only=True)
    theirs = procs.SharedMemory.from_fd(ours.fileno())
    flag("read_only", theirs.read_only)
    kind(lambda: theirs.write(0, b"x"))
    kind(lambda: theirs.mutex(0, create=True))
    with open(os.devnull, "rb") as null:
        kind(lambda: procs.SharedMemory.from_fd(null.fileno()))
    kind(lambda: procs.SharedMemory(0))
    memory = procs.SharedMemory(4096)
    kind(lambda: memory.mutex(1, create=True))
    kind(lambda: memory.write(memory.size, b"x"))


# ---- what the children do ----


@part("memory-reverse")
def reverse():
    memory = procs.SharedMemory.from_fd(FD)
    memory.write(100, memory.read(0, 12)[::-1])
    memory.cell(200).store(7)


@part("memory-own")
def own():
    memory = procs.SharedMemory.from_fd(FD)
    with memory.mutex(0, create=False):
        memory.event(256, create=False).set()
        threading.Event().wait(3 * PATIENCE)


@part("memory-take")
def take():
    memory = procs.SharedMemory.from_fd(FD)
    semaphore = memory.semaphore(4096, create=False)
    semaphore.acquire()
    semaphore.acquire()
    memory.event(256, create=False).set()
    memory.event(512, create=False).wait(PATIENCE)
    semaphore.release(2)
