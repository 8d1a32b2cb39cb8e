"""``run`` and its older relatives: one command to its end."""

import errno
import sys

from . import _native, _options
from ._errors import CalledProcessError, CancelledError, TimeoutExpired, TooLargeError
from ._options import PIPE, STDOUT
from ._popen import translate
from ._records import CompletedProcess

_POSITIONAL = ("bufsize executable stdin stdout stderr preexec_fn close_fds shell cwd env universal_newlines startupinfo "
               "creationflags restore_signals start_new_session pass_fds").split()


def _named(popenargs, kwargs):
    """The keyword arguments with the positional ones of ``Popen`` among them."""
    if len(popenargs) - 1 > len(_POSITIONAL):
        raise TypeError(f"run() takes at most {len(_POSITIONAL) + 1} positional arguments")
    for name, value in zip(_POSITIONAL, popenargs[1:]):
        if name in kwargs:
            raise TypeError(f"run() got multiple values for argument '{name}'")
        kwargs[name] = value
    return popenargs[0]


def _bare(args):
    """A run without any option: no dictionary, one call."""
    argv = args if type(args) is list or type(args) is tuple else _options.argument_vector(args, False, None)
    sys.audit("subprocess.Popen", argv[0], argv, None, None)
    try:
        code, _, _, outcome = _native.run(argv)
    except OSError as error:
        raise _options.start_error(error, argv, {})
    done = CompletedProcess(args, code)
    done._outcome = outcome
    return done


def run(*popenargs, input=None, capture_output=False, timeout=None, check=False, **kwargs):
    """Runs a command to its end and returns a ``CompletedProcess``. All arguments of ``subprocess.run`` mean what they mean there.

    ``timeout`` (seconds) bounds start, run and the reading of pipes that descendants may hold; then the child (with ``kill_tree``
    all its descendants) is ended, after ``grace`` seconds from SIGTERM if given, and ``TimeoutExpired`` carries the output so far.

    Besides the arguments of ``Popen``: ``max_output`` (bytes, or a policy and bytes: ``("error"|"head"|"tail"|"spill", n)``; also
    ``stdout_limit`` and ``stderr_limit``), ``stdout_sink`` and ``stderr_sink`` (a callable, file, descriptor, path, ``"buffer"``,
    ``"discard"`` or a list of these), ``cancel`` (a ``CancelHandle``), ``grace``, ``drain_grace`` and ``drain_after_exit`` (seconds).

    Raises ``TimeoutExpired``; ``CalledProcessError`` with ``check``; ``OSError`` when it cannot start; ``TooLargeError`` when the
    policy ``error`` stopped it; ``CancelledError``.
    """
    if not kwargs and input is None and timeout is None and not capture_output and len(popenargs) == 1:
        done = _bare(popenargs[0])
    else:
        args = _named(popenargs, kwargs) if popenargs else kwargs.pop("args")
        if input is not None:
            if kwargs.get("stdin") is not None:
                raise ValueError("stdin and input arguments may not both be used.")
            kwargs["stdin"] = PIPE
        if capture_output:
            if kwargs.get("stdout") is not None or kwargs.get("stderr") is not None:
                raise ValueError("stdout and stderr arguments may not be used with capture_output.")
            kwargs["stdout"] = kwargs["stderr"] = PIPE
        done = _run(args, input, timeout, kwargs)
    if check and done.returncode:
        raise failed(done)
    return done


def failed(done):
    """The error for a return code that was checked and is not 0."""
    error = CalledProcessError(done.returncode, done.args, output=done.stdout, stderr=done.stderr)
    error.completed = done
    return error


def _run(args, input, timeout, given):
    _options.refuse_unknown(given, "run")
    bufsize = given.get("bufsize", -1)
    if bufsize is not None and not isinstance(bufsize, int):
        raise TypeError("bufsize must be an integer")
    mode, encoding, errors = _options.text_mode(given)
    executable = given.get("executable")
    argv = _options.argument_vector(args, given.get("shell", False), executable)
    options = _options.native_options(given)
    if timeout is not None:
        options["timeout"] = timeout
    if input is not None:
        options["input"] = input.encode(encoding, errors or "strict") if mode and input else input or b""
    elif options.get("stdin") == PIPE:
        options["input"] = b""
    sys.audit("subprocess.Popen", argv[0] if executable is None else executable, argv, given.get("cwd"), given.get("env"))
    try:
        code, stdout, stderr, outcome = _native.run(argv, options)
    except OSError as error:
        raise _options.start_error(error, argv, given)
    done = CompletedProcess(args, code, stdout, stderr)
    done._outcome = outcome
    decode = (lambda data: translate(data, encoding, errors)) if mode else None
    error = judge(done, timeout, decode)
    if error is not None:
        raise error
    return done


def judge(done, timeout, decode):
    """Decodes a finished run in place; the error when something else than the child ended it.

    ``TimeoutExpired`` carries bytes whatever the mode, as in ``subprocess``: a character may be cut in two.
    """
    outcome = done._outcome
    if outcome.timed_out:
        error = TimeoutExpired(done.args, timeout)
        done.stdout, done.stderr = done.stdout or None, done.stderr or None
    else:
        if decode is not None:
            done.stdout = None if done.stdout is None else decode(done.stdout)
            done.stderr = None if done.stderr is None else decode(done.stderr)
        if outcome.cancelled:
            error = CancelledError("run: cancelled")
        elif outcome.stdout[2] or outcome.stderr[2]:
            name, report = ("stdout", outcome.stdout) if outcome.stdout[2] else ("stderr", outcome.stderr)
            error = TooLargeError(errno.EMSGSIZE, f"run: more output than allowed (stream = {name}, read = {report[0]} bytes)")
        else:
            return None
    error.output, error.stderr, error.completed = done.stdout, done.stderr, done
    return error


def call(*popenargs, timeout=None, **kwargs):
    """Runs a command to its end and returns the return code."""
    return run(*popenargs, timeout=timeout, **kwargs).returncode


def check_call(*popenargs, **kwargs):
    """Runs a command to its end; anything but 0 raises ``CalledProcessError``."""
    code = call(*popenargs, **kwargs)
    if code:
        args = kwargs.get("args")
        raise CalledProcessError(code, popenargs[0] if args is None else args)
    return 0


def check_output(*popenargs, timeout=None, **kwargs):
    """Runs a command to its end and returns its standard output; anything but 0 raises ``CalledProcessError``."""
    for name in ("stdout", "check"):
        if name in kwargs:
            raise ValueError(f"{name} argument not allowed, it will be overridden.")
    if "input" in kwargs and kwargs["input"] is None:
        text = kwargs.get("universal_newlines") or kwargs.get("text") or kwargs.get("encoding") or kwargs.get("errors")
        kwargs["input"] = "" if text else b""
    return run(*popenargs, stdout=PIPE, timeout=timeout, check=True, **kwargs).stdout


def getstatusoutput(cmd, *, encoding=None, errors=None):
    """Runs a command line in a shell; ``(return code, output and errors as text without the last newline)``."""
    done = run(cmd, shell=True, text=True, stdout=PIPE, stderr=STDOUT, encoding=encoding, errors=errors)
    return done.returncode, done.stdout.removesuffix("\n")


def getoutput(cmd, *, encoding=None, errors=None):
    """Runs a command line in a shell; its output and errors as text without the last newline."""
    return getstatusoutput(cmd, encoding=encoding, errors=errors)[1]
