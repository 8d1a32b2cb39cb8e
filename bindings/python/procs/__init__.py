"""Starts, feeds, watches and multiplies processes: ``subprocess`` on the engine of libprocs, and what it lacks.

A program written for ``subprocess`` runs with ``import procs as subprocess``. Times are seconds, sizes are bytes.
"""

from ._channel import fork
from ._cmdline import list2cmdline
from ._compat import _USE_POSIX_SPAWN as _USE_POSIX_SPAWN
from ._compat import _USE_VFORK as _USE_VFORK
from ._compat import _PopenSelector as _PopenSelector
from ._compat import _active as _active
from ._compat import _args_from_interpreter_flags as _args_from_interpreter_flags
from ._compat import _cleanup as _cleanup
from ._compat import _optim_args_from_interpreter_flags as _optim_args_from_interpreter_flags
from ._errors import (
    CalledProcessError,
    ClosedError,
    ExhaustedError,
    InvalidArgumentError,
    InvalidStateError,
    NoDirectoryError,
    NoMemoryError,
    NoProcessError,
    NotFoundError,
    OwnerDiedError,
    PanicError,
    PermissionDeniedError,
    ProcsError,
    ProtocolError,
    SubprocessError,
    SystemCallError,
    TaskFailedError,
    TimedOutError,
    TimeoutExpired,
    TooLargeError,
    TryAgainError,
    UnsupportedError,
    WouldBlockError,
)
from ._many import run_many
from ._native import (
    Arena,
    AtomicCell,
    Block,
    Buffer,
    CancelHandle,
    Channel,
    Counter,
    Counters,
    Histogram,
    SharedBarrier,
    SharedEvent,
    SharedMemory,
    SharedMutex,
    SharedOnce,
    SharedRwLock,
    SharedRwLockSide,
    SharedSemaphore,
    engine_info,
    memory_layout,
    parent_channel,
    wait_any_channel,
)
from ._native import __version__ as __version__
from ._options import DEVNULL, PIPE, STDOUT
from ._pipeline import Pipeline, PipelineChild, PipelineResult, Stage
from ._popen import Popen, wait_any
from ._records import BlockPlace, CompletedProcess, ExitStatus, Message, StopReport, StreamReport, Usage
from ._run import call, check_call, check_output, getoutput, getstatusoutput, run
from ._values import Array, Lock, Value

__all__ = [
    "Arena", "Array", "AtomicCell", "Block", "BlockPlace", "Buffer", "CalledProcessError", "CancelHandle",
    "Channel", "ClosedError", "CompletedProcess", "Counter", "Counters", "DEVNULL", "ExhaustedError", "ExitStatus",
    "Histogram", "InvalidArgumentError", "InvalidStateError", "Lock", "Message", "NoDirectoryError", "NoMemoryError",
    "NoProcessError", "NotFoundError", "OwnerDiedError", "PIPE", "PanicError", "PermissionDeniedError", "Pipeline",
    "PipelineChild", "PipelineResult", "Popen", "ProcsError", "ProtocolError", "STDOUT", "SharedBarrier", "SharedEvent",
    "SharedMemory", "SharedMutex", "SharedOnce", "SharedRwLock", "SharedRwLockSide", "SharedSemaphore", "Stage", "StopReport",
    "StreamReport", "SubprocessError", "SystemCallError", "TaskFailedError", "TimedOutError", "TimeoutExpired",
    "TooLargeError", "TryAgainError", "UnsupportedError", "Usage", "Value", "WouldBlockError", "call",
    "check_call", "check_output", "engine_info", "fork", "getoutput", "getstatusoutput", "memory_layout", "parent_channel",
    "run", "run_many", "wait_any", "wait_any_channel",
]

# Tracebacks and annotations show a class by the name under which a program imports it.
for _thing in [globals()[_name] for _name in __all__]:
    if isinstance(_thing, type) and _thing.__module__.startswith("procs._"):
        _thing.__module__ = "procs"
del _thing


# Not in __all__, for they are no names of the module until somebody wants them (_futures.py).
_LATER = ("CancelledError", "WorkerLostError")


def __getattr__(name):
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _futures
    return getattr(_futures, name)


def __dir__():
    return sorted({*globals(), *_LATER})
