"""Types of ``procs.aio``. Times are seconds, sizes are bytes."""

import asyncio
import sys
from asyncio import (
    ALL_COMPLETED as ALL_COMPLETED, AbstractEventLoop as AbstractEventLoop, AbstractEventLoopPolicy as AbstractEventLoopPolicy,
    AbstractServer as AbstractServer, Barrier as Barrier,
    BaseEventLoop as BaseEventLoop, BaseProtocol as BaseProtocol, BaseTransport as BaseTransport, BoundedSemaphore as BoundedSemaphore,
    BrokenBarrierError as BrokenBarrierError, BufferedProtocol as BufferedProtocol, CancelledError as CancelledError,
    Condition as Condition, DefaultEventLoopPolicy as DefaultEventLoopPolicy,
    DatagramProtocol as DatagramProtocol, DatagramTransport as DatagramTransport, Event as Event,
    FIRST_COMPLETED as FIRST_COMPLETED, FIRST_EXCEPTION as FIRST_EXCEPTION, Future as Future, Handle as Handle,
    IncompleteReadError as IncompleteReadError, InvalidStateError as InvalidStateError, LifoQueue as LifoQueue,
    LimitOverrunError as LimitOverrunError, Lock as Lock, PriorityQueue as PriorityQueue, Protocol as Protocol, Queue as Queue,
    QueueEmpty as QueueEmpty, QueueFull as QueueFull, ReadTransport as ReadTransport, Runner as Runner,
    SelectorEventLoop as SelectorEventLoop, Semaphore as Semaphore, SendfileNotAvailableError as SendfileNotAvailableError,
    Server as Server, StreamReaderProtocol as StreamReaderProtocol, StreamWriter as StreamWriter,
    SubprocessProtocol as SubprocessProtocol, SubprocessTransport as SubprocessTransport, Task as Task, TaskGroup as TaskGroup, Timeout as Timeout,
    TimeoutError as TimeoutError, TimerHandle as TimerHandle, Transport as Transport, WriteTransport as WriteTransport,
    all_tasks as all_tasks, as_completed as as_completed,
    create_task as create_task, current_task as current_task, ensure_future as ensure_future, gather as gather,
    get_event_loop as get_event_loop, get_event_loop_policy as get_event_loop_policy, get_running_loop as get_running_loop,
    iscoroutine as iscoroutine,
    iscoroutinefunction as iscoroutinefunction, isfuture as isfuture, new_event_loop as new_event_loop,
    open_connection as open_connection, open_unix_connection as open_unix_connection,
    run_coroutine_threadsafe as run_coroutine_threadsafe, set_event_loop as set_event_loop,
    set_event_loop_policy as set_event_loop_policy, shield as shield, sleep as sleep, start_server as start_server,
    start_unix_server as start_unix_server, timeout as timeout, timeout_at as timeout_at,
    to_thread as to_thread, wait_for as wait_for, wrap_future as wrap_future,
    base_events as base_events, coroutines as coroutines, events as events, exceptions as exceptions, futures as futures, locks as locks,
    protocols as protocols, queues as queues, runners as runners, streams as streams, taskgroups as taskgroups, tasks as tasks,
    threads as threads, timeouts as timeouts, transports as transports,
)
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, TypeVar, Unpack, overload

if sys.version_info >= (3, 12):
    from asyncio import create_eager_task_factory as create_eager_task_factory, eager_task_factory as eager_task_factory
if sys.version_info >= (3, 13):
    from asyncio import EventLoop as EventLoop, QueueShutDown as QueueShutDown
if sys.version_info >= (3, 14):
    from asyncio import (
        FrameCallGraphEntry as FrameCallGraphEntry, FutureCallGraph as FutureCallGraph, capture_call_graph as capture_call_graph,
        format_call_graph as format_call_graph, future_add_to_awaited_by as future_add_to_awaited_by,
        future_discard_from_awaited_by as future_discard_from_awaited_by, print_call_graph as print_call_graph,
    )

