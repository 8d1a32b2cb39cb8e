"""Fault rows D and E from Python: what goes wrong at the other end leaves this process and its channels whole."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import procs
from conftest import PROGRAM_SECONDS, SLOW, wait_until

# In seconds. Two of the ends must be noticed within the first, longer where more wants to run than there are processors; all within the second.
NOTICED = 0.2
NOTICED_AT_LAST = 20.0
TALKER = """
import procs
channel = procs.parent_channel()
channel.send("up")
for value in channel:
    channel.send(value)
"""


def start(code, **channel):
    return procs.Popen([sys.executable, "-c", code], channel=channel or True)


def run(code, *args):
    """A Python program of its own: code, output, errors."""
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", code, *args], capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    return done.returncode, done.stdout, done.stderr


def assert_noticed(delays):
    """Whether ends were noticed soon enough, after these delays."""
    with open("/proc/loadavg") as file:
        load, _, _, runnable, _ = file.read().split()
    wanted = max(float(load), int(runnable.split("/")[0])) / os.cpu_count()
    assert max(delays) < NOTICED_AT_LAST * SLOW, delays
    # The second: a machine that stands still for a moment delays single ones.
    assert sorted(delays)[1] < NOTICED * SLOW * (3 * wanted if wanted > 1 else 1), delays


def in_threads(calls):
    """Runs all at once; gives what each returned or raised, and when."""
    results = [None] * len(calls)

    def one(index):
        try:
            value = calls[index]()
        except BaseException as error:
            value = error
        results[index] = (value, time.monotonic())

    threads = [threading.Thread(target=one, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    return threads, results


def test_d04_a_killed_peer_wakes_everybody_who_waits():
    """Threads in recv, poll, call and wait_any of one channel, and a full sender of another, all learn of the kill."""
    assert_noticed([all_woken(after) for after in range(5)])


def all_woken(after):
    """How long it took until the last of them knew."""
    quiet, full = start("import procs, time\nc = procs.parent_channel()\nc.send('up')\ntime.sleep(600)"), start(
        "import procs, time\nc = procs.parent_channel()\nc.send('up')\ntime.sleep(600)", ring_bytes=4096)
    with quiet, full:
        assert quiet.channel.recv(60) == full.channel.recv(60) == "up"

        def fill():
            while True:
                full.channel.send("x" * 1000)

        calls = [quiet.channel.recv, lambda: quiet.channel.poll(None), lambda: quiet.channel.call(1), fill,
                 lambda: procs.wait_any_channel([full.channel, quiet.channel]), lambda: select.select([quiet.channel], [], [])[0]]
        threads, results = in_threads(calls)
        for _ in range(after):
            quiet.channel.poll(0.02)  # other moments of their waits
        killed = time.monotonic()
        quiet.send_signal(signal.SIGKILL)
        full.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join(60)
        values = [value for value, _ in results]
        assert isinstance(values[0], EOFError) and isinstance(values[2], EOFError) and isinstance(values[3], BrokenPipeError), values
        assert values[1] is True and values[4] in (0, 1) and values[5] == [quiet.channel]
        return max(at for _, at in results) - killed


@pytest.mark.parametrize("garbage", [b"\0" * 64, b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n" * 8, os.urandom(4096), b'{"cmd":"NODE_HANDLE"}\n', b"x"], ids=["zeros", "ones", "http", "noise", "node", "short"])
def test_d03_garbage_ends_its_channel_only(garbage):
    ours, theirs = socket.socketpair()
    channel = procs.Channel.from_fd(ours.detach())
    theirs.sendall(garbage)
    theirs.close()
    with pytest.raises((procs.ProtocolError, EOFError, procs.ClosedError)) as caught:
        channel.recv(timeout=60)
    # The answer does not change.
    with pytest.raises((type(caught.value), procs.InvalidStateError, EOFError)):
        channel.recv(timeout=60)
    with pytest.raises((OSError, procs.InvalidStateError)):
        channel.send(1)
    channel.close()
    here, there = procs.Channel.pair()
    there.send("others go on")
    assert here.recv(60) == "others go on"


def test_d16_what_cannot_be_decoded_raises_and_the_next_message_comes():
    here, there = procs.Channel.pair()
    for body in (b"[1,", b"\xff\xfe\xff", b"[" * 100_000, b"", b"NaN,"):
        there.send_message(body, codec="json")
        with pytest.raises((ValueError, RecursionError)):
            here.recv(60)
    there.send("whole")
    assert here.recv(60) == "whole"
    here, there = procs.Channel.pair(codec="pickle")
    for body in (b"", b"\x80\x05", b"cos\nnothing_there\n.", b"\x80\x05\x97."):
        there.send_message(body, codec="pickle")
        with pytest.raises(Exception):
            here.recv(60)
    there.send("whole")
    assert here.recv(60) == "whole"


def test_d06_full_gone_and_closed_are_three_errors():
    here, there = procs.Channel.pair(ring_bytes=4096)
    with pytest.raises(BlockingIOError):
        while True:
            here.send("x" * 500, timeout=0)
    with pytest.raises(TimeoutError):
        here.send("x" * 500, timeout=0.01)
    there.close()
    with pytest.raises(BrokenPipeError):
        while True:  # what fits is taken until the end is noticed
            here.send("x")
    here.close()
    with pytest.raises(procs.InvalidStateError):
        here.send("x")


def test_d07_a_slow_reader_costs_a_bounded_memory():
    here, there = procs.Channel.pair(codec="raw", max_queued_bytes=1 << 20)
    sent = 0
    with pytest.raises(BlockingIOError):
        while sent < 1 << 30:
            here.send_bytes(b"y" * 200_000, timeout=0)
            sent += 200_000
    assert sent < 8 << 20
    for _ in range(sent // 200_000):
        assert len(there.recv_bytes(60)) == 200_000


def test_d08_both_sides_write_and_nobody_reads():
    here, there = procs.Channel.pair(codec="raw")
    block = b"z" * 65_536

    def talk(end):
        for _ in range(300):
            end.send_bytes(block)
        return sum(len(end.recv_bytes(60)) for _ in range(300))

    threads, results = in_threads([lambda: talk(here), lambda: talk(there)])
    for thread in threads:
        thread.join(80)
    assert [value for value, _ in results] == [300 * 65_536] * 2


@pytest.mark.parametrize("how", ["", "sys.exit(0)", "raise SystemExit(0)", "import os; os._exit(0)"], ids=["end", "exit", "SystemExit", "_exit"])
@pytest.mark.parametrize(("sizes", "late"), [((1, 100, 70_000, 1 << 20), False), ((1, 100, 70_000), True)], ids=["read", "read late"])
def test_d05_everything_sent_before_the_end_of_the_program_arrives(how, sizes, late):
    code = f"import procs, sys\nc = procs.parent_channel(codec='raw')\nfor n in {sizes}: c.send_bytes(b'l' * n)\n{how}"
    with start(code, codec="raw") as child:
        if late:
            assert child.wait(60) == 0
            wait_until(lambda: child.channel.closed, "the end of the channel is known")
        assert [len(child.channel.recv_bytes(60)) for _ in sizes] == list(sizes)
        with pytest.raises(EOFError):
            child.channel.recv_bytes(60)
        assert child.wait(60) == 0


def test_d18_a_grandchild_that_keeps_every_descriptor_does_not_hide_the_end():
    assert_noticed([end_noticed() for _ in range(5)])


def end_noticed():
    """How long it took to see the end of a child whose own child keeps the channel open."""
    code = (
        "import os, procs, sys, time\nc = procs.parent_channel()\nr, w = os.pipe()\n"
        "if os.fork() == 0:\n    os.close(0); os.close(1); os.close(2); os.write(w, b'x'); time.sleep(600)\n"
        "c.send([os.read(r, 1).decode(), os.popen('cat /proc/%d/task/*/children' % os.getpid()).read().split()])\nos._exit(0)"
    )
    with start(code) as child:
        word, grandchildren = child.channel.recv(60)
        try:
            assert word == "x"
            begin = time.monotonic()
            with pytest.raises(EOFError):
                child.channel.recv(60)
            return time.monotonic() - begin
        finally:
            for pid in grandchildren:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass


def test_d19_messages_wait_for_a_reader_that_comes_late_and_closes_inside():
    here, there = procs.Channel.pair()
    for number in range(100):
        there.send(number)
    seen = []
    with pytest.raises(procs.InvalidStateError):
        for number in here:
            seen.append(number)
            if number == 49:
                here.close()
    assert seen == list(range(50))


def test_d21_a_forked_copy_is_refused_and_the_parent_goes_on():
    with start(TALKER) as child:
        assert child.channel.recv(60) == "up"
        pid = os.fork()
        if pid == 0:
            refused = 0
            try:
                for use in (lambda: child.channel.send(1), child.channel.recv, child.channel.poll, child.channel.fileno, lambda: child.channel.call(1)):
                    try:
                        use()
                    except procs.InvalidStateError:
                        refused += 1
                child.channel.close()
                del child.channel
            finally:
                os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
        for number in range(1000):
            child.channel.send(number)
            assert child.channel.recv(60) == number
        child.channel.close()


@pytest.mark.parametrize("how", ["recv", "thread", "generator", "aio", "blocks"])
def test_h_the_interpreter_ends_with_open_channels(how):
    code = {
        "recv": "a, b = procs.Channel.pair(); a.send(1)",
        "thread": "a, b = procs.Channel.pair(); threading.Thread(target=a.recv, daemon=True).start(); a.poll(0.05)",
        "generator": "a, b = procs.Channel.pair(); it = iter(a); b.send(1); next(it)",
        "aio": "a, b = map(aio.AsyncChannel, procs.Channel.pair())\nasync def m():\n    t = asyncio.ensure_future(a.recv()); await asyncio.sleep(0.05)\nasyncio.run(m())",
        "blocks": "a, b = procs.Channel.pair(codec='raw'); k = a.alloc(1 << 20); v = k.buf; a.send_bytes(k); w = memoryview(b.recv_buffer()); m = procs.SharedMemory(64); x = m.buf",
    }[how]
    assert run(f"import procs, threading, asyncio\nfrom procs import aio\n{code}\nprint('end')") == (0, "end\n", "")


def test_h_ctrl_c_ends_every_wait_and_loses_no_message():
    code = """
