# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""``Process``: one child in an event loop, shaped like ``asyncio.subprocess.Process``."""

import asyncio
import os
import sys

from . import _native
from ._aio_loop import ends_of, result_of
from ._aio_streams import StreamReader, open_writer
from ._errors import NoProcessError
from ._arguments import shown
from ._options import PIPE, argument_vector, start_error, streams
from ._pipes import BLOCK, enlarge
from ._popen import Popen
from ._records import StopReport
from ._stop import ladder


class Process:
    """A child started by ``create_subprocess_exec``, shaped like ``asyncio.subprocess.Process``, with ``stop``, ``kill_tree`` and
    ``usage`` besides."""

    stdin = stdout = stderr = None

    def __init__(self, popen, loop):
        self._popen = popen
        self._loop = loop
        self.pid = popen.pid

    def __repr__(self):
        return f"<Process {self.pid}>"

    def __del__(self):
        # The end of its output comes before that of a child, often by less than it takes to get here: asyncio does not warn either.
        outputs = [stream for stream in (self.stdout, self.stderr) if stream is not None]
        if outputs and all(stream._ended for stream in outputs):
            self._popen._child_created = False

    async def _open_streams(self):
        for name, fd in self._popen.pipes():
            if name == "stdin":
                self.stdin = await open_writer(fd, self._loop)
            else:
                setattr(self, name, StreamReader(fd, self._loop))

    @property
    def returncode(self):
        """The return code once the child has ended, negative for a signal; None before."""
        return self._popen.poll()

    @property
    def usage(self):
        """What the child used, once it has ended and was waited for."""
        return self._popen.usage

    async def wait(self):
        """Waits for the end and returns the return code. The child runs on when the await is cancelled.

        Raises the ``OSError`` of a start that was not waited for, see ``create_subprocess_exec``; ``returncode`` is 127 then.
        """
        popen = self._popen
        if popen.returncode is None:
            ends = ends_of(self._loop)
            end = ends.add(popen._child, self._loop)
            try:
                popen.returncode = await end
            except asyncio.CancelledError:
                ends.forget(popen._child, end)
                raise
            except OSError as error:
                popen.fail(error)
        if popen.failure is not None:
            raise popen.failure
        return popen.returncode

    def _alive(self):
        if self._popen.poll() is not None:
            raise NoProcessError()

    def send_signal(self, signal):
        """Sends a signal; ``ProcessLookupError`` when the child has ended."""
        self._alive()
        self._popen.send_signal(signal)

    def terminate(self):
        """Sends SIGTERM."""
        self._alive()
        self._popen.terminate()

    def kill(self):
        """Sends SIGKILL."""
        self._alive()
        self._popen.kill()

    async def stop(self, grace=5.0, *, steps=None, tree=None):
        """Ends the child as ``Popen.stop`` does and returns its ``StopReport``. Cancelling the await kills the child."""
        return (await stop_together([self], ladder(steps, grace, self.stdin), tree))[0]

    async def kill_tree(self):
        """Kills the child and all its descendants with the strongest means there is. Returns a ``StopReport``."""
        return (await stop_together([self], [("kill", 10.0)], True))[0]

    async def _feed(self, input):
        if input is not None:
            if len(input) > BLOCK and not self.stdin.is_closing():
                enlarge(self.stdin.get_extra_info("pipe").fileno())
            self.stdin.write(input)
            try:
                await self.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                pass  # the child does not want it
        self.stdin.close()

    async def communicate(self, input=None):
        """Feeds ``input``, reads both pipes to their end, waits, and returns ``(stdout, stderr)``; None where there is no pipe."""
        async def nothing():
            return None

        if input is not None and self.stdin is not None and not isinstance(input, (bytes, bytearray, memoryview)):
            raise TypeError(f"a bytes-like object is required, not '{type(input).__name__}' (input = {shown(input)}, expected bytes)")
        feeding = self._feed(input) if self.stdin is not None else nothing()
        reading = [nothing() if stream is None else stream.read() for stream in (self.stdout, self.stderr)]
        _, stdout, stderr = await asyncio.gather(feeding, *reading)
        await self.wait()
        return stdout, stderr


