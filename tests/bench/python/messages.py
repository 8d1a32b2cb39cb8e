"""The two sides of a measurement over any way to send and receive bytes, as in limits/messages.h."""

import json
import struct
import time

import common

ORDER = struct.Struct("=IIQ")
END, ECHO, SINK = range(3)


def serve(link):
    """The child's side, until it is told to end."""
    send, receive = link.send, link.receive
    while True:
        order = receive()
        kind, count, size = ORDER.unpack(order)
        if kind == END:
            return
        if kind == ECHO:
            for _ in range(count):
                send(receive())
            continue
        taken = 0
        for _ in range(count):
            taken += len(receive())
        if taken != count * size:
            raise ValueError(f"took {taken} bytes of {count * size}")
        send(order)


def round_trips(link, message, count, samples=None):
    """One batch of round trips; gives its seconds."""
    send, receive, clock = link.send, link.receive, time.perf_counter
    send(ORDER.pack(ECHO, count, len(message)))
    begin = last = clock()
    for _ in range(count):
        send(message)
        answer = receive()
        now = clock()
        if samples is not None:
            samples.append((now - last) * 1e6)
        last = now
    if len(answer) != len(message):
        raise ValueError(f"answer of {len(answer)} bytes")
    return last - begin


def one_way(link, message, count):
    """One batch in one direction, until the child says that it has all of it; gives its seconds."""
    send = link.send
    send(ORDER.pack(SINK, count, len(message)))
    begin = time.perf_counter()
    for _ in range(count):
        send(message)
    link.receive()
    return time.perf_counter() - begin


def doubled(batch, seconds):
    """Doubles a batch until it takes this long, which warms up: (count, seconds). The first waits for the child to be there."""
    batch(1)
    count, taken = 1, twice(batch, 1, seconds)
    while taken < seconds and count < 1 << 24:
        count *= 2
        taken = twice(batch, count, seconds)
    return count, taken


def twice(batch, count, seconds):
    """The seconds of a batch; one that only just took long enough may have been interrupted and is run again."""
    taken = batch(count)
    return min(taken, batch(count)) if seconds <= taken < 4 * seconds else taken


def label(size):
    """The size in the name of a metric."""
    return f"{size >> 20}m" if size >= 1 << 20 else f"{size >> 10}k" if size >= 1024 else str(size)


def measure_round(link, message, seconds):
    """Median and 99th percentile of the round trip."""
    count, taken = doubled(lambda count: round_trips(link, message, count), seconds / 4)
    samples = []
    round_trips(link, message, max(1, int(seconds / taken * count)), samples)
    name = label(len(message))
    return {f"us_{name}": common.quantile(samples, 0.5), f"p99_us_{name}": common.quantile(samples, 0.99)}


def measure_way(link, message, seconds):
    """The median rate of four batches: million messages up to 1 KiB, GiB above."""
    count, _ = doubled(lambda count: one_way(link, message, count), seconds / 4)
    rate = common.quantile([count / one_way(link, message, count) for _ in range(4)], 0.5)
    size = len(message)
    return {f"mmsg_{label(size)}": rate / 1e6} if size <= 1024 else {f"gib_{label(size)}": rate * size / 2**30}


def measure(link, values):
    """The parent's side: all sizes, one line of JSON, then the child is told to end."""
    one_size = measure_round if values.get("mode", "round") == "round" else measure_way
    result = {}
    for size in map(int, values.get("sizes", "64").split(",")):
        result |= one_size(link, b"x" * size, float(values.get("seconds", 0.1)))
    link.send(ORDER.pack(END, 0, 0))
    print(json.dumps(result))


#: Messages on their way when the rate of echoes is measured.
WINDOW = 64


def echo_window(channel, window, seconds, samples=None):
    """Keeps `window` messages on their way to a child that sends back whatever it is sent; gives the answers a second."""
    send, receive, clock, value = channel.send, channel.recv, time.perf_counter, "x" * 64
    for _ in range(window):
        send(value)
    begin = last = clock()
    count = 0
    while last - begin < seconds:
        if receive() != value:
            raise ValueError("the answer is something else")
        send(value)
        now = clock()
        if samples is not None:
            samples.append((now - last) * 1e6)
        last = now
        count += 1
    for _ in range(window):
        receive()
    return count / (last - begin)


def measure_echo(channel, values):
    """Round trips one by one, then echoes a second, each after as long a warm-up."""
    seconds, samples = float(values.get("seconds", 0.1)), []
    echo_window(channel, 1, seconds)
    echo_window(channel, 1, seconds, samples)
    echo_window(channel, WINDOW, seconds)
    rate = echo_window(channel, WINDOW, seconds)
    print(json.dumps({"us_64": common.quantile(samples, 0.5), "p99_us_64": common.quantile(samples, 0.99), "kmsg": rate / 1e3}))
