"""The bad-input list for Python: an exception that says what was wrong, nothing started, nothing left; never a crash or a hang."""

import asyncio
import errno
import inspect
import math
import os
import re
import subprocess

import pytest

import procs
from procs import aio

HUGE = [2**31, 2**32, 2**63, 2**64, 2**200, -(2**31) - 1, -(2**63) - 1]


class Odd:
    """An object of no use to anybody."""


class Raising:
    """Every conversion raises."""

    def refuse(self, *_):
        raise LookupError("refused")

    __index__ = __int__ = __float__ = __fspath__ = __iter__ = __len__ = __bool__ = fileno = refuse


class Reentrant:
    """Its conversions run programs themselves."""

    def __fspath__(self):
        assert procs.run(["true"]).returncode == 0
        return "true"

    def __index__(self):
        assert procs.run(["true"], capture_output=True).returncode == 0
        return 0

    def fileno(self):
        return procs.run(["true"]).returncode + 2


REFUSALS = (TypeError, ValueError, OverflowError, LookupError, OSError, AttributeError, procs.SubprocessError, procs.ProcsError)

# What subprocess takes at face value or for its truth, and we with it.
TRUTHS = {"close_fds", "shell", "restore_signals", "start_new_session", "text", "universal_newlines", "capture_output", "check", "kill_tree",
          "no_new_privs", "die_with_parent", "foreground", "offload", "kill_on_drop", "env", "preexec_fn"}
PARAMETERS = sorted(set(inspect.signature(procs.Popen).parameters) - {"args"})


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("way", ["run", "popen", "aio"])
def test_wrong_types_for_every_parameter(name, way):
    """Each value is either refused or does no harm: the child that starts is `true` and ends."""
    for value in (Odd(), Raising(), 1.5, math.nan, "\ud800", b"\xff", [Odd()], {Odd(): Odd()}, (None,), ..., *HUGE):
        if way == "aio" and name in ("bufsize", "universal_newlines", "text", "encoding", "errors"):
            continue  # refused for another reason
        try:
            if way == "run":
                procs.run(["true"], **{name: value}, timeout=60)
            elif way == "popen":
                with procs.Popen(["true"], **{name: value}):
                    pass
            else:
                asyncio.run(aio.run(["true"], **{name: value}, timeout=60))
        except REFUSALS:
            pass


@pytest.mark.parametrize("name", ["timeout", "input", "max_output", "stdout_sink", "cancel", "grace", "drain_grace", "drain_after_exit", "stdout_limit"])
@pytest.mark.parametrize("call", [procs.run, lambda *args, **options: asyncio.run(aio.run(*args, **options))])
def test_wrong_types_for_what_runs_have_besides(name, call):
    refused = 0
    for value in (Odd(), Raising(), "text", [Odd()], ..., math.nan, ("no-policy", 1), ("head", -1), ("head", 2**64)):
        try:
            call(["true"], **{name: value, "stdout": procs.PIPE})
        except REFUSALS:
            refused += 1
    assert refused >= 4


BAD_COMMANDS = [[], [""], [None], [1], [Odd()], Odd(), None, 5, [b"\0"], ["a\0b"], ["true", "a\0"], [Raising()], Raising(), ["\ud800"], [["true"]],
                {}, "", b"", [memoryview(b"true")], [bytearray(b"true")]]


@pytest.mark.parametrize("command", BAD_COMMANDS, ids=repr)
def test_bad_commands(command):
    for call in (procs.run, procs.Popen, procs.check_output, lambda args: asyncio.run(aio.run(args)), lambda args: procs.run_many([args]).pop(),
                 lambda args: procs.Pipeline(args).run(), lambda args: procs.Pipeline(args).spawn()):
        try:
            result = call(command)
        except REFUSALS:
            continue
        assert isinstance(result, REFUSALS), result


def test_objects_that_run_programs_while_they_are_converted():
    assert procs.run([Reentrant()]).returncode == 0
    assert procs.run(["true"], cwd=type("Here", (Reentrant,), {"__fspath__": lambda self: super(type(self), self).__fspath__() and "/"})()).returncode == 0
    assert procs.run(["true"], stdout=Reentrant()).returncode == 0


def test_an_object_that_runs_a_program_when_it_dies():
    class Last:
        def __del__(self):
            procs.run(["true"], capture_output=True)

        def __fspath__(self):
            return "true"

    for _ in range(20):
        procs.run([Last()], stdout_sink=lambda chunk, last=Last(): None)


