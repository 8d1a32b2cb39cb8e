"""Every argument of what is native: a value that is refused is named, with what was expected, in an exception of the kind that Python has for it."""

import asyncio
import io
import math
import os
import socket
import threading

import pytest

import procs
from procs import aio


class Odd:
    """An object of no use to anybody, not even to a message about it."""

    def __repr__(self):
        raise LookupError("nobody may know")


class Raising:
    """Every conversion raises."""

    def refuse(self, *_):
        raise LookupError("refused")

    __index__ = __int__ = __float__ = __iter__ = __len__ = __bool__ = __repr__ = fileno = keys = refuse


def memory():
    return procs.SharedMemory(1 << 16)


def here():
    return procs.Channel.pair()[0]


def arena():
    return procs.Arena(1 << 16)


def serving(handler):
    channel, there = procs.Channel.pair()
    there.close()
    return channel.serve(handler)


NO_INDEX = [1.5, math.nan, "x", b"1", [], Odd()]
TOO_LARGE = [2**64, 2**100, 10**5000]
NEGATIVE = [-1, -(2**63) - 1]

# Name of the argument, and the call that has it.
SIZES = {
    "SharedMemory": ("size", lambda value: procs.SharedMemory(value)),
    "Arena": ("size", lambda value: procs.Arena(value)),
    "Arena largest": ("max_bytes", lambda value: procs.Arena(1, max_bytes=value)),
    "Arena.alloc": ("size", lambda value: arena().alloc(value)),
    "Arena.open": ("seat", lambda value: procs.Arena.open(0, value)),
    "Arena.segment_fd": ("segment", lambda value: arena().segment_fd(value)),
    "Arena.reclaim": ("seat", lambda value: arena().reclaim(value)),
    "Block.lend": ("seat", lambda value: arena().alloc(1).lend(value)),
    "Block.unlend": ("seat", lambda value: arena().alloc(1).unlend(value)),
    "Channel.alloc": ("size", lambda value: here().alloc(value)),
    "AsyncChannel.alloc": ("size", lambda value: aio.AsyncChannel(here()).alloc(value)),
    "recv_bytes_into": ("offset", lambda value: here().recv_bytes_into(bytearray(9), value, 0)),
    "read from": ("offset", lambda value: memory().read(value)),
    "read": ("size", lambda value: memory().read(0, value)),
    "write": ("offset", lambda value: memory().write(value, b"")),
    "fill from": ("offset", lambda value: memory().fill(value)),
    "fill": ("size", lambda value: memory().fill(0, value)),
    "fill with": ("byte", lambda value: memory().fill(0, 1, value)),
    **{name: ("offset", lambda value, name=name: getattr(memory(), name)(value))
       for name in ("cell", "mutex", "rwlock", "semaphore", "event", "barrier", "once", "counters", "histogram")},
    "semaphore of": ("value", lambda value: memory().semaphore(0, value)),
    "barrier of": ("parties", lambda value: memory().barrier(0, value)),
    "counters of": ("capacity", lambda value: memory().counters(0, value)),
    "semaphore.release": ("n", lambda value: memory().semaphore(0).release(value)),
    "Histogram.record": ("value", lambda value: memory().histogram(0).record(value)),
    "cell of u32": ("value", lambda value: memory().cell(0, "u32").store(value)),
    "cell of u64": ("value", lambda value: memory().cell(0).swap(value)),
    "cell exchange": ("current", lambda value: memory().cell(0).compare_exchange(value, 0)),
    "cell exchange for": ("new", lambda value: memory().cell(0).compare_exchange(0, value)),
    "run_many": ("jobs", lambda value: procs.run_many([["true"]], value)),
    "aio.run_many": ("jobs", lambda value: asyncio.run(aio.run_many([["true"]], value))),
    **{name: (name, lambda value, name=name: procs.Channel.pair(**{name: value}))
       for name in ("max_message", "max_queued_bytes", "high_water", "ring_bytes", "max_fds")},
}
SIGNED = {
    "cell of i32": ("value", lambda value: memory().cell(0, "i32").fetch_add(value)),
    "cell of i64": ("value", lambda value: memory().cell(0, "i64").fetch_sub(value)),
    "Counter.add": ("amount", lambda value: memory().counters(0).counter("x").add(value)),
    "Counter.set": ("value", lambda value: memory().counters(0).counter("x").set(value)),
    "Value": ("value", lambda value: procs.Value("i", value or 0.5)),
    "Value.value": ("value", lambda value: setattr(procs.Value("i"), "value", value)),
    "Array item": ("value", lambda value: procs.Array("i", 3).__setitem__(0, value)),
    "Array items": ("value", lambda value: procs.Array("i", [value])),
    "Array place": ("at", lambda value: procs.Array("i", 3)[value]),
}
DESCRIPTORS = {
    "SharedMemory.from_fd": procs.SharedMemory.from_fd,
    "Channel.from_fd": procs.Channel.from_fd,
    "Arena.open": lambda value: procs.Arena.open(value, 1),
    "Arena.add_segment": lambda value: arena().add_segment(value),
}
FLAGS = {
    "read_only": lambda value: procs.SharedMemory(1, read_only=value),
    "prefault": lambda value: procs.SharedMemory(1, prefault=value),
    "huge_pages": lambda value: procs.Arena(1, huge_pages=value),
    "create": lambda value: memory().mutex(0, value),
    "failed": lambda value: memory().once(0).finish(failed=value),
}
WORDS = {
    "codec": [procs.Channel.pair, lambda codec: here().send_message(b"", codec=codec), procs.parent_channel],
    "kind": [lambda kind: memory().cell(0, kind)],
    "name": [lambda name: memory().counters(0).counter(name)],
}
BYTES = {
    "data": [lambda value: here().send_bytes(value), lambda value: memory().write(0, value),
             lambda value: asyncio.run(aio.AsyncChannel(here()).send_bytes(value))],
    "body": [lambda value: here().send_message(value)],
    "buffers": [lambda value: here().send_message(b"", buffers=[value]), lambda value: here().send_message(b"", buffers=5)],
    "obj": [lambda value: procs.Channel.pair(codec="raw")[0].send(value)],
    "buffer": [lambda value: here().recv_bytes_into(value, timeout=0), lambda value: here().recv_bytes_into(b"read-only", timeout=0)],
    "input": [lambda value: procs.run(["cat"], input=value), lambda value: procs.Pipeline(["cat"]).run(input=value or 5),
              lambda value: asyncio.run(communicated(value))],
}


