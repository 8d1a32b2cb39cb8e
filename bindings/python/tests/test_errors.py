"""The table of exception classes: complete, with the promised bases, picklable."""

import concurrent.futures
import copy
import errno
import pickle
import re
import subprocess
import sys

import pytest

import procs
from procs import _errors, _futures, _native

BASES = {
    "INVALID_ARGUMENT": [ValueError],
    "INVALID_STATE": [RuntimeError],
    "NOT_FOUND": [FileNotFoundError],
    "PERMISSION_DENIED": [PermissionError],
    "TIMEOUT": [TimeoutError],
    "CANCELLED": [concurrent.futures.CancelledError],
    "WOULD_BLOCK": [BlockingIOError],
    "CLOSED": [BrokenPipeError, EOFError],
    "TOO_LARGE": [OSError],
    "PROTOCOL": [ConnectionError],
    "CHILD_FAILED": [subprocess.CalledProcessError],
    "WORKER_LOST": [concurrent.futures.BrokenExecutor],
    "TASK_FAILED": [Exception],
    "OWNER_DIED": [RuntimeError],
    "EXHAUSTED": [OSError],
    "UNSUPPORTED": [NotImplementedError],
    "IO": [OSError],
    "PANIC": [RuntimeError],
}


def test_every_kind_of_the_core_has_its_class():
    kinds = _native.error_kinds()
    assert len(kinds) >= 18
    assert {name for _, name in kinds} == set(BASES)
    for number, name in kinds:
        cls = _errors.class_of(number)
        assert cls.kind == name
        assert issubclass(cls, procs.ProcsError)
        for base in BASES[name]:
            assert issubclass(cls, base), (cls, base)


@pytest.mark.parametrize("number", sorted({**_errors.CLASSES, **_futures.CLASSES}))
@pytest.mark.parametrize("code", [None, errno.ENOENT])
def test_errors_survive_pickle_and_copy(number, code):
    error = _errors.from_native(number, "spawn: something happened", code, "exec", "/some/path")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert (other.kind, other.detail, other.stage) == (error.kind, "spawn: something happened", "exec")
        if isinstance(error, OSError):
            assert (other.errno, other.filename) == (error.errno, error.filename)


@pytest.mark.parametrize("error", [
    procs.TimeoutExpired(["a", "b"], 1.5, b"out", b"err"),
    procs.CalledProcessError(-9, "line", "out", None),
])
def test_errors_of_commands_survive_pickle(error):
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is type(error)
    assert other.__dict__ == error.__dict__
    assert str(other) == str(error)
    assert other.stdout == error.output


@pytest.mark.parametrize(("code", "base"), [
    (errno.ENOENT, FileNotFoundError), (errno.ENOTDIR, NotADirectoryError), (errno.ESRCH, ProcessLookupError),
    (errno.EACCES, PermissionError), (errno.EPERM, PermissionError), (errno.EAGAIN, BlockingIOError),
])
def test_an_errno_gives_the_class_that_python_gives_it(code, base):
    number = {errno.EACCES: 4, errno.EPERM: 4, errno.EAGAIN: 15}.get(code, 3)
    error = _errors.from_native(number, "spawn: no", code, "exec", None)
    assert isinstance(error, base)
    assert type(OSError(code, "")) is base
    assert error.errno == code


def test_no_memory_is_an_os_error_and_a_memory_error():
    error = _errors.from_native(15, "spawn: no", errno.ENOMEM, "clone", None)
    assert isinstance(error, OSError) and isinstance(error, MemoryError)


@pytest.mark.parametrize(("returncode", "command"), [(3, ["a", "b"]), (-9, "a"), (-1000, "a"), (1, ("x",))])
def test_messages_are_those_of_subprocess(returncode, command):
    assert str(procs.CalledProcessError(returncode, command)) == str(subprocess.CalledProcessError(returncode, command))
    assert str(procs.TimeoutExpired(command, 2.5)) == str(subprocess.TimeoutExpired(command, 2.5))


def outcome_of(module, *args, **options):
    with pytest.raises(Exception) as caught:
        module.run(*args, **options)
    return caught.value


@pytest.mark.parametrize(("args", "options"), [
    ((["procs-no-such-program"],), {}),
    ((["/no/such/program"],), {}),
    ((["true"],), {"cwd": "/no/such/folder"}),
    ((["true"],), {"cwd": "/dev/null"}),
    (("/",), {}),
    (([b"/no/such\xff"],), {}),
    ((["true"],), {"executable": "/no/such"}),
    ((["true"],), {"env": {"A=B": "c"}}),
    ((["true", "a\0b"],), {}),
    ((["true"],), {"input": b"", "stdin": subprocess.PIPE}),
    ((["true"],), {"capture_output": True, "stdout": subprocess.PIPE}),
    ((["true"],), {"text": True, "universal_newlines": False}),
    ((["true"],), {"creationflags": 1}),
    ((["true"],), {"startupinfo": object()}),
    ((["true"],), {"user": -1}),
    ((["true"],), {"group": -1}),
    ((["true"],), {"extra_groups": [-1]}),
    ((["true"],), {"user": 2**64}),
    ((["true"],), {"user": "no-such-user"}),
    ((["true"],), {"user": 1.5}),
    ((["true"],), {"extra_groups": "root"}),
    ((["true"],), {"bufsize": "1"}),
    ((["true"],), {"pipesize": "1"}),
    ((["true"],), {"pass_fds": (-1,)}),
    ((["true"],), {"nonsense": 1}),
    ((["true", 1],), {}),
    ((1,), {}),
    ((["cat"],), {"input": "text"}),
])
def test_refusals_are_those_of_subprocess(args, options):
    ours, theirs = outcome_of(procs, *args, **options), outcome_of(subprocess, *args, **options)
    assert isinstance(ours, type(theirs).__mro__[0]) or isinstance(theirs, subprocess.SubprocessError), (ours, theirs)
    if isinstance(theirs, OSError):
        assert (ours.errno, ours.strerror, ours.filename) == (theirs.errno, theirs.strerror, theirs.filename)
        assert str(ours) == str(theirs)


def test_classes_show_the_name_under_which_they_are_imported():
    listed = [getattr(procs, name) for name in procs.__all__]
    assert {cls.__module__ for cls in listed if isinstance(cls, type)} == {"procs"}
    for program in ("run(['false'], check=True)", "run(['sleep', '30'], timeout=0.01)"):
        said = subprocess.run([sys.executable, "-c", f"import procs; procs.{program}"], stderr=subprocess.PIPE, text=True, timeout=60).stderr
        assert re.search(r"^procs\.(CalledProcessError|TimeoutExpired): Command", said, re.M), said


@pytest.mark.parametrize("name, args", [("CalledProcessError", (3, ["a"])), ("CalledProcessError", (-9, "a", b"o", b"e")), ("TimeoutExpired", ("a", 1.5)),
                                        ("TimeoutExpired", ("a", 1, "o")), ("SubprocessError", ("a", 1))])
def test_errors_made_by_hand_have_the_arguments_that_they_were_made_of(name, args):
    ours, theirs = getattr(procs, name)(*args), getattr(subprocess, name)(*args)
    assert (ours.args, repr(ours), str(ours)) == (theirs.args, repr(theirs), str(theirs))
    again = pickle.loads(pickle.dumps(ours))
    assert (again.args, vars(again)) == (ours.args, vars(ours))
