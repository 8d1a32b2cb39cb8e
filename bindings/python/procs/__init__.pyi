"""Types of ``procs``. Times are seconds, sizes are bytes; the texts are in the docstrings of the modules."""

import concurrent.futures
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from types import GenericAlias, TracebackType
from typing import IO, Any, AnyStr, BinaryIO, Final, Generic, Literal, NamedTuple, Protocol, Self, TypeAlias, TypedDict, Unpack, overload

from ._ipc import Array as Array
from ._ipc import Lock as Lock
from ._ipc import SharedRwLockSide as SharedRwLockSide
from ._ipc import Value as Value
from ._ipc import Arena as Arena
from ._ipc import AtomicCell as AtomicCell
from ._ipc import Block as Block
from ._ipc import BlockPlace as BlockPlace
from ._ipc import Buffer as Buffer
from ._ipc import Channel as Channel
from ._ipc import Counter as Counter
from ._ipc import Counters as Counters
from ._ipc import Histogram as Histogram
from ._ipc import Message as Message
from ._ipc import SharedBarrier as SharedBarrier
from ._ipc import SharedEvent as SharedEvent
from ._ipc import SharedMemory as SharedMemory
from ._ipc import SharedMutex as SharedMutex
from ._ipc import SharedOnce as SharedOnce
from ._ipc import SharedRwLock as SharedRwLock
from ._ipc import SharedSemaphore as SharedSemaphore
from ._ipc import memory_layout as memory_layout
from ._ipc import parent_channel as parent_channel
from ._ipc import wait_any_channel as wait_any_channel
from ._ipc import _Codec, _ForkOptions, _Wire

__version__: str

PIPE: Final = -1
STDOUT: Final = -2
DEVNULL: Final = -3

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

_Path: TypeAlias = str | bytes | PathLike[str] | PathLike[bytes]
_Command: TypeAlias = _Path | Sequence[_Path]
_Stream: TypeAlias = None | int | _HasFileno
_Env: TypeAlias = Mapping[bytes, _Path] | Mapping[str, _Path]
_Bytes: TypeAlias = bytes | bytearray | memoryview
_Policy: TypeAlias = Literal["error", "head", "tail", "spill"]
_Limit: TypeAlias = None | int | tuple[str, int]
_Sink: TypeAlias = (
    None | Callable[[bytes], object] | int | PathLike[str] | PathLike[bytes] | IO[bytes] | Literal["buffer", "discard"]
    | tuple[Literal["file", "append"], _Path] | list[Any]
)
_Action: TypeAlias = Literal["wait", "close-stdin", "kill"] | int
_Level: TypeAlias = Literal["process", "group", "walk", "cgroup"]

class _StartOptions(TypedDict, total=False):
    executable: _Path | None
    stdin: _Stream
    stdout: _Stream
    stderr: _Stream
    preexec_fn: Callable[[], object] | None
    close_fds: bool
    shell: bool
    cwd: _Path | None
    env: _Env | None
    startupinfo: None
    creationflags: int
    restore_signals: bool
    start_new_session: bool
    pass_fds: Iterable[int]
    user: str | int | None
    group: str | int | None
    extra_groups: Iterable[str | int] | None
    umask: int
    pipesize: int
    process_group: int | None
    kill_tree: bool
    tree_level: _Level | None
    limits: Mapping[str | int, int | None | tuple[int | None, int | None]] | Mapping[str, int] | None
    nice: int | None
    affinity: Iterable[int] | None
    no_new_privs: bool
    die_with_parent: bool
    parent_death_signal: int | None
    controlling_tty: int | None
    foreground: bool
    signals: Literal["restore", "default", "inherit"] | None
    fds: Mapping[int, int | _HasFileno] | None
    kill_on_drop: bool
    offload: bool

class _RunOptions(_StartOptions, total=False):
    grace: float | None
    drain_grace: float | None
    drain_after_exit: float | None
    max_output: _Limit
    stdout_limit: _Limit
    stderr_limit: _Limit
    stdout_sink: _Sink
    stderr_sink: _Sink
    cancel: CancelHandle | None

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

