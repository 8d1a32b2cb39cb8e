"""The scenarios of shared memory and channels in Python."""

import os
import sys
import threading

import procs

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "python.py")
# Where a child finds the descriptor of the memory.
FD = 3
PATIENCE = 20
PARTS = {}


def part(name):
    def add(function):
        PARTS[name] = function
        return function
    return add


def again(name):
    """The runner again, or the one of SCENARIO_PEER, as the child of a scenario."""
    peer = os.environ.get("SCENARIO_PEER", f"{sys.executable}\n{HERE}")
    return [*peer.split("\n"), "--child", name]


def kind(action):
    """The kind of an error that must come."""
    try:
        action()
    except procs.ProcsError as error:
        print(f"error kind={error.kind}")
    else:
        raise AssertionError("it did not fail")


def add(scenario, facts):
    """Gives the runner these scenarios."""
    text, long, flag, status = facts.text, facts.long, facts.flag, facts.status

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
        memory = procs.SharedMemory(4096)
        semaphore = memory.semaphore(0, 3, create=True)
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

    @scenario("channel-echo", own=True)
    def echo():
        child = procs.Popen(again("channel-echo"), channel=True)
        channel = child.channel
        channel.send({"n": 1, "t": "ä€", "l": [1, None, True]})
        text("json", facts.json.dumps(channel.recv(PATIENCE), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
        channel.send_bytes(bytes(at % 251 for at in range(100_000)))
        long("body", channel.recv_bytes(PATIENCE))
        channel.send_message(b"body", buffers=[b"one", b"z" * 200_000])
        message = channel.recv_message(PATIENCE)
        text("body", message.body)
        text("buffer", bytes(message.buffers[0]))
        long("buffer", bytes(message.buffers[1]))
        channel.close()
        status(child.wait())

    @scenario("channel-sizes", own=True)
    def sizes():
        child = procs.Popen(again("channel-echo"), channel=True)
        for size in (0, 1, 64, 4096, 65_537, 1 << 20):
            data = bytes(at % 251 for at in range(size))
            child.channel.send_message(data, buffers=[data])
            message = child.channel.recv_message(PATIENCE)
            long("body", message.body)
            long("buffer", bytes(message.buffers[0]))
        child.channel.close()
        status(child.wait())

    @scenario("channel-descriptor", own=True)
    def descriptor():
        child = procs.Popen(again("channel-descriptor"), channel=True)
        read, write = os.pipe()
        child.channel.send_message(b"through the pipe", fds=[write])
        os.close(write)
        with open(read, "rb") as pipe:
            text("pipe", pipe.read())
        status(child.wait())

    @scenario("channel-call", own=True)
    def call():
        child = procs.Popen(again("channel-call"), stdin=procs.PIPE, channel=True)
        text("value", child.channel.call("hello", PATIENCE).encode())
        kind(lambda: child.channel.call("fail", PATIENCE))
        kind(lambda: child.channel.call("sleep", 0.1))
        child.stdin.close()
        text("value", child.channel.call("again", PATIENCE).encode())
        child.channel.close()
        status(child.wait())

    @scenario("channel-child-killed", own=True)
    def killed():
        child = procs.Popen(again("channel-three"), channel=True)
        for _ in range(3):
            text("body", child.channel.recv_bytes(PATIENCE))
        child.kill()
        kind(lambda: child.channel.recv_bytes(PATIENCE))
        status(child.wait())


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
    semaphore = memory.semaphore(0, create=False)
    semaphore.acquire()
    semaphore.acquire()
    memory.event(256, create=False).set()
    memory.event(512, create=False).wait(PATIENCE)
    semaphore.release(2)


@part("channel-echo")
def echo_back():
    with procs.parent_channel() as channel:
        while True:
            try:
                message = channel.recv_message()
            except EOFError:
                return
            channel.send_message(message.body, codec=message.codec, buffers=message.buffers)


@part("channel-descriptor")
def write_into():
    message = procs.parent_channel().recv_message()
    with open(message.fds[0], "wb") as pipe:
        pipe.write(message.body)


@part("channel-call")
def answer():
    def handler(value):
        if value == "fail":
            raise KeyError("no such key")
        if value == "sleep":
            sys.stdin.read()
        return value
    procs.parent_channel().serve(handler)


@part("channel-three")
def three():
    channel = procs.parent_channel()
    for word in (b"1", b"2", b"3"):
        channel.send_bytes(word)
    channel.poll(None)
