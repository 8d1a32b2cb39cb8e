"""Messages between two Python processes: multiprocessing, pyzmq and libprocs. `ipc.py CASE mode=M sizes=N,N seconds=S peer-cpu=C`."""

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


def serve(values, link, end):
    """The child: it runs where it is told to and makes the link itself."""
    if "peer-cpu" in values:
        os.sched_setaffinity(0, {int(values["peer-cpu"])})
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


PEERS = {"pipe-bytes": with_pipe(PipeBytes), "pipe-objects": with_pipe(PipeObjects), "queue": queue, "pyzmq": pyzmq}


def main():
    """Runs one case."""
    case, values = common.options()
    if case not in PEERS:
        sys.exit(f"unknown case {case}")
    PEERS[case](values)


main()
