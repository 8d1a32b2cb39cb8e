"""`procs.aio`: same names, cancellation, asyncio's Process shape, and asyncio as the peer."""

import asyncio
import gc
import os
import signal
import sys
import textwrap
import time
import warnings
from pathlib import Path

import pytest

import procs
from conftest import WORD_SECONDS, alive, wait_until
from procs import aio
from test_processes import program


def test_runs_give_what_the_blocking_ones_give():
    async def main():
        for args, options in (
            (["echo", "a"], {"capture_output": True}),
            ("echo a; echo b >&2; exit 3", {"shell": True, "capture_output": True, "text": True}),
            (["cat"], {"input": b"x" * 3_000_000, "stdout": procs.PIPE}),
            (["sh", "-c", "kill -9 $$"], {}),
        ):
            ours, blocking = await aio.run(args, **options), procs.run(args, **options)
            assert repr(ours) == repr(blocking)
            assert ours.usage is not None and ours.pid != blocking.pid
        assert await aio.check_output(["echo", "x"]) == b"x\n"
        assert await aio.getstatusoutput("echo x; exit 4") == (4, "x")
        assert await aio.call(["false"]) == 1
        for failing, kind in ((aio.run(["nope"]), FileNotFoundError), (aio.run(["false"], check=True), procs.CalledProcessError),
                              (aio.run(["yes"], stdout=procs.PIPE, max_output=1000), procs.TooLargeError)):
            with pytest.raises(kind):
                await failing
        with pytest.raises(procs.TimeoutExpired) as caught:
            await aio.run("echo part; exec sleep 60", shell=True, stdout=procs.PIPE, timeout=WORD_SECONDS)
        assert caught.value.output == b"part\n"

    asyncio.run(main(), debug=True)


def test_cancelling_an_await_ends_the_tree():
    async def main():
        script = "sleep 60 & echo $! > inner; echo $$ > outer; wait"
        task = asyncio.create_task(aio.run(["sh", "-c", script], stdout=procs.PIPE, kill_tree=True))
        while not (os.path.exists("outer") and os.path.getsize("outer")):
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [Path(name).read_text().strip() for name in ("inner", "outer")]

    pids = asyncio.run(main(), debug=True)
    wait_until(lambda: not any(map(alive, pids)), "both are gone")


def test_cancelled_again_and_again():
    async def main():
        task = asyncio.create_task(aio.run("trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done", shell=True, grace=0.3))
        while not (os.path.exists("pid") and os.path.getsize("pid")):
            await asyncio.sleep(0.005)
        for _ in range(20):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not alive(Path("pid").read_text().strip())


def test_a_cancel_handle_and_many():
    async def main():
        cancel = procs.CancelHandle()
        asyncio.get_running_loop().call_later(0.1, cancel.cancel)
        with pytest.raises(procs.CancelledError):
            await aio.run(["sleep", "60"], cancel=cancel)
        seen = []
        results = await aio.run_many([["echo", str(n)] for n in range(6)] + [["nope"]], jobs=3, progress=lambda *item: seen.append(item[0]))
        assert [result.stdout for result in results[:6]] == [b"%d\n" % n for n in range(6)]
        assert isinstance(results[6], FileNotFoundError) and sorted(seen) == list(range(7))

    asyncio.run(main(), debug=True)


def test_the_loop_turns_while_much_is_read():
    async def main():
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        process = await aio.create_subprocess_exec("head", "-c", "50000000", "/dev/zero", stdout=procs.PIPE)
        assert len(await process.stdout.read()) == 50_000_000
        counting.cancel()
        assert await process.wait() == 0
        return turns

    assert asyncio.run(main()) >= 40


