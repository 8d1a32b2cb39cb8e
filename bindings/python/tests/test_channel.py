"""Channels: between two ends here, with Python, Node and event loops on the other side."""

import asyncio
import multiprocessing.connection
import os
import pickle
import selectors
import shutil
import signal
import socket
import sys
import threading

import pytest

import procs
from procs import aio

ECHO = """
import procs
with procs.parent_channel(codec={codec!r}) as channel:
    for value in channel:
        channel.send(value)
"""


def script(tmp_path, text, name="child.py"):
    file = tmp_path / name
    file.write_text(text)
    return file


def test_objects_go_both_ways_and_everything_sent_arrives(tmp_path):
    values = [None, True, 1, -1.5, "ä€𝄞", [1, [2]], {"a": {"b": []}}, "x" * 300_000]
    with procs.fork(script(tmp_path, ECHO.format(codec="json"))) as child:
        for value in values:
            child.channel.send(value)
            assert child.channel.recv(timeout=60) == value
        child.channel.close()
        assert child.wait(60) == 0


def test_messages_sent_before_the_exit_arrive(tmp_path):
    code = "import procs\nc = procs.parent_channel()\nfor i in range(2000): c.send(i)\n"
    with procs.fork(script(tmp_path, code)) as child:
        assert list(child.channel) == list(range(2000))
        with pytest.raises(EOFError):
            child.channel.recv()
        with pytest.raises(BrokenPipeError):
            child.channel.send(1)
        assert child.wait(60) == 0


def test_pickle_is_chosen_and_large_buffers_travel_beside(tmp_path):
    with procs.fork(script(tmp_path, ECHO.format(codec="pickle")), codec="pickle") as child:
        for value in ({1: (2, 3)}, {b"x", 4}, ValueError("no"), bytearray(b"q" * 1_000_000)):
            child.channel.send(value)
            back = child.channel.recv(timeout=60)
            assert type(back) is type(value) and (back == value or repr(back) == repr(value))
        child.channel.close()


def test_a_with_block_ends_the_child_that_waits_for_messages(tmp_path):
    with pytest.raises(LookupError), procs.fork(script(tmp_path, ECHO.format(codec="json"))) as child:
        raise LookupError
    assert child.returncode == 0 and child.channel.closed


def test_pickle_from_a_peer_is_refused_unless_chosen():
    here, there = procs.Channel.pair()
    with pytest.raises(ConnectionError):
        there.send_message(b"\x80\x04N.", codec="pickle")
        here.recv(timeout=60)


def test_bytes_messages_and_buffers():
    here, there = procs.Channel.pair(codec="raw")
    for data in (b"", b"x", b"y" * 70_000, bytearray(b"z"), memoryview(b"abc")[1:]):
        there.send_bytes(data)
        assert here.recv_bytes(timeout=60) == bytes(data)
    room = bytearray(10)
    there.send_bytes(b"into")
    assert here.recv_bytes_into(room, 2) == 4 and room == b"\0\0into\0\0\0\0"
    there.send_message(b"body", buffers=[b"one", b"two" * 100_000])
    message = here.recv_message(timeout=60)
    assert (message.codec, message.body, [bytes(b) for b in message.buffers]) == ("raw", b"body", [b"one", b"two" * 100_000])
    with memoryview(message.buffers[1]) as view:
        assert view.readonly and len(view) == 300_000
    with pytest.raises(TypeError):
        here.send_bytes("text")
    here.close()
    there.close()


def test_descriptors_travel():
    here, there = procs.Channel.pair()
    left, right = socket.socketpair()
    here.send({"take": "this"}, fds=[right])
    right.close()
    message = there.recv_message(timeout=60)
    assert len(message.fds) == 1 and not os.get_inheritable(message.fds[0])
    with socket.socket(fileno=message.fds[0]) as got:
        got.send(b"through")
        assert left.recv(10) == b"through"
    left.close()
    with pytest.raises(OSError):
        here.send(1, fds=[987])


def test_timeouts_poll_and_errors():
    here, there = procs.Channel.pair()
    with pytest.raises(TimeoutError):
        here.recv(timeout=0.01)
    with pytest.raises(BlockingIOError):
        here.recv(timeout=0)
    assert not here.poll() and not here.poll(0.01)
    there.send(1)
    assert here.poll(60) and procs.wait_any_channel([there, here], 60) == 1
    with pytest.raises(TimeoutError):
        while True:
            there.send("x" * 100_000, timeout=0.01)
    with pytest.raises(TypeError):
        here.send(object())
    with pytest.raises(ValueError):
        procs.Channel.pair(codec="yaml")
    with pytest.raises(TypeError):
        procs.Channel.pair(size=1)
    with pytest.raises(FileNotFoundError):
        procs.parent_channel()
    here.close()
    assert here.closed
    with pytest.raises(procs.InvalidStateError):
        here.recv()


