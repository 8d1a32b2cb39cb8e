"""Pipelines that are started and left to the caller, and those for asyncio."""

import asyncio
import math
import signal
import threading
import time

import pytest
from conftest import alive, children, wait_until

import procs
from procs import aio

HOLD = ["sh", "-c", "trap '' TERM; echo on; while :; do sleep 0.05; done"]


def test_a_started_pipeline_is_fed_and_read():
    with procs.Pipeline(["cat"], {"args": ["tr", "a-z", "A-Z"]}).spawn(stdin=procs.PIPE, stdout=procs.PIPE, text=True) as running:
        running.stdin.write("some\nlines\n")
        running.stdin.close()
        assert list(running.stdout) == ["SOME\n", "LINES\n"]
        assert running.wait() == [0, 0]
    assert running.returncode == 0


def test_a_started_pipeline_tells_every_end():
    running = procs.Pipeline(["sh", "-c", "exit 3"], ["sh", "-c", "kill -9 $$"], ["true"]).spawn(stdin=procs.DEVNULL)
    assert running.wait(timeout=60) == [3, -9, 0]
    assert running.returncode == -9 and running.poll() == -9


def test_a_stage_that_cannot_start_ends_the_others():
    before = threading.active_count()
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        procs.Pipeline(["sleep", "60"], ["cat"], ["no-such-program"]).spawn()
    assert threading.active_count() == before
    with pytest.raises(ValueError, match="no commands"):
        procs.Pipeline().spawn()


def test_all_stages_are_stopped_together():
    running = procs.Pipeline(HOLD, ["sh", "-c", "trap '' TERM; read line; echo $line; while :; do sleep 0.05; done"]).spawn(stdout=procs.PIPE)
    assert running.stdout.readline() == b"on\n"
    with pytest.raises(procs.TimeoutExpired) as caught:
        running.wait(timeout=0.05)
    assert caught.value.timeout == 0.05
    reports = running.stop(0.2)
    assert [(report.returncode, report.ended_by) for report in reports] == [(-9, "kill")] * 2
    running.stdout.close()


def test_a_sink_sees_what_the_last_stage_writes(tmp_path):
    chunks = []
    done = procs.Pipeline(["seq", "3"], ["cat"]).run(stdout_sink=[chunks.append, tmp_path / "copy", "buffer"])
    assert b"".join(chunks) == (tmp_path / "copy").read_bytes() == done.stdout == b"1\n2\n3\n"


def test_an_exception_of_a_sink_ends_the_pipeline():
    def refuse(chunk):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        procs.Pipeline(["yes"], ["cat"]).run(stdout_sink=refuse)
    with pytest.raises(LookupError, match="enough"):
        asyncio.run(aio.Pipeline(["yes"], ["cat"]).run(stdout_sink=refuse))


def test_awaited_pipelines_give_what_the_blocking_ones_give():
    async def main():
        done = await aio.Pipeline(["seq", "3"], ["sort", "-r"]).run(text=True)
        assert (done.stdout, done.returncodes) == ("3\n2\n1\n", [0, 0])
        assert (await aio.Pipeline(["cat"]).then(["tr", "a", "b"]).run(input=b"banana")).stdout == b"bbnbnb"
        with pytest.raises(procs.TimeoutExpired) as caught:
            await aio.Pipeline(HOLD, ["cat"]).run(timeout=0.2)
        assert caught.value.output in (b"on\n", None)
        with pytest.raises(procs.CalledProcessError):
            await aio.Pipeline(["false"], ["true"]).run(check=True)
        with pytest.raises(TypeError):
            await aio.Pipeline(["true"]).run(unknown=1)
        cancel = procs.CancelHandle()
        asyncio.get_running_loop().call_later(0.1, cancel.cancel)
        with pytest.raises(procs.CancelledError):
            await aio.Pipeline(HOLD, ["cat"]).run(cancel=cancel)

    asyncio.run(main())


