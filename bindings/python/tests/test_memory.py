"""Shared memory: buffers, numbers and locks, between this process and children."""

import asyncio
import gc
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import weakref

import pytest

import procs
from procs import aio


def child(code, memory, *args):
    """A Python child that has `memory` open as `m`."""
    text = f"import procs, sys, os, signal, time\nm = procs.SharedMemory.from_fd({memory.fileno()})\n{code}"
    return subprocess.Popen([sys.executable, "-c", text, *args], pass_fds=[memory.fileno()], stdout=subprocess.PIPE, stdin=subprocess.PIPE)


def test_a_child_sees_what_is_written_and_writes_back():
    with procs.SharedMemory(4096) as memory:
        assert memory.read() == bytes(4096)
        memory.buf[:5] = b"hello"
        with child("m.write(8, m.read(0, 5).upper())", memory) as process:
            assert process.wait(60) == 0
        assert memory.read(8, 5) == b"HELLO"


def test_buffer_protocol_in_all_directions():
    memory = procs.SharedMemory(64)
    with memoryview(memory) as view:
        assert (len(view), view.readonly, view.format) == (64, False, "B")
        struct.pack_into("<d", view, 8, 1.5)
    assert struct.unpack_from("<d", memory, 8) == (1.5,)
    memory.write(16, memoryview(b"abcdef")[::2])
    assert memory.read(16, 3) == b"ace"
    memory.write(32, bytearray(b"xy"))
    memory.fill(34, 2, 7)
    assert memory.read(32, 4) == b"xy\x07\x07"
    memory.close()


def test_numpy_uses_the_memory_itself(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # else it keeps a thread
    numpy = pytest.importorskip("numpy", reason="numpy is not there")
    memory = procs.SharedMemory(8 * 100)
    array = numpy.frombuffer(memory, dtype="f8")
    array[:] = numpy.arange(100)
    assert struct.unpack_from("<d", memory, 8 * 99) == (99.0,)
    del array
    memory.close()


def test_views_outlive_close_in_any_order():
    for _ in range(200):
        memory = procs.SharedMemory(8192)
        views = [memory.buf, memory.buf[100:200], memoryview(memory)]
        memory.close()
        views[1][0] = 9
        assert views[0][100] == 9
        del memory
        gc.collect(0)
        views.pop(0)
        assert views[1][100] == 9


def test_the_object_can_be_collected_and_referred_to_weakly():
    memory = procs.SharedMemory(64)
    weak = weakref.ref(memory)
    view = memory.buf
    del memory
    assert weak() is not None, "a view keeps it"
    del view
    assert weak() is None


def test_read_only_memory_cannot_be_written_by_others():
    memory = procs.SharedMemory(100, read_only=True)
    memory.write(0, b"mine")
    other = procs.SharedMemory.from_fd(memory.fileno())
    assert other.buf.readonly and other.read(0, 4) == b"mine" and not other.writable
    with pytest.raises(PermissionError):
        other.write(0, b"x")
    with pytest.raises(PermissionError):
        other.cell(8)


def test_bad_input_is_refused_by_name(tmp_path):
    memory = procs.SharedMemory(100)
    refused = [
        lambda: procs.SharedMemory(0), lambda: memory.read(90, 20), lambda: memory.write(99, b"xx"), lambda: memory.cell(3),
        lambda: memory.cell(8, "f64"), lambda: memory.mutex(4), lambda: memory.fill(0, 101),
    ]
    for call in refused:
        with pytest.raises(ValueError):
            call()
    for call in (lambda: procs.SharedMemory("1"), lambda: memory.write(0, "text"), lambda: procs.SharedMemory(10, 1), lambda: memory.read(None)):
        with pytest.raises(TypeError):
            call()
    for call in (lambda: procs.SharedMemory(-1), lambda: memory.cell(8).store(-1), lambda: procs.SharedMemory(2**70)):
        with pytest.raises(OverflowError):
            call()
    with pytest.raises(OSError):
        procs.SharedMemory(2**62)
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(memory)
    file = tmp_path / "file"
    file.write_bytes(bytes(8192))
    with file.open("r+b") as opened, pytest.raises(PermissionError):
        procs.SharedMemory.from_fd(opened.fileno())
    with pytest.raises(OSError):
        procs.SharedMemory.from_fd(987)
    memory.close()
    with pytest.raises(procs.InvalidStateError):
        memory.read()
    memory.close()


def test_numbers_are_changed_by_all_at_once():
    memory = procs.SharedMemory(64)
    code = "c = m.cell(0)\nfor _ in range(20000): c.fetch_add()"
    children = [child(code, memory) for _ in range(3)]
    for process in children:
        with process:
            assert process.wait(60) == 0
    cell = memory.cell(0)
    assert cell.value == 60000
    assert cell.compare_exchange(60000, 5) and not cell.compare_exchange(60000, 6)
    cell.value -= 1
    assert (cell.swap(9), cell.load()) == (4, 9)
    signed = memory.cell(8, "i32")
    signed.store(-3)
    assert signed.fetch_sub(2) == -3 and signed.value == -5


def test_a_mutex_tells_that_its_holder_was_killed():
    memory = procs.SharedMemory(4096)
    mutex = memory.mutex(0)
    for _ in range(20):
        with child("m.mutex(0).acquire()\nprint(flush=True)\nsys.stdin.read()", memory) as process:
            process.stdout.readline()
            assert not mutex.acquire(timeout=0)
            process.send_signal(signal.SIGKILL)
            process.wait(60)
        with mutex:
            assert mutex.owner_died
            mutex.repair()
        with mutex:
            assert not mutex.owner_died


def test_an_unrepaired_mutex_is_poisoned():
    memory = procs.SharedMemory(4096)
    with child("m.mutex(0).acquire()\nos.kill(os.getpid(), 9)", memory) as process:
        process.wait(60)
    mutex = memory.mutex(0)
    with mutex:
        assert mutex.owner_died
    with pytest.raises(procs.OwnerDiedError):
        mutex.acquire()


def test_waits_have_deadlines_and_let_signal_handlers_run():
    memory = procs.SharedMemory(16384)
    event, semaphore = memory.event(0), memory.semaphore(4096, 0)
    assert not event.wait(0.01) and not semaphore.acquire(timeout=0.01)

    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    try:
        for wait in (event.wait, semaphore.acquire, memory.barrier(8192, 2).wait, memory.once(512).begin):
            if wait.__name__ == "begin":
                assert wait()  # ours now; another thread would have to wait
                continue
            with pytest.raises(Stop):
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_event_semaphore_barrier_rwlock_and_once_between_processes():
    memory = procs.SharedMemory(32768)
    event, permits, barrier = memory.event(0), memory.semaphore(4096, 0), memory.barrier(8192, 2)
    code = (
        "m.event(0).wait()\n"
        "m.semaphore(4096).release(3)\n"
        "m.barrier(8192).wait()\n"
        "lock = m.rwlock(12288)\nlock.acquire_write(); m.write(30000, b'done'); lock.release_write()\n"
        "m.once(24576).call_once(lambda: m.cell(30008).fetch_add())"
    )
    with child(code, memory) as process:
        event.set()
        assert event.is_set()
        for _ in range(3):
            assert permits.acquire(timeout=60)
        barrier.wait(60)
        assert process.wait(60) == 0
    lock = memory.rwlock(12288)
    assert lock.acquire_read() and lock.acquire_read() and not lock.acquire_write(timeout=0)
    lock.release_read()
    lock.release_read()
    assert memory.read(30000, 4) == b"done"
    once = memory.once(24576)
    assert once.done
    once.call_once(lambda: memory.cell(30008).fetch_add())
    assert memory.cell(30008).value == 1


def test_counters_and_histogram():
    memory = procs.SharedMemory(65536)
    table = memory.counters(0, 10)
    with child("m.counters(0).counter('hits').add(5)\nfor v in range(1, 101): m.histogram(32768).record(v)", memory) as process:
        assert process.wait(60) == 0
    table.counter("hits").add()
    assert table.values() == {"hits": 6} and table.capacity == 10
    histogram = memory.histogram(32768)
    assert (histogram.count, histogram.min, histogram.max, histogram.sum) == (100, 1, 100, 5050)
    assert 50 <= histogram.quantile(0.5) <= 56


def test_an_event_loop_waits_without_blocking():
    memory = procs.SharedMemory(16384)
    event, mutex, permits, lock = memory.event(0), memory.mutex(256), memory.semaphore(8192, 0), memory.rwlock(4096)

    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticker = asyncio.create_task(tick())
        with child("sys.stdin.read(1)\nm.event(0).set()\nm.semaphore(8192).release()", memory) as process:
            waiting = asyncio.gather(aio.wait(event), aio.wait(permits))
            while ticks < 5:
                await asyncio.sleep(0.01)
            process.stdin.write(b"x")
            process.stdin.flush()
            assert await asyncio.wait_for(waiting, 60) == [True, True]
        assert await aio.wait(mutex)
        mutex.release()
        assert await aio.wait(lock, how="write")
        lock.release_write()
        with pytest.raises(TimeoutError):
            await aio.wait(permits, 0.05)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aio.wait(permits), 0.05)
        with pytest.raises(TypeError):
            await aio.wait(7)
        ticker.cancel()

    asyncio.run(main())