class CompletedProcess(Generic[AnyStr]):
    args: Any
    returncode: int
    # Any, as in typeshed: whether a stream was captured is not in the type.
    stdout: Any
    stderr: Any
    def __init__(self, args: _Command, returncode: int, stdout: AnyStr | None = None, stderr: AnyStr | None = None) -> None: ...
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

class CancelHandle:
    def cancel(self) -> None: ...
    def cancelled(self) -> bool: ...
    def fileno(self) -> int: ...

# ---- one child ----

class _PopenOptions(_StartOptions, total=False):
    channel: bool | Mapping[str, Any] | None

class Popen(Generic[AnyStr]):
    args: _Command
    stdin: IO[AnyStr] | None
    stdout: IO[AnyStr] | None
    stderr: IO[AnyStr] | None
    pid: int
    returncode: int | Any
    encoding: str | None
    errors: str | None
    pipesize: int
    text_mode: bool | None
    universal_newlines: bool | None
    channel: Channel | None
    @overload
    def __init__(
        self: Popen[str], args: _Command, bufsize: int = -1, *, text: Literal[True], encoding: str | None = None,
        errors: str | None = None, universal_newlines: bool | None = None, **options: Unpack[_PopenOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[str], args: _Command, bufsize: int = -1, *, text: bool | None = None, encoding: str,
        errors: str | None = None, universal_newlines: bool | None = None, **options: Unpack[_PopenOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[str], args: _Command, bufsize: int = -1, *, text: bool | None = None, encoding: str | None = None,
        errors: str, universal_newlines: bool | None = None, **options: Unpack[_PopenOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[str], args: _Command, bufsize: int = -1, *, text: bool | None = None, encoding: str | None = None,
        errors: str | None = None, universal_newlines: Literal[True], **options: Unpack[_PopenOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[bytes], args: _Command, bufsize: int = -1, *, text: Literal[False] | None = None, encoding: None = None,
        errors: None = None, universal_newlines: Literal[False] | None = None, **options: Unpack[_PopenOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Popen[Any], args: _Command, bufsize: int = -1, *, text: bool | None = None, encoding: str | None = None,
        errors: str | None = None, universal_newlines: bool | None = None, **options: Unpack[_PopenOptions],
    ) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, exc_type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None: ...
    @property
    def status(self) -> ExitStatus | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def communicate(self, input: AnyStr | None = None, timeout: float | None = None) -> tuple[Any, Any]: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def stop(
        self, grace: float = 5.0, *, steps: Iterable[tuple[_Action, float]] | None = None, tree: bool | None = None,
    ) -> StopReport: ...
    def kill_tree(self) -> StopReport: ...
    def fileno(self) -> int: ...
    def take_fd(self, number: int) -> int | None: ...
    def lines(self, *, keep_ends: bool = False) -> Iterator[AnyStr]: ...
    def chunks(self, size: int = 262144) -> Iterator[bytes]: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def tree_level(self) -> _Level: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

def wait_any(children: Iterable[Popen[Any]], timeout: float | None = None) -> Popen[Any] | None: ...

# ---- one command to its end ----

@overload
def run(
    args: _Command, bufsize: int = -1, *, input: str | None = None, capture_output: bool = False, timeout: float | None = None,
    check: bool = False, text: Literal[True], encoding: str | None = None, errors: str | None = None,
    universal_newlines: bool | None = None, **options: Unpack[_RunOptions],
) -> CompletedProcess[str]: ...
@overload
def run(
    args: _Command, bufsize: int = -1, *, input: str | None = None, capture_output: bool = False, timeout: float | None = None,
    check: bool = False, text: bool | None = None, encoding: str, errors: str | None = None,
    universal_newlines: bool | None = None, **options: Unpack[_RunOptions],
) -> CompletedProcess[str]: ...
@overload
def run(
    args: _Command, bufsize: int = -1, *, input: str | None = None, capture_output: bool = False, timeout: float | None = None,
    check: bool = False, text: bool | None = None, encoding: str | None = None, errors: str,
    universal_newlines: bool | None = None, **options: Unpack[_RunOptions],
) -> CompletedProcess[str]: ...
@overload
def run(
    args: _Command, bufsize: int = -1, *, input: str | None = None, capture_output: bool = False, timeout: float | None = None,
    check: bool = False, text: bool | None = None, encoding: str | None = None, errors: str | None = None,
    universal_newlines: Literal[True], **options: Unpack[_RunOptions],
) -> CompletedProcess[str]: ...
@overload
def run(
    args: _Command, bufsize: int = -1, *, input: _Bytes | None = None, capture_output: bool = False, timeout: float | None = None,
    check: bool = False, text: Literal[False] | None = None, encoding: None = None, errors: None = None,
    universal_newlines: Literal[False] | None = None, **options: Unpack[_RunOptions],
) -> CompletedProcess[bytes]: ...
@overload
def run(
    args: _Command, bufsize: int = -1, *, input: str | _Bytes | None = None, capture_output: bool = False,
    timeout: float | None = None, check: bool = False, text: bool | None = None, encoding: str | None = None,
    errors: str | None = None, universal_newlines: bool | None = None, **options: Unpack[_RunOptions],
) -> CompletedProcess[Any]: ...
def call(args: _Command, bufsize: int = -1, *, timeout: float | None = None, text: bool | None = None, encoding: str | None = None,
         errors: str | None = None, universal_newlines: bool | None = None, **options: Unpack[_RunOptions]) -> int: ...
def check_call(args: _Command, bufsize: int = -1, *, timeout: float | None = None, text: bool | None = None,
               encoding: str | None = None, errors: str | None = None, universal_newlines: bool | None = None,
               **options: Unpack[_RunOptions]) -> int: ...
@overload
def check_output(
    args: _Command, bufsize: int = -1, *, input: str | None = None, timeout: float | None = None, text: Literal[True],
    encoding: str | None = None, errors: str | None = None, universal_newlines: bool | None = None, **options: Unpack[_RunOptions],
) -> str: ...
@overload
def check_output(
    args: _Command, bufsize: int = -1, *, input: str | None = None, timeout: float | None = None, text: bool | None = None,
    encoding: str, errors: str | None = None, universal_newlines: bool | None = None, **options: Unpack[_RunOptions],
) -> str: ...
@overload
def check_output(
    args: _Command, bufsize: int = -1, *, input: str | None = None, timeout: float | None = None, text: bool | None = None,
    encoding: str | None = None, errors: str | None = None, universal_newlines: Literal[True], **options: Unpack[_RunOptions],
) -> str: ...
@overload
def check_output(
    args: _Command, bufsize: int = -1, *, input: _Bytes | None = None, timeout: float | None = None,
    text: Literal[False] | None = None, encoding: None = None, errors: None = None,
    universal_newlines: Literal[False] | None = None, **options: Unpack[_RunOptions],
) -> bytes: ...
@overload
def check_output(
    args: _Command, bufsize: int = -1, *, input: str | _Bytes | None = None, timeout: float | None = None, text: bool | None = None,
    encoding: str | None = None, errors: str | None = None, universal_newlines: bool | None = None, **options: Unpack[_RunOptions],
) -> Any: ...
def getstatusoutput(cmd: _Command, *, encoding: str | None = None, errors: str | None = None) -> tuple[int, str]: ...
def getoutput(cmd: _Command, *, encoding: str | None = None, errors: str | None = None) -> str: ...
def list2cmdline(seq: Iterable[_Path]) -> str: ...

# ---- several commands ----

_Job: TypeAlias = _Command | Mapping[str, Any]

@overload
def run_many(
    commands: Iterable[_Job], jobs: int | None = None,
    progress: Callable[[int, CompletedProcess[str] | BaseException], object] | None = None, *, cancel: CancelHandle | None = None,
    input: str | None = None, timeout: float | None = None, check: bool = False, text: Literal[True], encoding: str | None = None,
    errors: str | None = None, **options: Unpack[_StartOptions],
) -> list[CompletedProcess[str] | BaseException]: ...
@overload
def run_many(
    commands: Iterable[_Job], jobs: int | None = None,
    progress: Callable[[int, CompletedProcess[Any] | BaseException], object] | None = None, *, cancel: CancelHandle | None = None,
    input: str | _Bytes | None = None, timeout: float | None = None, check: bool = False, text: bool | None = None,
    encoding: str | None = None, errors: str | None = None, **options: Unpack[_StartOptions],
) -> list[CompletedProcess[Any] | BaseException]: ...

class Stage(Generic[AnyStr]):
    args: Any
    pid: int
    returncode: int
    stderr: AnyStr
    usage: Usage | None

class PipelineResult(Generic[AnyStr]):
    stages: list[Stage[AnyStr]]
    stdout: AnyStr
    wall_time: float
    timed_out: bool
    cancelled: bool
    truncated: bool
    pipes_left_open: bool
    stopped: StopReport | None
    @property
    def returncodes(self) -> list[int]: ...
    @property
    def returncode(self) -> int: ...
    def check_returncode(self) -> None: ...

class PipelineChild:
    children: list[Popen[Any]]
    stdin: IO[Any] | None
    stdout: IO[Any] | None
    def __enter__(self) -> Self: ...
    def __exit__(self, exc_type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None: ...
    @property
    def returncodes(self) -> list[int | None]: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> list[int]: ...
    def kill(self) -> None: ...
    def stop(
        self, grace: float = 5.0, *, steps: list[tuple[int | str, float]] | None = None, tree: bool | None = None,
    ) -> list[StopReport]: ...

class Pipeline:
    def __init__(self, *commands: _Job) -> None: ...
    def then(self, args: _Command, **options: Unpack[_StartOptions]) -> Pipeline: ...
    @overload
    def run(
        self, *, input: str | None = None, timeout: float | None = None, grace: float | None = None, kill_tree: bool = False,
        max_output: _Limit = None, stdout_sink: _Sink = None, cancel: CancelHandle | None = None, check: bool = False,
        text: Literal[True], encoding: str | None = None, errors: str | None = None,
    ) -> PipelineResult[str]: ...
    @overload
    def run(
        self, *, input: _Bytes | None = None, timeout: float | None = None, grace: float | None = None, kill_tree: bool = False,
        max_output: _Limit = None, stdout_sink: _Sink = None, cancel: CancelHandle | None = None, check: bool = False,
        text: Literal[False] | None = None, encoding: None = None, errors: None = None,
    ) -> PipelineResult[bytes]: ...
    @overload
    def run(
        self, *, input: str | _Bytes | None = None, timeout: float | None = None, grace: float | None = None, kill_tree: bool = False,
        max_output: _Limit = None, stdout_sink: _Sink = None, cancel: CancelHandle | None = None, check: bool = False,
        text: bool | None = None, encoding: str | None = None, errors: str | None = None,
    ) -> PipelineResult[Any]: ...
    def spawn(
        self, *, stdin: _Stream = None, stdout: _Stream = None, stderr: _Stream = None, bufsize: int = -1, kill_tree: bool = False,
        text: bool | None = None, encoding: str | None = None, errors: str | None = None,
    ) -> PipelineChild: ...

def engine_info() -> dict[str, Any]: ...

# ---- channels; the rest of their types, and those of shared memory, are in _ipc.pyi ----

class _Forked(Popen[Any]):
    channel: Channel

def fork(
    program: _Path, *args: _Path, codec: _Codec = "json", wire: _Wire = "auto", channel: _ForkOptions | None = None, **options: Any,
) -> _Forked: ...
