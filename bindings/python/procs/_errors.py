# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""Exception classes: each error of the core is a ``ProcsError`` and what Python code already catches.

They are real classes with several bases, which a native module cannot make for the stable ABI, and they can be pickled.
"""

import errno as _errno
import os
import signal
import subprocess as _subprocess  # for its exception classes only: handlers written for them must catch ours


def _rebuild(cls, args, state):
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ProcsError(Exception):
    """Base of all errors of procs.

    ``kind`` is the stable name, the same in all languages, such as ``"TIMEOUT"``; ``detail`` the core's own sentence, or None;
    ``stage`` the step of a spawn that failed, or None.
    """

    kind = "IO"
    detail = None
    stage = None


class InvalidArgumentError(ProcsError, ValueError):
    """An argument was refused before anything was done."""

    kind = "INVALID_ARGUMENT"


class InvalidStateError(ProcsError, RuntimeError):
    """Not possible now: stream already taken, object closed."""

    kind = "INVALID_STATE"


class NotFoundError(ProcsError, FileNotFoundError):
    """The program, directory or endpoint does not exist."""

    kind = "NOT_FOUND"


class NoDirectoryError(ProcsError, NotADirectoryError):
    """A part of the path, or the working directory, is not a directory."""

    kind = "NOT_FOUND"


class NoProcessError(ProcsError, ProcessLookupError):
    """The process has ended."""

    kind = "NOT_FOUND"


class PermissionDeniedError(ProcsError, PermissionError):
    """The system refuses it to this user."""

    kind = "PERMISSION_DENIED"


class TimedOutError(ProcsError, TimeoutError):
    """The deadline passed."""

    kind = "TIMEOUT"


class WouldBlockError(ProcsError, BlockingIOError):
    """A try-call found nothing."""

    kind = "WOULD_BLOCK"


class ClosedError(ProcsError, BrokenPipeError, EOFError):
    """The other side is gone."""

    kind = "CLOSED"


class TooLargeError(ProcsError, OSError):
    """A documented limit was exceeded; ``output`` and ``stderr`` are what was kept when it was an output limit."""

    kind = "TOO_LARGE"
    output = None
    stderr = None
    completed = None


class ProtocolError(ProcsError, ConnectionError):
    """A malformed frame or a version mismatch."""

    kind = "PROTOCOL"


class TaskFailedError(ProcsError):
    """User code failed on the other side: ``remote_type`` names its exception, ``remote_traceback`` says where."""

    kind = "TASK_FAILED"
    remote_type = ""
    remote_traceback = ""


class OwnerDiedError(ProcsError, RuntimeError):
    """The holder of a robust lock died."""

    kind = "OWNER_DIED"


class ExhaustedError(ProcsError, OSError):
    """The system is out of processes or descriptors."""

    kind = "EXHAUSTED"


class TryAgainError(ProcsError, BlockingIOError):
    """The system is out of processes for now (EAGAIN)."""

    kind = "EXHAUSTED"


class NoMemoryError(ProcsError, OSError, MemoryError):
    """The system is out of memory (ENOMEM)."""

    kind = "EXHAUSTED"


class UnsupportedError(ProcsError, NotImplementedError):
    """This kernel or platform lacks the feature, or procs refuses it by design."""

    kind = "UNSUPPORTED"


class SystemCallError(ProcsError, OSError):
    """Any other system error; ``errno`` says which."""

    kind = "IO"


class InvalidNumberError(SystemCallError, InvalidArgumentError):
    """A number was refused that the system would have refused, with the system's ``errno``."""

    kind = "INVALID_ARGUMENT"


class OutOfRangeError(InvalidArgumentError, OverflowError):
    """A number was refused that is negative or too large for what it is meant for; the standard library has either class for it."""


class PanicError(ProcsError, RuntimeError):
    """A bug in libprocs."""

    kind = "PANIC"


class SubprocessError(ProcsError, _subprocess.SubprocessError):
    """Base of the errors that carry a command, as in ``subprocess``. ``completed`` is the run that ended this way, a
    ``CompletedProcess`` with its facts, or None."""

    completed = None


class CalledProcessError(SubprocessError, _subprocess.CalledProcessError):
    """The exit status was checked and is not 0: ``returncode``, ``cmd``, ``output`` (``stdout``), ``stderr``."""

    kind = "CHILD_FAILED"

    def __init__(self, returncode, cmd, output=None, stderr=None):
        self.returncode = returncode
        self.cmd = cmd
        self.output = output
        self.stderr = stderr

    def __str__(self):
        if self.returncode is None or self.returncode >= 0:
            return f"Command '{self.cmd}' returned non-zero exit status {self.returncode}."
        try:
            return f"Command '{self.cmd}' died with {signal.Signals(-self.returncode)!r}."
        except ValueError:
            return f"Command '{self.cmd}' died with unknown signal {-self.returncode}."

    def __reduce__(self):
        return _rebuild, (type(self), self.args, self.__dict__)


class TimeoutExpired(SubprocessError, _subprocess.TimeoutExpired):
    """The deadline of a command passed: ``cmd``, ``timeout`` in seconds, and what was read until then as ``output`` and ``stderr``."""

    kind = "TIMEOUT"

    def __init__(self, cmd, timeout, output=None, stderr=None):
        self.cmd = cmd
        self.timeout = timeout
        self.output = output
        self.stderr = stderr

    def __str__(self):
        return f"Command '{self.cmd}' timed out after {self.timeout} seconds"

    def __reduce__(self):
        return _rebuild, (type(self), self.args, self.__dict__)


# ErrorKind number -> class, but for those of _futures.py; a test walks every kind of the core through both.
CLASSES = {
    1: InvalidArgumentError,
    2: InvalidStateError,
    3: NotFoundError,
    4: PermissionDeniedError,
    5: TimedOutError,
    7: WouldBlockError,
    8: ClosedError,
    9: TooLargeError,
    10: ProtocolError,
    11: CalledProcessError,
    13: TaskFailedError,
    14: OwnerDiedError,
    15: ExhaustedError,
    16: UnsupportedError,
    17: SystemCallError,
    99: PanicError,
}

# Kinds whose classes are made when they are needed.
_LATER = (6, 12)

# Where Python has a finer class for an errno than the kind has.
_BY_ERRNO = {
    _errno.ENOTDIR: NoDirectoryError,
    _errno.ESRCH: NoProcessError,
    _errno.ENOMEM: NoMemoryError,
    _errno.EAGAIN: TryAgainError,
}


def class_of(number):
    """The class of an error kind."""
    if number in _LATER:
        from ._futures import CLASSES as later
        return later[number]
    return CLASSES.get(number, SystemCallError)


def from_native(number, message, errno, stage, path):
    """Makes the exception for an error of the core; called by ``procs._native``."""
    cls = class_of(number)
    if cls is InvalidArgumentError and errno not in (None, _errno.EINVAL):
        cls = SystemCallError  # the system's word on a value, ENOEXEC for one: an OSError in Python
    if errno is not None and cls is not InvalidArgumentError:
        cls = _BY_ERRNO.get(errno, cls)
    if cls is CalledProcessError:
        error = cls(None, None)
    elif issubclass(cls, OSError) and errno is not None:
        error = cls(errno, os.strerror(errno), path) if path is not None else cls(errno, os.strerror(errno))
    elif cls is TooLargeError:
        error = cls(_errno.EMSGSIZE, message)
    else:
        error = cls(message)
    error.detail = message
    error.stage = stage
    return error
