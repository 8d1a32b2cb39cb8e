"""What is Python's own about runs: text, audit, threads, Ctrl-C, callbacks, warnings."""

import asyncio
import errno
import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
import warnings
from pathlib import Path

import pytest

import procs
from conftest import WORD_SECONDS, alive, wait_until
from procs import aio


def peer_equal(*args, **options):
    """Runs on both modules; the results must be equal."""
    ours, theirs = procs.run(*args, **options), subprocess.run(*args, **options)
    assert (ours.args, ours.returncode, ours.stdout, ours.stderr) == (theirs.args, theirs.returncode, theirs.stdout, theirs.stderr)
    assert repr(ours) == repr(theirs)
    return ours


@pytest.mark.parametrize("options", [
    {"text": True},
    {"encoding": "utf-16"},
    {"encoding": "latin-1"},
    {"errors": "surrogateescape"},
    {"universal_newlines": True},
    {"text": True, "stderr": subprocess.STDOUT, "stdout": subprocess.PIPE},
])
def test_text_is_that_of_subprocess(options):
    options = {"capture_output": True, **options} if "stdout" not in options else options
    peer_equal(["cat"], input="a\r\nb\rc\n\u00e9", **options)


@pytest.mark.parametrize("command", ["exit 0", "exit 77", "kill -9 $$", "printf 'a\\0b\\377'", "printf x >&2; exit 1"])
def test_binary_is_that_of_subprocess(command):
    peer_equal(command, shell=True, capture_output=True)


@pytest.mark.parametrize("args", [["echo", "a"], ("echo", "a"), "pwd", b"pwd", [b"echo", b"\xff"], "echo \u00e9"])
def test_forms_of_a_command(args):
    peer_equal(args, shell=args == "echo \u00e9", stdout=subprocess.PIPE)


def test_invalid_bytes_raise_with_their_place():
    with pytest.raises(UnicodeDecodeError) as caught:
        procs.run(["printf", "ab\\377"], capture_output=True, encoding="utf-8")
    assert caught.value.start == 2


def test_positional_arguments_are_those_of_popen():
    assert procs.call(["name", "-c", "exit 4"], -1, "/bin/sh") == subprocess.call(["name", "-c", "exit 4"], -1, "/bin/sh") == 4


def test_relatives_agree():
    assert procs.getstatusoutput("echo a; echo b >&2; exit 3") == subprocess.getstatusoutput("echo a; echo b >&2; exit 3")
    assert procs.getoutput("echo a") == "a"
    assert procs.check_output(["cat"], input=None, text=True) == ""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        procs.check_call(["false"])
    assert caught.value.returncode == 1 and caught.value.cmd == ["false"]


def test_audit_events_are_those_of_subprocess():
    code = textwrap.dedent("""
        import sys
        events = []
        sys.addaudithook(lambda name, args: events.append(args) if name == "subprocess.Popen" else None)
        import procs, subprocess
        for module in (procs, subprocess):
            module.run(["true", "a"], cwd="/", env={"PATH": "/bin:/usr/bin"})
            module.Popen("exit 0", shell=True).wait()
        assert len(events) == 4 and events[:2] == events[2:], events
    """)
    subprocess.run([sys.executable, "-c", code], check=True)


def test_environment_read_late():
    os.environ["PROCS_LATE"] = "1"
    try:
        assert procs.run('printf %s "$PROCS_LATE"', shell=True, capture_output=True).stdout == b"1"
    finally:
        del os.environ["PROCS_LATE"]
    assert procs.run('printf %s "$PROCS_LATE"', shell=True, capture_output=True).stdout == b""


def test_completed_process_survives_pickle_with_its_facts():
    done = procs.run(["echo", "x"], capture_output=True)
    other = pickle.loads(pickle.dumps(done))
    assert repr(other) == repr(done)
    assert (other.usage, other.pid, other.started, other.stdout_report[:3]) == (done.usage, done.pid, done.started, done.stdout_report[:3])