import os, procs, signal, sys, threading
here, there = procs.Channel.pair()
waits = [here.recv, lambda: here.poll(None), lambda: here.call(1), lambda: list(here), lambda: procs.wait_any_channel([here]), lambda: here.serve(print)]
for wait in waits:
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        wait()
    except KeyboardInterrupt:
        print("ctrl-c")
there.send("kept")
print(here.recv(60))
"""
    assert run(code) == (0, "ctrl-c\n" * 6 + "kept\n", "")


def test_h_a_signal_of_another_thread_ends_a_wait():
    code = """
import os, procs, signal, threading
here, there = procs.Channel.pair(codec="raw")
def stop(*_):
    raise InterruptedError
def with_the_signal():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    over.wait()
signal.signal(signal.SIGUSR1, stop)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
over = threading.Event()
thread = threading.Thread(target=with_the_signal)
thread.start()
for _ in range(20):
    threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    try:
        here.recv_bytes(timeout=60)
    except InterruptedError:
        pass
there.send_bytes(b"kept")
print(here.recv_bytes(timeout=60))
over.set()
"""
    assert run(code) == (0, "b'kept'\n", "")


def test_d20_threads_that_wait_on_one_channel_get_each_message_once():
    here, there = procs.Channel.pair()
    threads, results = in_threads([lambda: list(here) for _ in range(4)])
    for number in range(4000):
        there.send(number)
    there.close()
    for thread in threads:
        thread.join(60)
    lists = [value for value, _ in results]
    assert sorted(number for part in lists for number in part) == list(range(4000))
    assert all(part == sorted(part) for part in lists)


def test_e14_views_keep_what_they_show_in_any_order_of_closing():
    for order in range(6):
        here, there = procs.Channel.pair(codec="raw")
        block = here.alloc(200_000)
        block.buf[:] = bytes([order]) * 200_000
        here.send_message(b"", buffers=[block, block])
        message = there.recv_message(60)
        views = [memoryview(buffer) for buffer in message.buffers]
        del message
        ends = [here.close, there.close, lambda: views.pop()]
        for index in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))[order]:
            ends[index]()
            assert views[0][199_999] == order and block.buf[0] == order
        del views
        assert block.writable


def test_e06_blocks_of_a_killed_receiver_are_used_again():
    code = "import procs\nc = procs.parent_channel(codec='raw')\nk = [c.recv_buffer() for _ in range(4)]\nc.send_bytes(b'held')\nc.recv_bytes()"
    for _ in range(5):
        with start(code, codec="raw") as child:
            blocks = [child.channel.alloc(1 << 20) for _ in range(4)]
            for block in blocks:
                child.channel.send_bytes(block)
            assert child.channel.recv_bytes(60) == b"held" and not any(block.writable for block in blocks)
            child.send_signal(signal.SIGKILL)
            child.wait(60)
            with pytest.raises(EOFError):
                child.channel.recv_bytes(60)
            for block in blocks:
                block.buf[:] = bytes(1 << 20)
