"""Node's wire where something goes wrong: handles that are held, lost or never acknowledged, ends in the middle of a stream, kills at any moment."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time

import procs
from facts import flag, scenario, text
from node_wire import ask, ended, read_all, status_after_close, talking
from peers import PATIENCE, part


class Numbers:
    """Numbers below a limit, the same ones in every language."""

    def __init__(self):
        self.state = int(os.environ["SCENARIO_SEED"])

    def below(self, most):
        self.state = (self.state * 75 + 74) % 65_537
        return self.state % most


def rounds():
    return range(int(os.environ["SCENARIO_ROUNDS"]))


def noticed(late):
    flag("noticed", sorted(late)[len(late) // 2] * 1000 < int(os.environ["SCENARIO_NOTICE_MS"]))


def connection():
    """Both ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), PATIENCE)
        return client, listener.accept()[0]


def received(child):
    """The value and the socket of a message."""
    message = child.channel.recv_message(PATIENCE)
    handle = socket.socket(fileno=message.fds[0])
    handle.setblocking(True)
    return json.loads(message.body), handle


@scenario("node-handles-of-child", own=True)
def own_handles():
    child = talking("node-own-handles")
    value, listener = received(child)
    with listener, socket.create_connection(("127.0.0.1", value["port"])) as client:
        with listener.accept()[0] as accepted:
            accepted.sendall(b"accepted")
        text("tcp-listener", read_all(client))
    value, udp = received(child)
    with udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"datagram", ("127.0.0.1", value["port"]))
        text("udp-socket", udp.recv(100))
    with socket.create_server(("127.0.0.1", 0)) as mine:
        child.channel.send({"port": mine.getsockname()[1]}, timeout=PATIENCE)
        stream = mine.accept()[0]
    with received(child)[1] as handle:
        handle.sendall(b"through")
    text("tcp-socket", read_all(stream))
    child.channel.close()
    status_after_close(child)


@scenario("node-handle-killed", own=True)
def killed_with_handle():
    child = talking("node-holds")
    client, mine = connection()
    with mine:
        child.channel.send(1, fds=[mine], timeout=PATIENCE)
    child.channel.recv(PATIENCE)
    child.kill()
    text("client", read_all(client))
    ended(child)


@scenario("node-handle-kept", own=True)
def kept_open():
    child = talking("node-writes")
    client, mine = connection()
    child.channel.send(1, fds=[mine], timeout=PATIENCE)
    child.channel.recv(PATIENCE)
    with mine:
        mine.sendall(b"parent")
        mine.shutdown(socket.SHUT_RDWR)
    text("client", read_all(client))
    child.channel.close()
    status_after_close(child)


@scenario("node-handle-unanswered", own=True)
def not_acknowledged():
    child = talking("node-stalls")
    child.channel.recv(PATIENCE)
    client, mine = connection()
    with mine:
        child.channel.send(1, fds=[mine], timeout=PATIENCE)
    try:
        child.channel.send(2, timeout=0.1)
    except procs.ProcsError as error:
        flag("waits", error.kind == "TIMEOUT")
    child.kill()
    try:
        child.channel.recv(PATIENCE)
    except EOFError:
        # The end takes the handle with it that was not acknowledged.
        text("client", read_all(client))
    ended(child)


@scenario("node-handle-lost", own=True)
def lost():
    child = talking("node-echo")

    def limits(nofile):
        subprocess.run(["prlimit", "--pid", str(child.pid), f"--nofile={nofile}"], check=True)

    ask(child, "up")
    # It has more open than that already.
    limits("5:4096")
    with connection()[1] as mine:
        child.channel.send("lost", fds=[mine], timeout=PATIENCE)
    child.channel.send("on", timeout=PATIENCE)
    try:
        child.channel.recv(PATIENCE)
    except procs.ProcsError as error:
        flag("lost", error.kind == "EXHAUSTED")
    text("json", json.dumps(child.channel.recv(PATIENCE)).encode())
    limits("4096:4096")
    client, mine = connection()
    with client, mine:
        child.channel.send("there", fds=[mine], timeout=PATIENCE)
        fds = child.channel.recv_message(PATIENCE).fds
    flag("handles", len(fds))
    for fd in fds:
        os.close(fd)
    child.channel.close()
    status_after_close(child)


