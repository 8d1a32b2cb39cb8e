"""Blocks of shared memory: built in place, lent to others, received as views, given back by the collector."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import weakref

import pytest

import procs

MIB = 1 << 20
# What the other side of a channel does: takes numbers of messages to keep, keeps their buffers until the next one.
HOLDER = """
import procs
channel = procs.parent_channel(codec="pickle")
kept = []
for value in channel:
    kept.append(value)
    channel.send(len(kept))
"""


@pytest.fixture
def numpy(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # else it keeps a thread
    return pytest.importorskip("numpy", reason="numpy is not there")


def test_a_block_built_in_place_is_received_in_place():
    here, there = procs.Channel.pair(codec="raw")
    block = here.alloc(3 * MIB)
    assert (len(block), block.size, block.writable) == (3 * MIB, 3 * MIB, True)
    block.buf[:5] = b"built"
    here.send_message(b"look", buffers=[block])
    with pytest.raises(TypeError):
        block.buf[0] = 1  # another process reads it now
    message = there.recv_message(timeout=60)
    assert message.buffers[0].shared and len(message.buffers[0]) == 3 * MIB
    view = memoryview(message.buffers[0])
    assert view.readonly and view[:5] == b"built"
    # Written by the sender against the rule, seen by the receiver: there is one memory only.
    del message
    assert not block.writable, "a view keeps it"
    view.release()
    assert block.writable, "given back by the collector, without a message"
    here.send_bytes(block)
    assert there.recv_bytes(timeout=60)[:5] == b"built"
    here.close()
    there.close()


def test_one_memory_on_both_sides():
    here, there = procs.Channel.pair(codec="raw")
    block = here.alloc(MIB)
    early = block.buf
    here.send_bytes(early)
    received = there.recv_buffer(timeout=60)
    early[100] = 77
    assert memoryview(received)[100] == 77
    part = here.alloc(MIB)
    here.send_bytes(part.buf[:MIB // 2])
    assert not part.writable and len(there.recv_buffer(timeout=60)) == MIB // 2
    here.send_bytes(part.buf[4096:])  # not from its start: copied
    copied = there.recv_buffer(timeout=60)
    assert part.writable and copied.shared and len(copied) == MIB - 4096


def test_views_outlive_block_channel_and_process_of_the_sender():
    code = "import procs\nc = procs.parent_channel(codec='raw')\nb = c.alloc(1 << 20)\nb.buf[:4] = b'deep'\nc.send_bytes(b)\nc.recv_bytes()"
    child = procs.Popen([sys.executable, "-c", code], channel={"codec": "raw"})
    view = memoryview(child.channel.recv_buffer(timeout=60))
    child.kill()
    child.wait(60)
    child.channel.close()
    del child
    gc.collect()
    assert view[:4] == b"deep" and len(view) == MIB


def test_the_memory_is_used_again_and_bounded():
    here, there = procs.Channel.pair(codec="raw", max_queued_bytes=8 * MIB)
    kept = []
    with pytest.raises(procs.ExhaustedError):
        while True:
            kept.append(here.alloc(MIB))
    assert 4 <= len(kept) <= 8
    kept.clear()
    for _ in range(50):
        here.send_bytes(here.alloc(2 * MIB))
        assert len(there.recv_buffer(timeout=60)) == 2 * MIB
    with pytest.raises(ValueError):
        here.alloc(0)
    without = procs.Channel.pair(ring_bytes=0)
    with pytest.raises(procs.UnsupportedError):
        without[0].alloc(10)


def test_a_killed_peer_gives_its_blocks_back():
    with procs.Popen([sys.executable, "-c", HOLDER], channel={"codec": "pickle", "max_queued_bytes": 64 * MIB}) as child:
        blocks = [child.channel.alloc(MIB) for _ in range(8)]
        for number, block in enumerate(blocks, 1):
            child.channel.send(pickle.PickleBuffer(block))
            assert child.channel.recv(timeout=60) == number
        assert not any(block.writable for block in blocks)
        child.send_signal(signal.SIGKILL)
        with pytest.raises(EOFError):
            child.channel.recv(timeout=60)
        child.wait(60)
        assert all(block.writable for block in blocks)
        assert not memoryview(blocks[0]).readonly


def test_numpy_arrays_travel_beside_the_pickle(numpy):
    here, there = procs.Channel.pair(codec="pickle")
    for dtype, shape in (("f8", (300, 400)), ("i2", 10), ("c16", (5, 6000)), ("u1", 0)):
        array = numpy.arange(numpy.prod(shape), dtype="f8").astype(dtype).reshape(shape)
        here.send({"array": array, "turned": array.T})
        back = there.recv(timeout=60)
        assert (back["array"] == array).all() and (back["turned"] == array.T).all() and back["array"].dtype == array.dtype


def test_an_array_built_in_a_block_is_the_receivers_array(numpy):
    here, there = procs.Channel.pair(codec="pickle")
    block = here.alloc(8 * MIB)
    array = numpy.frombuffer(block, dtype="f8").reshape(1024, 1024)
    array[:] = 1.5
    here.send([array, "and more"])
    got, text = there.recv(timeout=60)
    assert text == "and more" and got.sum() == 1.5 * MIB and not got.flags.writeable
    array[7, 7] = 0  # against the rule: it shows that nothing was copied
    assert got[7, 7] == 0
    assert not block.writable
    weak = weakref.ref(block)
    del array, block
    gc.collect()
    assert weak() is None and got.sum() == 1.5 * (MIB - 1), "the receiver's view keeps the memory"
    del got
    gc.collect()
    assert here.alloc(8 * MIB).writable


def test_large_pickles_and_texts_are_copied_once_into_the_shared_memory():
    for codec in ("pickle", "json"):
        here, there = procs.Channel.pair(codec=codec)
        value = ["x" * MIB, {"n": list(range(20000))}]
        here.send(value)
        assert there.recv(timeout=60) == value


def test_an_arena_of_ones_own_is_shared_by_agreement():
    arena = procs.Arena(4 * 4096, max_bytes=MIB)
    seat, fd = arena.seat(), arena.segment_fd()
    code = (
        "import procs, sys\narena = procs.Arena.open(int(sys.argv[1]), int(sys.argv[2]))\n"
        "for line in sys.stdin:\n    block = arena.attach([int(n) for n in line.split()])\n    print(bytes(block.buf[:6]).decode(), flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(fd), str(seat)], pass_fds=[fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, bufsize=1) as child:
        os.close(fd)
        for text in (b"first!", b"second"):
            block = arena.alloc(5000)
            block.buf[:6] = text
            place = block.lend(seat)
            assert isinstance(place, procs.BlockPlace) and place.size == 5000
            child.stdin.write(" ".join(map(str, place)) + "\n")
            assert child.stdout.readline() == text.decode() + "\n"
        assert arena.owners() == [(seat, child.pid)] and not block.writable
        assert arena.used_bytes == 2 * 2 * 4096 or arena.used_bytes == 2 * 4096  # the first may have been given back
        child.kill()
        child.wait()
        assert arena.reclaim_dead() >= 1 and arena.owners() == [] and block.writable
    with pytest.raises(procs.InvalidArgumentError, match="four numbers"):
        arena.attach("place")
    with pytest.raises(procs.InvalidStateError):
        arena.attach(place)
    block.lend(arena.seat())
    block.unlend(0)
    assert arena.reclaim(0) == 0 and arena.segments == 1
    big = arena.alloc(MIB // 2)
    assert arena.segments == 2 and big.offset % 4096 == 0
    with pytest.raises(procs.ExhaustedError):
        arena.alloc(2 * MIB)
    with pytest.raises(ValueError):
        block.unlend(0)


def test_a_forked_copy_does_not_touch_the_arena():
    here, there = procs.Channel.pair(codec="raw")
    arena = procs.Arena(MIB)
    block, own = here.alloc(MIB), arena.alloc(4096)
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            for call in (lambda: here.alloc(10), lambda: arena.alloc(10), arena.seat):
                try:
                    call()
                except procs.InvalidStateError:
                    code += 10
            if block.writable or own.writable:
                code = 4
            del block, own
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 33
    assert block.writable and own.writable and arena.used_bytes == 4096
    here.send_bytes(block)
    assert len(there.recv_buffer(timeout=60)) == MIB