def test_cancelling_an_awaited_pipeline_ends_its_stages():
    async def main():
        task = asyncio.ensure_future(aio.Pipeline(["sleep", "300"], ["cat"]).run())
        while len(children()) < 2:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())  # the fixture looks for children that are left


def test_a_started_pipeline_for_asyncio():
    async def main():
        running = await aio.Pipeline(["cat"], ["tr", "a-z", "A-Z"]).spawn(stdin=aio.PIPE, stdout=aio.PIPE)
        running.stdin.write(b"abc\n")
        await closed(running.stdin)
        assert await running.stdout.readline() == b"ABC\n"
        assert await running.wait() == [0, 0]
        running = await aio.Pipeline(HOLD, ["cat"]).spawn(stdout=aio.PIPE)
        assert await running.stdout.readline() == b"on\n"
        reports = await running.stop(0.2)
        assert reports[0].ended_by == "kill" and running.returncodes == [-9, -15]

    async def closed(stdin):
        stdin.close()
        await stdin.wait_closed()

    asyncio.run(main())


def test_stopping_a_tree_from_a_loop():
    async def main():
        script = "sleep 300 & echo $!; wait"
        process = await aio.create_subprocess_shell(script, stdout=aio.PIPE, kill_tree=True)
        grandchild = int(await process.stdout.readline())
        report = await process.stop()
        assert report.returncode == -15 and report.level != "process" and report.survivors == []
        process = await aio.create_subprocess_shell(script, stdout=aio.PIPE)
        second = int(await process.stdout.readline())
        assert (await process.kill_tree()).returncode == -9
        return grandchild, second

    pids = asyncio.run(main())
    wait_until(lambda: not any(map(alive, pids)), "both grandchildren are gone")


WAITS = {
    "wait": lambda child: child.wait(),
    "communicate": lambda child: child.communicate(),
    "wait_any": lambda child: procs.wait_any([child]),
    "stop": lambda child: child.stop(steps=[("wait", 60)]),
    "pipeline": lambda child: procs.Pipeline(["sleep", "0.3"], ["cat"]).run(),
    "many": lambda child: procs.run_many([["sleep", "0.3"]]),
    "run": lambda child: procs.run(["sleep", "0.3"]),
    "captured": lambda child: procs.run(["sleep", "0.3"], capture_output=True),
    "read": lambda child: child.stdout.read(),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_signal_handler_runs_at_once(name):
    """A wait that looked for handlers every 50 ms would let each of these wait for 40."""
    late = []
    previous = signal.signal(signal.SIGALRM, lambda *_: late.append(time.monotonic() - begin - 0.01))

    def lateness(wait):
        """Infinite where the wait was over before the signal came: on a machine that stands still the child may end first."""
        nonlocal begin
        begin = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        wait()
        signal.setitimer(signal.ITIMER_REAL, 0)
        return late.pop() if late else math.inf

    begin, tries = 0.0, []
    try:
        for _ in range(20):
            # On a busy machine the handler of a mere sleep is late, too.
            allowed = max(0.02, min(1, 1.5 * lateness(lambda: time.sleep(0.3))))
            with procs.Popen(["sleep", "0.3"], stdout=procs.PIPE, stderr=procs.PIPE) as child:
                tries.append((lateness(lambda: WAITS[name](child)), allowed))
            if tries[-1][0] < allowed:
                break
        else:
            pytest.fail(f"late, and what was allowed: {tries}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_an_exception_of_a_handler_cuts_a_stop_short():
    def refuse(*_):
        raise InterruptedError("handler")

    previous = signal.signal(signal.SIGALRM, refuse)
    try:
        with procs.Popen(HOLD, stdout=procs.PIPE) as child:
            assert child.stdout.readline() == b"on\n"
            with pytest.raises(InterruptedError, match="handler"):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                child.stop(grace=300)
            assert child.wait() == -9
    finally:
        signal.signal(signal.SIGALRM, previous)