@pytest.mark.parametrize("module", [aio, asyncio])
def test_process_shape(module):
    """The same code on both modules."""
    async def main():
        process = await module.create_subprocess_exec("cat", stdin=-1, stdout=-1, stderr=-1)
        assert process.returncode is None and process.pid > 0
        process.stdin.write(b"one\ntwo\nth")
        await process.stdin.drain()
        assert await process.stdout.readline() == b"one\n"
        assert await process.stdout.readexactly(2) == b"tw"
        assert await process.stdout.readuntil(b"o\n") == b"o\n"
        assert await process.stdout.read(100) == b"th"
        process.stdin.write(b"rest")
        process.stdin.close()
        await process.stdin.wait_closed()
        assert await process.stdout.read() == b"rest" and process.stdout.at_eof()
        with pytest.raises(asyncio.IncompleteReadError):
            await process.stdout.readexactly(1)
        assert await process.wait() == 0 == process.returncode
        with pytest.raises(ProcessLookupError):
            while module is asyncio:  # its `wait` may return some turns of the loop before its transport lets go of the child
                process.kill()
                await asyncio.sleep(0.01)
            process.kill()

        process = await module.create_subprocess_shell("cat; echo e >&2; exit 7", stdin=-1, stdout=-1, stderr=-1)
        assert await process.communicate(b"x" * 500_000) == (b"x" * 500_000, b"e\n")
        assert process.returncode == 7

        process = await module.create_subprocess_exec("sleep", "60")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.1)
        assert process.returncode is None
        process.send_signal(signal.SIGTERM)
        assert await asyncio.gather(process.wait(), process.wait()) == [-15, -15]

        process = await module.create_subprocess_exec("seq", "3", stdout=-1)
        assert [line async for line in process.stdout] == [b"1\n", b"2\n", b"3\n"]
        await process.wait()
        with pytest.raises(FileNotFoundError):
            await module.create_subprocess_exec("no-such-program")
        with pytest.raises(ValueError):
            await module.create_subprocess_exec("true", text=True)

    asyncio.run(main())


def test_lines_have_no_limit():
    async def main():
        script = "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end; printf last"
        process = await aio.create_subprocess_shell(script, stdout=procs.PIPE)
        lengths = [len(line) async for line in process.stdout.lines()]
        await process.wait()
        process = await aio.create_subprocess_shell(script, stdout=procs.PIPE)
        assert len(await process.stdout.readline()) == 1_000_001
        assert await process.stdout.read() == b"end\nlast"
        await process.wait()
        return lengths

    assert asyncio.run(main()) == [1_000_000, 3, 4]


def test_stop_and_wait_any():
    async def main():
        stubborn = await aio.create_subprocess_shell("trap '' TERM; echo on; while :; do sleep 0.05; done", stdout=procs.PIPE)
        assert await stubborn.stdout.readline() == b"on\n"
        report = await stubborn.stop(0.2)
        assert (report.returncode, report.ended_by, stubborn.returncode) == (-9, "kill", -9)
        first, second = await aio.create_subprocess_exec("sleep", "60"), await aio.create_subprocess_exec("true")
        assert await aio.wait_any([first, second]) is second
        assert await aio.wait_any([first], timeout=0.05) is None
        first.kill()
        assert await first.wait() == -9

    asyncio.run(main())


def test_no_thread_touches_the_interpreter():
    """While runs are pending, the only Python thread is the loop's."""
    assert program("""
        import asyncio, threading
        from procs import aio
        async def main():
            tasks = [asyncio.create_task(aio.run(["sleep", "0.2"], stdout=aio.PIPE)) for _ in range(20)]
            seen = set()
            while not all(task.done() for task in tasks):
                seen.add((threading.active_count(), len(__import__("sys")._current_frames())))
                await asyncio.sleep(0.001)
            print(seen)
        asyncio.run(main())
    """) == "{(1, 1)}\n"


def test_loops_come_and_go():
    for _ in range(5):
        assert asyncio.run(aio.check_output(["echo", "x"])) == b"x\n"


def test_ctrl_c_in_a_loop_ends_the_child():
    code = textwrap.dedent("""
        import asyncio, os, signal
        from pathlib import Path
        from procs import aio
        async def interrupt():
            while not (os.path.exists("pid") and os.path.getsize("pid")):
                await asyncio.sleep(0.005)
            os.kill(os.getpid(), signal.SIGINT)
        async def main():
            interrupting = asyncio.create_task(interrupt())
            await aio.run("trap '' INT; echo $$ > pid; while :; do sleep 0.05; done", shell=True)
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted", os.path.exists("/proc/" + Path("pid").read_text().strip()))
    """)
    started = time.monotonic()
    assert program(code) == "interrupted False\n"
    assert time.monotonic() - started < 50


def test_many_tasks_wait_for_one_child_and_some_give_up():
    async def main():
        process = await aio.create_subprocess_exec("sh", "-c", "read line; exit 6", stdin=procs.PIPE)
        tasks = [asyncio.create_task(process.wait()) for _ in range(20)]
        for _ in range(50):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), 0.001)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.sleep(0)
        process.stdin.close()
        await asyncio.wait(tasks)
        assert all(task.cancelled() or task.result() == 6 for task in tasks)
        assert [task.cancelled() for task in tasks] == [True, False] * 10
        assert process.returncode == 6 == await process.wait()
    asyncio.run(main())


