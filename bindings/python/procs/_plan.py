# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""One run from keyword arguments to result; shared by ``run``, ``run_many`` and ``procs.aio``."""

import errno
import sys

from . import _arguments, _options
from ._errors import CalledProcessError, TimedOutError, TimeoutExpired, TooLargeError
from ._options import PIPE
from ._records import CompletedProcess

_POSITIONAL = ("bufsize executable stdin stdout stderr preexec_fn close_fds shell cwd env universal_newlines startupinfo "
               "creationflags restore_signals start_new_session pass_fds").split()


def translate(data, encoding, errors):
    """Bytes as text with the line ends of all systems as one newline."""
    text = data.decode(encoding, errors or "strict")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def encoded(text, encoding, errors):
    """The input of a run in text mode as bytes."""
    if not isinstance(text, str):
        raise _arguments.refused(TypeError(f"write() argument must be str, not {type(text).__name__}"), "input", text, "str in text mode")
    return text.encode(encoding, errors or "strict")


def named(popenargs, kwargs):
    """The command; the other positional arguments of ``Popen`` join the keyword arguments."""
    if not popenargs:
        if "args" not in kwargs:
            raise TypeError("Popen.__init__() missing 1 required positional argument: 'args'")
        return kwargs.pop("args")
    if len(popenargs) - 1 > len(_POSITIONAL):
        raise TypeError(f"run() takes at most {len(_POSITIONAL) + 1} positional arguments")
    for name, value in zip(_POSITIONAL, popenargs[1:]):
        if name in kwargs:
            raise TypeError(f"run() got multiple values for argument '{name}'")
        kwargs[name] = value
    return popenargs[0]


def redirect(given, input, capture_output):
    """What ``input`` and ``capture_output`` mean for the streams."""
    if input is not None:
        if given.get("stdin") is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        given["stdin"] = PIPE
    if capture_output:
        if given.get("stdout") is not None or given.get("stderr") is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        given["stdout"] = given["stderr"] = PIPE


class Plan:
    """A checked run: ``argv`` and ``options`` are for the core."""

    def __init__(self, args, given, input=None, timeout=None):
        _options.refuse_unknown(given, "run")
        bufsize = given.get("bufsize", -1)
        if bufsize is not None and not isinstance(bufsize, int):
            raise _arguments.refused(TypeError("bufsize must be an integer"), "bufsize", bufsize, "an integer")
        self.args = args
        self.given = given
        self.timeout = timeout
        self.mode, self.encoding, self.errors = _options.text_mode(given)
        self.argv = _options.argument_vector(args, given.get("shell", False), given.get("executable"))
        self.options = _options.native_options(given)
        if timeout is not None:
            self.options["timeout"] = timeout
        if input is not None:
            self.options["input"] = encoded(input, self.encoding, self.errors) if self.mode and input else input or b""
        elif self.options.get("stdin") == PIPE:
            self.options["input"] = b""

    def audit(self):
        """Raises the audit event of a start."""
        executable = self.given.get("executable")
        program = self.argv[0] if executable is None else executable
        sys.audit("subprocess.Popen", program, self.argv, self.given.get("cwd"), self.given.get("env"))

    def start_error(self, error):
        """An ``OSError`` of the start as ``subprocess`` would raise it."""
        if isinstance(error, TimedOutError):
            return _carrying(TimeoutExpired(self.args, self.timeout), CompletedProcess(self.args, None))
        return _options.start_error(error, self.argv, self.given)

    def completed(self, code, stdout, stderr, outcome):
        """The result of a run that the core has finished.

        Raises what ended it if it was not the child. ``TimeoutExpired`` carries bytes whatever the mode, as in ``subprocess``: a
        character may be cut in two.
        """
        done = CompletedProcess(self.args, code, stdout, stderr)
        done._outcome = outcome
        if outcome.timed_out:
            done.stdout, done.stderr = stdout or None, stderr or None
            raise _carrying(TimeoutExpired(self.args, self.timeout), done)
        if self.mode:
            done.stdout = None if stdout is None else translate(stdout, self.encoding, self.errors)
            done.stderr = None if stderr is None else translate(stderr, self.encoding, self.errors)
        if outcome.cancelled:
            from ._futures import CancelledError
            raise _carrying(CancelledError("run: cancelled"), done)
        for number, name, report in ((1, "stdout", outcome.stdout), (2, "stderr", outcome.stderr)):
            if report[2]:
                detail = f"run: more output than allowed (stream = {name}, read = {report[0]} bytes)"
                raise _carrying(TooLargeError(errno.EMSGSIZE, detail), done)
            if report[3]:
                raise _carrying(done._sink_error(number), done)
        return done

    def captured(self, outcome, stdout, stderr):
        """As ``completed``, for calls of the core that hand over both streams whether they were pipes or not."""
        stdout = stdout if self.options.get("stdout") == PIPE else None
        stderr = stderr if self.options.get("stderr") == PIPE else None
        return self.completed(outcome.returncode, stdout, stderr, outcome)


def _carrying(error, done):
    error.output, error.stderr, error.completed = done.stdout, done.stderr, done
    return error


def checked(done):
    """The result of a run whose return code must be 0, and whose output must have reached its sinks."""
    done._check_sinks()
    if done.returncode:
        raise _carrying(CalledProcessError(done.returncode, done.args), done)
    return done
