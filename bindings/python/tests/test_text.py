"""Output as text: the same as ``io.TextIOWrapper`` gives, in every order of calls."""

import gc
import io
import itertools
import os
import random
import signal
import subprocess
import threading

import pytest

import procs
from procs._text import TextIOWrapper

PIECES = ["a", "bc", " ", "\n", "\n", "\r\n", "\r", "é", "中文", "𝄞", "\x0b", "\x1c", "\x85", "\u2028", "\t", "x" * 50, "word " * 400]


class Crumbs(io.RawIOBase):
    """A file of which each read gives a few bytes."""

    def __init__(self, data, seed):
        self._data, self._random = io.BytesIO(data), random.Random(seed)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._data.readinto(memoryview(buffer)[: self._random.choice([1, 2, 3, 10, 100, 5000, 100_000])])


def files(data, seed, encoding="utf-8", errors="strict"):
    """The text of both classes."""
    return (TextIOWrapper(io.BufferedReader(Crumbs(data, seed), 65536), encoding, errors),
            io.TextIOWrapper(io.BufferedReader(Crumbs(data, seed), 8192), encoding, errors))


def some_lines(file, count):
    taken = []
    for line in file:
        taken.append(line)
        if len(taken) == count:
            break
    return taken


def some_bare(file, count):
    """The same lines without their ends; a last one without end is taken as any."""
    if not isinstance(file, TextIOWrapper):
        return [line.removesuffix("\n") for line in some_lines(file, count)]
    taken = []
    for line in itertools.chain.from_iterable(file.batches(True)):
        taken.append(line)
        if len(taken) == count:
            break
    return taken


CALLS = [
    lambda file, number: file.readline(),
    lambda file, number: file.readline(number),
    lambda file, number: file.read(number),
    lambda file, number: next(file, None),
    some_lines,
    some_bare,
    lambda file, number: file.readlines(number),
]


@pytest.mark.parametrize("seed", range(300))
def test_the_same_text_in_any_order_of_calls(seed):
    chosen = random.Random(seed)
    text = "".join(chosen.choices(PIECES[: chosen.choice([5, len(PIECES)])], k=chosen.choice([0, 3, 50, 2000])))
    encoding, errors = chosen.choice([("utf-8", "strict"), ("utf-16", "strict"), ("latin-1", "strict"), ("utf-8", "surrogateescape")])
    data = text.encode(encoding, "replace")
    if errors == "surrogateescape":
        data = data.replace(b" ", b"\xff")
    ours, theirs = files(data, seed, encoding, errors)
    while True:
        call, number = chosen.choice(CALLS), chosen.choice([0, 1, 2, 7, 60, 3000])
        if call in (some_lines, some_bare) and number == 0:
            number = 1
        mine, expected = call(ours, number), call(theirs, number)
        assert mine == expected
        if chosen.random() < 0.03:
            assert ours.read() == theirs.read()
            break
    assert (ours.read(), ours.readline(), list(ours), ours.readlines()) == ("", "", [], [])
    seen = lambda file: set(file.newlines if isinstance(file.newlines, tuple) else [file.newlines])  # noqa: E731
    assert seen(ours) == seen(theirs)


def test_bytes_that_are_no_text_are_an_error_as_in_the_peer():
    for file in files(b"ab\xff\n", 1):
        with pytest.raises(UnicodeDecodeError):
            file.read()


def test_a_closed_or_detached_file_refuses():
    first, second = (TextIOWrapper(io.BufferedReader(io.BytesIO(b"1\n2\n3\n")), "utf-8", "strict") for _ in range(2))
    lines = iter(first)
    assert next(lines) == "1\n"
    first.close()
    for call in (first.readline, first.read, lambda: next(first), lambda: list(first), lambda: list(lines), lambda: first.readline(2)):
        with pytest.raises(ValueError, match="closed file"):
            call()
    assert second.readline() == "1\n"
    buffer = second.detach()
    with pytest.raises(ValueError, match="detached"):
        second.readline()
    assert not buffer.closed


