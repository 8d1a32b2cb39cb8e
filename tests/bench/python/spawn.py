"""Starting and ending children from Python: the standard library, uvloop and libprocs.

`spawn.py CASE true=PATH seconds=S mb=M threads=T outstanding=N`: T is for calls that block, N for event loops.
"""

import asyncio
import os
import subprocess
import sys
import threading
import time

import common


def run(start_and_wait, program, times):
    """For calls that start a child and wait for it in one."""
    while times.running():
        begin = time.perf_counter()
        start_and_wait(program)
        ended = time.perf_counter()
        times.add(begin, ended, ended)


def popen(start, program, times):
    """For calls that return a child to wait for."""
    while times.running():
        begin = time.perf_counter()
        child = start([program])
        called = time.perf_counter()
        if child.wait() != 0:
            sys.exit("child failed")
        times.add(begin, called, time.perf_counter())


class PosixSpawn:
    """`os.posix_spawn` with the face of Popen."""

    def __init__(self, argv):
        self.pid = os.posix_spawn(argv[0], argv, os.environ)

    def wait(self):
        """Returns the exit code."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


async def loop_exec(start, program, times):
    """For coroutines of an event loop, one child at a time."""
    while times.running():
        begin = time.perf_counter()
        child = await start(program)
        called = time.perf_counter()
        if await child.wait() != 0:
            sys.exit("child failed")
        times.add(begin, called, time.perf_counter())


async def loop_many(start, program, times, outstanding):
    """Coroutines of an event loop that keep this many children going."""
    await asyncio.gather(*(loop_exec(start, program, times) for _ in range(outstanding)))


def on_loop(start, outstanding, run=asyncio.run):
    """A case for an event loop."""
    return lambda program, times: run(loop_many(start(), program, times, outstanding))


def asyncio_start():
    """The standard library's."""
    return asyncio.create_subprocess_exec


def procs_start():
    """Ours."""
    import procs.aio
    return procs.aio.create_subprocess_exec


def case_function(case, outstanding):
    """The loop of a case as a function of program and times."""
    if case == "run":
        return lambda program, times: run(lambda path: subprocess.run([path], check=True), program, times)
    if case == "popen":
        return lambda program, times: popen(subprocess.Popen, program, times)
    if case == "posix_spawn":
        return lambda program, times: popen(PosixSpawn, program, times)
    if case == "asyncio":
        return on_loop(asyncio_start, outstanding)
    if case == "procs-asyncio":
        return on_loop(procs_start, outstanding)
    if case in ("uvloop", "procs-uvloop"):
        import uvloop
        return on_loop(asyncio_start if case == "uvloop" else procs_start, outstanding, uvloop.run)
    import procs
    if case == "procs-run":
        return lambda program, times: run(lambda path: procs.run([path], check=True), program, times)
    if case == "procs-popen":
        return lambda program, times: popen(procs.Popen, program, times)
    sys.exit(f"unknown case {case}")


def main():
    """Runs one case on one or several threads."""
    case, values = common.options()
    loop = case_function(case, int(values.get("outstanding", 1)))
    held = common.hold(int(values.get("mb", 0)))
    threads = 1 if case.endswith(("asyncio", "uvloop")) else int(values.get("threads", 1))
    runs = [common.Times(float(values.get("seconds", 0.4))) for _ in range(threads)]
    if len(runs) == 1:
        loop(values["true"], runs[0])
    else:
        workers = [threading.Thread(target=loop, args=(values["true"], times)) for times in runs]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    common.report_spawn(runs)
    del held


main()
