"""Node's wire, to a plain Node program or the child of another runner; and from such a parent."""

import json
import os
import re
import socket
import sys

import procs
from facts import flag, long, path, scenario, status, text
from peers import PATIENCE, again, part

TEXTS = (
    {"n": 1, "t": "ä€😀", "l": [1, None, True, -2.5]}, {"a": {"b": {"c": [{}]}}, "": ""}, {"cmd": "NODE_"}, [], {}, "", "line\nfeed \u2028",
    0, 9007199254740991, 1.5e300, False, None, "\ud800",
)


def talking(name):
    """The child with Node's channel: a plain script, or what SCENARIO_PEER says."""
    if "SCENARIO_PEER" in os.environ:
        return procs.Popen(again(name), channel={"wire": "node"})
    return procs.fork(os.environ["SCENARIO_PLAIN"], "--child", name)


def ended(child):
    try:
        child.channel.recv(PATIENCE)
    except EOFError:
        text("event", b"closed")
    status(child.wait())


def json_of(value):
    """As JavaScript writes it."""
    written = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda lone: f"\\u{ord(lone[0]):04x}", written).encode()


def ask(child, value):
    child.channel.send(value, timeout=PATIENCE)
    return json_of(child.channel.recv(PATIENCE))


@scenario("node-objects", own=True)
def objects():
    child = talking("node-echo")
    for value in TEXTS:
        text("json", ask(child, value))
    deep = []
    for _ in range(499):
        deep = [deep]
    long("json", ask(child, deep))
    child.channel.close()
    status_after_close(child)


def status_after_close(child):
    """A closed end of Python receives nothing any more: its end is told by the child's."""
    text("event", b"closed")
    status(child.wait())


def sent_back(*sizes):
    child = talking("node-echo")
    for size in sizes:
        long("json", ask(child, "y" * size))
    child.channel.close()
    status_after_close(child)


@scenario("node-large", own=True)
def large():
    sent_back(1, 65_536, 1 << 20, (16 << 20) + 1)


@scenario("node-huge", own=True)
def huge():
    sent_back(64 << 20)


def there_and_back(child, kind, handle):
    """Sends a handle; the one that comes back."""
    child.channel.send(kind, fds=[handle], timeout=PATIENCE)
    handle.close()
    message = child.channel.recv_message(PATIENCE)
    assert json.loads(message.body) == kind and len(message.fds) == 1, message
    back = socket.socket(fileno=message.fds[0])
    back.setblocking(True)
    return back


def read_all(stream):
    with stream, stream.makefile("rb") as file:
        return file.read()


@scenario("node-handles", own=True)
def handles():
    child = talking("node-echo")

    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    with there_and_back(child, "tcp-socket", listener.accept()[0]) as back:
        back.sendall(b"through")
    text("tcp-socket", read_all(client))

    def accepts(kind, listener):
        family, address = listener.family, listener.getsockname()
        with there_and_back(child, kind, listener) as back, socket.socket(family) as client:
            client.connect(address)
            with back.accept()[0] as connection:
                connection.sendall(b"accepted")
            text(kind, read_all(client))

    accepts("tcp-listener", listener)

    mine, theirs = socket.socketpair()
    with there_and_back(child, "unix-socket", theirs) as back:
        back.sendall(b"through")
    text("unix-socket", read_all(mine))

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path("listener"))
    listener.listen()
    accepts("unix-listener", listener)

    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    address = udp.getsockname()
    with there_and_back(child, "udp-socket", udp) as back, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"datagram", address)
        text("udp-socket", back.recv(100))

    child.channel.close()
    status_after_close(child)


@scenario("node-handles-in-a-row", own=True)
def handles_in_a_row():
    child = talking("node-echo")
    clients = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for index in range(30):
            # Open to the end: Node closes a socket whose other end is closed, and then sends it no more.
            clients.append(socket.create_connection(listener.getsockname()))
            with listener.accept()[0] as connection:
                child.channel.send(2 * index, fds=[connection], timeout=PATIENCE)
            child.channel.send(2 * index + 1, timeout=PATIENCE)
    handed, numbers = 0, []
    for _ in range(60):
        message = child.channel.recv_message(PATIENCE)
        numbers.append(json.loads(message.body))
        handed += len(message.fds)
        for fd in message.fds:
            os.close(fd)
    for client in clients:
        client.close()
    flag("handles", handed)
    flag("in_order", numbers == list(range(60)))
    child.channel.close()
    status_after_close(child)


@scenario("node-refused", own=True)
def refused():
    child = talking("node-echo")
    channel = child.channel
    read, write = os.pipe()
    one, two = socket.socketpair()
    for send in (
        lambda: channel.send({"cmd": "NODE_HANDLE_ACK"}),
        lambda: channel.send_bytes(b"raw"),
        lambda: channel.send_message(b"1", codec="json", buffers=[b"beside"]),
        lambda: channel.send(1, fds=[one, two]),
        lambda: channel.send(1, fds=[write]),
    ):
        try:
            send()
        except procs.ProcsError as error:
            print(f"error kind={error.kind}")
    for fd in (read, write):
        os.close(fd)
    one.close()
    two.close()
    text("json", ask(child, "on"))
    channel.close()
    status_after_close(child)


def counted(name):
    child = talking(name)
    numbers = [message["index"] for message in child.channel]
    flag("messages", len(numbers))
    flag("in_order", numbers == list(range(len(numbers))))
    ended(child)


@scenario("node-child-disconnects", own=True)
def child_disconnects():
    counted("node-burst")


@scenario("node-last-words", own=True)
def last_words():
    counted("node-last-words")


@scenario("node-parent-disconnects", own=True)
def parent_disconnects():
    child = talking("node-count")
    child.channel.recv(PATIENCE)
    for index in range(100):
        child.channel.send({"index": index}, timeout=PATIENCE)
    child.channel.close()
    status_after_close(child)


@scenario("node-child-killed", own=True)
def child_killed():
    child = talking("node-echo")
    text("json", ask(child, "up"))
    child.kill()
    ended(child)


@scenario("node-parent-killed", own=True)
def parent_killed():
    with procs.Popen([sys.executable, sys.argv[0], "--child", "node-middle"], stdout=procs.PIPE) as middle:
        said = middle.stdout.readline()
        middle.kill()
        said += middle.stdout.read()
    text("stdout", said)
    status(middle.returncode)


# ---- what the children do ----

@part("node-middle")
def middle():
    talking("node-orphan").wait()


@part("node-echo")
def echo():
    channel = procs.parent_channel()
    while True:
        try:
            message = channel.recv_message()
        except EOFError:
            sys.exit(7)
        channel.send_message(message.body, codec=message.codec, fds=message.fds)
        for fd in message.fds:
            os.close(fd)


@part("node-count")
def count():
    channel = procs.parent_channel()
    channel.send("ready")
    sys.exit(sum(1 for _ in channel))


def burst(messages, characters):
    channel = procs.parent_channel()
    for index in range(messages):
        channel.send({"index": index, "text": "x" * characters})


@part("node-burst")
def burst_and_end():
    burst(300, 10_000)
    sys.exit(5)


@part("node-last-words")
def last_words_and_end():
    burst(100, 1000)
    sys.exit(6)


@part("node-orphan")
def orphan():
    channel = procs.parent_channel()
    print("ready", flush=True)
    try:
        channel.recv()
    except EOFError:
        print("gone", flush=True)
