"""Channels: large bodies, which both sides copy at once."""

import signal
import threading

import pytest
from test_channel import script

import procs


def test_a_conversation_of_large_bytes_of_any_size(tmp_path):
    code = """
import procs
with procs.parent_channel(codec="raw") as channel:
    while data := channel.recv_bytes():
        channel.send_bytes(data)
"""
    sizes = (100_000, (1 << 18) - 1, 1 << 18, 300_001, 1 << 20, (1 << 20) + 1, 3_000_000, (16 << 20) + 1)
    with procs.fork(script(tmp_path, code), codec="raw") as child:
        kept = []
        for turn in range(160):
            # Several of a size in a row, each with content of its own.
            data = (b"%d," % turn * (1 << 22))[:sizes[turn // 4 % len(sizes)]]
            child.channel.send_bytes(data)
            kept.append((data, child.channel.recv_bytes(timeout=60)))
            # What was received before is not written over.
            assert all(back == sent for sent, back in kept), turn
            del kept[:-3]
        child.channel.send_bytes(b"")
        assert child.wait(60) == 0


def test_a_child_that_is_killed_in_a_conversation_leaves_whole_messages_only(tmp_path):
    code = """
import procs
with procs.parent_channel(codec="raw") as channel:
    while True:
        channel.send_bytes(channel.recv_bytes())
"""
    for turn in range(10):
        with procs.fork(script(tmp_path, code), codec="raw") as child:
            data = bytes([turn]) * 1_500_000
            child.channel.send_bytes(data)
            assert child.channel.recv_bytes(timeout=60) == data
            killer = threading.Timer(0.002 * turn, child.kill)
            killer.start()
            with pytest.raises((EOFError, BrokenPipeError, ConnectionError)):
                while True:
                    child.channel.send_bytes(data)
                    assert child.channel.recv_bytes(timeout=60) == data
            killer.join()
            assert child.wait(60) == -signal.SIGKILL


def test_who_ends_after_a_send_has_sent_all_of_it(tmp_path):
    code = """
import os, procs
channel = procs.parent_channel(codec="raw")
for _ in range(3):
    channel.send_bytes(channel.recv_bytes())
os._exit(0)
"""
    data = b"0123456789abcdef" * (4 << 16)
    for turn in range(12):
        with procs.fork(script(tmp_path, code), codec="raw") as child:
            for _ in range(2):
                child.channel.send_bytes(data)
                assert child.channel.recv_bytes(timeout=60) == data
            child.channel.send_bytes(data)
            try:
                came = child.channel.recv_bytes(timeout=0.0002 * (turn + 1))
            except TimeoutError:
                # Given up in the middle, perhaps. The child may not end before the rest has left it.
                came = child.channel.recv_bytes(timeout=60)
            assert came == data
            assert child.wait(60) == 0


@pytest.mark.parametrize(("codec", "way"), [
    ("raw", "channel.recv_bytes()"), ("raw", "channel.recv()"), ("raw", "channel.recv_message()"), ("raw", "channel._take_bytes(None)"),
    ("raw", "bytes(channel.recv_buffer())"), ("raw", "channel.recv_bytes_into(bytearray(10))"), ("json", "channel.recv()"),
])
def test_a_message_that_there_is_no_memory_for_is_a_memory_error(tmp_path, codec, way):
    code = f"""
import procs, resource
channel = procs.parent_channel(codec={codec!r})
assert channel.poll(60)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 20_000_000, resource.RLIM_INFINITY))
try:
    {way}
except MemoryError as error:
    told = type(error).__name__
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
channel.send_bytes(told.encode())
assert channel.recv_bytes() == b"end"
"""
    with procs.fork(script(tmp_path, code), codec=codec) as child:
        child.channel.send("x" * 60_000_000 if codec == "json" else bytes(60_000_000))
        assert child.channel.recv_bytes(timeout=60) == b"MemoryError"
        child.channel.send_bytes(b"end")
        assert child.wait(60) == 0