def test_a_killed_peer_is_noticed(tmp_path):
    code = "import procs, time\nc = procs.parent_channel()\nc.send('up')\nc.recv()"
    for _ in range(5):
        with procs.fork(script(tmp_path, code)) as child:
            assert child.channel.recv(timeout=60) == "up"
            child.send_signal(signal.SIGKILL)
            with pytest.raises(EOFError):
                child.channel.recv(timeout=60)
            assert child.wait(60) == -9


def test_a_signal_handler_ends_a_wait():
    here, there = procs.Channel.pair()

    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with pytest.raises(Stop):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            here.recv()
    finally:
        signal.signal(signal.SIGALRM, before)
    there.send("still works")
    assert here.recv(timeout=60) == "still works"


def test_threads_send_and_receive_at_once():
    here, there = procs.Channel.pair()
    seen = []

    def receive():
        seen.extend(there)

    receiver = threading.Thread(target=receive)
    receiver.start()
    senders = [threading.Thread(target=lambda: [here.send(i) for i in range(500)]) for _ in range(4)]
    for thread in senders:
        thread.start()
    for thread in senders:
        thread.join()
    here.close()
    receiver.join(60)
    assert sorted(seen) == sorted(list(range(500)) * 4)


def test_a_forked_copy_may_not_use_it():
    here, there = procs.Channel.pair()
    there.send(0)
    pid = os.fork()
    if pid == 0:
        try:
            here.recv(timeout=1)
            os._exit(1)
        except procs.InvalidStateError:
            os._exit(0)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert here.recv(timeout=60) == 0


def test_an_event_loop_talks_to_children(tmp_path):
    file = script(tmp_path, ECHO.format(codec="json"))

    async def one(number):
        child = await aio.fork(file)
        async with child.channel as channel:
            for value in range(50):
                await channel.send([number, value])
                assert await asyncio.wait_for(channel.recv(), 60) == [number, value]
        assert await asyncio.wait_for(child.wait(), 60) == 0

    async def main():
        await asyncio.gather(*(one(number) for number in range(3)))
        here, there = procs.Channel.pair()
        left, right = aio.AsyncChannel(here), aio.AsyncChannel(there)
        text = "x" * 200_000

        async def push():
            for _ in range(50):
                await left.send(text)
            left.close()

        async def pull():
            return [len(item) async for item in right]

        _, sizes = await asyncio.wait_for(asyncio.gather(push(), pull()), 60)
        assert sizes == [200_000] * 50
        with pytest.raises(asyncio.TimeoutError):
            here, there = procs.Channel.pair()
            await asyncio.wait_for(aio.AsyncChannel(here).recv(), 0.05)

    asyncio.run(main())


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
def test_a_plain_node_program_is_a_child(tmp_path):
    code = "process.on('message', (m) => process.send({ twice: m.value * 2 }));"
    with procs.fork(script(tmp_path, code, "child.js")) as child:
        child.channel.send({"value": 21})
        assert child.channel.recv(timeout=60) == {"twice": 42}
        child.channel.close()
        assert child.wait(60) == 0


WHICH = "import os, sys\nsys.stdout.write(' '.join(sorted(k for k in os.environ if k.endswith('_CHANNEL_FD'))))"


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
def test_a_node_below_a_child_of_node_finds_no_channel():
    """However it is started; else it would take its parent's number for its own and abort."""
    code = "import os, procs, subprocess\nc = procs.parent_channel()\n"
    code += "run = subprocess.run(['node', '-p', 'typeof process.send'], capture_output=True, text=True)\n"
    code += "c.send([run.returncode, run.stdout.strip(), [name for name in os.environ if name.startswith('NODE_CHANNEL')]])\n"
    code += "try:\n    procs.parent_channel()\nexcept procs.InvalidStateError as error:\n    c.send(str(error))\n"
    child = procs.fork(sys.executable, "-c", code, wire="node")
    assert child.channel.recv(timeout=60) == [0, "undefined", []]
    assert child.channel.recv(timeout=60) == "channel.from_env: the channel was taken before"
    assert child.wait() == 0


@pytest.mark.parametrize(("wire", "variable"), [("auto", "PROCS_CHANNEL_FD"), ("native", "PROCS_CHANNEL_FD"), ("node", "NODE_CHANNEL_FD")])
def test_the_wire_is_chosen(tmp_path, wire, variable):
    file = script(tmp_path, WHICH)
    with procs.fork(file, wire=wire, stdout=procs.PIPE) as child:
        assert child.stdout.read().decode() == variable
    with procs.Popen([sys.executable, file], channel={"wire": wire}, stdout=procs.PIPE) as child:
        assert child.stdout.read().decode() == variable


