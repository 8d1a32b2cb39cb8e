# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""The host's ends of a child's pipes as Python files: the standard library's own classes, with a pipe that grows for long streams."""

import errno
import fcntl
import io
import os
import struct
import sys
import termios
import warnings
import weakref

from . import _native
from ._options import users_level

# Size of a file's buffer, and of a pipe that nobody changed.
BLOCK = 65536
# So large becomes a pipe once a read has found it full, or much was read: before that it would be a waste of the user's share.
LARGE_PIPE = 1 << 20
_MUCH = 4 * BLOCK
# After so many bytes a pipe of the reader's own has paid for itself; it is used after reads of so many.
_RELAY_FROM = 1 << 20
_BULK = 16384


def enlarge(fd, size=LARGE_PIPE):
    """Makes a pipe larger, if the user's share of pipe memory allows it; whether it did."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)
    except OSError:
        return False
    return True


class _Relay:
    """A pipe of the reader's own. What the child has written is moved there before it is copied, so that the child is not held up meanwhile: a
    pipe has one lock. The same in Rust, with the measurements: core/src/io/flow.rs."""

    __slots__ = ("_doubt", "_read", "_write")

    def __init__(self):
        read, self._write = os.pipe()
        self._read = io.FileIO(read)
        # Whether an exception (of a signal handler) has come between the two halves of a read.
        self._doubt = False
        if not enlarge(read, BLOCK * 4):
            self.close()
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def readinto(self, fd, buffer):
        """As ``FileIO.readinto`` of the file with this descriptor; what was moved is also read, so that nothing stays behind."""
        try:
            held = self._held() if self._doubt else 0
            self._doubt = True
            held = held or os.splice(fd, self._write, len(buffer))
            count = self._read.readinto(buffer) if held else 0
            while count < min(held, len(buffer)):  # a child may write packets, of which each read gives one
                count += self._read.readinto(memoryview(buffer)[count:])
            self._doubt = count < held
        except BlockingIOError:
            self._doubt = False
            return None
        return count

    def _held(self):
        return struct.unpack("i", fcntl.ioctl(self._read, termios.FIONREAD, bytes(4)))[0]

    def close(self):
        """Closes both ends, once."""
        if not self._read.closed:
            self._read.close()
            os.close(self._write)


class _Watch:
    """Stands before methods of a ``FileIO``: enlarges its pipe once, and reads a large stream through a relay. Refers to the file weakly: one that
    nobody holds is closed at once.

    Instance attributes, because a subclass would cost every ``readline`` of the file above it a slow look at ``closed``.
    """

    __slots__ = ("_bulk", "_file", "_grown", "_read", "_relay", "_relay_from")

    def __init__(self, file, relay_from):
        self._file = weakref.ref(file)
        self._relay_from = relay_from
        self._read = 0
        self._grown = self._bulk = False
        self._relay = None

    def readinto(self, buffer):
        """``FileIO.readinto``."""
        file = self._file()
        if self._bulk:
            try:
                count = self._relay.readinto(file.fileno(), buffer)
            except OSError:
                # No pipe, or the system refuses: the plain method says what is wrong, if anything is.
                self._stop(file)
                return file.readinto(buffer)
            if count == 0:
                self._stop(file)
            else:
                self._bulk = count is None or count >= _BULK
            return count
        count = io.FileIO.readinto(file, buffer)
        if count:
            self._note(file, count)
        return count

    def _note(self, file, count):
        """After a plain read of the file."""
        self._read += count
        if not self._grown and (count >= BLOCK or self._read >= _MUCH):
            self._grown = True
            enlarge(file.fileno())
        if count < _BULK or self._read < self._relay_from:
            return
        try:
            self._relay = self._relay or _Relay()
        except OSError:
            self._stop(file)
        else:
            file.close = self.close
            self._bulk = True

    def _stop(self, file):
        """From now on the methods are the plain ones again."""
        del file.readinto
        if self._relay is not None:
            del file.close
            self._relay.close()
        self._bulk = False

    def close(self):
        """``FileIO.close``, and that of the relay."""
        file = self._file()
        self._stop(file)
        file.close()

    def __del__(self):
        if self._relay is not None:
            self._relay.close()

    def readall(self):
        """``FileIO.readall`` into one object that is never copied as a whole, without the GIL."""
        file = self._file()
        if not os.get_blocking(file.fileno()):
            return io.FileIO.readall(file)
        drain = _native.Drain(file.fileno())
        try:
            drain.run()
            return drain.take()
        finally:
            # A traceback would keep its copy of the pipe open, and the child would not notice that nobody reads any more.
            del drain


def open_reader(fd, bufsize, text=False):
    """The end of a pipe to read from, buffered as ``subprocess`` does it; unbuffered with ``bufsize`` 0. A reader that decodes text is slower than
    its child: a relay would only cost it."""
    raw = io.FileIO(fd)
    if bufsize == 0:
        return raw
    if bufsize == 1:
        warnings.warn("line buffering (buffering=1) isn't supported in binary mode, the default buffer size will be used", RuntimeWarning, users_level())
    watch = _Watch(raw, sys.maxsize if text else _RELAY_FROM)
    raw.readinto, raw.readall = watch.readinto, watch.readall
    return io.BufferedReader(raw, bufsize if bufsize > 1 else BLOCK)


def leftover(file):
    """What a binary file has read ahead. The pipe stops blocking, as it does in the core's hands anyway."""
    os.set_blocking(file.fileno(), False)
    raw = getattr(file, "raw", None)
    if raw is None:
        return b""
    # An empty buffer would be filled by `peek`, and all output copied to stand behind those few bytes.
    usual = vars(raw).get("readinto")
    raw.readinto = lambda buffer: None
    try:
        return file.peek()
    finally:
        del raw.readinto
        if usual is not None:
            raw.readinto = usual
