"""Row C14 of docs/faults.md from Python: large streams, which Popen's files move by splice(2) where it works."""

import asyncio
import errno
import gc
import os
import signal

import pytest
from conftest import wait_until
from test_faults_streams import by_process

import procs


def none_left(before):
    """No descriptor more than before; what an earlier test left to the engine may be closed meanwhile."""
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, "all descriptors are closed")


def flood(helper, length):
    """A child that writes so many bytes, and the bytes."""
    child = procs.Popen([helper, "flood", str(length), "1"], stdout=procs.PIPE)
    return child, (b"abcdefghijklmnopqrstuvwxyz" * (length // 26 + 1))[:length]


@pytest.mark.parametrize("failure", [None, errno.ENOSYS, errno.EPERM, KeyboardInterrupt])
@pytest.mark.parametrize("size", [1000, 65536, 300_000])
def test_c14_large_streams_come_unchanged_whatever_splice_says(helper, monkeypatch, failure, size):
    calls = []
    splice = os.splice

    def other(*args):
        calls.append(args)
        if isinstance(failure, int):
            raise OSError(failure, os.strerror(failure))
        count = splice(*args)
        if failure is not None and len(calls) % 3 == 2:
            raise failure  # by a signal handler, between the two halves of a read
        return count

    monkeypatch.setattr(os, "splice", other)
    before = len(os.listdir("/proc/self/fd"))
    child, whole = flood(helper, 4_000_003)
    found = bytearray()
    while len(found) < len(whole):
        try:
            # One read of the pipe each time: of several, the file itself forgets those before an exception.
            data = child.stdout.read1(max(size, 65536)) if failure is KeyboardInterrupt else child.stdout.read(size)
        except KeyboardInterrupt:
            continue
        assert data, "bytes are missing"
        found += data
    monkeypatch.setattr(os, "splice", splice)
    assert (child.stdout.read(size), found == whole, bool(calls)) == (b"", True, True)
    child.stdout.close()
    assert child.wait() == 0
    del child
    none_left(before)


@pytest.mark.parametrize("block", [1000, 65536, 1 << 20])
def test_c14_all_of_a_large_stream_at_once_comes_unchanged(helper, block):
    length = 9_000_003
    whole = (b"abcdefghijklmnopqrstuvwxyz" * (length // 26 + 1))[:length]
    args = [helper, "flood", str(length), "1", str(block)]
    before = len(os.listdir("/proc/self/fd"))
    with procs.Popen(args, stdout=procs.PIPE) as child:
        assert child.stdout.read() == whole
    with procs.Popen(args, stdout=procs.PIPE) as child:
        assert child.stdout.read(2_000_000) + child.stdout.read() == whole
    del child
    none_left(before)
    assert asyncio.run(by_process(args)).stdout == whole


def test_c14_a_large_stream_that_is_closed_early_leaves_nothing(helper):
    before = len(os.listdir("/proc/self/fd"))
    for way in ("close", "drop", "raw"):
        child, _ = flood(helper, 20_000_000)
        for _ in range(60):
            child.stdout.read(65536)
        raw = child.stdout.raw
        assert "close" in vars(raw), "the stream is not read through a pipe of its own"
        if way == "close":
            child.stdout.close()
        elif way == "raw":
            raw.close()
        else:
            with pytest.warns(ResourceWarning, match="unclosed file"):  # as of any file
                child.stdout = None
        if way != "drop":
            with pytest.raises(ValueError, match="closed"):
                raw.readinto(bytearray(10))
        del raw
        assert child.wait() == -signal.SIGPIPE
        del child
        gc.collect()
        none_left(before)
