"""Values, arrays and locks with the names of multiprocessing, and shared memory in messages."""

import asyncio
import concurrent.futures
import ctypes
import multiprocessing
import os
import pickle
import sys
import threading

import pytest

import procs
from conftest import PROGRAM_SECONDS
from procs import aio

# multiprocessing keeps the memory of its first value for the ones that follow: not to be taken for a leak.
FIRST = multiprocessing.Value("b")

WORKER = """
import procs
channel = procs.parent_channel(codec="pickle")
value, array, lock, memory, same = channel.recv()
assert same is memory
for _ in range(500):
    with value.get_lock():
        value.value += 1
    with lock:
        memory.cell(0).fetch_add(2)
    with array:
        array[1] += 3
channel.send("done")
channel.recv()
"""


def test_values_arrays_and_locks_are_sent_to_children():
    value, array, lock = procs.Value("q"), procs.Array("i", [5, 0, 7]), procs.Lock()
    memory = procs.SharedMemory(64)
    options = {"codec": "pickle"}
    children = [procs.Popen([sys.executable, "-c", WORKER], channel=options) for _ in range(3)]
    for child in children:
        child.channel.send((value, array, lock, memory, memory))
    for child in children:
        assert child.channel.recv(timeout=60) == "done"
        child.channel.close()
        child.wait(60)
    assert (value.value, array[:], memory.cell(0).value) == (1500, [5, 4500, 7], 3000)


def in_a_thread(call, *args):
    """What a thread gets that holds nothing."""
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        return executor.submit(call, *args).result()


@pytest.mark.parametrize(("typecode", "number"), [("i", -5), ("d", 0.5), ("B", 255), ("?", True), (ctypes.c_uint16, 9), (ctypes.c_double, 2.5)])
def test_values_are_as_multiprocessing_has_them(typecode, number):
    ours, theirs = procs.Value(typecode, number), multiprocessing.Value(typecode, number) if typecode != "?" else None
    assert ours.value == number and (theirs is None or theirs.value == number)
    ours.value = 0
    assert ours.value == 0
    with ours.get_lock():
        assert in_a_thread(ours.acquire, False) is in_a_thread(ours.acquire, True, 0.01) is False
    with ours:
        assert not in_a_thread(ours.get_lock().acquire, False)


def test_arrays_are_as_multiprocessing_has_them():
    ours, theirs = procs.Array("i", 10), multiprocessing.Array("i", 10)
    for array in (ours, theirs):
        assert len(array) == 10 and array[:] == [0] * 10
        array[3], array[-1] = 4, 9
        array[0:2] = [7, 8]
        with pytest.raises(IndexError):
            array[10]
        with pytest.raises(ValueError):
            array[0:2] = [1]
        with pytest.raises(TypeError):
            array[0] = "x"
    assert ours[:] == theirs[:] and list(ours) == list(theirs) and ours[::2] == theirs[::2]
    with memoryview(ours.buf) as view:
        assert (view.format, view.itemsize, view[3]) == ("i", 4, 4)
    assert len(procs.Array("b", 0)) == 0
    for wrong in ("x", "ii", None, ctypes.Structure):
        with pytest.raises(TypeError, match="type of item"):
            procs.Value(wrong)
    with pytest.raises(ValueError, match="negative"):
        procs.Array("i", -1)


