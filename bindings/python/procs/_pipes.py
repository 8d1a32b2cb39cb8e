# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio.pyi.
"""The host's ends of a child's pipes as Python files: the standard library's own classes, with a pipe that grows for long streams."""

import fcntl
import io
import os
import weakref

from . import _native

# Size of a file's buffer, and of a pipe that nobody changed.
BLOCK = 65536
# So large becomes a pipe once a read has found it full, or much was read: before that it would be a waste of the user's share.
LARGE_PIPE = 1 << 20
_MUCH = 4 * BLOCK


def enlarge(fd):
    """Makes a pipe larger, if the user's share of pipe memory allows it."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, LARGE_PIPE)
    except OSError:
        pass


class _Watch:
    """Stands before two methods of a ``FileIO`` while its stream is young. Refers to it weakly: a file that nobody holds is closed at once.

    An instance attribute, because a subclass would cost every ``readline`` of the file above it a slow look at ``closed``.
    """

    __slots__ = ("_file", "_read")

    def __init__(self, file):
        self._file = weakref.ref(file)
        self._read = 0

    def readinto(self, buffer):
        """``FileIO.readinto``; enlarges the pipe once, and then it is the plain method again."""
        file = self._file()
        count = io.FileIO.readinto(file, buffer)
        if count:
            self._read += count
            if count >= BLOCK or self._read >= _MUCH:
                del file.readinto
                enlarge(file.fileno())
        return count

    def readall(self):
        """``FileIO.readall`` into one object that is never copied as a whole, without the GIL."""
        file = self._file()
        if not os.get_blocking(file.fileno()):
            return io.FileIO.readall(file)
        drain = _native.Drain(file.fileno())
        drain.run()
        return drain.take()


def open_reader(fd, bufsize):
    """The end of a pipe to read from, buffered as ``subprocess`` does it; unbuffered with ``bufsize`` 0."""
    raw = io.FileIO(fd)
    if bufsize == 0:
        return raw
    watch = _Watch(raw)
    raw.readinto, raw.readall = watch.readinto, watch.readall
    return io.BufferedReader(raw, bufsize if bufsize > 1 else BLOCK)
