"""Types of several commands: at once, and joined by pipes. Times are seconds, sizes are bytes."""

from collections.abc import Callable, Iterable
from types import GenericAlias, TracebackType
from typing import IO, Any, AnyStr, Generic, Literal, Self, Unpack, overload

from ._child import Popen
from ._ends import CompletedProcess, StopReport, StreamReport, Usage
from ._start import CancelHandle, _Bytes, _Command, _Job, _Limit, _Sink, _StartOptions, _Stream

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
    stderr_report: StreamReport
    usage: Usage | None
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

class PipelineResult(Generic[AnyStr]):
    stages: list[Stage[AnyStr]]
    stdout: AnyStr
    stdout_report: StreamReport
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
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

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
