"""Types of how things end: errors, and what is known of a run. Times are seconds, sizes are bytes."""

import concurrent.futures
import subprocess
from types import GenericAlias
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

from ._start import _Command

_Output = TypeVar("_Output")

# ---- errors ----

class ProcsError(Exception):
    kind: str
    detail: str | None
    stage: str | None

class InvalidArgumentError(ProcsError, ValueError): ...
class InvalidStateError(ProcsError, RuntimeError): ...
class NotFoundError(ProcsError, FileNotFoundError): ...
class NoDirectoryError(ProcsError, NotADirectoryError): ...
class NoProcessError(ProcsError, ProcessLookupError): ...
class PermissionDeniedError(ProcsError, PermissionError): ...
class TimedOutError(ProcsError, TimeoutError): ...

class CancelledError(ProcsError, concurrent.futures.CancelledError):
    output: Any
    stderr: Any
    completed: CompletedProcess[Any] | None

class WouldBlockError(ProcsError, BlockingIOError): ...
class ClosedError(ProcsError, BrokenPipeError, EOFError): ...

class TooLargeError(ProcsError, OSError):
    output: Any
    stderr: Any
    completed: CompletedProcess[Any] | None

class ProtocolError(ProcsError, ConnectionError): ...
class WorkerLostError(ProcsError, concurrent.futures.BrokenExecutor): ...
class TaskFailedError(ProcsError):
    remote_type: str
    remote_traceback: str
class OwnerDiedError(ProcsError, RuntimeError): ...
class ExhaustedError(ProcsError, OSError): ...
class TryAgainError(ProcsError, BlockingIOError): ...
class NoMemoryError(ProcsError, OSError, MemoryError): ...
class UnsupportedError(ProcsError, NotImplementedError): ...
class SystemCallError(ProcsError, OSError): ...
class PanicError(ProcsError, RuntimeError): ...

class SubprocessError(ProcsError, subprocess.SubprocessError):
    completed: CompletedProcess[Any] | None

class CalledProcessError(SubprocessError, subprocess.CalledProcessError):
    def __init__(self, returncode: int, cmd: _Command, output: Any = None, stderr: Any = None) -> None: ...

class TimeoutExpired(SubprocessError, subprocess.TimeoutExpired):
    def __init__(self, cmd: _Command, timeout: float, output: Any = None, stderr: Any = None) -> None: ...

# ---- records ----

class Usage(NamedTuple):
    user_time: float
    system_time: float
    max_rss_bytes: int

class ExitStatus(NamedTuple):
    code: int | None
    signal: int | None
    @classmethod
    def of(cls, returncode: int | None) -> ExitStatus | None: ...

class StopReport(NamedTuple):
    returncode: int | None
    ended_by: str | None
    level: str
    survivors: list[int]

class StreamReport(NamedTuple):
    total_bytes: int
    truncated: bool
    limit_exceeded: bool
    spill: BinaryIO | None
    sink_error: Exception | None
    incomplete: bool = False

class CompletedProcess(Generic[_Output]):
    args: Any
    returncode: int
    # As in typeshed: whether a stream was captured is not in the type.
    stdout: _Output
    stderr: _Output
    def __init__(self, args: _Command, returncode: int, stdout: _Output | None = None, stderr: _Output | None = None) -> None: ...
    def check_returncode(self) -> None: ...
    @property
    def status(self) -> ExitStatus | None: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def started(self) -> float | None: ...
    @property
    def wall_time(self) -> float | None: ...
    @property
    def timed_out(self) -> bool | None: ...
    @property
    def cancelled(self) -> bool | None: ...
    @property
    def pipes_left_open(self) -> bool | None: ...
    @property
    def stopped(self) -> StopReport | None: ...
    @property
    def stdout_report(self) -> StreamReport | None: ...
    @property
    def stderr_report(self) -> StreamReport | None: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