from . import subprocess as subprocess
from .. import DEVNULL as DEVNULL
from .. import PIPE as PIPE
from .. import STDOUT as STDOUT
from .. import CancelHandle, CompletedProcess, PipelineResult, StopReport, Usage
from .. import Block, Buffer, Channel, Message, SharedBarrier, SharedEvent, SharedMutex, SharedOnce, SharedRwLock, SharedSemaphore
from .._ipc import SharedRwLockSide, _ChannelOptions, _Codec, _ForkOptions, _Wire
from .._start import _Bytes, _Command, _Job, _Limit, _Path, _RunOptions, _Sink, _StartOptions, _Stream

__all__ = [
    "AsyncChannel", "DEVNULL", "PIPE", "Pipeline", "PipelineChild", "Process", "STDOUT", "StreamReader", "call", "check_call", "check_output", "create_subprocess_exec",
    "create_subprocess_shell", "fork", "getoutput", "getstatusoutput", "held", "parent_channel", "run", "run_many", "subprocess", "wait", "wait_any",
]

_Result = TypeVar("_Result")

class StreamReader(asyncio.StreamReader):
    def close(self) -> None: ...
    def lines(self) -> AsyncIterator[bytes]: ...
    def batches(self) -> AsyncIterator[list[bytes]]: ...

