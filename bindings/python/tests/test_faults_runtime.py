"""Rows H01 to H08, H17 and H18 of docs/faults.md: the interpreter around the engine."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading

import pytest
from conftest import PROGRAM_SECONDS
from test_processes import COUNT, program

import procs
from procs import aio


def test_h01_a_program_ends_with_everything_pending():
    """Runs, streams, lines, jobs and stops that are under way when the interpreter ends."""
    code = textwrap.dedent("""
        import asyncio, os, procs, sys, threading, time
        from procs import aio
        class Slow:
            def __del__(self, sleep=time.sleep):
                sleep(0.3)  # what is pending ends while the interpreter does
        sys.slow = Slow()
        endless = [procs.Popen(["sh", "-c", "read line"]) for _ in range(3)]
        def quietly(call):
            if sys.argv[1] == "held":
                return  # what other threads refer to is never collected
            def target():
                try:
                    call()
                except BaseException:
                    pass
            threading.Thread(target=target, daemon=True).start()
        async def loop():
            runs = [asyncio.ensure_future(aio.run(["sleep", "0.2"], capture_output=True)) for _ in range(10)]
            process = await aio.create_subprocess_exec("sleep", "0.2", stdout=aio.PIPE)
            endless.append(await aio.create_subprocess_exec("sh", "-c", "read line"))
            waiting = [asyncio.ensure_future(child.wait()) for child in (process, endless[-1])]
            stopping = asyncio.ensure_future(process.stop(steps=[("wait", 0.2)]))
            await asyncio.sleep(0.02)
            os._exit(7) if sys.argv[1] == "exit" else sys.exit(7)
        held = [procs.Popen(["sleep", "0.2"], stdout=procs.PIPE) for _ in range(5)]
        quietly(lambda: held[0].wait())
        quietly(lambda: held[1].communicate())
        quietly(lambda: held[2].stdout.read())
        quietly(lambda: procs.run(["yes"], stdout_sink=lambda chunk: None, timeout=0.3))
        quietly(lambda: procs.run_many([["sleep", "0.2"]] * 4))
        quietly(lambda: procs.Pipeline(["sleep", "0.2"], ["cat"]).run())
        if sys.argv[1] in ("plain", "held"):
            time.sleep(0.02)
            sys.exit(7)
        asyncio.run(loop())
    """)
    for _ in range(COUNT // 25):
        for way in ("held", "plain", "loop", "exit"):
            with tempfile.TemporaryFile("w+") as said:
                # Its endless children read from the same pipe, which is closed only when the program has ended.
                program = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, way], stdin=subprocess.PIPE, stderr=said)
                try:
                    code_seen = program.wait(timeout=60)
                finally:
                    program.stdin.close()
                    program.wait()
                said.seek(0)
                assert code_seen == 7, said.read()


CALLS = {
    "wait": lambda child: child.wait(),
    "communicate": lambda child: child.communicate(),
    "read": lambda child: child.stdout.read(),
    "stop": lambda child: child.stop(steps=[("wait", 60)]),
    "wait_any": lambda child: procs.wait_any([child]),
}


@pytest.mark.parametrize("name", CALLS)
def test_h02_a_blocked_call_leaves_the_interpreter_to_others(name):
    """The child ends only when this thread, which needs the interpreter, lets it."""
    with procs.Popen(["sh", "-c", "read line"], stdin=procs.PIPE, stdout=procs.PIPE, stderr=procs.PIPE) as child:
        if name == "communicate":
            stdin, child.stdin = child.stdin, None  # communicate would close it
        else:
            stdin = child.stdin
        waiting = threading.Thread(target=CALLS[name], args=(child,))
        waiting.start()
        assert sum(range(100_000)) == 4999950000
        stdin.close()
        waiting.join()


def test_h04_a_fork_in_the_middle_of_a_loop():
    assert program("""
        import asyncio, os, procs
        from procs import aio
        async def main():
            runs = [asyncio.ensure_future(aio.run(["sleep", "0.1"], capture_output=True)) for _ in range(5)]
            await asyncio.sleep(0.02)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    asyncio.events._set_running_loop(None)
                    codes = asyncio.new_event_loop().run_until_complete(aio.check_output(["echo", "x"]))
                    code = 0 if codes == b"x\\n" and procs.run(["true"]).returncode == 0 else 2
                finally:
                    os._exit(code)
            done = await asyncio.gather(*runs)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), {one.returncode for one in done}
        print(asyncio.run(main()))
    """) == "(0, {0})\n"


def test_h04_a_childs_handles_do_not_reach_the_parents_children():
    with procs.Popen(["cat"], stdin=procs.PIPE) as child:
        pid = os.fork()
        if pid == 0:
            os._exit(0)  # without finalizers, as multiprocessing ends its children
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert child.poll() is None
        child.stdin.close()
        assert child.wait() == 0


def test_h05_beside_subprocess_and_asyncio():
    assert program(f"""
        import asyncio, procs, subprocess, threading
        from procs import aio
        results = []
        def blocking(module):
            results.extend(module.run(["sh", "-c", "exit 3"]).returncode for _ in range({COUNT * 2}))
        async def loop(module):
            for _ in range({COUNT}):
                results.append(await (await module.create_subprocess_exec("sh", "-c", "exit 3")).wait())
        async def loops():
            await asyncio.gather(loop(asyncio), loop(aio))
        threads = [threading.Thread(target=blocking, args=(module,)) for module in (procs, subprocess)]
        for thread in threads:
            thread.start()
        asyncio.run(loops())
        for thread in threads:
            thread.join()
        print(len(results) == {COUNT * 6}, set(results))
    """) == "True {3}\n"


def test_h06_what_nobody_closes_only_warns():
    done = subprocess.run([sys.executable, "-X", "dev", "-c", textwrap.dedent(f"""
        import asyncio, gc, procs, threading
        from procs import aio
        def make():
            for _ in range({COUNT * 2}):
                child = procs.Popen(["true"], stdin=procs.PIPE, stdout=procs.PIPE)
                child.itself = child
                procs.CancelHandle()
                procs.Pipeline(["true"], ["true"]).spawn(stdin=procs.DEVNULL)
        async def forget():
            for _ in range({COUNT}):
                process = await aio.create_subprocess_exec("cat", stdin=aio.PIPE, stdout=aio.PIPE)
                process.itself = process
                asyncio.ensure_future(process.stdout.read())
        collectors = [threading.Thread(target=lambda: [gc.collect() for _ in range(5)]) for _ in range(3)]
        for collector in collectors:
            collector.start()
        make()
        asyncio.run(forget())
        for collector in collectors:
            collector.join()
        gc.collect()
    """)], capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if ": " in line and not line.startswith(" ")]
    assert all("ResourceWarning" in line or "Object allocated" in line for line in told), done.stderr


def test_h07_sub_interpreters_get_an_import_error():
    pytest.importorskip("_xxsubinterpreters")
    assert program("""
        import _xxsubinterpreters as interpreters
        import procs, sys
        for _ in range(3):
            number = interpreters.create()
            interpreters.run_string(number, '''if True:
                import sys
                sys.path[:] = %r
                try:
                    import procs
                except ImportError as error:
                    print(error, flush=True)
            ''' % (sys.path,))
            interpreters.destroy(number)
        print(procs.run(["true"]).returncode)
    """) == "procs cannot be used in sub-interpreters\n" * 3 + "0\n"


def test_h08_input_is_a_copy():
    """The caller's buffer may be changed, released or resized while the child is fed."""
    data = bytearray(b"x" * (1 << 20))
    with procs.Popen(["sh", "-c", "sleep 0.1; cat"], stdin=procs.PIPE, stdout=procs.PIPE) as child:
        found = []
        feeding = threading.Thread(target=lambda: found.append(child.communicate(data, timeout=60)[0]))
        feeding.start()
        while child._communication is None:
            pass
        data[:] = b"y" * 5
        data.extend(b"z" * 100)
        feeding.join()
    assert found == [b"x" * (1 << 20)]
    view = memoryview(bytearray(b"abc"))
    assert procs.run(["cat"], input=view, stdout=procs.PIPE).stdout == b"abc"
    view.release()
    with pytest.raises((ValueError, TypeError)):
        procs.run(["cat"], input=view, stdout=procs.PIPE)


