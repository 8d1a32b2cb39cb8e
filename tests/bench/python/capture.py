"""Taking in a child's output from Python: the standard library, uvloop and libprocs. `capture.py CASE producer=PATH bytes=B captures=N`."""

import asyncio
import subprocess
import sys

import common


def run(argv):
    """`run`, which keeps chunks and joins them."""
    return len(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)


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


async def communicate(argv):
    """asyncio's way to store."""
    child = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
    stdout, _ = await child.communicate()
    return len(stdout)


async def stream(argv):
    """asyncio's way to discard."""
    child = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
    total = 0
    while chunk := await child.stdout.read(65536):
        total += len(chunk)
    await child.wait()
    return total


async def async_lines(argv):
    """asyncio's way to lines."""
    child = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
    total = 0
    async for line in child.stdout:
        total += len(line)
    await child.wait()
    return total


def uvloop_run(coroutine):
    """The same coroutine on uvloop."""
    import uvloop
    return uvloop.run(coroutine)


PEERS = {
    "run": run,
    "read-all": with_stdout(read_all),
    "read-64k": with_stdout(read_64k),
    "communicate": lambda argv: asyncio.run(communicate(argv)),
    "uvloop-communicate": lambda argv: uvloop_run(communicate(argv)),
    "stream": lambda argv: asyncio.run(stream(argv)),
    "bytes-lines": with_stdout(iterate),
    "text-lines": with_stdout(iterate, text=True),
    "async-lines": lambda argv: asyncio.run(async_lines(argv)),
}


def ours():
    """The cases of libprocs."""
    import procs
    return {
        "procs-run": lambda argv: len(procs.run(argv, stdout=procs.PIPE, check=True).stdout),
        "procs-read-64k": with_stdout(read_64k, procs.Popen),
        "procs-bytes-lines": with_stdout(iterate, procs.Popen),
    }


def main():
    """Runs one case."""
    case, values = common.options()
    cases = ours() if case.startswith("procs-") else PEERS
    if case not in cases:
        sys.exit(f"unknown case {case}")
    common.report_capture(values, cases[case])


main()
