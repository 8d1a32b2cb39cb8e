# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""Programs joined by pipes of the system."""

import errno
import os
import sys
import time
import types

from . import _arguments, _native, _options
from ._errors import CalledProcessError, TimeoutExpired, TooLargeError
from ._many import split
from ._options import PIPE
from ._plan import encoded, translate
from ._popen import Popen
from ._records import StopReport, StreamReport, Usage
from ._stop import ladder


class Stage:
    """How one program of a pipeline ended: ``args``, ``pid``, ``returncode``, ``stderr``, ``stderr_report`` and ``usage``."""

    def __init__(self, args, fact, decode):
        self.args = args
        self.pid = fact["pid"]
        self.returncode = fact["returncode"]
        self.stderr = decode(fact["stderr"])
        self.stderr_report = StreamReport.of(fact["stderr_record"])
        self.usage = None if fact["usage"] is None else Usage(*fact["usage"])

    __class_getitem__ = classmethod(types.GenericAlias)

    def __repr__(self):
        return f"Stage(args={self.args!r}, returncode={self.returncode!r})"


class PipelineResult:
    """A finished pipeline: ``stages``, ``stdout``, ``stdout_report``, ``returncode`` (of the last stage that is not 0, else 0), and the facts of the
    run."""

    def __init__(self, stages, facts, stdout):
        self.stages = stages
        self.stdout = stdout
        self.stdout_report = StreamReport.of(facts["stdout_record"])
        self._lost = self.stdout_report.sink_error if facts["stdout_record"].lost else None
        self.wall_time = facts["wall_time"]
        self.timed_out = facts["timed_out"]
        self.cancelled = facts["cancelled"]
        self.truncated = self.stdout_report.truncated
        self.pipes_left_open = facts["pipes_left_open"]
        self.stopped = None if facts["stopped"] is None else StopReport(**facts["stopped"])

    @property
    def returncodes(self):
        """The return codes of all stages."""
        return [stage.returncode for stage in self.stages]

    @property
    def returncode(self):
        """0 when every stage returned 0, else that of the last one that did not (as ``pipefail``)."""
        return _pipefail(self.returncodes)

    __class_getitem__ = classmethod(types.GenericAlias)

    def __repr__(self):
        return f"PipelineResult(returncodes={self.returncodes!r}, stdout={self.stdout!r})"

    def check_returncode(self):
        """Raises ``CalledProcessError`` for the last stage that did not return 0, and why standard output did not reach a sink if it did not."""
        if self._lost is not None:
            self._lost.output = self.stdout
            raise self._lost
        for stage in reversed(self.stages):
            if stage.returncode:
                raise CalledProcessError(stage.returncode, stage.args, self.stdout, stage.stderr)


class Stages:
    """What running pipelines have in common here and in ``procs.aio``."""

    def __init__(self, children):
        self.children = children
        self.stdin = children[0].stdin
        self.stdout = children[-1].stdout

    def __repr__(self):
        return f"<PipelineChild: returncodes: {self.returncodes!r}>"

    @property
    def returncodes(self):
        """The return codes of all stages as far as they were waited for; None for others."""
        return [child.returncode for child in self.children]


class PipelineChild(Stages):
    """A running pipeline: ``children`` (a ``Popen`` for each stage), ``stdin`` of the first, ``stdout`` of the last.

    As a context manager it closes these two and waits for every stage. The stages run on when it is collected.
    """

    def __enter__(self):
        return self

    def __exit__(self, exc_type, value, traceback):
        try:
            for file in (self.stdout, self.stdin):
                if file:
                    file.close()
        finally:
            for child in self.children:
                child.__exit__(exc_type, value, traceback)

    @property
    def returncode(self):
        """0 when every stage returned 0, else that of the last one that did not (as ``pipefail``); None before all have ended."""
        return None if None in self.returncodes else _pipefail(self.returncodes)

    def poll(self):
        """Looks which stages have ended, and returns ``returncode``."""
        for child in self.children:
            child.poll()
        return self.returncode

    def wait(self, timeout=None):
        """Closes the pipe to the first stage, waits for every stage, at most ``timeout`` seconds in all, and returns their codes."""
        if self.stdin:
            try:
                self.stdin.close()
            except BrokenPipeError:
                pass  # the first stage does not want the rest
        end = None if timeout is None else time.monotonic() + _arguments.seconds(timeout)
        for child in self.children:
            try:
                child.wait(None if end is None else max(0, end - time.monotonic()))
            except TimeoutExpired as error:
                error.timeout = timeout
                raise
        return self.returncodes

    def kill(self):
        """Sends SIGKILL to every stage."""
        for child in self.children:
            child.kill()

    def stop(self, grace=5.0, *, steps=None, tree=None):
        """Ends all stages together, as ``Popen.stop`` ends one child. Returns a ``StopReport`` for each."""
        reports = _native.stop_many([child._child for child in self.children], ladder(steps, grace, self.stdin), tree)
        self.poll()
        return [StopReport(**report) for report in reports]


