"""Rows C01 to C18 of docs/faults.md from Python: blocking, through Popen's files, and on an event loop."""

import asyncio
import errno
import gc
import os
import pty
import random
import resource
import signal
import sys
import threading
import time

import pytest
from conftest import WORD_SECONDS
from test_processes import COUNT, program

import procs
from procs import _native, aio


def awaited(*args, **options):
    return asyncio.run(aio.run(*args, **options))


def by_popen(args, input=None, **options):
    options.setdefault("stdin", procs.PIPE if input is not None else procs.DEVNULL)
    with procs.Popen(args, **options) as child:
        output, errors = child.communicate(input)
    return procs.CompletedProcess(args, child.returncode, output, errors)


async def by_process(args, input=None):
    process = await aio.create_subprocess_exec(*args, stdin=-1, stdout=-1, stderr=-1)
    output, errors = await process.communicate(input)
    return procs.CompletedProcess(args, process.returncode, output, errors)


WAYS = {"run": procs.run, "aio": awaited, "popen": by_popen}


@pytest.mark.parametrize("way", [*WAYS, "process"])
def test_c01_all_pipes_full_at_once(way, helper):
    data = bytes(range(256)) * (5 << 12)
    for _ in range(COUNT // 10):
        args = [helper, "stderr-then-stdout", "204800", "10", "204800"]
        if way == "process":
            done = asyncio.run(by_process(args, data))
        else:
            done = WAYS[way](args, input=data, stdout=procs.PIPE, stderr=procs.PIPE)
        assert (done.returncode, len(done.stdout), len(done.stderr)) == (0, 204810 + len(b"read 5242880\n"), 204800)


def test_c02_children_that_wait_for_each_other(tmp_path):
    for index in range(COUNT // 10):
        file = tmp_path / str(index)
        waits = f"while [ ! -e {file} ]; do sleep 0.01; done"
        writes = f"head -c 1000000 /dev/zero; : > {file}"
        found = procs.run_many([["sh", "-c", waits], ["sh", "-c", writes]], jobs=2, timeout=60)
        assert [len(done.stdout) for done in found] == [0, 1_000_000]


@pytest.mark.parametrize("way", ["run", "aio"])
def test_c03_a_grandchild_keeps_the_stream(way):
    script = ["sh", "-c", "sleep 60 & echo hi"]
    done = WAYS[way](script, stdout=procs.PIPE, drain_after_exit=0.3, timeout=30)
    assert (done.stdout, done.pipes_left_open, done.timed_out) == (b"hi\n", True, False)
    with pytest.raises(procs.TimeoutExpired) as caught:
        WAYS[way](script, stdout=procs.PIPE, timeout=WORD_SECONDS, kill_tree=True)
    assert caught.value.output == b"hi\n"


@pytest.mark.parametrize("way", [*WAYS, "file", "process"])
def test_c04_what_was_written_before_the_exit_arrives(way):
    args = ["head", "-c", "1048576", "/dev/zero"]
    for _ in range(COUNT // 5):
        if way == "file":
            with procs.Popen(args, stdout=procs.PIPE) as child:
                output = child.stdout.read()
        elif way == "process":
            output = asyncio.run(by_process(args)).stdout
        else:
            output = WAYS[way](args, stdout=procs.PIPE).stdout
        assert len(output) == 1_048_576


@pytest.mark.parametrize("way", ["run", "aio"])
def test_c05_output_without_end_meets_its_limit(way):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(procs.TooLargeError) as caught:
        WAYS[way](["yes"], stdout=procs.PIPE, max_output=1 << 20, timeout=60)
    assert len(caught.value.output) == 1 << 20
    for policy in ("head", "tail"):
        done = WAYS[way](["sh", "-c", "yes | head -c 50000000"], stdout=procs.PIPE, max_output=(policy, 1 << 20), timeout=60)
        assert len(done.stdout) == 1 << 20 and done.stdout_report.truncated
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 24 << 10
    done = WAYS[way](["sh", "-c", "yes | head -c 5000000"], stdout=procs.PIPE, max_output=("spill", 1 << 20), timeout=60)
    with done.stdout_report.spill as file:
        assert len(file.read()) == 5_000_000


def test_c05_many_runs_have_a_limit_by_themselves():
    [error] = procs.run_many([["yes"]], timeout=60)
    assert isinstance(error, procs.TooLargeError)


@pytest.mark.parametrize("way", ["run", "aio"])
def test_c06_limits_are_exact(way):
    for limit in (1, 4095, 65536, 1 << 20):
        for policy in ("head", "tail", "error"):
            try:
                output = WAYS[way](["head", "-c", "4194304", "/dev/zero"], stdout=procs.PIPE, max_output=(policy, limit)).stdout
            except procs.TooLargeError as error:
                output = error.output
            assert len(output) == limit


@pytest.mark.parametrize("on_loop", [False, True])
def test_c07_a_slow_reader_slows_the_child(on_loop, helper):
    size = 24 << 20
    args = [helper, "flood", str(size), "1"]

    async def slowly():
        process = await aio.create_subprocess_exec(*args, stdout=aio.PIPE)
        total = len(await process.stdout.read(65536))
        await asyncio.sleep(0.3)  # time in which a child that is not held back writes all of it
        assert process.returncode is None
        while data := await process.stdout.read(65536):
            total += len(data)
        return total, await process.wait()

    if on_loop:
        assert asyncio.run(slowly()) == (size, 0)
        return
    with procs.Popen(args, stdout=procs.PIPE) as child:
        total = len(child.stdout.read(65536))
        with pytest.raises(procs.TimeoutExpired):
            child.wait(timeout=0.3)
        while data := child.stdout.read(65536):
            total += len(data)
    assert (total, child.returncode) == (size, 0)


@pytest.mark.parametrize("way", [*WAYS])
def test_c08_every_byte_value_makes_the_round_trip(way):
    data = bytes(range(256)) * 4096
    run = WAYS[way]
    assert run(["cat"], input=data, stdout=procs.PIPE).stdout == data
    text = run(["cat"], input=data.decode("latin-1").replace("\r", ""), stdout=procs.PIPE, encoding="latin-1").stdout
    assert text == data.decode("latin-1").replace("\r", "")
    with pytest.raises(UnicodeDecodeError) as caught:
        run(["printf", "ab\\377c"], stdout=procs.PIPE, encoding="utf-8")
    assert caught.value.start == 2
    assert run(["printf", "a\\377"], stdout=procs.PIPE, encoding="utf-8", errors="replace").stdout == "a\ufffd"
    assert run(["printf", "a\\377"], stdout=procs.PIPE, encoding="utf-8", errors="surrogateescape").stdout == "a\udcff"


@pytest.mark.parametrize("take", ["lines", "file", "read"])
def test_c09_characters_split_over_reads_stay_whole(take):
    for offset in range(65532, 65541):
        script = f"head -c {offset} /dev/zero | tr '\\0' x; printf '\\342'; sleep 0.005; printf '\\202'; sleep 0.005; printf '\\254\\n\\342\\202'"
        with procs.Popen(["sh", "-c", script], stdout=procs.PIPE, encoding="utf-8", errors="replace") as child:
            if take == "lines":
                text = "\n".join(child.lines())
            else:
                text = "".join(child.stdout) if take == "file" else child.stdout.read()
        assert text == "x" * offset + "\u20ac\n\ufffd"


LINES = {b"": [], b"a": [b"a"], b"a\n": [b"a"], b"\n": [b""], b"a\r\nb": [b"a\r", b"b"], b"\0\n\0": [b"\0", b"\0"], b"a\n\n\nb\n": [b"a", b"", b"", b"b"]}


def test_c10_lines_of_every_shape(tmp_path):
    async def on_loop(data):
        process = await aio.create_subprocess_exec("cat", str(tmp_path / "data"), stdout=aio.PIPE)
        kept = [line async for line in process.stdout]
        await process.wait()
        process = await aio.create_subprocess_exec("cat", str(tmp_path / "data"), stdout=aio.PIPE)
        bare = [line async for line in process.stdout.lines()]
        await process.wait()
        assert b"".join(kept) == data
        return bare

    for data, lines in {**LINES, b"x" * (10 << 20) + b"\nend": [b"x" * (10 << 20), b"end"]}.items():
        (tmp_path / "data").write_bytes(data)
        with procs.Popen(["cat", tmp_path / "data"], stdout=procs.PIPE) as child:
            assert list(child.lines()) == lines
        with procs.Popen(["cat", tmp_path / "data"], stdout=procs.PIPE) as child:
            assert b"".join(child.stdout) == data
        assert asyncio.run(on_loop(data)) == lines


def test_c10_text_is_split_where_its_newlines_are():
    pieces = ["", "a", "seven c", "\n", "\n\n", "\r", "\x0b", "\x8a", "\u010a", "x" * 40]
    picks = random.Random(1)
    for _ in range(3000):
        text = "".join(picks.choices(pieces, k=picks.randrange(40), weights=[9, 9, 9, 9, 9, 9, 9, 0.1, 0.1, 9]))
        assert _native.split_lines(text) == text.split("\n")


def test_c10_lines_and_bytes_may_be_mixed_on_a_loop():
    async def main():
        process = await aio.create_subprocess_exec("seq", "1000", stdout=aio.PIPE)
        stdout = process.stdout
        async for line in stdout:
            if line == b"10\n":
                break
        found = [await stdout.readline(), await stdout.readexactly(4), await stdout.readuntil(b"5\n")]
        async for line in stdout:
            found.append(line)
            break
        found.append(await stdout.read(3))
        assert found == [b"11\n", b"12\n1", b"3\n14\n15\n", b"16\n", b"17\n"]
        assert not stdout.at_eof()
        rest = await stdout.read()
        assert rest.startswith(b"18\n") and rest.endswith(b"\n1000\n") and stdout.at_eof()
        assert await stdout.readline() == b"" and await stdout.read() == b""
        await process.wait()

    asyncio.run(main())


def test_c11_a_dead_reader_does_not_kill_the_host():
    assert program(f"""
        import asyncio, procs, signal
        from procs import aio
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        data = bytes(1 << 20)
        for _ in range({COUNT}):
            assert procs.run(["true"], input=data).returncode == 0
            assert asyncio.run(aio.run(["true"], input=data)).returncode == 0
        assert not signal.sigpending()
        print("alive")
    """) == "alive\n"


def test_c12_nobody_waits_for_the_keyboard():
    """Our own names give the child an empty input; subprocess's inherit, as there."""
    read, write = os.pipe()
    kept = os.dup(0)
    try:
        os.dup2(read, 0)
        [done] = procs.run_many([["cat"]], timeout=60)
        piped = procs.Pipeline(["cat"], ["cat"]).run(timeout=60)
    finally:
        os.dup2(kept, 0)
        for fd in (kept, read, write):
            os.close(fd)
    assert (done.stdout, piped.stdout) == (b"", b"")


def test_c13_a_background_child_of_a_terminal_reads_no_keys():
    """The host has a terminal that nobody types at; a child in a session of its own gets an error from it and waits for nobody."""
    code = """if True:
        import procs
        done = procs.run(["sh", "-c", "read line < /dev/tty || echo none"], capture_output=True, start_new_session=True)
        raise SystemExit(7 if done.stdout == b"none\\n" else 8)
    """
    host, tty = pty.openpty()
    try:
        with procs.Popen([sys.executable, "-c", code], stdin=tty, start_new_session=True, controlling_tty=0) as program:
            assert program.wait(timeout=60) == 7
    finally:
        os.close(host)
        os.close(tty)


def test_c14_small_pipes_are_enough(helper):
    assert program(f"""
        import asyncio, os, procs, resource
        from procs import aio
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        pipes = [os.pipe() for _ in range(1100)]
        args = ["sh", "-c", "head -c 3000000 /dev/zero; cat > /dev/null"]
        assert len(procs.run(args, input=bytes(3000000), stdout=-1).stdout) == 3000000
        assert len(asyncio.run(aio.run(args, input=bytes(3000000), stdout=-1)).stdout) == 3000000
        with procs.Popen(["head", "-c", "3000000", "/dev/zero"], stdout=-1) as child:
            total = 0
            while data := child.stdout.read(65536):
                total += len(data)
        async def stream():
            process = await aio.create_subprocess_exec("head", "-c", "3000000", "/dev/zero", stdout=-1)
            total = 0
            while data := await process.stdout.read(65536):
                total += len(data)
            await process.wait()
            return total
        print(total, asyncio.run(stream()))
    """) == "3000000 3000000\n"


@pytest.mark.parametrize("way", [*WAYS])
def test_c15_merged_streams_keep_their_order(way, helper):
    output = WAYS[way]([helper, "interleave", "1000"], stdout=procs.PIPE, stderr=procs.STDOUT).stdout.splitlines()
    assert len(output) == 2000
    assert [line.split()[-1] for line in output[::2]] == [line.split()[-1] for line in output[1::2]]


def test_c16_files_are_truncated_and_appended_as_asked(tmp_path):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    procs.run(["printf", "a"], stdout_sink=("append", target))
    assert target.read_bytes() == b"olda"
    procs.run(["printf", "b"], stdout_sink=target)
    assert target.read_bytes() == b"b"
    done = procs.run(["printf", "lost"], stdout_sink=["buffer", ("file", "/dev/full")])
    assert done.stdout == b"lost" and done.stdout_report.sink_error.errno == errno.ENOSPC
    done = procs.run(["sh", "-c", f"head -c 200000 /dev/zero > {target}"], limits={"fsize": 65536}, stderr=procs.PIPE)
    assert done.returncode not in (0, None) and target.stat().st_size == 65536


def test_c17_a_closed_stream_is_never_read_again(tmp_path):
    """The caller closes its file while communicate() reads, and the number soon belongs to something else."""
    (tmp_path / "other").write_bytes(b"other" * 1000)
    for _ in range(COUNT):
        child = procs.Popen(["sh", "-c", "echo a; sleep 0.01; echo b; echo c >&2"], stdout=procs.PIPE, stderr=procs.PIPE)
        found = []
        reader = threading.Thread(target=lambda: found.extend(child.communicate()))
        reader.start()
        while child._communication is None:
            time.sleep(0)
        child.stdout.close()
        files = [open(tmp_path / "other", "rb") for _ in range(3)]
        reader.join()
        for file in files:
            assert file.tell() == 0
            file.close()
        assert found == [b"a\nb\n", b"c\n"]


def test_c17_on_a_loop():
    async def main():
        process = await aio.create_subprocess_exec("sleep", "60", stdout=aio.PIPE)
        reading = asyncio.ensure_future(process.stdout.read(10))
        await asyncio.sleep(0)  # it begins, finds nothing and waits
        number = process.stdout._pipe.fileno()
        read, theirs = os.pipe()
        process.stdout.close()
        ours = os.dup2(read, number)
        called = []
        asyncio.get_running_loop().add_reader(ours, called.append, 1)
        os.write(theirs, b"x")
        while not called:
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        asyncio.get_running_loop().remove_reader(ours)
        for fd in (ours, read, theirs):
            os.close(fd)
        process.kill()
        await process.wait()

    asyncio.run(main())


def test_c18_a_callback_may_do_anything():
    for _ in range(COUNT // 5):
        calls = []

        def anything(chunk):
            calls.append(chunk)
            gc.collect()
            procs.run(["true"])
            procs.run(["echo", "nested"], stdout_sink=calls.append)
            os.kill(os.getpid(), signal.SIGCONT)
            raise LookupError(len(calls))

        with pytest.raises(LookupError):
            procs.run(["yes"], stdout_sink=anything, timeout=60)
        assert calls[1:] == [b"nested\n"]
