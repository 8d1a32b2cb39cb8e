# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""Checks of single arguments: a refusal names the argument, its value and what was expected."""

import io
import operator
import sys

from ._errors import OutOfRangeError

STREAM = "None, PIPE, DEVNULL, a descriptor or an object with fileno()"
_COMMAND = "the program and its arguments, each a str, bytes or path-like object"
SINK = 'a callable, file, descriptor, path-like object, "buffer", "discard", ("append", path) or a list of these'
LIMIT = 'bytes, or a policy ("error", "head", "tail" or "spill") and bytes'

# The keyword arguments of a user by the option of the core that they become, where the names differ.
_USERS_NAMES = {"pipe_size": "pipesize", "new_session": "start_new_session", "uid": "user", "gid": "group", "groups": "extra_groups",
                "keep_fds": "close_fds"}
_EXPECTED = {
    "args": _COMMAND, "executable": "a str, bytes or path-like object", "cwd": "a str, bytes or path-like object",
    "fds": "a dict of child numbers to descriptors, PIPE or objects with fileno()", "umask": "0 to 0o777", "nice": "an integer from -20 to 19",
    "affinity": "numbers of CPUs", "limits": "a dict of resources to a number, a (soft, hard) tuple or None for unlimited",
    "process_group": "the number of a process group, or 0 for a new one", "pipesize": "bytes", "user": "a name or 0 to 4294967295",
    "group": "a name or 0 to 4294967295", "extra_groups": "a list of names and numbers", "signals": '"restore", "default" or "inherit"',
    "tree_level": '"process", "group", "walk" or "cgroup"', "parent_death_signal": "a signal", "cancel": "a CancelHandle",
    "timeout": "seconds", "grace": "seconds", "drain_grace": "seconds", "drain_after_exit": "seconds", "stdout_limit": LIMIT, "stderr_limit": LIMIT,
    "stdin": STREAM, "stdout": STREAM, "stderr": STREAM, "input": "a bytes-like object, or str in text mode", "stdout_sink": SINK, "stderr_sink": SINK,
}
# The keyword arguments that ``subprocess`` has.
STANDARD = frozenset((
    "bufsize executable stdin stdout stderr preexec_fn close_fds shell cwd env universal_newlines startupinfo creationflags "
    "restore_signals start_new_session pass_fds user group extra_groups encoding errors text umask pipesize process_group").split())


def refused(error, name, value, expected=None):
    """The exception of a failed conversion with the argument's name, its value and what was expected; one that says more stays as it is.

    Where ``subprocess`` has the argument, its message is kept and the rest is a note.
    """
    note = isinstance(error, (UnicodeError, io.UnsupportedOperation))  # have no message to add to
    if not note and type(error) not in (TypeError, ValueError, AttributeError, OverflowError, IndexError, KeyError):
        return error
    if any(" = " in text for text in (str(error), *getattr(error, "__notes__", ()))):
        return error
    name = _USERS_NAMES.get(name, name)
    more = f"({name} = {shown(value)}, expected {expected or _EXPECTED.get(name, 'a bool')})"
    if note or name in STANDARD or name in ("args", "input"):
        error.add_note(more)
        return error
    if isinstance(error, OverflowError):
        return OutOfRangeError(f"out of range {more}")
    return type(error)(f"{error} {more}")


def shown(value):
    """The value for a message, whatever its ``repr`` does."""
    import reprlib
    try:
        return reprlib.repr(value)
    except Exception:  # an integer of thousands of digits, for one
        return f"<{type(value).__name__}>"


def seconds(value, name="timeout", expected="seconds or None"):
    """A time that is not the core's to wait for, None for ever; a negative one has passed."""
    if value is None:
        return None
    try:
        if isinstance(value, (str, bytes, bytearray)):  # float() would read them
            raise TypeError(f"must be real number, not {type(value).__name__}")
        number = float(value)
        if number != number:
            raise ValueError("not a number")
    except (TypeError, ValueError, OverflowError) as error:
        raise refused(error, name, value, expected) from None
    return number


def index(value, name, expected=None):
    """An integer, or what says that it is one."""
    try:
        return operator.index(value)
    except TypeError as error:
        raise refused(error, name, value, expected) from None


def positive(value, name, expected):
    """A size from 1 up, as much as there can be where it is larger."""
    number = index(value, name, expected)
    if number < 1:
        raise OutOfRangeError(f"out of range ({name} = {shown(value)}, expected {expected})")
    return min(number, sys.maxsize)


def items(mapping, name, expected=None):
    try:
        find = mapping.items
    except AttributeError as error:
        raise refused(error, name, mapping, expected) from None
    return find()


def iterated(values, name, expected=None):
    """An iterator over an argument."""
    try:
        return iter(values)
    except (TypeError, ValueError) as error:
        raise refused(error, name, values, expected) from None
