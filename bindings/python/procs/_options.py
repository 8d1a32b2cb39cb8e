# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""Keyword arguments of ``run`` and ``Popen``, checked as ``subprocess`` checks them, as options of the core."""

import errno
import functools
import io
import locale
import os
import sys
import warnings
from collections.abc import Mapping

from ._arguments import LIMIT, SINK, STANDARD, STREAM, index, items, iterated, refused, shown
from ._errors import InvalidArgumentError, InvalidNumberError, SubprocessError, UnsupportedError

PIPE = -1
STDOUT = -2
DEVNULL = -3

_RUN_OPTIONS = ("grace", "drain_grace", "drain_after_exit", "cancel")
_PLAIN_OPTIONS = ("foreground", "controlling_tty", "nice", "no_new_privs", "die_with_parent", "parent_death_signal", "signals",
                  "offload", "kill_on_drop", "tree_level", "kill_tree")


def channel_settings(channel):
    """The options of a child's channel as a dict of their own."""
    if channel is True:
        return {}
    if not isinstance(channel, Mapping) or not all(isinstance(name, str) for name in channel):
        raise TypeError(f"channel: not options (channel = {shown(channel)}, expected True or a dict of options)")
    return dict(channel)


def argument_vector(args, shell, executable):
    """The list that the child gets as ``argv``."""
    if isinstance(args, (str, bytes)):
        argv = [args]
    elif isinstance(args, os.PathLike):
        if shell:
            raise TypeError("path-like args is not allowed when shell is true")
        argv = [args]
    else:
        try:
            argv = list(args)
        except TypeError as error:
            raise refused(error, "args", args) from None
        if not argv and not shell and executable is None:
            raise refused(IndexError("list index out of range"), "args", args)
    if shell:
        argv = ["/bin/sh", "-c", *argv]
        if executable:
            argv[0] = executable
    return argv


def stream(target, name="stdin"):
    """PIPE, STDOUT, DEVNULL, a descriptor or an object with ``fileno()`` as the core's number."""
    if target is STDOUT and name != "stderr":
        raise ValueError("STDOUT can only be used for stderr")
    if isinstance(target, int):
        number = int(target)
    else:
        try:
            find = target.fileno
        except AttributeError as error:
            raise refused(error, name, target, STREAM) from None
        try:
            number = find()
        except ValueError as error:  # a closed file
            raise refused(error, name, target, STREAM) from None
    if isinstance(number, int) and number < DEVNULL:
        raise InvalidNumberError(errno.EBADF, f"spawn: not a descriptor ({name} = {number}, expected {STREAM})")
    return number


def users_level():
    """The ``stacklevel`` with which a warning of the caller points to the code that called this package."""
    level, frame = 1, sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "procs":
        level, frame = level + 1, frame.f_back
    return level


@functools.lru_cache(64)
def _check_codec(encoding, errors):
    """Raises what the file of a pipe would raise once the program runs."""
    io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)


def text_mode(given):
    """Whether the pipes carry text, with encoding and errors."""
    text, newlines = given.get("text"), given.get("universal_newlines")
    if text is not None and newlines is not None and bool(text) != bool(newlines):
        raise SubprocessError("Cannot disambiguate when both text and universal_newlines are supplied but different. "
                              "Pass one or the other.")
    encoding, errors = given.get("encoding"), given.get("errors")
    mode = encoding or errors or text or newlines
    if mode and encoding is None:
        if sys.flags.warn_default_encoding:
            warnings.warn("'encoding' argument not specified.", EncodingWarning, users_level())
        encoding = "utf-8" if sys.flags.utf8_mode else locale.getencoding()
    if mode and PIPE in (given.get("stdin"), given.get("stdout"), given.get("stderr")):
        check = _check_codec if type(encoding) is str and isinstance(errors, str | None) else _check_codec.__wrapped__
        check(encoding, errors)
    return mode, encoding, errors


def environment(env):
    """The mapping as bytes; names with ``=`` and embedded NULs are refused."""
    made = {}
    for name, value in items(env, "env", "a mapping of names to values"):
        try:
            made[os.fsencode(name)] = os.fsencode(value)
        except TypeError as error:
            raise refused(error, "env", {name: value}, "names and values that are str, bytes or path-like objects") from None
    if any(b"=" in name for name in made):
        raise InvalidArgumentError("illegal environment variable name")
    return made


