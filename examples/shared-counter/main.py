"""A counter that processes share under a lock, also when one of them is killed while it holds the lock."""

import sys
import threading

import procs

# Where things are in the memory: the lock, then what it protects. The two numbers are equal whenever nobody is inside.
LOCK, COUNT, COPY, INSIDE = 0, 128, 136, 192
# Where a worker finds the descriptor of the memory.
FD = 3


def parent() -> None:
    memory = procs.SharedMemory(4096)
    lock = memory.mutex(LOCK, create=True)
    inside = memory.event(INSIDE, create=True)
    for worker in [start(memory, "count") for _ in range(4)]:
        worker.wait()
    print(f"4 workers counted to {memory.cell(COUNT).value}")

    victim = start(memory, "die")
    inside.wait(20)
    victim.kill()
    print(f"a worker was killed while it held the lock: signal {-victim.wait()} (SIGKILL)")

    # Nobody waits for ever: the next one has the lock, and is told.
    with lock:
        count, copy = memory.cell(COUNT), memory.cell(COPY)
        print(f"the next one is told: owner died = {str(lock.owner_died).lower()}, {count.value} and {copy.value} differ")
        count.value = copy.value
        lock.repair()

    with lock:
        print(f"repaired: {count.value} and {copy.value}")


def start(memory: procs.SharedMemory, part: str) -> procs.Popen[bytes]:
    """This program again, with the memory."""
    return procs.Popen([sys.executable, __file__, part], fds={FD: memory})


def worker(part: str) -> None:
    memory = procs.SharedMemory.from_fd(FD)
    lock = memory.mutex(LOCK, create=False)
    if part == "die":
        with lock:
            memory.cell(COUNT).value = 9999
            memory.event(INSIDE, create=False).set()
            # Half of the change is made; the kill comes now.
            threading.Event().wait(60)
    for _ in range(1000):
        with lock:
            memory.cell(COUNT).value += 1
            memory.cell(COPY).value += 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        worker(sys.argv[1])
    else:
        parent()