def test_numpy_works_on_an_array_itself(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    numpy = pytest.importorskip("numpy", reason="numpy is not there")
    array = procs.Array("d", 1000)
    numpy.asarray(array.buf)[:] = numpy.arange(1000)
    assert array[999] == 999.0


def test_everything_in_memory_travels_and_is_the_same_there():
    here, there = procs.Channel.pair(codec="pickle")
    memory = procs.SharedMemory(16384)
    things = [
        memory.mutex(0), memory.rwlock(1024), memory.semaphore(4096, 3), memory.event(8192), memory.barrier(8448, 2), memory.once(9216),
        memory.counters(9728, 4), memory.histogram(11264),
    ]
    here.send(things)
    mutex, rwlock, semaphore, event, barrier, once, counters, histogram = there.recv(timeout=60)
    with things[0]:
        assert not in_a_thread(mutex.acquire, False)
    with things[1].read, rwlock.read:
        assert not in_a_thread(rwlock.write.acquire, False) and not in_a_thread(rwlock.acquire_write, 0.01)
    with rwlock.write:
        assert not in_a_thread(things[1].read.acquire, True, 0.01)
    assert semaphore.acquire(False) and things[2].available == 2
    things[3].set()
    assert event.is_set() and barrier.parties == 2
    assert once.begin() and once.finish() and things[5].done
    things[6].counter("n").add(5)
    things[7].record(9)
    assert counters.values() == {"n": 5} and histogram.count == 1
    semaphore.release()


def test_without_a_channel_pickling_is_refused_with_a_hint():
    memory = procs.SharedMemory(4096)
    for thing in (memory, memory.mutex(0), procs.Value("i"), procs.Array("i", 3)):
        with pytest.raises(TypeError, match="codec=.pickle"):
            pickle.dumps(thing)
    here, there = procs.Channel.pair()
    with pytest.raises(TypeError, match="not JSON serializable"):
        here.send(memory)
    memory.unlink()
    memory.close()
    pickling, _ = procs.Channel.pair(codec="pickle")
    with pytest.raises(procs.InvalidStateError):
        pickling.send(memory)


def test_descriptors_of_unpickled_memory_are_not_left_behind():
    here, there = procs.Channel.pair(codec="pickle")
    for _ in range(3):
        there.send([procs.SharedMemory(64) for _ in range(5)])
    here.recv(timeout=60)  # opens this end
    before = len(os.listdir("/proc/self/fd"))
    here.recv(timeout=60)
    message = here.recv_message(timeout=60)
    assert len(message.fds) == 5
    for fd in message.fds:
        os.close(fd)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_tasks_of_one_loop_hold_a_mutex_one_after_the_other():
    memory = procs.SharedMemory(4096)
    inside, most = 0, 0

    async def worker(lock):
        nonlocal inside, most
        for _ in range(20):
            async with aio.held(lock):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

    async def main():
        # Two views of one lock, and another lock.
        first, second, other = memory.mutex(0), memory.mutex(0), memory.mutex(128)
        async with asyncio.timeout(60):
            await asyncio.gather(worker(first), worker(first), worker(second))
            assert most == 1
            async with aio.held(first):
                with pytest.raises(procs.InvalidStateError):  # it would wait for itself
                    await briefly(first)
                with pytest.raises(procs.TimedOutError, match="timeout = 0.05"):
                    await asyncio.create_task(briefly(second))
                async with aio.held(other):
                    pass
            await briefly(second)

    async def briefly(lock):
        async with aio.held(lock, 0.05):
            pass

    asyncio.run(main())


def test_an_event_loop_waits_for_every_lock():
    memory = procs.SharedMemory(16384)
    mutex, rwlock, semaphore = memory.mutex(0), memory.rwlock(1024), memory.semaphore(4096, 1)
    event, barrier, once = memory.event(8192), memory.barrier(8448, 2), memory.once(9216)

    async def main():
        for lock in (mutex, rwlock.write, semaphore):
            async with aio.held(lock) as same:
                assert same is lock and not await asyncio.to_thread(lock.acquire, False)
            assert lock.acquire(False)
            lock.release()
        async with aio.held(rwlock.read), aio.held(rwlock.read):
            with pytest.raises(procs.TimedOutError):
                await aio.wait(rwlock, 0.05, how="write")
        threading.Timer(0.05, event.set).start()
        assert await asyncio.wait_for(aio.wait(event), 60)
        met = await asyncio.wait_for(asyncio.gather(aio.wait(barrier), aio.wait(barrier)), 60)
        assert sorted(met) == [False, True]
        assert await aio.wait(once)
        other = asyncio.ensure_future(aio.wait(once))
        await asyncio.sleep(0)
        assert not other.done()
        once.finish()
        assert not await asyncio.wait_for(other, 60)
        for wrong in (rwlock, memory, None):
            with pytest.raises(TypeError):
                await aio.wait(wrong)
        with pytest.raises(TypeError, match="held"):
            async with aio.held(event):
                pass
        with pytest.raises(ValueError, match="how"):
            await aio.wait(rwlock, how="both")

    asyncio.run(main())


def characters(kind, lock):
    """What a tutorial does with an array of characters."""
    array = kind.Array("c", b"hello world", lock=lock)
    seen = [array.value, array[0], array[:5], len(array)]
    array.value = array.value.upper()
    array[0:2] = b"yo"
    seen.append(array.raw)
    array.value = b"short"
    seen += [array.value, array.raw]
    for call in (lambda: setattr(array, "value", b"far too long for it"), lambda: setattr(array, "raw", b"far too long for it"), lambda: array[99]):
        with pytest.raises((ValueError, IndexError)) as found:
            call()
        seen.append(type(found.value))
    return seen


def test_arrays_of_characters_are_as_multiprocessing_has_them():
    assert characters(procs, True) == characters(multiprocessing, True) == characters(procs, procs.Lock()) == characters(procs, False)
    with pytest.raises(AttributeError, match="typecode = 'i'"):
        procs.Array("i", 3).value


def test_the_lock_of_values_and_arrays_is_chosen():
    lock = procs.Lock()
    value, array = procs.Value("i", 5, lock=lock), procs.Array("d", [1.5], lock=lock)
    assert value.get_lock() is lock and array.get_lock() is lock
    with value:
        assert not in_a_thread(array.acquire, False)
    free = procs.Value(ctypes.c_double, 0.5, lock=False)
    free.value **= 2
    assert free.value == 0.25
    for call in (free.get_lock, free.acquire, free.release, free.__enter__):
        with pytest.raises(AttributeError, match="lock = False"):
            call()
    for wrong in (5, "lock", object()):
        with pytest.raises(TypeError, match="acquire"):
            procs.Value("i", lock=wrong)
    here, there = procs.Channel.pair(codec="pickle")
    here.send((value, array, free))
    value2, array2, free2 = there.recv(timeout=60)
    assert (value2.value, array2[:], free2.value) == (5, [1.5], 0.25)
    with value:
        assert not in_a_thread(array2.acquire, False), "the same lock"
    with pytest.raises(AttributeError, match="lock = False"):
        free2.get_lock()


@pytest.mark.parametrize("typecode", list("bBhHiIlLqQfd"))
def test_the_object_of_ctypes_is_the_memory_itself(typecode):
    value, array = procs.Value(typecode, 1), procs.Array(typecode, [1, 2, 3])
    value.get_obj().value += 1
    array.get_obj()[2] = 9
    assert value.value == 2 and array[:] == [1, 2, 9] and array.get_obj() is array.get_obj()
    assert memoryview(array.get_obj()).nbytes == memoryview(array.buf).nbytes
    assert type(array.get_obj()) is type(multiprocessing.Array(typecode, 3).get_obj())


def test_a_lock_is_tried_as_multiprocessing_tries_it():
    for lock in (procs.Lock(), multiprocessing.Lock()):
        assert [lock.acquire(), lock.acquire(False), lock.acquire(block=False), lock.acquire(timeout=0)] == [True, False, False, False]
        lock.release()
    lock = procs.Lock()
    with lock, pytest.raises(procs.InvalidStateError):
        lock.acquire()  # multiprocessing's waits for ever


def test_memory_is_made_as_multiprocessing_makes_it():
    with procs.SharedMemory(create=True, size=10) as memory:
        memory.buf[:4] = bytearray([22, 33, 44, 55])
        assert memory.read(0, 4) == bytes([22, 33, 44, 55])
        memory.unlink()
    with pytest.raises(procs.InvalidArgumentError, match="from_fd"):
        procs.SharedMemory(10, create=False)


STARTED = """
import multiprocessing, sys
from procs import Array, Lock, Value

def work(number, numbers, lock):
    for _ in range(100):
        with number.get_lock():
            number.value += 1
        with lock:
            numbers[1] += 2

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    shared = Value("i", 1), Array("i", 3), Lock()
    children = [context.Process(target=work, args=shared) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print([child.exitcode for child in children], shared[0].value, shared[1][:])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_is_shared_is_handed_to_a_process_of_multiprocessing(method, tmp_path):
    (tmp_path / "job.py").write_text(STARTED)
    done = procs.run([sys.executable, "-W", "error", "job.py", method], cwd=tmp_path, capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    assert done.stdout == "[0, 0] 201 [0, 400, 0]\n", done.stderr