def _number(value, find, what):
    if isinstance(value, str):
        number = find(value)
    elif isinstance(value, int):
        number = value
    elif what == "User":
        raise TypeError("User must be a string or an integer")
    elif what == "Group":
        raise TypeError(f"Group must be a string or an integer, not {type(value)}")
    else:
        raise TypeError(f"Items in extra_groups must be a string or integer, not {type(value)}")
    if number < 0:
        raise ValueError(f"{'User' if what == 'User' else 'Group'} ID cannot be negative, got {number}")
    if number > 0xFFFFFFFF:
        if what == "extra":
            raise ValueError("invalid group id")
        raise OverflowError("Python int too large to convert to C int")
    return number


def _uid(user):
    import pwd
    return _number(user, lambda name: pwd.getpwnam(name).pw_uid, "User")


def _gid(group, what="Group"):
    import grp
    return _number(group, lambda name: grp.getgrnam(name).gr_gid, what)


def _id_of(find, value, name, *more):
    try:
        return find(value, *more)
    except (TypeError, ValueError, OverflowError, KeyError) as error:
        raise refused(error, name, value) from None


def _identity(given, options):
    user, group, extra = given.get("user"), given.get("group"), given.get("extra_groups")
    if group is not None:
        options["gid"] = _id_of(_gid, group, "group")
    if extra is not None:
        if isinstance(extra, str):
            raise refused(ValueError("Groups must be a list, not a string"), "extra_groups", extra)
        options["groups"] = [_id_of(_gid, item, "extra_groups", "extra") for item in iterated(extra, "extra_groups")]
    if user is None:
        return
    uid = _id_of(_uid, user, "user")
    if extra is None:
        if uid == os.getuid() == os.geteuid():
            return  # nothing to change, and setgroups would need a privilege
        options["groups"] = os.getgroups()  # subprocess leaves them; the core wants it said
    options["uid"] = uid


def _preexec(function, options):
    """``os.setsid`` and ``os.setpgrp`` are the options they mean; other code cannot run in the child."""
    if function is os.setsid:
        options["new_session"] = True
    elif function is os.setpgrp:
        options["process_group"] = 0
    else:
        raise UnsupportedError(
            f"spawn: no Python code runs between start and exec (preexec_fn = {function!r}, expected os.setsid or os.setpgrp; "
            "use start_new_session, process_group, user, group, extra_groups, umask, cwd, pass_fds, restore_signals, limits, nice, "
            "affinity, die_with_parent or no_new_privs)")


def _descriptors(given, options):
    pass_fds, close_fds = given.get("pass_fds", ()), given.get("close_fds", True)
    if pass_fds and not close_fds:
        warnings.warn("pass_fds overriding close_fds.", RuntimeWarning, users_level())
        close_fds = True
    if not close_fds:
        options["keep_fds"] = True
    wanted = {}
    try:
        listed = sorted(map(int, pass_fds))
    except (TypeError, ValueError, OverflowError) as error:
        raise refused(error, "pass_fds", pass_fds, "a sequence of descriptors") from None
    for fd in listed:
        if not 0 <= fd <= 0x7FFFFFFF:
            raise refused(ValueError("bad value(s) in fds_to_keep"), "pass_fds", pass_fds, "a sequence of descriptors")
        if fd > 2:
            wanted[fd] = fd
    for number, target in items(given.get("fds") or {}, "fds"):
        wanted[number] = stream(target, "fds")
    if wanted:
        options["fds"] = wanted


def _limits(limits):
    """``{"nofile": 100}`` or ``{resource.RLIMIT_NOFILE: (100, 200)}``; None or RLIM_INFINITY is unlimited."""
    import resource
    names = {getattr(resource, name): name[7:].lower() for name in dir(resource) if name.startswith("RLIMIT_")}
    names[resource.RLIMIT_NOFILE] = "nofile"
    made = []
    for name, value in items(limits, "limits"):
        soft, hard = value if isinstance(value, tuple) else (value, value)
        name = names.get(name, name) if isinstance(name, int) else name.lower().removeprefix("rlimit_")
        made.append((str(name), None if soft == resource.RLIM_INFINITY else soft, None if hard == resource.RLIM_INFINITY else hard))
    return made


def output_limit(limit, name="max_output"):
    """``bytes``, ``(policy, bytes)`` or None as the core's policy; the policies are error, head, tail and spill."""
    if limit is None:
        return ("unlimited", 0)
    given = limit
    if isinstance(limit, int):
        limit = ("error", limit)
    if not isinstance(limit, tuple) or len(limit) != 2 or not isinstance(limit[1], int) or not 0 <= limit[1] < 1 << 64:
        raise InvalidArgumentError(f"run: not a limit of output ({name} = {shown(given)}, expected {LIMIT})")
    return limit


