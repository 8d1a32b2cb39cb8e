"""Types of ``procs``, topic by topic. Times are seconds, sizes are bytes; the texts are in the docstrings of the modules."""

from typing import Any

from ._child import Popen, fork, wait_any
from ._commands import call, check_call, check_output, getoutput, getstatusoutput, run
from ._commands import list2cmdline as list2cmdline
from ._ends import (
    CalledProcessError, ClosedError, CompletedProcess, ExhaustedError, ExitStatus, InvalidArgumentError, InvalidStateError,
    NoDirectoryError, NoMemoryError, NoProcessError, NotFoundError, OwnerDiedError, PanicError, PermissionDeniedError,
    ProcsError, ProtocolError, StopReport, StreamReport, SubprocessError, SystemCallError, TaskFailedError, TimedOutError,
    TimeoutExpired, TooLargeError, TryAgainError, UnsupportedError, Usage, WouldBlockError,
)
from ._ends import CancelledError as CancelledError
from ._ends import WorkerLostError as WorkerLostError
from ._ipc import (
    Arena, Array, AtomicCell, Block, BlockPlace, Buffer, Channel, Counter, Counters, Histogram, Lock, Message, SharedBarrier,
    SharedEvent, SharedMemory, SharedMutex, SharedOnce, SharedRwLock, SharedRwLockSide, SharedSemaphore, Value, memory_layout,
    parent_channel, wait_any_channel,
)
from ._several import Pipeline, PipelineChild, PipelineResult, Stage, run_many
from ._start import CancelHandle, DEVNULL, PIPE, STDOUT
from ._start import _PopenOptions, _RunOptions, _StartOptions

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

__version__: str

def engine_info() -> dict[str, Any]: ...