@pytest.mark.parametrize("way", ["run", "popen", "aio", "process"])
def test_h17_every_byte_reaches_the_child(way, helper):
    values = [bytes([value]) for value in range(1, 256)]
    env = {b"V" + str(value).encode(): bytes([value]) for value in range(1, 256)}

    def echoed(args, **options):
        if way == "run":
            return procs.run(args, stdout=procs.PIPE, **options).stdout
        if way == "popen":
            with procs.Popen(args, stdout=procs.PIPE, **options) as child:
                return child.stdout.read()
        if way == "aio":
            return asyncio.run(aio.run(args, stdout=procs.PIPE, **options)).stdout

        async def main():
            process = await aio.create_subprocess_exec(*args, stdout=aio.PIPE, **options)
            return (await process.communicate())[0]
        return asyncio.run(main())

    for words in (values, [os.fsdecode(value) for value in values]):
        assert echoed(["printf", "%s\\0", *words]).split(b"\0")[:-1] == values
    for given in (env, {os.fsdecode(name): os.fsdecode(value) for name, value in env.items()}):
        lines = echoed([helper, "env"], env={**given, b"PATH": os.environb[b"PATH"]})
        assert lines == echoed([helper, "env"], env={**env, b"PATH": os.environb[b"PATH"]})
        assert lines.count(b"V") >= 255