def test_bools_are_numbers_where_numbers_are_meant():
    assert procs.run(["sh", "-c", "umask"], umask=False, stdout=procs.PIPE).stdout == b"0000\n"
    assert procs.run(["true"], timeout=True).returncode == 0
    assert procs.run(["true"], pass_fds=[True]).returncode == 0


def test_times():
    with procs.Popen(["sleep", "60"]) as child:
        for timeout in (0, -1, -math.inf, 1e-300):
            with pytest.raises(procs.TimeoutExpired):
                child.wait(timeout=timeout)
        with pytest.raises(ValueError, match="not a number"):
            child.wait(timeout=math.nan)
        for sig in (-1, 65, 2**40):
            with pytest.raises((ValueError, OSError, OverflowError)):
                child.send_signal(sig)
        child.send_signal(0)
        child.kill()
        assert child.wait(timeout=math.inf) == -9
        assert child.wait(timeout=1e300) == -9


def test_stops():
    with procs.Popen(["sleep", "60"]) as child:
        for steps in ([("nonsense", 1)], [(Odd(), 1)], [("kill", math.nan)], [("kill",)], 5, [(999, 0.1)]):
            with pytest.raises(REFUSALS):
                child.stop(steps=steps)
        assert child.stop(grace=-1).returncode in (-15, -9)
        assert child.stop().ended_by is None
        assert child.kill_tree().returncode is not None


def test_descriptors():
    read, write = os.pipe()
    os.close(write)
    try:
        for options in ({"stdin": write}, {"stdout": 10**6}, {"pass_fds": [write]}, {"pass_fds": [-1]}, {"fds": {-1: 0}}, {"fds": {2**31: 0}},
                        {"fds": {5: write}}, {"stdin": -5}, {"fds": {"5": 0}}):
            with pytest.raises(REFUSALS):
                procs.run(["true"], **options)
    finally:
        os.close(read)


def test_use_after_the_end():
    child = procs.Popen(["cat"], stdin=procs.PIPE, stdout=procs.PIPE, stderr=procs.PIPE)
    assert child.communicate(b"x") == (b"x", b"")
    assert child.communicate() == (b"x", b"")
    with pytest.raises(ValueError, match="input"):
        child.communicate(b"again")
    for use in (lambda: child.stdout.read(), lambda: child.stdin.write(b"x"), lambda: next(child.chunks()), lambda: next(child.lines())):
        with pytest.raises(ValueError, match="closed"):
            use()
    child.terminate()
    child.kill()
    assert child.poll() == 0
    with procs.Popen(["true"]) as child, pytest.raises(procs.SubprocessError):
        child.lines()


def test_subclasses_may_override():
    class Loud(procs.Popen):
        def wait(self, timeout=None):
            return super().wait(timeout) + 100

        @property
        def pid(self):
            return self.__dict__.get("pid")

        @pid.setter
        def pid(self, value):
            self.__dict__["pid"] = value

    with Loud(["true"]) as child:
        assert child.wait() == 100
    assert child.returncode == 0


def test_streams_of_a_loop():
    async def main():
        process = await aio.create_subprocess_exec("cat", stdin=aio.PIPE, stdout=aio.PIPE)
        stdout = process.stdout
        assert await stdout.read(0) == b""
        for bad in (lambda: stdout.readexactly(-1), lambda: stdout.readuntil(b"")):
            with pytest.raises(ValueError):
                await bad()
        first = asyncio.ensure_future(stdout.read(1))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await stdout.read(1)
        process.stdin.write(b"abc")
        process.stdin.close()
        assert await first == b"a"
        assert await stdout.read(2**62) == b"bc"
        with pytest.raises(asyncio.IncompleteReadError):
            await stdout.readexactly(1)
        assert await process.wait() == 0
        with pytest.raises(ProcessLookupError):
            process.kill()
        stdout.close()
        stdout.close()

    asyncio.run(main())


NAMED = {
    "args": [5, None, [5], ["true", 5]], "executable": [5], "stdin": ["x", 1.5], "stdout": ["x"], "stderr": [Odd()], "cwd": [5], "env": [5, {1: "x"}, {"x": 1}],
    "pass_fds": [5, ["x"]], "fds": [5, {"x": 1}, {5: "x"}], "umask": ["x"], "process_group": ["x"], "extra_groups": [5], "nice": ["x", 2**40],
    "affinity": [5, ["x"]], "limits": [5, {"nofile": "x"}, {"nofile": -5}], "signals": [5], "tree_level": [5], "parent_death_signal": ["x"],
    "timeout": ["x"], "grace": ["x"], "cancel": [5], "kill_tree": ["x"], "max_output": ["x", -1, (1, 2, 3), 2**64, ("head", "x")],
}


