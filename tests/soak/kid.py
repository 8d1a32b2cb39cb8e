"""A child of the zoo: sends back what comes, or counts under a lock in shared memory."""

import sys

import procs


def echo():
    """Until the other side closes."""
    channel = procs.parent_channel()
    while True:
        try:
            channel.send(channel.recv())
        except (EOFError, OSError):
            return


def count():
    """Raises both numbers by one under the lock, until it is killed; puts right what a killed holder left."""
    memory = procs.SharedMemory.from_fd(int(sys.argv[2]))
    lock, first, second = memory.mutex(0), memory.cell(256), memory.cell(264)
    while True:
        with lock:
            if lock.owner_died:
                second.store(first.load())
                lock.repair()
            first.fetch_add(1)
            second.fetch_add(1)


{"echo": echo, "count": count}[sys.argv[1]]()