def _pipefail(codes):
    return next((code for code in reversed(codes) if code), 0)


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

    def _commands_of(self):
        """Arguments and keyword arguments of every stage."""
        for command in self._commands:
            args, given = split(command)
            _options.refuse_unknown(given, "Pipeline")
            yield args, given

    def _prepared(self, given):
        """Stages and options for the core, and how its answer becomes a result."""
        check, timeout, input = given.pop("check", False), given.get("timeout"), given.pop("input", None)
        mode, encoding, errors = _options.text_mode({"stdout": PIPE, **{name: given.pop(name, None) for name in ("text", "encoding", "errors")}})
        stages = []
        for args, own in self._commands_of():
            argv = _options.argument_vector(args, own.get("shell", False), own.get("executable"))
            stages.append((argv, _options.native_options(own)))
            sys.audit("subprocess.Popen", own.get("executable") or argv[0], argv, own.get("cwd"), own.get("env"))
        options = {"stdout_limit": _options.output_limit(given.pop("max_output", None)), "kill_tree": given.pop("kill_tree", False)}
        if given.get("stdout_sink") is not None:
            given["stdout_sink"] = _options.sink(given["stdout_sink"])
        options.update({name: value for name, value in given.items() if value is not None})
        if input is not None:
            options["input"] = encoded(input, encoding, errors) if mode else input
        decode = (lambda data: translate(data, encoding, errors)) if mode else bytes
        return stages, options, lambda facts: self._result(facts, decode, check, timeout)

    def run(self, *, input=None, timeout=None, grace=None, kill_tree=False, max_output=None, stdout_sink=None, cancel=None,
            check=False, text=None, encoding=None, errors=None):
        """Runs all stages to their end and returns a ``PipelineResult``; standard output of the last and errors of all are captured.

        ``timeout`` is in seconds; then all stages are ended and ``TimeoutExpired`` carries the output so far. ``max_output`` and
        ``stdout_sink`` are those of ``run``, for the last stage.
        """
        given = dict(locals())
        del given["self"]
        stages, options, result = self._prepared(given)
        return result(_native.run_pipeline(stages, options))

    def spawn(self, *, stdin=None, stdout=None, stderr=None, bufsize=-1, kill_tree=False, text=None, encoding=None, errors=None):
        """Starts all stages and returns a ``PipelineChild``. ``stdin`` is that of the first, ``stdout`` that of the last, ``stderr`` that
        of all: inherited, or as for ``Popen``.

        When a stage cannot start, those before it are killed and its error is raised.
        """
        commands = list(self._commands_of())
        if not commands:
            raise ValueError("pipeline: no commands (stages = [], expected at least one)")
        shared = {"stderr": stderr, "bufsize": bufsize, "text": text, "encoding": encoding, "errors": errors}
        children, before = [], None
        try:
            for index, (args, given) in enumerate(commands):
                ends = {"stdin": stdin if index == 0 else before}
                made = None
                if index + 1 < len(commands):
                    before_next, ends["stdout"] = made = os.pipe()
                else:
                    before_next, ends["stdout"] = None, stdout
                try:
                    children.append(Popen(args, **{**shared, **ends, **given, "kill_tree": given.get("kill_tree", kill_tree)}))
                finally:
                    if index > 0:
                        os.close(before)
                    before = before_next
                    if made is not None:
                        os.close(made[1])
        except BaseException:
            if before is not None:
                os.close(before)
            for child in children:
                child.kill()
            for child in children:
                child.__exit__(None, None, None)
            raise
        return PipelineChild(children)

    def _result(self, facts, decode, check, timeout):
        args = [split(command)[0] for command in self._commands]
        if facts["timed_out"]:
            raise TimeoutExpired(args, timeout, output=facts["stdout"] or None)
        stages = [Stage(arg, fact, decode) for arg, fact in zip(args, facts["stages"])]
        result = PipelineResult(stages, facts, decode(facts["stdout"]))
        if facts["cancelled"]:
            from ._futures import CancelledError
            error = CancelledError("pipeline: cancelled")
            error.output = result.stdout
            raise error
        reports = {"stdout": result.stdout_report, **{f"stages[{index}].stderr": stage.stderr_report for index, stage in enumerate(stages)}}
        for stream, report in reports.items():
            error = None
            if report.limit_exceeded:
                error = TooLargeError(errno.EMSGSIZE, f"pipeline: more output than allowed (stream = {stream})")
            elif report.incomplete:
                error = report.sink_error
            if error is not None:
                error.output = result.stdout
                raise error
        if check:
            result.check_returncode()
        return result
