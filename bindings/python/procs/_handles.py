# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""The descriptors of a child for subclasses that choose them themselves: ``subprocess.Popen`` asks its ``_get_handles``, and some libraries (sarge)
override it. Six numbers, -1 for none: the child's end and the host's end of standard input, then the host's and the child's of both outputs."""

import os
import sys

from ._options import DEVNULL, PIPE, STDOUT, stream

NAMES = ("stdin", "stdout", "stderr")


def usual(popen, stdin, stdout, stderr):
    """What ``subprocess.Popen._get_handles`` gives."""
    made = []
    try:
        read, write = _input(popen, stdin, made)
        out = _output(popen, stdout, "stdout", made)
        if stderr is STDOUT:
            error = (-1, out[1] if out[1] != -1 else sys.__stdout__.fileno())
        else:
            error = _output(popen, stderr, "stderr", made)
    except BaseException:
        for fd in made:
            os.close(fd)
        raise
    return read, write, *out, *error


def _input(popen, target, made):
    if target == PIPE:
        made += (ends := os.pipe())
        return ends
    return _child_end(popen, target, "stdin"), -1


def _output(popen, target, name, made):
    if target == PIPE:
        made += (ends := os.pipe())
        return ends
    return -1, _child_end(popen, target, name)


def _child_end(popen, target, name):
    if target is None:
        return -1
    if target == DEVNULL:
        if popen._devnull is None:
            popen._devnull = os.open(os.devnull, os.O_RDWR)
        return popen._devnull
    return stream(target, name)


class Handles:
    """The six of one child."""

    def __init__(self, popen, given):
        self._popen = popen
        found = popen._get_handles(*(given[name] for name in NAMES))
        self._child = (found[0], found[3], found[5])
        self.host = (found[1], found[2], found[4])

    def replace(self, given):
        """``given`` with the child's ends as its streams."""
        return {**given, **{name: None if fd == -1 else fd for name, fd in zip(NAMES, self._child)}}

    def close_childs(self):
        """Closes what only the child needs: its ends of pipes, and the null device."""
        pipes = {fd for fd, host in zip(self._child, self.host) if fd != -1 and host != -1}
        if self._popen._devnull is not None:
            pipes.add(self._popen._devnull)
            self._popen._devnull = None
        for fd in pipes:
            os.close(fd)

    def close(self):
        """Closes all that was made for a child that did not start."""
        for fd in {fd for fd, child in zip(self.host, self._child) if fd != -1 and child != -1}:
            os.close(fd)
        self.close_childs()