def test_timeout_keeps_what_was_read():
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        procs.run("echo out; echo err >&2; exec sleep 60", shell=True, capture_output=True, text=True, timeout=WORD_SECONDS)
    error = caught.value
    assert (error.output, error.stderr, error.timeout) == (b"out\n", b"err\n", WORD_SECONDS)
    # None of a child that a machine makes stand still for so long that it is given up.
    assert error.completed.returncode in (-signal.SIGKILL, None)
    assert pickle.loads(pickle.dumps(error)).completed.timed_out


def test_preexec_functions_become_options():
    code = "import os; print(os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid())"
    told = [procs.check_output([sys.executable, "-c", code], preexec_fn=function) for function in (os.setsid, os.setpgrp)]
    assert told == [b"True True\n", b"False True\n"]
    with pytest.raises(NotImplementedError, match="start_new_session.*limits.*no_new_privs"):
        procs.run(["true"], preexec_fn=lambda: None)


def test_a_callback_gets_every_chunk_and_its_exception_ends_the_run():
    chunks = []
    done = procs.run(["seq", "1", "20000"], stdout_sink=[chunks.append, "buffer"])
    assert b"".join(chunks) == done.stdout == procs.check_output(["seq", "1", "20000"])

    def refuse(chunk):
        raise LookupError("enough")

    started = time.monotonic()
    with pytest.raises(LookupError, match="enough"):
        procs.run(["sh", "-c", "echo a; exec sleep 60"], stdout_sink=refuse)
    assert time.monotonic() - started < 50


def test_sinks_write_files(tmp_path):
    with open("open", "wb") as file:
        procs.run(["echo", "x"], stdout_sink=[tmp_path / "made", file, ("append", "more")])
        procs.run(["echo", "y"], stdout_sink=("append", "more"))
    assert (tmp_path / "made").read_bytes() == (tmp_path / "open").read_bytes() == b"x\n"
    assert (tmp_path / "more").read_bytes() == b"x\ny\n"


def test_a_full_disk_is_told():
    done = procs.run(["echo", "x"], stdout_sink=["buffer", ("append", "/dev/full")])
    assert done.stdout == b"x\n"
    assert done.stdout_report.sink_error.errno == errno.ENOSPC


def test_cancel_from_another_thread():
    cancel = procs.CancelHandle()
    started = threading.Event()
    canceller = threading.Thread(target=lambda: started.wait() and cancel.cancel())
    canceller.start()
    with pytest.raises(procs.CancelledError) as caught:
        procs.run(["sh", "-c", "echo a; exec sleep 60"], stdout_sink=[lambda chunk: started.set(), "buffer"], cancel=cancel)
    canceller.join()
    assert caught.value.output == b"a\n"


def test_the_interpreter_runs_while_a_call_waits():
    """Ten waits at once take the time of one only if none of them holds the interpreter."""
    child = procs.Popen(["cat"], stdin=procs.PIPE)
    codes = []
    waiters = [threading.Thread(target=lambda: codes.append(child.wait())) for _ in range(10)]
    for waiter in waiters:
        waiter.start()
    child.stdin.close()
    for waiter in waiters:
        waiter.join()
    assert codes == [0] * 10


def test_threads_run_at_once():
    def work():
        for _ in range(20):
            results.append(procs.run(["echo", "x"], capture_output=True).stdout)

    results = []
    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [b"x\n"] * 160


CALLS = {
    "run": "procs.run(['sh', '-c', HOLD])",
    "captured": "procs.run(['sh', '-c', HOLD], capture_output=True, timeout=300)",
    "wait": "procs.Popen(['sh', '-c', HOLD]).wait()",
    "communicate": "procs.Popen(['sh', '-c', HOLD], stdout=procs.PIPE, stderr=procs.PIPE).communicate()",
    "context": "procs.Popen(['sh', '-c', HOLD]).__enter__().__exit__(None, None, None)",
    "wait_any": "procs.wait_any([procs.Popen(['sh', '-c', HOLD])])",
    "run_many": "procs.run_many([['sh', '-c', HOLD]] * 2)",
    "pipeline": "procs.Pipeline(['sh', '-c', HOLD], ['cat']).run()",
}