def test_waits_that_gave_up_leave_the_child_to_be_reaped():
    async def main():
        process = await aio.create_subprocess_exec("sh", "-c", "read line", stdin=procs.PIPE)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), 0.01)
        other = await aio.create_subprocess_exec("true")
        assert await other.wait() == 0
        process.stdin.close()
        process._popen.returncode = 0  # no warning: it is let go on purpose
        pid = process.pid
        del process
        await asyncio.sleep(0)
        return pid
    pid = asyncio.run(main())
    wait_until(lambda: not alive(pid), "the child is reaped")


def test_the_next_loop_waits_as_well():
    async def main(count):
        processes = [await aio.create_subprocess_exec("sh", "-c", f"exit {number}") for number in range(count)]
        return await asyncio.gather(*(process.wait() for process in processes))
    for _ in range(5):
        assert asyncio.run(main(100)) == list(range(100))
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(main(3)) == [0, 1, 2]
    loop.close()


def test_a_stolen_status_is_told():
    async def main():
        process = await aio.create_subprocess_exec("sh", "-c", "exit 5")
        waiting = asyncio.create_task(process.wait())
        stolen = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
        try:
            assert await waiting == stolen == 5
        except ChildProcessError:
            assert not procs.engine_info()["pidfd_info"]
            process._popen.returncode = stolen
    asyncio.run(main())


def test_a_child_that_has_ended_is_dropped_without_a_word():
    """Who reads the output to its end need not wait as well: asyncio says nothing, and what still runs is warned of."""
    async def read(*command):
        process = await aio.create_subprocess_exec(*command, stdout=aio.PIPE)
        pid, said = process.pid, await process.stdout.read(2)
        return pid, said, process

    for command, warned in ((["echo", "x"], False), (["sh", "-c", "echo x; exec sleep 60"], True)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pid, said, process = asyncio.run(read(*command))
            assert said == b"x\n"
            if not warned:
                wait_until(lambda: not alive(pid), "the end of a child that nobody waits for")
            del process
            gc.collect()
        told = [str(warning.message) for warning in caught if "still running" in str(warning.message)]
        caught.clear()  # a warning holds what it is about
        assert told == [f"subprocess {pid} is still running"] * warned
        if warned:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the sleeper")


def test_a_child_between_the_end_of_its_output_and_its_own_is_dropped_without_a_word():
    async def read():
        process = await aio.create_subprocess_exec("sh", "-c", "echo x; exec sleep 60 >/dev/null", stdout=aio.PIPE)
        assert await process.stdout.read() == b"x\n"
        return process.pid

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pid = asyncio.run(read())
        gc.collect()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the sleeper")


@pytest.mark.parametrize("module", [asyncio, aio], ids=lambda module: module.__name__)
def test_waiting_for_the_end_of_stdin_tells_that_input_was_lost(module):
    async def main():
        child = await module.create_subprocess_exec("head", "-c", "3", stdin=procs.PIPE, stdout=procs.PIPE)
        child.stdin.write(b"x" * 10_000_000)
        with pytest.raises(BrokenPipeError):
            await child.stdin.wait_closed()
        assert await child.communicate() == (b"xxx", None)
        child = await module.create_subprocess_exec("cat", stdin=procs.PIPE, stdout=procs.PIPE)
        child.stdin.write(b"all")
        child.stdin.close()
        await child.stdin.wait_closed()
        assert (await child.communicate())[0] == b"all"

    asyncio.run(main())


@pytest.mark.parametrize("module", [*([asyncio] if sys.version_info >= (3, 13) else []), aio], ids=lambda module: module.__name__)
def test_reads_end_at_the_first_of_several_separators(module):
    async def main():
        child = await module.create_subprocess_exec("sh", "-c", "printf 'a;b--'; sleep 0.1; printf -- '->c;-'; printf d", stdout=procs.PIPE)
        read = child.stdout.readuntil
        assert [await read((b"--->", b";")), await read((b";", b"--->")), await read((b";", b"--->"))] == [b"a;", b"b--->", b"c;"]
        for none, message in (((), "at least one element"), ((b";", b""), "one-byte"), (b"", "one-byte")):
            with pytest.raises(ValueError, match=message):
                await read(none)
        with pytest.raises(asyncio.IncompleteReadError) as short:
            await read((b";", b"\n"))
        assert short.value.partial == b"-d"
        assert await child.wait() == 0

    asyncio.run(main())
