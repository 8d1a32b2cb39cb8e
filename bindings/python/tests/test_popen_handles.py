"""Subclasses that choose the descriptors of their children, as some do with ``subprocess.Popen`` (sarge): the same with ours."""

import os
import subprocess

import procs
import pytest

SHELL = ["/bin/sh", "-c", "read line; echo out $line; echo err >&2"]


def recording(module):
    """A subclass that changes nothing and notes what it was asked for."""
    class Recording(module.Popen):
        asked = ()

        def _get_handles(self, stdin, stdout, stderr):
            self.asked = (stdin, stdout, stderr)
            return super()._get_handles(stdin, stdout, stderr)

    return Recording


def swapping(module):
    """A subclass whose children write each output where the other is read."""
    class Swapping(module.Popen):
        def _get_handles(self, stdin, stdout, stderr):
            a, b, c, d, e, f = super()._get_handles(stdin, stdout, stderr)
            return a, b, c, f, e, d

    return Swapping


@pytest.fixture(params=[subprocess, procs], ids=["subprocess", "procs"])
def module(request):
    return request.param


def test_what_changes_nothing_changes_nothing(module):
    Popen = recording(module)
    with Popen(SHELL, stdin=module.PIPE, stdout=module.PIPE, stderr=module.PIPE, text=True) as child:
        assert child.communicate("1\n", timeout=60) == ("out 1\n", "err\n")
        assert child.asked == (module.PIPE,) * 3
    with Popen(SHELL, stdin=module.DEVNULL, stdout=module.PIPE, stderr=module.STDOUT) as child:
        assert child.communicate(timeout=60) == (b"out\nerr\n", None)
        assert child.asked == (module.DEVNULL, module.PIPE, module.STDOUT)


def test_descriptors_and_files_reach_the_child(module, tmp_path):
    Popen = recording(module)
    target = tmp_path / "out"
    with open(target, "wb") as file, open("/dev/null", "rb") as nothing:
        assert Popen(SHELL, stdin=nothing, stdout=file, stderr=file.fileno()).wait(timeout=60) == 0
        assert not file.closed and not nothing.closed
    assert target.read_bytes() == b"out\nerr\n"


def test_the_null_device_is_opened_once_and_closed(module):
    with recording(module)(["/bin/sh", "-c", "cat; echo lost; echo lost >&2"], stdin=module.DEVNULL, stdout=module.DEVNULL, stderr=module.DEVNULL) as child:
        assert child.wait(timeout=60) == 0
        assert (child.stdin, child.stdout, child.stderr) == (None, None, None)


def test_outputs_change_places(module):
    with swapping(module)(SHELL, stdin=module.PIPE, stdout=module.PIPE, stderr=module.PIPE) as child:
        assert child.communicate(b"2\n", timeout=60) == (b"err\n", b"out 2\n")


def test_a_subclass_of_such_a_subclass_and_a_mixin_are_asked_too(module):
    class Mixin:
        def _get_handles(self, stdin, stdout, stderr):
            a, b, c, d, e, f = super()._get_handles(stdin, stdout, stderr)
            return a, b, c, f, e, d

    for bases in [(swapping(module),), (Mixin, module.Popen)]:
        Popen = type("Popen", bases, {})
        with Popen(SHELL, stdin=module.PIPE, stdout=module.PIPE, stderr=module.PIPE) as child:
            assert child.communicate(b"3\n", timeout=60) == (b"err\n", b"out 3\n")


def test_nothing_stays_open_when_there_is_no_child(module):
    before = len(os.listdir("/proc/self/fd"))
    for target in (module.PIPE, module.DEVNULL):
        with pytest.raises(FileNotFoundError):
            recording(module)(["/nonexistent/program"], stdin=target, stdout=target, stderr=target)
    with pytest.raises(OSError):
        recording(module)(SHELL, stdin=module.PIPE, stdout=2**20)
    assert len(os.listdir("/proc/self/fd")) == before