def test_reconfigure_counts_before_the_first_read_only():
    file = TextIOWrapper(io.BufferedReader(io.BytesIO("é\r\nb".encode("latin-1"))), "utf-8", "strict")
    file.reconfigure(encoding="latin-1")
    assert file.readline() == "é\n"
    for given in ({"encoding": "utf-8"}, {"errors": "replace"}, {"newline": None}, {"newline": "\n"}):
        with pytest.raises(io.UnsupportedOperation):
            file.reconfigure(**given)
    file.reconfigure(line_buffering=False)
    assert file.read() == "b"

    file = TextIOWrapper(io.BufferedReader(io.BytesIO(b"a\r\nb\nc")), "utf-8", "strict")
    file.reconfigure(newline="\r\n")
    assert isinstance(file, io.TextIOWrapper) and file.readline() == "a\r\n"
    assert [list(lines) for lines in file.batches(True)] == [["b\nc"]]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_file_that_only_its_user_holds_stays_open():
    def output():
        child = procs.Popen(["seq", "20000"], stdout=procs.PIPE, text=True)
        children.append(child)
        file, child.stdout = child.stdout, None
        return file

    children = []
    expected = "".join(f"{number}\n" for number in range(1, 20001))
    assert output().read() == expected
    assert "".join(output()) == expected
    assert "".join(iter(output().readline, "")) == expected
    assert output().readlines() == expected.splitlines(True)
    for child in children:
        assert child.wait() == 0
    gc.collect()


def test_a_file_that_nobody_holds_is_closed_with_a_warning():
    child = procs.Popen(["echo", "x"], stdout=procs.PIPE, text=True)
    assert child.wait() == 0
    number = child.stdout.fileno()
    with pytest.warns(ResourceWarning, match="unclosed file"):
        child.stdout = None
        gc.collect()
    with pytest.raises(OSError):
        os.fstat(number)


def test_each_line_comes_as_soon_as_it_is_there():
    with procs.Popen(["cat"], stdin=procs.PIPE, stdout=procs.PIPE, text=True, bufsize=1) as child:
        for take in (child.stdout.readline, iter(child.stdout).__next__, iter(child.lines()).__next__, child.stdout.__next__):
            child.stdin.write("one\n")
            assert take().rstrip() == "one"
        child.stdin.write("abc")
        child.stdin.flush()
        assert child.stdout.read(2) == "ab"


class Interrupted(Exception):
    pass


def test_an_exception_in_the_middle_of_a_read_loses_nothing():
    def handler(number, frame):
        raise Interrupted

    script = "printf 'one\\ntw'; read go; kill -USR1 $PPID; read go; printf 'o\\nthree\\n'"
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for read in (lambda file: file.readline(), lambda file: file.read(100), lambda file: file.readline(100), next):
            child = procs.Popen(["sh", "-c", script], stdin=procs.PIPE, stdout=procs.PIPE, text=True)
            with child:
                assert child.stdout.readline() == "one\n"
                child.stdin.write("\n")
                with pytest.raises(Interrupted):
                    child.stdin.flush()
                    read(child.stdout)
                child.stdin.write("\n")
                child.stdin.close()
                assert child.stdout.read() == "two\nthree\n"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_threads_share_the_lines():
    child = procs.Popen(["seq", "60000"], stdout=procs.PIPE, text=True)
    taken = [[], [], []]
    with child:
        threads = [threading.Thread(target=lambda mine=mine: mine.extend(child.stdout)) for mine in taken]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(int(line) for mine in taken for line in mine) == list(range(1, 60001))


def test_lines_and_the_file_continue_each_other():
    with procs.Popen(["seq", "9"], stdout=procs.PIPE, text=True) as child:
        lines = child.lines()
        assert next(lines) == "1"
        assert child.stdout.readline() == "2\n"
        assert next(iter(child.stdout)) == "3\n"
        assert next(child.lines(keep_ends=True)) == "4\n"
        assert child.stdout.read(3) == "5\n6"
        assert list(child.lines()) == ["", "7", "8", "9"] and child.stdout.closed


def test_a_pipe_that_does_not_block_is_as_in_the_peer():
    for module in (procs, subprocess):
        with module.Popen(["cat"], stdin=-1, stdout=-1, text=True) as child:
            os.set_blocking(child.stdout.fileno(), False)
            assert child.stdout.readline() == ""
            child.stdin.write("x\n")
            child.stdin.close()
            assert child.wait() == 0
            assert (child.stdout.readline(), child.stdout.readline()) == ("x\n", "")
        with module.Popen(["cat"], stdin=-1, stdout=-1, text=True, bufsize=0) as child:
            os.set_blocking(child.stdout.fileno(), False)
            with pytest.raises(TypeError, match="underlying read"):
                child.stdout.readline()
            child.stdin.close()
