"""Types of the calls that run one command to its end. Times are seconds, sizes are bytes."""

from collections.abc import Iterable
from typing import Any, Literal, Unpack, overload

from ._ends import CompletedProcess
from ._start import _Bytes, _Command, _Path, _RunOptions

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