@scenario("node-child-leaves", own=True)
def child_leaves():
    child = talking("node-leaves")
    child.channel.recv(PATIENCE)
    message = {"text": "x" * 10_000}
    refused = False
    for _ in range(100_000):
        try:
            child.channel.send(message, timeout=PATIENCE)
        except procs.ProcsError as error:
            refused = error.kind == "CLOSED"
            break
    flag("refused", refused)
    ended(child)


def flooding(index):
    """The message of this number in a flood."""
    return {"index": index, "text": "x" * (index * 79_193 % 400_000)}


@scenario("node-killed-at-random", own=True)
def killed_at_random():
    numbers, late, whole, killed = Numbers(), [], True, True
    for _ in rounds():
        child = talking("node-floods")
        most, count, last = numbers.below(40), 0, 0.0
        while True:
            try:
                message = child.channel.recv(PATIENCE)
            except EOFError:
                late.append(time.monotonic() - last)
                break
            except procs.ProcsError as error:
                # Cut off inside a message.
                assert error.kind == "PROTOCOL", error
                continue
            whole &= message == flooding(count)
            if count == most:
                child.kill()
            count, last = count + 1, time.monotonic()
        killed &= child.wait() == -signal.SIGKILL and count > most
    flag("whole", whole)
    flag("killed", killed)
    noticed(late)


@scenario("node-parent-killed-at-random", own=True)
def parent_killed_at_random():
    numbers, late, in_order = Numbers(), [], True
    for _ in rounds():
        with procs.Popen([sys.executable, sys.argv[0], "--child", "node-middle-floods"], stdout=procs.PIPE) as middle:
            said = middle.stdout.readline()
            time.sleep(numbers.below(20) / 1000)
            middle.kill()
            at = time.monotonic()
            said += middle.stdout.read()
            late.append(time.monotonic() - at)
        in_order &= said == b"ready\nin order\n"
    flag("in_order", in_order)
    noticed(late)


@scenario("node-advanced", own=True)
def advanced():
    variables = {**os.environ, "NODE_CHANNEL_FD": "3", "NODE_CHANNEL_SERIALIZATION_MODE": "advanced"}
    text("stdout", procs.run([sys.executable, sys.argv[0], "--child", "node-advanced"], stdout=procs.PIPE, env=variables).stdout)


# ---- what the children do ----

def until_disconnect(channel, code):
    try:
        channel.recv()
    except EOFError:
        sys.exit(code)


@part("node-own-handles")
def give():
    channel = procs.parent_channel()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        channel.send({"port": listener.getsockname()[1]}, fds=[listener])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        channel.send({"port": udp.getsockname()[1]}, fds=[udp])
    with socket.create_connection(("127.0.0.1", channel.recv()["port"])) as stream:
        channel.send("connection", fds=[stream])
    until_disconnect(channel, 9)


@part("node-holds")
def hold():
    channel = procs.parent_channel()
    _held = channel.recv_message()
    channel.send("held")
    channel.recv()


@part("node-writes")
def write():
    channel = procs.parent_channel()
    with socket.socket(fileno=channel.recv_message().fds[0]) as stream:
        stream.sendall(b"child")
    channel.send("written")
    until_disconnect(channel, 7)


@part("node-stalls")
def stall():
    # An end that nobody refers to is closed.
    channel = procs.parent_channel()
    channel.send("ready")
    time.sleep(3600)


@part("node-leaves")
def leave():
    channel = procs.parent_channel()
    channel.send("ready")
    for _ in range(10):
        channel.recv()
    sys.exit(8)


def flood(channel):
    for index in itertools.count():
        channel.send(flooding(index))


@part("node-floods")
def flood_parent():
    flood(procs.parent_channel())


@part("node-middle-floods")
def flood_child():
    flood(talking("node-sink").channel)


@part("node-sink")
def sink():
    in_order = True
    channel = procs.parent_channel()
    try:
        for index in itertools.count():
            message = channel.recv()
            if index == 0:
                print("ready", flush=True)
            in_order &= message == flooding(index)
    except (EOFError, procs.ProcsError):
        # It may have been cut off inside a message.
        print("in order" if in_order else "out of order", flush=True)


@part("node-advanced")
def refuse_advanced():
    try:
        procs.parent_channel()
    except procs.ProcsError as error:
        print(error.kind)
