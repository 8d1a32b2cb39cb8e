# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""``run`` and its older relatives: one command to its end."""

import operator
import subprocess as _subprocess  # for its exception classes only
import sys

from . import _native, _options
from ._errors import CalledProcessError
from ._options import PIPE, STDOUT
from ._plan import Plan, checked, named, redirect
from ._popen import Popen
from ._records import CompletedProcess

# Tests and tracers replace `Popen`, its methods or one of the functions below, and expect what is built on them to go through theirs.
_names = sys.modules[__package__]
_METHODS = ("__init__", "communicate", "wait", "poll", "kill")
# In a tuple: some look for every module's variable that is `Popen` and replace it as well.
_OWN = (Popen, *operator.attrgetter(*_METHODS)(Popen))
_parts = operator.attrgetter("Popen", *("Popen." + name for name in _METHODS))


def _replaced(options):
    """Whether somebody has put something in the place of ``Popen`` that can do what is asked for."""
    own = _names.Popen is _OWN[0] and _parts(_names) == _OWN
    return not own and _options.RUNS_ONLY.isdisjoint(options)


def _run_replacement(popenargs, options, input, timeout, check):
    """``run`` by means of whatever ``Popen`` is now."""
    with _names.Popen(*popenargs, **options) as child:
        try:
            stdout, stderr = child.communicate(input, timeout=timeout)
        except _subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise
        except BaseException:
            child.kill()
            raise
        code = child.poll()
        if check and code:
            raise CalledProcessError(code, child.args, output=stdout, stderr=stderr)
    return CompletedProcess(child.args, code, stdout, stderr)


def _call_replacement(popenargs, options, timeout):
    """``call`` by means of whatever ``Popen`` is now."""
    with _names.Popen(*popenargs, **options) as child:
        try:
            return child.wait(timeout=timeout)
        except BaseException:
            child.kill()
            raise


def _bare(args):
    """A run without any option: no dictionary, one call."""
    argv = args if args and (type(args) is list or type(args) is tuple) else _options.argument_vector(args, False, None)
    sys.audit("subprocess.Popen", argv[0], argv, None, None)
    try:
        code, _, _, outcome = _native.run(argv)
    except OSError as error:
        raise _options.start_error(error, argv, {})
    done = CompletedProcess(args, code)
    done._outcome = outcome
    return done


def _planned(plan):
    plan.audit()
    try:
        result = _native.run(plan.argv, plan.options)
    except OSError as error:
        raise plan.start_error(error)
    return plan.completed(*result)


def run(*popenargs, input=None, capture_output=False, timeout=None, check=False, **kwargs):
    """Runs a command to its end and returns a ``CompletedProcess``. All arguments of ``subprocess.run`` mean what they mean there.

    ``timeout`` (seconds) bounds start, run and the reading of pipes that descendants may hold; then the child (with ``kill_tree``
    all its descendants) is ended, after ``grace`` seconds from SIGTERM if given, and ``TimeoutExpired`` carries the output so far.

    Besides the arguments of ``Popen``: ``max_output`` (bytes, or a policy and bytes: ``("error"|"head"|"tail"|"spill", n)``; also
    ``stdout_limit`` and ``stderr_limit``), ``stdout_sink`` and ``stderr_sink`` (a callable, file, descriptor, path, ``"buffer"``,
    ``"discard"`` or a list of these), ``cancel`` (a ``CancelHandle``), ``grace``, ``drain_grace`` and ``drain_after_exit`` (seconds).

    Raises ``TimeoutExpired``; ``CalledProcessError`` with ``check``; ``OSError`` when it cannot start; ``TooLargeError`` when the
    policy ``error`` stopped it; ``CancelledError``. An exception of a signal handler kills the child, ``KeyboardInterrupt`` after
    250 ms in which it may end by itself.
    """
    if _replaced(kwargs):
        redirect(kwargs, input, capture_output)
        return _run_replacement(popenargs, kwargs, input, timeout, check)
    if not kwargs and input is None and timeout is None and not capture_output and len(popenargs) == 1:
        done = _bare(popenargs[0])
    else:
        args = named(popenargs, kwargs)
        redirect(kwargs, input, capture_output)
        done = _planned(Plan(args, kwargs, input, timeout))
    return checked(done) if check else done


def call(*popenargs, timeout=None, **kwargs):
    """Runs a command to its end and returns the return code."""
    if _replaced(kwargs):
        return _call_replacement(popenargs, kwargs, timeout)
    return run(*popenargs, timeout=timeout, **kwargs).returncode


def check_call(*popenargs, **kwargs):
    """Runs a command to its end; anything but 0 raises ``CalledProcessError``."""
    args = popenargs[0] if popenargs else kwargs.get("args")
    code = _names.call(*popenargs, **kwargs)
    if code:
        raise CalledProcessError(code, args)
    return 0


def output_options(kwargs):
    """Checks and completes the keyword arguments of ``check_output``."""
    for name in ("stdout", "check"):
        if name in kwargs:
            raise ValueError(f"{name} argument not allowed, it will be overridden.")
    if "input" in kwargs and kwargs["input"] is None:
        text = kwargs.get("universal_newlines") or kwargs.get("text") or kwargs.get("encoding") or kwargs.get("errors")
        kwargs["input"] = "" if text else b""
    return kwargs


def check_output(*popenargs, timeout=None, **kwargs):
    """Runs a command to its end and returns its standard output; anything but 0 raises ``CalledProcessError``."""
    return _names.run(*popenargs, stdout=PIPE, timeout=timeout, check=True, **output_options(kwargs)).stdout


def getstatusoutput(cmd, *, encoding=None, errors=None):
    """Runs a command line in a shell; ``(return code, output and errors as text without the last newline)``."""
    try:
        code, output = 0, _names.check_output(cmd, shell=True, text=True, stderr=STDOUT, encoding=encoding, errors=errors)
    except _subprocess.CalledProcessError as error:
        code, output = error.returncode, error.output
    return code, output.removesuffix("\n")


def getoutput(cmd, *, encoding=None, errors=None):
    """Runs a command line in a shell; its output and errors as text without the last newline."""
    return _names.getstatusoutput(cmd, encoding=encoding, errors=errors)[1]