ERRORS = {
    "missing": (["no-such-program"], {}, FileNotFoundError, errno.ENOENT, "no-such-program", "exec"),
    "folder": (["/tmp"], {}, PermissionError, errno.EACCES, "/tmp", "exec"),
    "no-folder": (["true"], {"cwd": "/no/such/folder"}, FileNotFoundError, errno.ENOENT, "/no/such/folder", "directory"),
    "not-a-folder": (["true"], {"cwd": "/etc/passwd"}, NotADirectoryError, errno.ENOTDIR, "/etc/passwd", "directory"),
    "long-name": (["x" * 5000], {}, OSError, errno.ENAMETOOLONG, "x" * 5000, "exec"),
    "too-long": (["true", "x" * (4 << 20)], {}, OSError, errno.E2BIG, "true", "exec"),
    "NoFile": (["true"], {"limits": {"nofile": (10, 5)}}, ValueError, None, None, "prepare"),
    "affinity": (["true"], {"affinity": [1023]}, ValueError, None, None, "affinity"),
}


@pytest.mark.parametrize("way", ["run", "popen", "aio", "process", "many"])
@pytest.mark.parametrize("name", ERRORS)
def test_h18_errors_keep_number_file_and_step(name, way):
    args, options, cls, number, filename, stage = ERRORS[name]

    def started():
        if way == "run":
            procs.run(args, **options)
        elif way == "popen":
            procs.Popen(args, **options)
        elif way == "aio":
            asyncio.run(aio.run(args, **options))
        elif way == "process":
            asyncio.run(aio.create_subprocess_exec(*args, **options))
        else:
            [result] = procs.run_many([args], **options)
            raise result

    with pytest.raises((OSError, ValueError)) as caught:
        started()
    error = caught.value
    assert isinstance(error, cls) and error.stage == stage
    if cls is ValueError:
        assert name in str(error)
    else:
        assert (error.errno, error.filename) == (number, filename)


def test_h03_ctrl_c_during_a_nested_call():
    """The signal comes while a callback, called from the core, is itself inside a call."""
    def nested(chunk):
        signal.raise_signal(signal.SIGINT)
        procs.run(["sleep", "60"])

    with pytest.raises(KeyboardInterrupt):
        procs.run(["echo", "x"], stdout_sink=nested)