class Process:
    channel: AsyncChannel
    stdin: asyncio.StreamWriter | None
    stdout: StreamReader | None
    stderr: StreamReader | None
    pid: int
    @property
    def returncode(self) -> int | None: ...
    @property
    def usage(self) -> Usage | None: ...
    async def wait(self) -> int: ...
    async def communicate(self, input: _Bytes | None = None) -> tuple[bytes, bytes]: ...
    async def stop(
        self, grace: float = 5.0, *, steps: list[tuple[int | str, float]] | None = None, tree: bool | None = None,
    ) -> StopReport: ...
    async def kill_tree(self) -> StopReport: ...
    def send_signal(self, signal: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...

async def create_subprocess_exec(
    program: _Path, *args: _Path, stdin: _Stream = None, stdout: _Stream = None, stderr: _Stream = None, limit: int | None = None,
    **kwds: Any,
) -> Process: ...
async def create_subprocess_shell(
    cmd: str | bytes, stdin: _Stream = None, stdout: _Stream = None, stderr: _Stream = None, limit: int | None = None, **kwds: Any,
) -> Process: ...
async def wait_any(processes: Iterable[Process], timeout: float | None = None) -> Process | None: ...
@overload
def run(main: Coroutine[Any, Any, _Result], *, debug: bool | None = None) -> _Result: ...
@overload
async def run(
    args: _Command, bufsize: int = -1, *, input: str | None = None, capture_output: bool = False, timeout: float | None = None,
    check: bool = False, text: Literal[True], encoding: str | None = None, errors: str | None = None,
    universal_newlines: bool | None = None, **options: Unpack[_RunOptions],
) -> CompletedProcess[str]: ...
@overload
async def run(
    args: _Command, bufsize: int = -1, *, input: _Bytes | None = None, capture_output: bool = False, timeout: float | None = None,
    check: bool = False, text: Literal[False] | None = None, encoding: None = None, errors: None = None,
    universal_newlines: Literal[False] | None = None, **options: Unpack[_RunOptions],
) -> CompletedProcess[bytes]: ...
@overload
async def run(
    args: _Command, bufsize: int = -1, *, input: str | _Bytes | None = None, capture_output: bool = False,
    timeout: float | None = None, check: bool = False, text: bool | None = None, encoding: str | None = None,
    errors: str | None = None, universal_newlines: bool | None = None, **options: Unpack[_RunOptions],
) -> CompletedProcess[Any]: ...
async def call(args: _Command, bufsize: int = -1, *, timeout: float | None = None, **options: Unpack[_RunOptions]) -> int: ...
async def check_call(args: _Command, bufsize: int = -1, *, timeout: float | None = None, **options: Unpack[_RunOptions]) -> int: ...
async def check_output(
    args: _Command, bufsize: int = -1, *, input: str | _Bytes | None = None, timeout: float | None = None, text: bool | None = None,
    encoding: str | None = None, errors: str | None = None, universal_newlines: bool | None = None, **options: Unpack[_RunOptions],
) -> Any: ...
async def getstatusoutput(cmd: _Command, *, encoding: str | None = None, errors: str | None = None) -> tuple[int, str]: ...
async def getoutput(cmd: _Command, *, encoding: str | None = None, errors: str | None = None) -> str: ...
async def run_many(
    commands: Iterable[_Job], jobs: int | None = None,
    progress: Callable[[int, CompletedProcess[Any] | BaseException], object] | None = None, *, input: str | _Bytes | None = None,
    timeout: float | None = None, check: bool = False, text: bool | None = None, encoding: str | None = None,
    errors: str | None = None, **options: Unpack[_StartOptions],
) -> list[CompletedProcess[Any] | BaseException]: ...

class PipelineChild:
    children: list[Process]
    stdin: asyncio.StreamWriter | None
    stdout: StreamReader | None
    @property
    def returncodes(self) -> list[int | None]: ...
    async def wait(self) -> list[int]: ...
    def kill(self) -> None: ...
    async def stop(
        self, grace: float = 5.0, *, steps: list[tuple[int | str, float]] | None = None, tree: bool | None = None,
    ) -> list[StopReport]: ...

class Pipeline:
    def __init__(self, *commands: _Job) -> None: ...
    def then(self, args: _Command, **options: Unpack[_StartOptions]) -> Pipeline: ...
    async def run(
        self, *, input: str | _Bytes | None = None, timeout: float | None = None, grace: float | None = None, kill_tree: bool = False,
        max_output: _Limit = None, stdout_sink: _Sink = None, cancel: CancelHandle | None = None, check: bool = False,
        text: bool | None = None, encoding: str | None = None, errors: str | None = None,
    ) -> PipelineResult[Any]: ...
    async def spawn(
        self, *, stdin: _Stream = None, stdout: _Stream = None, stderr: _Stream = None, kill_tree: bool = False,
    ) -> PipelineChild: ...

class AsyncChannel:
    def __init__(self, channel: Channel) -> None: ...
    def fileno(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    @property
    def codec(self) -> str: ...
    async def send(self, obj: Any, *, fds: Iterable[Any] | None = None) -> None: ...
    async def send_bytes(self, data: _Bytes | Block | Buffer) -> None: ...
    async def send_message(
        self, body: _Bytes | Block | Buffer, *, codec: _Codec = "raw", buffers: Iterable[Any] | None = None, fds: Iterable[Any] | None = None,
    ) -> None: ...
    async def recv(self) -> Any: ...
    async def recv_bytes(self) -> bytes: ...
    async def recv_message(self) -> Message: ...
    def alloc(self, size: int) -> Block: ...
    async def call(self, obj: Any, timeout: float | None = None) -> Any: ...
    def call_stream(self, obj: Any) -> AsyncIterator[Any]: ...
    async def serve(self, handler: Callable[[Any], Any]) -> None: ...
    def close(self) -> None: ...
    def __aiter__(self) -> AsyncChannel: ...
    async def __anext__(self) -> Any: ...
    async def __aenter__(self) -> AsyncChannel: ...
    async def __aexit__(self, *error: object) -> None: ...

async def fork(
    program: _Path, *args: _Path, codec: _Codec = "json", wire: _Wire = "auto", channel: _ForkOptions | None = None, **options: Any,
) -> Process: ...
def parent_channel(*, codec: _Codec = "json", **options: Unpack[_ChannelOptions]) -> AsyncChannel: ...

_Future = TypeVar("_Future", bound=asyncio.Future[Any])
_Held = TypeVar("_Held", SharedMutex, SharedSemaphore, SharedRwLockSide)

@overload
async def wait(
    lock: Iterable[_Future], timeout: float | None = None, *, return_when: str = "ALL_COMPLETED",
) -> tuple[set[_Future], set[_Future]]: ...
@overload
async def wait(
    lock: SharedMutex | SharedSemaphore | SharedEvent | SharedBarrier | SharedRwLock | SharedRwLockSide | SharedOnce,
    timeout: float | None = None, *, how: Literal["read", "write"] | None = None,
) -> bool: ...
def held(lock: _Held, timeout: float | None = None) -> AbstractAsyncContextManager[_Held]: ...