async def communicated(value):
    child = await aio.create_subprocess_exec("cat", stdin=aio.PIPE)
    try:
        await child.communicate(value)
    finally:
        child.kill()
        await child.wait()


def refused(call, name, *kinds):
    with pytest.raises(kinds) as caught:
        call()
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert f"({name} = " in text and ", expected " in text, caught.value
    assert "negative int" not in text and "too big" not in text and "integral type" not in text, text
    return caught.value


@pytest.mark.parametrize("case", SIZES)
def test_numbers_that_are_not_negative(case):
    name, call = SIZES[case]
    for value in NO_INDEX:
        refused(lambda value=value: call(value), name, TypeError)
    for value in [*NEGATIVE, *TOO_LARGE]:
        if name == "jobs" and value > 0:
            continue  # as many at once as there are
        error = refused(lambda value=value: call(value), name, ValueError)
        assert isinstance(error, (procs.InvalidArgumentError, OverflowError))
    with pytest.raises(LookupError, match="^refused"):
        call(Raising())


@pytest.mark.parametrize("case", SIGNED)
def test_numbers_with_a_sign(case):
    name, call = SIGNED[case]
    for value in NO_INDEX:
        refused(lambda value=value: call(value), name, TypeError)
    for value in [*TOO_LARGE, -(2**63) - 1]:
        refused(lambda value=value: call(value), name, ValueError, IndexError)


@pytest.mark.parametrize("case", DESCRIPTORS)
def test_descriptors(case):
    call = DESCRIPTORS[case]
    for value in NO_INDEX:
        refused(lambda value=value: call(value), "fd", TypeError)
    for value in [*NEGATIVE, *TOO_LARGE]:
        refused(lambda value=value: call(value), "fd", ValueError)
    with pytest.raises(OSError, match="Bad file descriptor"):
        call(10**6)


@pytest.mark.parametrize("given", [5, 1.5, [Odd()], ["x"], [-1], [2**100], Odd(), [b"9"]])
def test_descriptors_to_send(given):
    for send in (lambda: here().send(1, fds=given), lambda: here().send_message(b"", fds=given), lambda: asyncio.run(aio.AsyncChannel(here()).send(1, fds=given))):
        refused(send, "fds", TypeError, ValueError, AttributeError)


@pytest.mark.parametrize("name", FLAGS)
def test_flags(name):
    for value in (5, "x", Odd(), []):
        refused(lambda value=value: FLAGS[name](value), name, TypeError)


def test_flags_that_threading_and_multiprocessing_have_count_for_their_truth():
    mutex = memory().mutex(0)
    assert mutex.acquire(1)
    assert [mutex.acquire(0), mutex.acquire(block=0), mutex.acquire([])] == [False] * 3
    mutex.release()
    assert mutex.acquire(0, block="yes")
    assert memory().semaphore(0, 1).acquire(0)
    assert memory().rwlock(0).read.acquire(1)
    assert procs.SharedMemory(1, create=1).size == 1
    with pytest.raises(LookupError, match="^refused"):
        mutex.acquire(Raising())