def names(error, name):
    """Whether the message, or a note where the message is that of subprocess, names the argument and what was expected."""
    text = "\n".join([str(error), *getattr(error, "__notes__", ())])
    return f"({name} = " in text and ", expected " in text


@pytest.mark.parametrize("name", NAMED)
def test_the_message_names_the_argument_and_what_was_expected(name):
    for value in NAMED[name]:
        given = {"args": ["true"], name: value}
        if name == "grace":
            given["timeout"] = 60
        for call in (procs.run, lambda args, **own: asyncio.run(aio.run(args, **own))):
            with pytest.raises((TypeError, ValueError, AttributeError, OverflowError)) as caught:
                call(**given)
            assert names(caught.value, name), caught.value


@pytest.mark.parametrize("call, name", [
    (lambda: procs.run([]), "args"),
    (lambda: procs.Popen([]), "args"),
    (lambda: procs.run_many(5), "commands"),
    (lambda: procs.run_many([5]), "args"),
    (lambda: procs.run_many([["true"]], jobs="x"), "jobs"),
    (lambda: procs.run_many([["true"]], progress=5), "progress"),
    (lambda: asyncio.run(aio.run_many([["true"]], jobs="x")), "jobs"),
    (lambda: procs.wait_any(5), "children"),
    (lambda: procs.wait_any([5]), "children"),
    (lambda: procs.fork(5), "program"),
    (lambda: procs.fork("x.py", channel=5), "channel"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_calls_that_name_what_they_refuse(call, name):
    with pytest.raises((TypeError, IndexError)) as caught:
        call()
    assert names(caught.value, name), caught.value


def test_a_child_names_what_it_refuses():
    with procs.Popen(["cat"], stdin=procs.PIPE) as child:
        for call, name in [(lambda: child.send_signal("x"), "sig"), (lambda: child.stop(steps=5), "steps"), (lambda: child.stop(steps=[("x",)]), "steps")]:
            with pytest.raises(TypeError, match=rf"\({name} = .*, expected "):
                call()


@pytest.mark.parametrize("options", [{"encoding": "no such"}, {"encoding": "hex"}, {"encoding": 5}, {"encoding": [1]}, {"errors": 5, "encoding": "utf-8"}])
@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_an_encoding_is_refused_before_the_program_runs(options, name, tmp_path):
    command, more = ["touch", str(tmp_path / "started")], {name: subprocess.PIPE, **options}
    with pytest.raises((LookupError, TypeError)) as expected:
        subprocess.run(command, **more)
    for call in (procs.run, procs.Popen, lambda *args, **given: asyncio.run(aio.run(*args, **given))):
        with pytest.raises(expected.type, match=f"^{re.escape(str(expected.value))}$"):
            call(command, **more)
    assert not list(tmp_path.iterdir())


def waits(here):
    """Every wait of ours with a ``timeout``: of a channel, of what lives in shared memory, in an event loop."""
    for name in ("recv", "recv_bytes", "recv_buffer", "recv_message", "poll", "flush"):
        yield name, getattr(here, name)
    yield "send", lambda timeout: here.send(1, timeout=timeout)
    yield "send_bytes", lambda timeout: here.send_bytes(b"x", timeout)
    yield "send_message", lambda timeout: here.send_message(b"x", timeout=timeout)
    yield "recv_bytes_into", lambda timeout: here.recv_bytes_into(bytearray(9), 0, timeout)
    yield "call", lambda timeout: here.call(1, timeout)
    yield "AsyncChannel.call", lambda timeout: asyncio.run(aio.AsyncChannel(here).call(1, timeout))
    yield "wait_any_channel", lambda timeout: procs.wait_any_channel([here], timeout)
    mutex, rwlock, semaphore, event, barrier, once = (getattr(procs.SharedMemory(1 << 16), name)(0) for name in LOCKS)
    for name, lock in (("mutex", mutex), ("semaphore", semaphore), ("read", rwlock.read), ("write", rwlock.write)):
        yield name, lambda timeout, lock=lock: lock.acquire(timeout=timeout)
        yield name + " tried", lambda timeout, lock=lock: lock.acquire(False, timeout)
        yield name + " awaited", lambda timeout, lock=lock: asyncio.run(aio.wait(lock, timeout))
    for name, wait in (("read", rwlock.acquire_read), ("write", rwlock.acquire_write), ("event", event.wait), ("barrier", barrier.wait), ("once", once.begin)):
        yield name, wait
    yield "call_once", lambda timeout: once.call_once(print, timeout)


LOCKS = ("mutex", "rwlock", "semaphore", "event", "barrier", "once")
NO_TIME = {"a word": ("soon", TypeError), "a list": ([], TypeError), "nan": (math.nan, ValueError), "huge": (10**400, OverflowError)}
NEGATIVE = {"-1": (-1, ValueError), "just negative": (-1e-9, ValueError), "-inf": (-math.inf, ValueError)}


@pytest.mark.parametrize("case", [*NO_TIME, *NEGATIVE])
def test_a_wait_names_a_timeout_that_it_refuses(case):
    timeout, kind = {**NO_TIME, **NEGATIVE}[case]
    here, there = procs.Channel.pair()
    with here, there:
        there.send_bytes(b"there")  # not only when there is something to wait for
        for name, wait in waits(here):
            with pytest.raises(kind) as refused:
                wait(timeout)
            assert "(timeout = " in str(refused.value) and ", expected seconds" in str(refused.value), (name, refused.value)


@pytest.mark.parametrize("case", NO_TIME)
def test_a_wait_for_a_process_names_a_timeout_that_it_refuses(case):
    timeout, kind = NO_TIME[case]
    with procs.Popen(["cat"], stdin=procs.PIPE, stdout=procs.PIPE, stderr=procs.PIPE) as child:
        for wait in (child.wait, lambda timeout: child.communicate(timeout=timeout), lambda timeout: procs.wait_any([child], timeout),
                     lambda timeout: procs.run(["true"], timeout=timeout), lambda timeout: asyncio.run(aio.run(["true"], timeout=timeout))):
            with pytest.raises(kind) as refused:
                wait(timeout)
            assert "(timeout = " in str(refused.value) and ", expected seconds" in str(refused.value), refused.value


def test_a_timeout_that_passes_during_the_start_is_a_timeout_of_the_command():
    for timeout in (0, -1, 1e-9):
        for call in (procs.run, lambda *args, **given: asyncio.run(aio.run(*args, **given))):
            with pytest.raises(subprocess.TimeoutExpired) as passed:
                call(["sleep", "60"], timeout=timeout)
            assert (passed.value.cmd, passed.value.timeout) == (["sleep", "60"], timeout)
        done, = procs.run_many([["sleep", "60"]], timeout=timeout)
        assert isinstance(done, procs.TimeoutExpired)
        done, = asyncio.run(aio.run_many([["sleep", "60"]], timeout=timeout))
        assert isinstance(done, procs.TimeoutExpired)


class Three:
    def __index__(self):
        return 3


@pytest.mark.parametrize("options", [{"umask": "x"}, {"umask": 1.5}, {"umask": float("nan")}, {"process_group": "x"}, {"process_group": 0.0}, {"stdin": -4},
                                     {"stdout": -1000}, {"umask": Three()}])
def test_numbers_are_taken_and_refused_as_subprocess_does(options):
    seen = []
    for module in (subprocess, procs):
        try:
            seen.append(module.run("umask", shell=True, **{"stdout": subprocess.PIPE, **options}).stdout)
        except (TypeError, OSError) as error:
            seen.append((isinstance(error, TypeError), getattr(error, "errno", None), str(error) if isinstance(error, TypeError) else None))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("number", [9999, -3, 65])
def test_signals_that_do_not_exist_are_an_os_error_as_well(number):
    async def on_loop():
        child = await aio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
        with pytest.raises(OSError, match="signal") as refused:
            child.send_signal(number)
        child.stdin.close()
        await child.wait()
        return refused.value

    with procs.Popen(["cat"], stdin=subprocess.PIPE) as child, pytest.raises(OSError, match="signal") as refused:
        child.send_signal(number)
    for error in (refused.value, asyncio.run(on_loop())):
        assert isinstance(error, ValueError)
        assert (error.errno, error.kind) == (errno.EINVAL, "INVALID_ARGUMENT")
