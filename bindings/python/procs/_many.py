# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""Several commands, a bounded number at a time."""

import os
from collections.abc import Mapping

from . import _native
from ._errors import ProcsError
from ._native import CancelHandle
from ._arguments import positive, refused, shown
from ._options import DEVNULL, PIPE
from ._plan import Plan, checked

# The cap of runs under our own names; subprocess has none.
DEFAULT_MAX_OUTPUT = 64 << 20


def split(command):
    """A command of a list: arguments, or a mapping with ``args`` and keyword arguments of ``run``."""
    if isinstance(command, dict):
        given = dict(command)
        if "args" not in given:
            raise TypeError(f"no program to run (command = {shown(command)}, expected arguments, or a dict with \"args\" and options)")
        return given.pop("args"), given
    return command, {}


class Job:
    """One command of ``run_many``: its plan, and how its result becomes an item of the list."""

    def __init__(self, command, shared):
        args, own = split(command)
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


def prepared(commands, jobs, progress, cancel, options):
    """The commands as jobs, and how many of them run at a time."""
    if isinstance(commands, (str, bytes, Mapping)):
        raise TypeError(f"run_many: one command is not a list of them (commands = {shown(commands)}, expected a list of commands)")
    try:
        commands = list(commands)
    except (TypeError, ValueError) as error:
        raise refused(error, "commands", commands, "a list of commands") from None
    if progress is not None and not callable(progress):
        raise TypeError(f"run_many: cannot be called (progress = {shown(progress)}, expected a function of index and item)")
    if cancel is not None and not isinstance(cancel, CancelHandle):
        raise TypeError(f"run_many: cannot cancel (cancel = {shown(cancel)}, expected a CancelHandle)")
    return [Job(command, options) for command in commands], _at_once(jobs)


def _at_once(jobs):
    """How many run at a time. More than there are processes is as good as no limit."""
    if jobs is None:
        return len(os.sched_getaffinity(0))
    return positive(jobs, "jobs", "how many run at a time, at least 1")


def run_many(commands, jobs=None, progress=None, *, cancel=None, **options):
    """Runs all commands, at most ``jobs`` at a time (default: the CPUs this process may use), and returns a list in their order.

    A command is an argument list, a string, or a mapping with ``args`` and keyword arguments of ``run``; ``options`` hold for all.
    Each item is a ``CompletedProcess`` or the exception that ``run`` would have raised: one failure does not end the others.
    ``progress(index, item)`` is called as they end. Standard input is empty, both outputs are captured, at most 64 MiB each.
    """
    made, jobs = prepared(commands, jobs, progress, cancel, options)
    for job in made:
        job.plan.audit()
    tell = None if progress is None else lambda index, result: progress(index, made[index].item(result))
    results = _native.run_many([(job.plan.argv, job.plan.options) for job in made], jobs, tell, cancel)
    return [job.item(result) for job, result in zip(made, results)]