@pytest.mark.parametrize("name", WORDS)
def test_words(name):
    for call in WORDS[name]:
        for value in (5, None, b"json", [], Odd()):
            refused(lambda value=value, call=call: call(**{name: value}), name, TypeError)
        refused(lambda call=call: call(**{name: "\ud800"}), name, ValueError)


@pytest.mark.parametrize("name", BYTES)
def test_bytes(name):
    for call in BYTES[name]:
        for value in (5, 1.5, "text", Odd()):
            refused(lambda value=value, call=call: call(value), name, TypeError)


@pytest.mark.parametrize("name, call", [
    ("handler", serving),
    ("handler", lambda value: asyncio.run(aio.AsyncChannel(here()).serve(value))),
    ("work", lambda value: memory().once(0).call_once(value)),
    ("channel", aio.AsyncChannel),
    ("channel", lambda value: procs.Popen(["true"], channel=value)),
    ("channel", lambda value: procs.fork("true", channel=value)),
    ("channels", lambda value: procs.wait_any_channel([value], 0)),
    ("channels", lambda value: procs.wait_any_channel(value, 0)),
    ("children", lambda value: procs.wait_any([value])),
    ("processes", lambda value: asyncio.run(aio.wait_any([value]))),
    ("commands", procs.run_many),
    ("commands", lambda value: asyncio.run(aio.run_many(value))),
    ("command", lambda value: procs.run_many([{value: 1}])),
    ("command", lambda value: procs.Pipeline({value: 1}).run()),
    ("cancel", lambda value: procs.run_many([["true"]], cancel=value)),
    ("progress", lambda value: procs.run_many([["true"]], progress=value)),
    ("tree", lambda value: stopped(tree=value)),
    ("grace", lambda value: stopped(grace=value)),
    ("steps", lambda value: stopped(steps=value)),
    ("steps", lambda _: stopped(steps=[("kill", math.nan)])),
    ("stdout_sink", lambda value: procs.run(["true"], stdout_sink=value)),
    ("stderr_limit", lambda value: procs.run(["true"], stderr_limit=value)),
    ("lock", lambda value: procs.Value("i", lock=value)),
    ("lock", lambda value: asyncio.run(aio.wait(None if value == "text" else value))),
    ("how", lambda value: asyncio.run(aio.wait(memory().rwlock(0), how=value))),
    ("typecode", procs.Value),
    ("timeout", lambda value: asyncio.run(aio.wait_any([], value))),
    ("timeout", lambda value: asyncio.run(entered(aio.held(memory().mutex(0), value)))),
    ("timeout", lambda value: piped(lambda child: child.wait(value))),
    ("size", lambda value: ended(lambda child: next(child.chunks(value)))),
    ("sig", lambda value: ended(lambda child: child.send_signal(value))),
    ("number", lambda value: ended(lambda child: child.take_fd(value))),
], ids=lambda value: value if isinstance(value, str) else "")
def test_objects(name, call):
    refused(lambda: call(Odd()), name, *((TypeError,) if name == "typecode" else (TypeError, ValueError)))
    refused(lambda: call("text"), name, TypeError, ValueError)


async def entered(manager):
    async with manager:
        pass


def stopped(**given):
    with procs.Popen(["true"]) as child:
        child.stop(**given)


def ended(act):
    with procs.Popen(["true"], stdout=procs.PIPE) as child:
        child.wait()
        act(child)


def piped(act):
    child = procs.Pipeline(["true"]).spawn()
    try:
        act(child)
    finally:
        child.wait()


def test_more_permits_than_there_can_be_are_refused_at_once():
    semaphore = memory().semaphore(0, 0)
    semaphore.release(3)
    with pytest.raises(procs.TooLargeError):
        semaphore.release(2**32 - 1)
    assert semaphore.available == 3
    for _ in range(3):
        assert semaphore.acquire(False)
    assert semaphore.available == 0
    semaphore.release(5)  # three of its own, two new ones
    assert semaphore.available == 5
    for value in (0, -1):
        refused(lambda value=value: semaphore.release(value), "n", ValueError)


def test_a_part_of_a_stream_that_cannot_be_sent_fails_the_call_and_not_the_server():
    here, there = procs.Channel.pair()
    served = []
    server = threading.Thread(target=lambda: served.append(there.serve(lambda asked: iter([1, Odd()]) if asked else "well")))
    server.start()
    with here:
        replies = here.call_stream(True)
        assert next(replies) == 1
        with pytest.raises(procs.TaskFailedError, match="not JSON serializable"):
            next(replies)
        assert here.call(False, timeout=60) == "well"
    server.join(60)
    assert served == [None]


