"""Channels to a child: messages, descriptors, calls, and the end."""

import contextlib
import json
import os
import sys

import procs
from facts import long, scenario, status, text
from peers import PATIENCE, again, kind, part


@scenario("channel-echo", own=True)
def echo():
    child = procs.Popen(again("channel-echo"), channel=True)
    channel = child.channel
    channel.send({"n": 1, "t": "ä€", "l": [1, None, True]})
    text("json", json.dumps(channel.recv(PATIENCE), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
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


@scenario("channel-large", own=True)
def large():
    child = procs.Popen(again("channel-echo"), channel=True)
    child.channel.send_bytes((bytes(range(251)) * ((64 << 20) // 251 + 1))[: 64 << 20])
    long("body", child.channel.recv_bytes(PATIENCE))
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


@scenario("channel-close-first", own=True)
def close_first():
    child = procs.Popen(again("channel-close-first"), stdin=procs.PIPE, channel=True)
    text("body", child.channel.recv_bytes(PATIENCE))
    kind(lambda: child.channel.recv_bytes(PATIENCE))
    child.stdin.close()
    status(child.wait())
    child.channel.close()


@scenario("channel-close-unread", own=True)
def close_unread():
    child = procs.Popen(again("channel-three"), channel=True)
    text("body", child.channel.recv_bytes(PATIENCE))
    child.channel.close()
    status(child.wait())


# ---- what the children do ----


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


@part("channel-close-first")
def last():
    channel = procs.parent_channel()
    channel.send_bytes(b"last")
    channel.close()
    sys.stdin.read()


@part("channel-three")
def three():
    channel = procs.parent_channel()
    # The other side may close after the first.
    with contextlib.suppress(procs.ClosedError):
        for word in (b"1", b"2", b"3"):
            channel.send_bytes(word)
        channel.poll(None)