@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_reaches_every_blocking_call(name, tmp_path):
    code = textwrap.dedent(f"""
        import procs, signal, sys
        HOLD = "echo $$ >> pids; trap '' INT; while :; do sleep 0.05; done"
        try:
            {CALLS[name]}
        except KeyboardInterrupt:
            sys.exit(42)
    """)
    program = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        wait_until(lambda: os.path.exists("pids") and os.path.getsize("pids") > 0, "the child has started")
        time_of_signal = time.monotonic()
        os.kill(program.pid, signal.SIGINT)
        assert program.wait(timeout=60) == 42
        assert time.monotonic() - time_of_signal < 20
        if name in ("run", "captured", "run_many", "pipeline"):
            wait_until(lambda: not any(map(alive, Path("pids").read_text().split())), "the children are killed")
    finally:
        program.kill()
        for pid in filter(alive, Path("pids").read_text().split()):
            os.kill(int(pid), signal.SIGKILL)


def test_other_signal_handlers_run_and_may_raise():
    class Alarm(Exception):
        pass

    def ring(number, frame):
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(Alarm):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            procs.run(["sleep", "60"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_unwaited_child_warns_and_is_reaped():
    child = procs.Popen(["true"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del child
        gc.collect()
    assert [item.category for item in caught] == [ResourceWarning]
    assert "is still running" in str(caught[0].message)


def test_communicate_goes_on_after_a_timeout():
    child = procs.Popen(["cat"], stdin=procs.PIPE, stdout=procs.PIPE, stderr=procs.PIPE)
    data = bytes(range(256)) * 4096
    blocker = procs.Popen(["sh", "-c", "cat; read x < fifo; cat /dev/null; echo end"], stdin=procs.PIPE, stdout=procs.PIPE)
    os.mkfifo("fifo")
    with pytest.raises(procs.TimeoutExpired):
        blocker.communicate(data, timeout=0.3)
    with pytest.raises(ValueError):
        blocker.communicate(b"more")
    blocker.kill()
    assert data.startswith(blocker.communicate()[0][:100])
    assert child.communicate(data) == (data, b"")
    assert child.communicate() == (data, b"")


def test_communicate_keeps_what_was_read_ahead():
    child = procs.Popen("printf 'one\\ntwo\\n'; printf err >&2", shell=True, stdout=procs.PIPE, stderr=procs.PIPE)
    assert child.stdout.readline() == b"one\n"
    assert child.communicate(timeout=60) == (b"two\n", b"err")


def test_an_unknown_status_is_an_error():
    code = textwrap.dedent("""
        import os, procs
        child = procs.Popen(["sh", "-c", "exit 3"])
        pid, status = os.waitpid(child.pid, 0)
        try:
            code = child.wait()
        except ChildProcessError:
            code = 3  # the kernel does not tell any more
        assert code == 3, code
    """)
    subprocess.run([sys.executable, "-c", code], check=True)


def test_inherits_no_descriptor_but_those_asked_for():
    read, write = os.pipe()
    os.set_inheritable(write, True)
    code = f"import os; print([os.path.exists('/proc/self/fd/%d' % fd) for fd in ({read}, {write})])"
    try:
        assert procs.check_output([sys.executable, "-c", code]) == b"[False, False]\n"
        assert procs.check_output([sys.executable, "-c", code], pass_fds=[read]) == b"[True, False]\n"
        assert procs.check_output([sys.executable, "-c", code], close_fds=False) == b"[False, True]\n"
    finally:
        os.close(read)
        os.close(write)


def test_extra_descriptors_by_number():
    child = procs.Popen(["sh", "-c", "cat <&7 >&8"], fds={7: procs.PIPE, 8: procs.PIPE})
    import socket
    with socket.socket(fileno=child.take_fd(7)) as into, socket.socket(fileno=child.take_fd(8)) as out:
        into.sendall(b"through")
        into.shutdown(socket.SHUT_WR)
        assert out.recv(100) == b"through"
        assert child.wait() == 0


def test_many_and_progress():
    seen = []
    results = procs.run_many([["sh", "-c", f"exit {n}"] for n in range(5)] + [["no-such-program"]], jobs=2,
                             progress=lambda index, item: seen.append(index))
    assert [result.returncode for result in results[:5]] == [0, 1, 2, 3, 4]
    assert isinstance(results[5], FileNotFoundError) and results[5].filename == "no-such-program"
    assert sorted(seen) == [0, 1, 2, 3, 4, 5]

    def refuse(index, item):
        raise LookupError(index)

    with pytest.raises(LookupError):
        procs.run_many([["true"], ["sleep", "60"]], jobs=2, progress=refuse)


def test_lines_and_chunks():
    with procs.Popen(["printf", "a\\n\\nb"], stdout=procs.PIPE, text=True) as child:
        assert child.stdout.readline() == "a\n"
        assert list(child.lines()) == ["", "b"]
    with procs.Popen(["seq", "1", "100000"], stdout=procs.PIPE) as child:
        assert b"".join(child.chunks()) == procs.check_output(["seq", "1", "100000"])
    with procs.Popen(["true"]) as child, pytest.raises(procs.SubprocessError):
        next(child.lines())


def test_tree_ends_with_the_deadline():
    started = time.monotonic()
    with pytest.raises(procs.TimeoutExpired) as caught:
        procs.run("setsid sleep 60 & sleep 60 & echo on; wait", shell=True, capture_output=True, timeout=WORD_SECONDS, kill_tree=True)
    assert caught.value.output == b"on\n"
    assert caught.value.completed.stopped.survivors == []
    assert time.monotonic() - started < 50


@pytest.fixture
def freezer():
    """A control group whose members stand still: SIGKILL does not end them before it is removed."""
    folder = Path("/sys/fs/cgroup/freezer", f"procs-test-{uuid.uuid4()}")
    folder.mkdir()
    (folder / "freezer.state").write_text("FROZEN")
    yield folder
    (folder / "freezer.state").write_text("THAWED")
    wait_until(lambda: not (folder / "cgroup.procs").read_text(), "its members have ended")
    folder.rmdir()


@pytest.mark.parametrize("call", [
    lambda command, timeout: procs.run(command, stdout=procs.PIPE, timeout=timeout),
    lambda command, timeout: asyncio.run(aio.run(command, stdout=procs.PIPE, timeout=timeout)),
    lambda command, timeout: procs.run_many([command], timeout=timeout),
    lambda command, timeout: procs.Pipeline(command).run(timeout=timeout),
], ids=["run", "aio", "many", "pipeline"])
def test_b14_a_run_gives_up_on_a_child_that_kill_does_not_end(call, freezer):
    def freeze():
        wait_until(lambda: os.path.exists("pid") and os.path.getsize("pid"), "the child has started")
        (freezer / "cgroup.procs").write_text(Path("pid").read_text())

    freezing = threading.Thread(target=freeze)
    freezing.start()
    try:
        [error] = call(["sh", "-c", "echo begun; echo $$ > pid; exec sleep 60"], WORD_SECONDS)
    except procs.TimeoutExpired as raised:
        error = raised
    freezing.join()
    assert isinstance(error, procs.TimeoutExpired) and error.output == b"begun\n", error
    # A pipeline's error carries the output alone.
    assert getattr(error, "completed", None) is None or error.completed.returncode is None


@pytest.mark.parametrize("text", [False, True])
def test_one_line_as_the_buffer_of_bytes_is_warned_of_for_each_file(text):
    seen = []
    for module in (subprocess, procs):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with module.Popen(["cat"], stdin=module.PIPE, stdout=module.PIPE, stderr=module.PIPE, bufsize=1, text=text) as child:
                assert child.communicate("x" if text else b"x")[0] in ("x", b"x")
        seen.append([(warning.category, str(warning.message)) for warning in caught])
    assert seen[0] == seen[1]
    assert len(seen[1]) == (0 if text else 3)


@pytest.mark.parametrize("mask", [0o7077, 0o1000, 0x7FFFFFFF])
def test_a_umask_loses_what_is_no_permission(mask):
    peer_equal("umask", shell=True, stdout=subprocess.PIPE, umask=mask)
