"""Messages between two Python processes: multiprocessing, pyzmq and libprocs. `ipc.py CASE mode=M sizes=N,N seconds=S peer-cpu=C`,
for a plain Node script that echoes `echo=PATH`."""

import multiprocessing
import os
import sys
import tempfile

import common
import messages


class PipeBytes:
    """`multiprocessing.Pipe` with bytes."""

    def __init__(self, connection):
        self.send, self.receive = connection.send_bytes, connection.recv_bytes


class PipeObjects:
    """`multiprocessing.Pipe` with pickled objects."""

    def __init__(self, connection):
        self.send, self.receive = connection.send, connection.recv


class Queues:
    """A `multiprocessing.Queue` for each direction."""

    def __init__(self, ends):
        incoming, outgoing = ends
        self.send, self.receive = outgoing.put, incoming.get


def with_pipe(link):
    """A case on a connection."""
    def run(values):
        ours, theirs = multiprocessing.Pipe()
        apart(values, link, ours, theirs)
    return run


def queue(values):
    """A case on two queues."""
    there, back = multiprocessing.Queue(), multiprocessing.Queue()
    apart(values, Queues, (back, there), (there, back))


def pin(values):
    """The child runs where it is told to."""
    if "peer-cpu" in values:
        os.sched_setaffinity(0, {int(values["peer-cpu"])})


def serve(values, link, end):
    """The child, which makes the link itself."""
    pin(values)
    messages.serve(link(end))


def apart(values, link, ours, theirs):
    """Measures with a forked child."""
    child = multiprocessing.get_context("fork").Process(target=serve, args=(values, link, theirs))
    child.start()
    messages.measure(link(ours), values)
    child.join()
    if child.exitcode != 0:
        sys.exit("child failed")


class Zmq:
    """A PAIR socket on a path; one side binds, the other connects."""

    def __init__(self, end):
        import zmq
        path, verb = end
        self.socket = zmq.Context().socket(zmq.PAIR)
        getattr(self.socket, verb)(f"ipc://{path}")
        self.send, self.receive = self.socket.send, self.socket.recv


def pyzmq(values):
    """A case on ZeroMQ, which keeps threads of its own and is therefore made after the fork on both sides."""
    with tempfile.TemporaryDirectory() as folder:
        apart(values, Zmq, (f"{folder}/pair", "bind"), (f"{folder}/pair", "connect"))


class ChannelBytes:
    """libprocs' channel with bytes."""

    def __init__(self, channel):
        self.send, self.receive = channel.send_bytes, channel.recv_bytes


def measured(values, link, case):
    """Measures with this file as a program."""
    import procs
    child = procs.fork(__file__, case, *sys.argv[2:], codec="raw")
    messages.measure(link(child.channel), values)
    if child.wait() != 0:
        sys.exit("child failed")


def serving(values, link):
    """What that program does."""
    import procs
    pin(values)
    messages.serve(link(procs.parent_channel(codec="raw")))


class ChannelInPlace:
    """The same by reference: built in a block of the memory that both sides share, of which each touches the first bytes, and read there."""

    def __init__(self, channel):
        self.channel, self.receive = channel, channel.recv_buffer

    def send(self, data):
        """A block as long as the message."""
        if len(data) <= messages.ORDER.size:
            self.channel.send_bytes(data)
            return
        block = self.channel.alloc(len(data))
        with block.buf as memory:
            memory[:8] = b"in place"
        self.channel.send_bytes(block)


def procs_in_place(values):
    """A case by reference."""
    measured(values, ChannelInPlace, "procs-child-in-place")


def procs_child_in_place(values):
    """Its child."""
    serving(values, ChannelInPlace)


def procs_bytes(values):
    """A case on a channel to this file as a program."""
    measured(values, ChannelBytes, "procs-child")


def procs_child(values):
    """Its child."""
    serving(values, ChannelBytes)


def procs_node(values):
    """A plain Node script."""
    import procs
    here = os.sched_getaffinity(0)
    pin(values)
    child = procs.fork(values["echo"])  # inherits the processors
    os.sched_setaffinity(0, here)
    messages.measure_echo(child.channel, values)
    child.channel.close()
    if child.wait() != 0:
        sys.exit("script failed")


OURS = {"procs-bytes": procs_bytes, "procs-child": procs_child, "procs-node": procs_node, "procs-in-place": procs_in_place,
        "procs-child-in-place": procs_child_in_place}
PEERS = {"pipe-bytes": with_pipe(PipeBytes), "pipe-objects": with_pipe(PipeObjects), "queue": queue, "pyzmq": pyzmq}


def main():
    """Runs one case."""
    case, values = common.options()
    cases = PEERS | OURS
    if case not in cases:
        sys.exit(f"unknown case {case}")
    cases[case](values)


main()