def test_messages_and_their_arguments_stay_when_the_room_is_refused():
    here, there = procs.Channel.pair()
    with here, there:
        there.send_bytes(b"message")
        refused(lambda: here.recv_bytes_into(bytearray(9), 10), "offset", ValueError)
        room = bytearray(9)
        assert here.recv_bytes_into(room, 2, 60) == 7
        assert room == b"\0\0message"


def test_a_closed_file_is_named():
    with open(os.devnull, "rb") as file:
        pass
    for name in ("stdin", "stdout", "stderr", "stdout_sink", "stderr_sink", "fds"):
        refused(lambda name=name: procs.run(["true"], **{name: {5: file} if name == "fds" else file}), name, ValueError)


@pytest.mark.parametrize("name", ["frame_timeout", "spin"])
def test_times_of_a_channels_options(name):
    for value in (-1, math.nan, "5", b"5", [], Odd()):
        refused(lambda value=value: procs.Channel.pair(**{name: value}), name, TypeError, ValueError)


class Descriptor:
    def __init__(self, number):
        self.number = number

    def fileno(self):
        return self.number


def test_a_sink_is_any_object_with_a_descriptor():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        procs.run(["echo", "sent"], stdout_sink=theirs)
        assert ours.recv(9) == b"sent\n"
        procs.Pipeline(["echo", "piped"]).run(stdout_sink=Descriptor(theirs.fileno()))
        assert ours.recv(9) == b"piped\n"


@pytest.mark.parametrize("sink", [Descriptor("x"), Descriptor(-1), Descriptor(2**70), io.BytesIO()], ids=["text", "negative", "large", "in memory"])
def test_sinks_without_a_descriptor(sink):
    refused(lambda: procs.run(["true"], stdout_sink=sink), "stdout_sink", TypeError, ValueError)


def test_a_codec_is_refused_before_anything_starts(tmp_path):
    made = tmp_path / "made"
    for run in (lambda **given: procs.Pipeline(["touch", made]).run(**given), lambda **given: procs.run_many([["touch", made]], **given),
                lambda **given: asyncio.run(aio.Pipeline(["touch", made]).run(**given))):
        with pytest.raises(LookupError, match="no-such-codec"):
            run(encoding="no-such-codec")
        assert not made.exists()


def test_places_of_an_array_and_what_goes_there():
    array = procs.Array("i", 3)
    for place in ((), (0, 0), None, 1.5):
        refused(lambda place=place: array[place], "at", TypeError)
        refused(lambda place=place: array.__setitem__(place, 1), "at", TypeError)
    refused(lambda: array.__setitem__(slice(0, 2), 5), "value", TypeError)
    assert list(array) == [0, 0, 0]


def test_a_wait_for_nothing_says_so():
    refused(lambda: procs.wait_any([]), "children", procs.InvalidArgumentError)
    refused(lambda: asyncio.run(aio.wait_any([])), "processes", procs.InvalidArgumentError)


def test_what_an_object_says_of_its_length_is_not_believed():
    class Long(list):
        def __len__(self):
            return 2**62

    channel, there = procs.Channel.pair()
    there.send("here")
    assert procs.wait_any_channel(Long([there, channel]), 60) == 1
    assert procs.wait_any_channel((end for end in (there, channel)), 60) == 1


def test_a_time_is_what_float_makes_of_it():
    class Minute:
        def __index__(self):
            return 60

    async def asked():
        channel, there = procs.Channel.pair()
        served = asyncio.create_task(aio.AsyncChannel(there).serve(lambda text: text + "!"))
        async with aio.AsyncChannel(channel) as asking:
            assert await asking.call("well", timeout=Minute()) == "well!"
        await served

    asyncio.run(asked())


@pytest.mark.parametrize("options", [{"user": 2**32}, {"user": -1}, {"group": 2**100}, {"group": []}, {"extra_groups": [-5]}, {"extra_groups": 5}, {"user": "nobody by this name"},
                                     {"cwd": "a\0b"}, {"cwd": "\ud800"}, {"pass_fds": [2**100]}, {"pipesize": "x"}, {"bufsize": "x", "umask": 0}, {"user": "a\0b"}])
def test_arguments_of_subprocess_keep_its_class_and_have_a_note(options):
    import subprocess
    name = next(iter(options))
    with pytest.raises(Exception) as expected:  # noqa: PT011, whichever it is
        subprocess.run(["true"], **options)
    refused(lambda: procs.run(["true"], **options), name, expected.type)
