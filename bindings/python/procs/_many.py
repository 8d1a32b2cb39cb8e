# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio.pyi.
"""Several commands: a bounded number at a time, or joined by pipes."""

import errno
import os
import sys
import types

from . import _native, _options
from ._errors import CalledProcessError, CancelledError, ProcsError, TimeoutExpired, TooLargeError
from ._options import DEVNULL, PIPE
from ._plan import Plan, checked, translate
from ._records import StopReport, Usage

# The cap of runs under our own names; subprocess has none.
DEFAULT_MAX_OUTPUT = 64 << 20


def _split(command):
    """A command of a list: arguments, or a mapping with ``args`` and keyword arguments of ``run``."""
    if isinstance(command, dict):
        given = dict(command)
        return given.pop("args"), given
    return command, {}


class Job:
    """One command of ``run_many``: its plan, and how its result becomes an item of the list."""

    def __init__(self, command, shared):
        args, own = _split(command)
        given = {"stdin": DEVNULL, "stdout": PIPE, "stderr": PIPE, "max_output": DEFAULT_MAX_OUTPUT, **shared, **own}
        self._check = given.pop("check", False)
        timeout, input = given.pop("timeout", None), given.pop("input", None)
        if input is not None:
            given["stdin"] = PIPE
        self.plan = Plan(args, given, input, timeout)

    def item(self, result):
        """A ``CompletedProcess``, or the exception that ``run`` would raise."""
        if isinstance(result, OSError):
            return self.plan.start_error(result)
        if isinstance(result, BaseException):
            return result
        try:
            done = self.plan.captured(*result)
            return checked(done) if self._check else done
        except (OSError, ProcsError, UnicodeError) as error:
            return error


def run_many(commands, jobs=None, progress=None, *, cancel=None, **options):
    """Runs all commands, at most ``jobs`` at a time (default: the CPUs this process may use), and returns a list in their order.

    A command is an argument list, a string, or a mapping with ``args`` and keyword arguments of ``run``; ``options`` hold for all.
    Each item is a ``CompletedProcess`` or the exception that ``run`` would have raised: one failure does not end the others.
    ``progress(index, item)`` is called as they end. Standard input is empty, both outputs are captured, at most 64 MiB each.
    """
    made = [Job(command, options) for command in commands]
    for job in made:
        job.plan.audit()
    jobs = len(os.sched_getaffinity(0)) if jobs is None else int(jobs)
    tell = None if progress is None else lambda index, result: progress(index, made[index].item(result))
    results = _native.run_many([(job.plan.argv, job.plan.options) for job in made], jobs, tell, cancel)
    return [job.item(result) for job, result in zip(made, results)]


class Stage:
    """How one program of a pipeline ended: ``args``, ``pid``, ``returncode``, ``stderr`` and ``usage``."""

    def __init__(self, args, pid, returncode, stderr, usage):
        self.args = args
        self.pid = pid
        self.returncode = returncode
        self.stderr = stderr
        self.usage = None if usage is None else Usage(*usage)

    __class_getitem__ = classmethod(types.GenericAlias)

    def __repr__(self):
        return f"Stage(args={self.args!r}, returncode={self.returncode!r})"


class PipelineResult:
    """A finished pipeline: ``stages``, ``stdout``, ``returncode`` (of the last stage that is not 0, else 0), and the facts of the run."""

    def __init__(self, stages, facts, stdout):
        self.stages = stages
        self.stdout = stdout
        self.wall_time = facts["wall_time"]
        self.timed_out = facts["timed_out"]
        self.cancelled = facts["cancelled"]
        self.truncated = facts["truncated"]
        self.pipes_left_open = facts["pipes_left_open"]
        self.stopped = None if facts["stopped"] is None else StopReport(**facts["stopped"])

    @property
    def returncodes(self):
        """The return codes of all stages."""
        return [stage.returncode for stage in self.stages]

    @property
    def returncode(self):
        """0 when every stage returned 0, else that of the last one that did not (as ``pipefail``)."""
        return next((code for code in reversed(self.returncodes) if code), 0)

    __class_getitem__ = classmethod(types.GenericAlias)

    def __repr__(self):
        return f"PipelineResult(returncodes={self.returncodes!r}, stdout={self.stdout!r})"

    def check_returncode(self):
        """Raises ``CalledProcessError`` for the last stage that did not return 0."""
        for stage in reversed(self.stages):
            if stage.returncode:
                raise CalledProcessError(stage.returncode, stage.args, self.stdout, stage.stderr)


class Pipeline:
    """Programs joined by pipes of the system, without a shell: ``Pipeline(["ls"], ["sort", "-r"])``.

    A stage is an argument list, a string, or a mapping with ``args`` and keyword arguments of ``Popen``.
    """

    def __init__(self, *commands):
        self._commands = list(commands)

    def then(self, args, **options):
        """Appends a program. Returns the pipeline."""
        self._commands.append({"args": args, **options})
        return self

    def run(self, *, input=None, timeout=None, grace=None, kill_tree=False, max_output=None, cancel=None, check=False, text=None,
            encoding=None, errors=None):
        """Runs all stages to their end and returns a ``PipelineResult``; standard output of the last and errors of all are captured.

        ``timeout`` is in seconds; then all stages are ended and ``TimeoutExpired`` carries the output so far.
        """
        mode, encoding, errors = _options.text_mode({"text": text, "encoding": encoding, "errors": errors})
        stages = []
        for command in self._commands:
            args, given = _split(command)
            _options.refuse_unknown(given, "Pipeline")
            argv = _options.argument_vector(args, given.get("shell", False), given.get("executable"))
            stages.append((argv, _options.native_options(given)))
            sys.audit("subprocess.Popen", given.get("executable") or argv[0], argv, given.get("cwd"), given.get("env"))
        options = {"stdout_limit": _options.output_limit(max_output), "kill_tree": kill_tree}
        for name, value in (("timeout", timeout), ("grace", grace), ("cancel", cancel)):
            if value is not None:
                options[name] = value
        if input is not None:
            options["input"] = input.encode(encoding, errors or "strict") if mode else input
        facts = _native.run_pipeline(stages, options)
        decode = (lambda data: translate(data, encoding, errors)) if mode else bytes
        return self._result(facts, decode, check, timeout)

    def _result(self, facts, decode, check, timeout):
        args = [_split(command)[0] for command in self._commands]
        if facts["timed_out"]:
            raise TimeoutExpired(args, timeout, output=facts["stdout"] or None)
        stages = [Stage(arg, fact["pid"], fact["returncode"], decode(fact["stderr"]), fact["usage"])
                  for arg, fact in zip(args, facts["stages"])]
        result = PipelineResult(stages, facts, decode(facts["stdout"]))
        if facts["cancelled"]:
            error = CancelledError("pipeline: cancelled")
            error.output = result.stdout
            raise error
        if facts["limit_exceeded"]:
            error = TooLargeError(errno.EMSGSIZE, "pipeline: more output than allowed (stream = stdout)")
            error.output = result.stdout
            raise error
        if check:
            result.check_returncode()
        return result
