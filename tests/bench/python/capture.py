"""Taking in a child's output from Python: the standard library, uvloop and libprocs. `capture.py CASE producer=PATH bytes=B captures=N`."""

import asyncio
import subprocess
import sys

import common


def run(argv):
    """`run`, which keeps chunks and joins them."""
    return len(subprocess.run(argv, capture_output=True, check=True).stdout)


def with_stdout(take, start=subprocess.Popen, **more):
    """A case that reads `Popen.stdout` with `take`."""
    def capture(argv):
        with start(argv, stdout=subprocess.PIPE, **more) as child:
            taken = take(child.stdout)
        if child.returncode != 0:
            sys.exit("producer failed")
        return taken
    return capture


def read_all(stdout):
    """One `read()` to the end."""
    return len(stdout.read())


def read_64k(stdout):
    """A loop that discards."""
    total = 0
    while chunk := stdout.read(65536):
        total += len(chunk)
    return total


def iterate(stdout):
    """One object per line."""
    return sum(map(len, stdout))


def asynchronous(take, start=asyncio.create_subprocess_exec, run=asyncio.run):
    """A case for an event loop: `take` reads the child's stdout or talks with it."""
    async def one(argv):
        child = await start(*argv, stdout=subprocess.PIPE)
        taken = await take(child)
        if await child.wait() != 0:
            sys.exit("producer failed")
        return taken
    return lambda argv: run(one(argv))


def own_lines(child):
    """Lines without their ends, as procs alone has them."""
    with child:
        return sum(map(len, child.lines()))


async def communicate(child):
    """The way to store."""
    stdout, _ = await child.communicate()
    return len(stdout)


async def stream(child):
    """The way to discard."""
    total = 0
    while chunk := await child.stdout.read(65536):
        total += len(chunk)
    return total


async def async_lines(child):
    """The way to lines."""
    total = 0
    async for line in child.stdout:
        total += len(line)
    return total


def uvloop_run(coroutine):
    """The same coroutine on uvloop."""
    import uvloop
    return uvloop.run(coroutine)


PEERS = {
    "run": run,
    "read-all": with_stdout(read_all),
    "read-64k": with_stdout(read_64k),
    "communicate": asynchronous(communicate),
    "uvloop-communicate": asynchronous(communicate, run=uvloop_run),
    "stream": asynchronous(stream),
    "bytes-lines": with_stdout(iterate),
    "text-lines": with_stdout(iterate, text=True),
    "async-lines": asynchronous(async_lines),
}


def ours():
    """The cases of libprocs."""
    import procs
    import procs.aio
    start = procs.aio.create_subprocess_exec
    return {
        "procs-run": lambda argv: len(procs.run(argv, capture_output=True, check=True).stdout),
        "procs-read-all": with_stdout(read_all, procs.Popen),
        "procs-read-64k": with_stdout(read_64k, procs.Popen),
        "procs-bytes-lines": with_stdout(iterate, procs.Popen),
        "procs-text-lines": with_stdout(iterate, procs.Popen, text=True),
        "procs-lines": lambda argv: own_lines(procs.Popen(argv, stdout=procs.PIPE, text=True)),
        "procs-communicate": asynchronous(communicate, start),
        "procs-stream": asynchronous(stream, start),
        "procs-async-lines": asynchronous(async_lines, start),
    }


def main():
    """Runs one case."""
    case, values = common.options()
    cases = ours() if case.startswith("procs-") else PEERS
    if case not in cases:
        sys.exit(f"unknown case {case}")
    common.report_capture(values, cases[case])


main()
