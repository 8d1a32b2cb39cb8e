# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio.pyi.
"""``run`` and its older relatives: one command to its end."""

import sys

from . import _native, _options
from ._errors import CalledProcessError
from ._options import PIPE, STDOUT
from ._plan import Plan, checked, named, redirect
from ._records import CompletedProcess


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
    if not kwargs and input is None and timeout is None and not capture_output and len(popenargs) == 1:
        done = _bare(popenargs[0])
    else:
        args = named(popenargs, kwargs)
        redirect(kwargs, input, capture_output)
        done = _planned(Plan(args, kwargs, input, timeout))
    return checked(done) if check else done


def call(*popenargs, timeout=None, **kwargs):
    """Runs a command to its end and returns the return code."""
    return run(*popenargs, timeout=timeout, **kwargs).returncode


def check_call(*popenargs, **kwargs):
    """Runs a command to its end; anything but 0 raises ``CalledProcessError``."""
    args = popenargs[0] if popenargs else kwargs.get("args")
    code = call(*popenargs, **kwargs)
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
    return run(*popenargs, stdout=PIPE, timeout=timeout, check=True, **output_options(kwargs)).stdout


def getstatusoutput(cmd, *, encoding=None, errors=None):
    """Runs a command line in a shell; ``(return code, output and errors as text without the last newline)``."""
    done = run(cmd, shell=True, text=True, stdout=PIPE, stderr=STDOUT, encoding=encoding, errors=errors)
    return done.returncode, done.stdout.removesuffix("\n")


def getoutput(cmd, *, encoding=None, errors=None):
    """Runs a command line in a shell; its output and errors as text without the last newline."""
    return getstatusoutput(cmd, encoding=encoding, errors=errors)[1]