async def stop_together(processes, plan, tree):
    """Stops processes together, on a thread of the core."""
    children = [process._popen._child for process in processes]
    reports = await result_of(lambda hub, number: _native.stop_async(hub, number, children, plan, tree))
    for process in processes:
        process._popen.poll()
    return [StopReport(**report) for report in reports]


class _Started(Popen):
    """A child whose pipes stay descriptors, for streams of the loop."""

    piped = False
    # Why the program was not executed, where the start did not wait for that. Its process ended with 127 then.
    failure = None
    _given = {}
    _spawn = staticmethod(_native.spawn_from_loop)

    @classmethod
    def plain(cls, args, stdin, stdout, stderr):
        """As the constructor, for streams alone: its many parameters would cost more than the rest."""
        self = cls.__new__(cls)
        self.args, self.pipesize = args, -1
        options = None
        if not (stdin is stdout is stderr is None):
            options = streams({"stdin": stdin, "stdout": stdout, "stderr": stderr})
            self.piped = PIPE in options.values()
        sys.audit("subprocess.Popen", args[0], args, None, None)
        try:
            child = self._child = self._spawn(args, options)
        except OSError as error:
            raise start_error(error, args, {})
        self._child_created = True
        self.pid = child.pid
        return self

    def _execute_child(self, args, given, channel, bufsize):
        self._given = given
        super()._execute_child(args, given, channel, bufsize)

    def fail(self, error):
        """Notes the error of a start that was not waited for; any other error of a wait is raised."""
        if getattr(error, "stage", None) is None:
            raise error
        given = self._given
        argv = argument_vector(self.args, given.get("shell", False), given.get("executable"))
        self.failure, self.returncode = start_error(error, argv, given), 127

    def poll(self):
        """The return code if the child has ended, else None."""
        try:
            return super().poll()
        except OSError as error:
            self.fail(error)
            return self.returncode

    def __del__(self):
        # One that has ended is nothing to warn of: asyncio's, too, need not be waited for once their output was read.
        if self._child_created and self.returncode is None:
            try:
                self.poll()
            except (OSError, RuntimeError):
                pass  # its status is somebody else's; it is warned of
            super().__del__()

    def _open_files(self, options, bufsize, _ends):
        self.piped = PIPE in options.values()

    def pipes(self):
        """Name and descriptor of each pipe, once."""
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            fd = self._child.take_fd(number)
            if fd is not None:
                yield name, fd


class _Given(_Started):
    """A child that ``Popen`` started with unbuffered files."""

    def __init__(self, popen):
        self.__dict__.update(popen.__dict__)
        popen.returncode = -1  # it gives the child away, and must not warn of it

    def pipes(self):
        for name in ("stdin", "stdout", "stderr"):
            file = self.__dict__.pop(name, None)
            if file is not None:
                fd = os.dup(file.fileno())
                file.close()
                yield name, fd


_REFUSED = (("universal_newlines", False), ("bufsize", 0), ("text", False), ("encoding", None), ("errors", None))


def create(args, stdin, stdout, stderr, kwds):
    """The process of a child of ``create_subprocess_*``; to be opened if it is ``piped``."""
    if not kwds:
        return Process(_Started.plain(args, stdin, stdout, stderr), asyncio.get_running_loop())
    for name, only in _REFUSED:
        if kwds.pop(name, only) not in (only, None):
            raise ValueError(f"{name} must be {only}")
    popen = _Started(args, 0, stdin=stdin, stdout=stdout, stderr=stderr, **kwds)
    return Process(popen, asyncio.get_running_loop())


async def opened(process):
    """The process with its streams."""
    try:
        await process._open_streams()
    except BaseException:
        # Nobody will ever hold this child.
        process._popen.kill()
        process._popen.wait()
        raise
    return process


async def adopt(popen, loop):
    """The process of a child that ``Popen`` has just started."""
    return await opened(Process(_Given(popen), loop))
