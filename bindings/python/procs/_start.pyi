"""Types of what a start is told: commands, streams, options. Times are seconds, sizes are bytes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import IO, Any, Final, Literal, Protocol, TypeAlias, TypedDict, final

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
_Limit: TypeAlias = None | int | tuple[str, int]
_Sink: TypeAlias = (
    None | Callable[[bytes], object] | int | PathLike[str] | PathLike[bytes] | IO[bytes] | Literal["buffer", "discard"]
    | tuple[Literal["file", "append"], _Path] | list[Any]
)
_Action: TypeAlias = Literal["wait", "close-stdin", "kill"] | int
_Level: TypeAlias = Literal["process", "group", "walk", "cgroup"]

@final
class CancelHandle:
    def cancel(self) -> None: ...
    def cancelled(self) -> bool: ...
    def fileno(self) -> int: ...

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

class _PopenOptions(_StartOptions, total=False):
    channel: bool | Mapping[str, Any] | None

_Job: TypeAlias = _Command | Mapping[str, Any]