def test_threads_wait_for_one_another():
    memory = procs.SharedMemory(4096)
    mutex, value = memory.mutex(0), memory.cell(1024)

    def work():
        for _ in range(300):
            with mutex:
                value.store(value.load() + 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value.value == 1200
    with pytest.raises(procs.InvalidStateError):
        mutex.release()


def test_the_layout_is_told():
    layout = {name: (offset, size) for name, offset, size in procs.memory_layout()}
    assert layout["header.magic"] == (0, 8) and layout["header.version"][1] == 4


def test_fork_shares_and_does_not_break():
    memory = procs.SharedMemory(4096)
    mutex = memory.mutex(0)
    pid = os.fork()
    if pid == 0:
        try:
            with mutex:
                memory.cell(1024).fetch_add(2)
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    with mutex:
        assert not mutex.owner_died
    assert memory.cell(1024).value == 2


def test_what_is_taken_at_the_moment_of_a_cancellation_is_given_back():
    """The core has taken it, the task has not been told yet, and is cancelled: nobody would ever let go."""

    async def main():
        loop = asyncio.get_running_loop()
        with procs.SharedMemory(4096) as memory:
            lock = memory.semaphore(0, value=1)
            for _ in range(20):
                lock.acquire()
                task = loop.create_task(aio.wait(lock, 60))
                await asyncio.sleep(0)
                looks = [0]

                def look(task=task, looks=looks):
                    looks[0] += 1
                    if lock.available == 0 and not task.done():
                        assert task.cancel()
                    elif not task.done():
                        loop.call_soon(look)

                lock.release()
                loop.call_soon(look)
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert looks[0] > 1, "it was taken before it was there"
                assert lock.available == 1

    asyncio.run(main())