def test_both_wires_carry_objects_to_python(tmp_path):
    for wire in ("native", "node"):
        with procs.fork(script(tmp_path, ECHO.format(codec="json")), wire=wire) as child:
            child.channel.send({"over": wire})
            assert child.channel.recv(timeout=60) == {"over": wire}
            child.channel.close()
            assert child.wait(60) == 0


def test_wrong_options_are_named(tmp_path):
    file = script(tmp_path, "")
    for wrong, match in (({"wire": "tcp"}, 'wire = "tcp", expected "auto", "native" or "node"'), ({"codec": "yaml"}, "codec")):
        with pytest.raises(ValueError, match=match):
            procs.fork(file, channel=wrong)
    for wrong, match in (({"wire": 1}, "wire = 1"), ({"max_message": "x"}, "max_message = 'x', expected"), ({"speed": 1}, "speed, expected one of max_message")):
        with pytest.raises(TypeError, match=match):
            procs.fork(file, channel=wrong)
    with pytest.raises(TypeError, match="no such option"):
        procs.Channel.pair(wire="node")
    with pytest.raises(ValueError):
        procs.fork(file, wire="node", codec="raw", channel={"wire": "telegraph"})


def test_ends_are_introduced_to_two_children(tmp_path):
    code = "import procs\nparent = procs.parent_channel()\nother = procs.Channel.from_fd(parent.recv_message().fds[0])\n"
    ask, answer = code + "parent.send(other.call(20, timeout=60))", code + "other.serve(lambda n: n + 1)"
    with procs.fork(script(tmp_path, ask, "a.py")) as a, procs.fork(script(tmp_path, answer, "b.py")) as b:
        for child, end in zip((a, b), procs.Channel.pair(), strict=True):
            with pytest.raises(TypeError, match="detach"):
                pickle.dumps(end)
            fd = end.detach()
            child.channel.send(None, fds=[fd])
            os.close(fd)
        assert a.channel.recv(timeout=60) == 21
        assert (a.wait(60), b.wait(60)) == (0, 0)


def test_the_waits_of_others_take_a_channel():
    here, there = procs.Channel.pair()
    assert multiprocessing.connection.wait([here], 0) == []
    there.send(1)
    assert multiprocessing.connection.wait([there, here], 60) == [here]
    with selectors.DefaultSelector() as selector:
        selector.register(here, selectors.EVENT_READ)
        assert [key.fileobj for key, _ in selector.select(60)] == [here]
        assert here.recv() == 1
        with pytest.raises(BlockingIOError):
            here.recv(timeout=0)
        assert selector.select(0) == []
        there.close()
        assert selector.select(60)
        selector.unregister(here)
    with pytest.raises(EOFError):
        here.recv()


def test_a_buffer_that_is_too_small_loses_no_message():
    here, there = procs.Channel.pair()
    there.send_bytes(b"four")
    with pytest.raises(procs.TooLargeError) as caught:
        here.recv_bytes_into(bytearray(4), 1)
    assert caught.value.body == b"four"
    there.send_bytes(b"four")
    with pytest.raises(TypeError):
        here.recv_bytes_into(b"read-only")
    assert here.recv_bytes() == b"four"


def test_an_event_loop_sends_and_receives_everything():
    async def main():
        here, there = (aio.AsyncChannel(end) for end in procs.Channel.pair())
        await here.send_bytes(b"bytes")
        await here.send_message(b"body", buffers=[b"b" * 100_000])
        block = here.alloc(70_000)
        block.buf[:3] = b"abc"
        await here.send_message(b"", buffers=[block])
        assert await there.recv_bytes() == b"bytes"
        message = await asyncio.wait_for(there.recv_message(), 60)
        assert (message.codec, message.body, bytes(message.buffers[0])) == ("raw", b"body", b"b" * 100_000)
        message = await asyncio.wait_for(there.recv_message(), 60)
        assert message.buffers[0].shared and bytes(message.buffers[0])[:3] == b"abc"
        here.close()
        there.close()

    asyncio.run(main())


def test_fork_takes_the_options_of_popen(tmp_path):
    code = "import procs, sys, os\nprocs.parent_channel().send([sys.argv[1:], os.environ['A'], os.getcwd()])"
    file = script(tmp_path, code)
    with procs.fork(file, "one", "two words", env={**os.environ, "A": "b"}, cwd="/", channel={"max_message": 1000}) as child:
        assert child.channel.recv(timeout=60) == [["one", "two words"], "b", "/"]
