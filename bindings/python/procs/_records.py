# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""What runs and channels tell: small records with named fields."""

import os
import types
from collections import namedtuple  # that of typing takes as long to import as all of this package

from ._errors import CalledProcessError


class Usage(namedtuple("Usage", "user_time system_time max_rss_bytes")):
    """What a finished child used: CPU seconds in user mode and in the kernel, and its largest resident set in bytes."""

    __slots__ = ()


class ExitStatus(namedtuple("ExitStatus", "code signal")):
    """How a child ended: ``code`` (0 to 255) when it exited, ``signal`` when a signal ended it; the other is None."""

    __slots__ = ()

    @classmethod
    def of(cls, returncode):
        """From a return code as in ``subprocess``; None for None."""
        if returncode is None:
            return None
        return cls(returncode, None) if returncode >= 0 else cls(None, -returncode)


class StopReport(namedtuple("StopReport", "returncode ended_by level survivors")):
    """What a stop did. ``returncode`` is None when the child outlived the last step; ``ended_by`` names the action after which it
    ended, None when it had ended before; ``level`` is process, group, walk or cgroup; ``survivors`` are process ids."""

    __slots__ = ()


class StreamReport(namedtuple("StreamReport", "total_bytes truncated limit_exceeded spill sink_error incomplete", defaults=(False,))):
    """What happened to one stream: bytes read, whether the result holds less than that, whether the limit stopped the run, and,
    with the policy ``spill``, an unlinked file with all of the output, at its start. ``sink_error`` tells why a sink did not take everything, such as
    a full disk; ``incomplete`` whether the result lacks output that could not be read or kept (no memory, no room for the spill), which is raised.
    The file is closed with the record's run."""

    __slots__ = ()

    @classmethod
    def of(cls, record):
        """From a record of the core."""
        fd = record.take_spill()
        *facts, incomplete = record.facts
        return cls(*facts, None if fd is None else os.fdopen(fd, "rb"), record.sink_error, incomplete)


class Message(namedtuple("Message", "codec body buffers fds")):
    """A message as it came: ``fds`` are the receiver's to close."""

    __slots__ = ()


class BlockPlace(namedtuple("BlockPlace", "segment serial offset size")):
    """Where a block of an arena is: four numbers to send to the process that it was lent to."""

    __slots__ = ()


_FACTS = ("pid", "code", "signal", "core_dumped", "usage", "started", "wall_time", "timed_out", "cancelled", "pipes_left_open",
          "spawn_retries", "stopped", "stdout", "stderr", "lost")


class CompletedProcess:
    """A finished run, as in ``subprocess``: ``args``, ``returncode`` (negative for a signal), ``stdout``, ``stderr``.

    In the ``completed`` of an exception ``returncode`` is None when the child was killed and has not ended (a hung disk or network file system).
    Runs of procs also tell ``pid``, ``usage``, ``started`` (seconds since the epoch), ``wall_time`` (seconds), ``timed_out``,
    ``cancelled``, ``pipes_left_open``, ``stopped``, ``stdout_report`` and ``stderr_report``; None in one made by hand.
    """

    def __init__(self, args, returncode, stdout=None, stderr=None):
        self.args = args
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr

    _outcome = None

    def __repr__(self):
        parts = [f"args={self.args!r}", f"returncode={self.returncode!r}"]
        if self.stdout is not None:
            parts.append(f"stdout={self.stdout!r}")
        if self.stderr is not None:
            parts.append(f"stderr={self.stderr!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    __class_getitem__ = classmethod(types.GenericAlias)

    def __getstate__(self):
        state = {name: value for name, value in self.__dict__.items() if name != "_reports"}
        if self._outcome is not None:
            errors = {"sink_errors": [self._sink_error(number) for number in (1, 2)]}
            state["_outcome"] = types.SimpleNamespace(**{name: getattr(self._outcome, name) for name in _FACTS}, **errors)
        return state

    def check_returncode(self):
        """Raises ``CalledProcessError`` unless the return code is 0, and why output did not reach a sink if it did not."""
        self._check_sinks()
        if self.returncode:
            raise CalledProcessError(self.returncode, self.args, self.stdout, self.stderr)

    def _check_sinks(self):
        lost = self._fact("lost")
        if lost:
            error = self._sink_error(lost)
            error.output, error.stderr, error.completed = self.stdout, self.stderr, self
            raise error

    def _sink_error(self, number):
        errors = self._fact("sink_errors")
        return self._outcome.sink_error(number) if errors is None else errors[number - 1]

    @property
    def status(self):
        """The return code told apart: an ``ExitStatus``."""
        return ExitStatus.of(self.returncode)

    def _fact(self, name):
        return getattr(self._outcome, name, None)

    @property
    def pid(self):
        """The process id it had."""
        return self._fact("pid")

    @property
    def usage(self):
        """CPU time and memory it used."""
        usage = self._fact("usage")
        return None if usage is None else Usage(*usage)

    @property
    def started(self):
        """When it was started, in seconds since the epoch."""
        return self._fact("started")

    @property
    def wall_time(self):
        """Seconds from the start until its end was seen."""
        return self._fact("wall_time")

    @property
    def timed_out(self):
        """Whether the deadline stopped it."""
        return self._fact("timed_out")

    @property
    def cancelled(self):
        """Whether a cancel handle stopped it."""
        return self._fact("cancelled")

    @property
    def pipes_left_open(self):
        """Whether somebody still held one of its pipes when reading ended."""
        return self._fact("pipes_left_open")

    @property
    def stopped(self):
        """What was done to stop it, if it had to be stopped."""
        report = self._fact("stopped")
        return None if report is None else StopReport(**report)

    @property
    def stdout_report(self):
        """What happened to standard output."""
        return self._stream("stdout", 1)

    @property
    def stderr_report(self):
        """What happened to standard error."""
        return self._stream("stderr", 2)

    _reports = None

    def _stream(self, name, number):
        facts = self._fact(name)
        if facts is None:
            return None
        if self._reports is None:
            self._reports = {}
        if name not in self._reports:
            fd = self._outcome.take_spill(number) if hasattr(self._outcome, "take_spill") else None
            *facts, incomplete = facts
            self._reports[name] = StreamReport(*facts, None if fd is None else os.fdopen(fd, "rb"), self._sink_error(number), incomplete)
        return self._reports[name]