def sink(target, name="stdout_sink"):
    """A callable, file, descriptor, path-like, ``"buffer"``, ``"discard"``, ``("append", path)`` or a list of these."""
    if target is None or target == "buffer":
        return ("buffer",)
    if target == "discard":
        return ("discard",)
    if isinstance(target, list):
        return ("tee", [sink(item, name) for item in target])
    if isinstance(target, tuple):
        return target
    if isinstance(target, os.PathLike):
        return ("file", target)
    number = target if isinstance(target, int) else None
    if number is None and hasattr(target, "fileno"):
        try:
            if hasattr(target, "flush"):  # what it holds comes before the output; a socket has nothing
                target.flush()
            number = index(target.fileno(), name, SINK)
        except ValueError as error:  # a closed file, or one in memory
            raise refused(error, name, target) from None
    if number is not None:
        if not 0 <= number <= 0x7FFFFFFF:
            raise InvalidNumberError(errno.EBADF, f"run: not a descriptor ({name} = {shown(target)}, expected {SINK})")
        return ("fd", int(number))
    if callable(target):
        return ("call", target)
    raise InvalidArgumentError(f"run: not a sink ({name} = {shown(target)}, expected {SINK})")


def _own_names(given, options):
    """What ``subprocess`` does not have."""
    for name in _PLAIN_OPTIONS:
        value = given.get(name)
        if value is not None and value is not False:
            options[name] = value
    if given.get("affinity") is not None:
        options["affinity"] = list(iterated(given["affinity"], "affinity"))
    if given.get("limits"):
        options["limits"] = _limits(given["limits"])
    for name in _RUN_OPTIONS:
        if given.get(name) is not None:
            options[name] = given[name]
    for name in ("stdout", "stderr"):
        if given.get("max_output") is not None:
            options[name + "_limit"] = output_limit(given["max_output"])
        if given.get(name + "_limit") is not None:
            options[name + "_limit"] = output_limit(given[name + "_limit"], name + "_limit")
        if given.get(name + "_sink") is not None:
            options[name + "_sink"] = sink(given[name + "_sink"], name + "_sink")
            options.setdefault(name, PIPE)


# What ``run`` has and ``Popen`` has not.
RUNS_ONLY = frozenset((*_RUN_OPTIONS, "max_output", "stdout_limit", "stderr_limit", "stdout_sink", "stderr_sink"))
_OWN = RUNS_ONLY.union(_PLAIN_OPTIONS, ("affinity", "limits", "fds"))


def refuse_unknown(given, where):
    """Raises the TypeError of a call with a keyword that nobody knows."""
    for name in given:
        if name not in STANDARD and name not in _OWN:
            raise TypeError(f"{where}() got an unexpected keyword argument '{name}'")


def streams(given):
    """The core's options for the standard streams; None when all are inherited."""
    options = None
    for name, target in given.items():
        if target is not None:
            options = options or {}
            options[name] = stream(target, name)
    return options


def native_options(given):
    """The core's options for these keyword arguments; those that have their default may be present or absent."""
    get = given.get
    options = streams({name: given.get(name) for name in ("stdin", "stdout", "stderr")}) or {}
    if get("startupinfo") is not None:
        raise ValueError("startupinfo is only supported on Windows platforms")
    if get("creationflags", 0) != 0:
        raise ValueError("creationflags is only supported on Windows platforms")
    _descriptors(given, options)
    if get("executable") is not None:
        options["executable"] = given["executable"]
    if get("cwd") is not None:
        options["cwd"] = given["cwd"]
    if get("env") is not None:
        options["env"] = environment(given["env"])
    if get("preexec_fn") is not None:
        _preexec(given["preexec_fn"], options)
    if get("start_new_session"):
        options["new_session"] = True
    if not get("restore_signals", True):
        options["signals"] = "inherit"
    for name in ("process_group", "umask"):
        number = get(name)
        if number is not None and (number := index(number, name)) >= 0:
            options[name] = number & 0o777 if name == "umask" and number <= 0x7FFFFFFF else number  # as the kernel does
    pipesize = get("pipesize", -1)
    if pipesize is not None and not isinstance(pipesize, int):
        raise refused(TypeError("pipesize must be an integer"), "pipesize", pipesize)
    if pipesize is not None and pipesize > 0:
        options["pipe_size"] = pipesize
    _identity(given, options)
    _own_names(given, options)
    return options


def start_error(error, argv, given):
    """Gives an error of a start the file name that ``subprocess`` would give it."""
    if isinstance(error, OSError) and error.errno is not None:
        if error.stage == "directory":
            error.filename = given.get("cwd")
        elif error.stage == "exec" or error.stage is None:
            executable = given.get("executable")
            error.filename = argv[0] if executable is None else executable
        elif error.filename is not None:
            del error.filename  # None would be part of the message
    return error
