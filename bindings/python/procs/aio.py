"""``procs`` for asyncio: the same names, awaitable, and ``create_subprocess_exec`` and ``create_subprocess_shell``.

Runs are driven by the core; the event loop is woken through one descriptor, and no thread touches the interpreter. Cancelling the
await of ``run`` and its relatives ends the child (with ``kill_tree`` its tree) before the cancellation goes on its way. The methods of
``Process`` leave the child alone when they are cancelled, as asyncio's do: ``wait_for(process.wait(), 1)`` asks and does not kill.
"""

import asyncio
import inspect
import os
import weakref

from . import _channel, _native, _options, _pipeline
from ._aio_streams import StreamReader, open_writer
from ._channel import AsyncChannel
from ._errors import NoProcessError
from ._many import Job
from ._options import DEVNULL, PIPE, STDOUT
from ._plan import Plan, checked, named, redirect
from ._popen import Popen, ladder
from ._records import StopReport
from ._run import output_options

__all__ = [
    "AsyncChannel", "DEVNULL", "PIPE", "Pipeline", "PipelineChild", "Process", "STDOUT", "StreamReader", "call", "check_call", "check_output", "create_subprocess_exec",
    "create_subprocess_shell", "fork", "getoutput", "getstatusoutput", "parent_channel", "run", "run_many", "wait", "wait_any",
]


class _Runs:
    """The runs of one event loop, and the descriptor through which the core rings."""

    def __init__(self, loop):
        self._loop = weakref.ref(loop)
        self._hub = _native.Hub()
        self._pending = {}
        self._number = 0

    def start(self, make):
        """Starts what ``make(hub, number)`` prepares; its number and the future of what the core hands over."""
        loop = self._loop()
        self._number += 1
        number = self._number
        native = make(self._hub, number)
        future = loop.create_future()
        if not self._pending:
            loop.add_reader(self._hub.fileno(), self._ring)
        self._pending[number] = (native, future)
        self._poll(number)
        return number, future

    def cancel(self, number):
        """Ends a run as its deadline would; its future then tells that it was cancelled."""
        native, _ = self._pending.get(number, (None, None))
        if native is not None:
            native.cancel()

    async def stop(self, number):
        """Ends a run whose future nobody awaits any more, and waits for that whatever else is cancelled."""
        native, _ = self._pending.get(number, (None, None))
        if native is None:
            return
        ended = self._loop().create_future()
        self._pending[number] = (native, ended)
        native.cancel()
        while not ended.done():
            try:
                await asyncio.shield(ended)
            except asyncio.CancelledError:
                continue
            except Exception:
                break

    def _ring(self):
        for number in set(self._hub.take()):
            self._poll(number)

    def _poll(self, number):
        native, future = self._pending.get(number, (None, None))
        if native is None:
            return
        try:
            result = native.poll()
        except Exception as error:
            self._finish(number)
            if not future.done():
                future.set_exception(error)
            return
        if result is not None:
            self._finish(number)
            if not future.done():
                future.set_result(result)

    def _finish(self, number):
        del self._pending[number]
        if not self._pending:
            self._loop().remove_reader(self._hub.fileno())


_loops = weakref.WeakKeyDictionary()


def _runs():
    loop = asyncio.get_running_loop()
    found = _loops.get(loop)
    if found is None or found[0] != os.getpid():
        found = _loops[loop] = (os.getpid(), _Runs(loop))
    return found[1]


async def _result(make, cancel=None):
    """What the core hands over for a run or job, which ends when this is cancelled or ``cancel``, the caller's own handle, is."""
    runs, loop = _runs(), asyncio.get_running_loop()
    if cancel is not None and not isinstance(cancel, _native.CancelHandle):
        raise TypeError(f"cancel must be a CancelHandle, not {type(cancel).__name__}")
    number, future = runs.start(make)
    if cancel is not None:
        loop.add_reader(cancel.fileno(), runs.cancel, number)
    try:
        return await future
    except asyncio.CancelledError:
        await runs.stop(number)
        raise
    finally:
        if cancel is not None:
            loop.remove_reader(cancel.fileno())


async def _await(plan):
    """What the core hands over for a plan."""
    plan.audit()
    cancel = plan.options.pop("cancel", None)
    try:
        return await _result(lambda hub, number: _native.run_async(hub, number, plan.argv, plan.options), cancel)
    except OSError as error:
        raise plan.start_error(error)


async def run(*popenargs, input=None, capture_output=False, timeout=None, check=False, **kwargs):
    """``procs.run``, awaitable, with the same arguments, result and errors. The start itself happens on a thread of the core."""
    args = named(popenargs, kwargs)
    redirect(kwargs, input, capture_output)
    plan = Plan(args, kwargs, input, timeout)
    done = plan.captured(*await _await(plan))
    return checked(done) if check else done


async def call(*popenargs, timeout=None, **kwargs):
    """``procs.call``, awaitable."""
    return (await run(*popenargs, timeout=timeout, **kwargs)).returncode


async def check_call(*popenargs, timeout=None, **kwargs):
    """``procs.check_call``, awaitable."""
    await run(*popenargs, timeout=timeout, check=True, **kwargs)
    return 0


async def check_output(*popenargs, timeout=None, **kwargs):
    """``procs.check_output``, awaitable."""
    return (await run(*popenargs, stdout=PIPE, timeout=timeout, check=True, **output_options(kwargs))).stdout


async def getstatusoutput(cmd, *, encoding=None, errors=None):
    """``procs.getstatusoutput``, awaitable."""
    done = await run(cmd, shell=True, text=True, stdout=PIPE, stderr=STDOUT, encoding=encoding, errors=errors)
    return done.returncode, done.stdout.removesuffix("\n")


async def getoutput(cmd, *, encoding=None, errors=None):
    """``procs.getoutput``, awaitable."""
    return (await getstatusoutput(cmd, encoding=encoding, errors=errors))[1]


async def run_many(commands, jobs=None, progress=None, **options):
    """``procs.run_many``, awaitable. Cancelling the await ends all children."""
    made = [Job(command, options) for command in commands]
    free = asyncio.Semaphore(len(os.sched_getaffinity(0)) if jobs is None else int(jobs))

    async def one(index, job):
        async with free:
            try:
                item = job.item(await _await(job.plan))
            except Exception as error:
                item = error
            if progress is not None:
                progress(index, item)
            return item

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(index, job)) for index, job in enumerate(made)]
    return [task.result() for task in tasks]


class Process:
    """A child started by ``create_subprocess_exec``, shaped like ``asyncio.subprocess.Process``, with ``stop``, ``kill_tree`` and
    ``usage`` besides."""

    def __init__(self, popen, loop):
        self._popen = popen
        self._loop = loop
        self._waiters = []
        self.stdin = self.stdout = self.stderr = None
        self.pid = popen.pid

    def __repr__(self):
        return f"<Process {self.pid}>"

    async def _open_streams(self):
        popen = self._popen
        for name in ("stdout", "stderr"):
            file = getattr(popen, name)
            if file is not None:
                setattr(self, name, StreamReader(os.dup(file.fileno()), self._loop))
                file.close()
        if popen.stdin is not None:
            fd = os.dup(popen.stdin.fileno())
            popen.stdin.close()
            self.stdin = await open_writer(fd, self._loop)

    @property
    def returncode(self):
        """The return code once the child has ended, negative for a signal; None before."""
        return self._popen.poll()

    @property
    def usage(self):
        """What the child used, once it has ended and was waited for."""
        return self._popen.usage

    async def wait(self):
        """Waits for the end and returns the return code. The child runs on when the await is cancelled."""
        if self._popen.poll() is None:
            if not self._waiters:
                self._loop.add_reader(self._popen.fileno(), self._ended)
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                    if not self._waiters:
                        self._loop.remove_reader(self._popen.fileno())
        return self._popen.returncode

    def _ended(self):
        if self._popen.poll() is None:
            return
        self._loop.remove_reader(self._popen.fileno())
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

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
        return (await _stop([self], ladder(steps, grace, self.stdin), tree))[0]

    async def kill_tree(self):
        """Kills the child and all its descendants with the strongest means there is. Returns a ``StopReport``."""
        return (await _stop([self], [("kill", 10.0)], True))[0]

    async def _feed(self, input):
        if input is not None:
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

        feeding = self._feed(input) if self.stdin is not None else nothing()
        reading = [nothing() if stream is None else stream.read() for stream in (self.stdout, self.stderr)]
        _, stdout, stderr = await asyncio.gather(feeding, *reading)
        await self.wait()
        return stdout, stderr


async def _stop(processes, plan, tree):
    """Stops processes together, on a thread of the core."""
    children = [process._popen._child for process in processes]
    reports = await _result(lambda hub, number: _native.stop_async(hub, number, children, plan, tree))
    for process in processes:
        process._popen.poll()
    return [StopReport(**report) for report in reports]


async def _create(args, kwds):
    for name, only in (("universal_newlines", False), ("bufsize", 0), ("text", False), ("encoding", None), ("errors", None)):
        if kwds.pop(name, only) not in (only, None):
            raise ValueError(f"{name} must be {only}")
    kwds.pop("limit", None)
    loop = asyncio.get_running_loop()
    return await _adopt(Popen(args, bufsize=0, **kwds), loop)


async def _adopt(popen, loop):
    """The process of a child that was just started."""
    try:
        process = Process(popen, loop)
        await process._open_streams()
    except BaseException:
        # Nobody will ever hold this child.
        popen.kill()
        popen.wait()
        raise
    return process


async def create_subprocess_exec(program, *args, stdin=None, stdout=None, stderr=None, limit=None, **kwds):
    """Starts a program; a ``Process`` with asyncio's shape. ``limit`` is accepted and not needed: no line is too long.

    The other keyword arguments are those of ``Popen``. The child is started at once, within the call.
    """
    for arg in (program, *args):
        if not isinstance(arg, (str, bytes, os.PathLike)):
            raise TypeError(f"program arguments must be a bytes or text string, not {type(arg).__name__}")
    if kwds.pop("shell", False):
        raise ValueError("shell must be False")
    return await _create([program, *args], {"stdin": stdin, "stdout": stdout, "stderr": stderr, **kwds})


async def create_subprocess_shell(cmd, stdin=None, stdout=None, stderr=None, limit=None, **kwds):
    """Starts a command line in a shell; a ``Process`` with asyncio's shape."""
    if not isinstance(cmd, (bytes, str)):
        raise ValueError("cmd must be a string")
    if not kwds.pop("shell", True):
        raise ValueError("shell must be True")
    return await _create(cmd, {"stdin": stdin, "stdout": stdout, "stderr": stderr, "shell": True, **kwds})


async def wait_any(processes, timeout=None):
    """Waits until one of the processes has ended, at most ``timeout`` seconds, and returns it; None when the time passed."""
    tasks = {asyncio.ensure_future(process.wait()): process for process in processes}
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    return next((process for task, process in tasks.items() if task in done), None)


class PipelineChild:
    """A running pipeline: ``children`` (a ``Process`` for each stage), ``stdin`` of the first, ``stdout`` of the last."""

    def __init__(self, children):
        self.children = children
        self.stdin = children[0].stdin
        self.stdout = children[-1].stdout

    def __repr__(self):
        return f"<PipelineChild: returncodes: {self.returncodes!r}>"

    @property
    def returncodes(self):
        """The return codes of all stages; None for those that run."""
        return [child.returncode for child in self.children]

    async def wait(self):
        """Closes the pipe to the first stage, waits for every stage, and returns their codes."""
        if self.stdin is not None:
            self.stdin.close()
        return list(await asyncio.gather(*(child.wait() for child in self.children)))

    def kill(self):
        """Sends SIGKILL to every stage that runs."""
        for child in self.children:
            if child.returncode is None:
                child.kill()

    async def stop(self, grace=5.0, *, steps=None, tree=None):
        """Ends all stages together, as ``Popen.stop`` ends one child. Returns a ``StopReport`` for each."""
        return await _stop(self.children, ladder(steps, grace, self.stdin), tree)


class Pipeline(_pipeline.Pipeline):
    """``procs.Pipeline``, awaitable: programs joined by pipes of the system, without a shell."""

    async def run(self, **options):
        """``procs.Pipeline.run``, awaitable, with the same keyword arguments, result and errors. Cancelling ends all stages."""
        inspect.signature(_pipeline.Pipeline.run).bind(self, **options)
        stages, options, result = self._prepared(options)
        cancel = options.pop("cancel", None)
        return result(await _result(lambda hub, number: _native.run_pipeline_async(hub, number, stages, options), cancel))

    async def spawn(self, *, stdin=None, stdout=None, stderr=None, kill_tree=False):
        """Starts all stages and returns a ``PipelineChild``, whose streams are asyncio's."""
        loop = asyncio.get_running_loop()
        running = super().spawn(stdin=stdin, stdout=stdout, stderr=stderr, bufsize=0, kill_tree=kill_tree)
        return PipelineChild([await _adopt(popen, loop) for popen in running.children])


async def fork(program, *args, codec="json", channel=None, **options):
    """``procs.fork`` for an event loop: the process, whose ``channel`` is an ``AsyncChannel``."""
    popen = _channel.fork(program, *args, codec=codec, channel=channel, bufsize=0, **options)
    process = await _adopt(popen, asyncio.get_running_loop())
    process.channel = AsyncChannel(popen.channel)
    return process


def parent_channel(*, codec="json", **options):
    """The channel to the parent, once in a process, as an ``AsyncChannel``."""
    return AsyncChannel(_native.parent_channel(codec=codec, **options))


_WAITS = {
    _native.SharedMutex: "_acquire_async", _native.SharedSemaphore: "_acquire_async", _native.SharedEvent: "_wait_async",
    _native.SharedBarrier: "_wait_async",
}


async def wait(lock, timeout=None, *, how=None):
    """Awaits a lock of shared memory without blocking the loop: takes a ``SharedMutex`` or ``SharedSemaphore``, waits for a
    ``SharedEvent`` or at a ``SharedBarrier``, takes a ``SharedRwLock`` with ``how="read"`` or ``"write"``.

    Gives what the blocking call gives; raises ``TimedOutError`` when the time is over. The thread of the loop then holds the lock.
    """
    name = {"read": "_read_async", "write": "_write_async"}[how] if how else _WAITS.get(type(lock))
    if name is None or not hasattr(lock, name):
        raise TypeError(f"a lock of shared memory is expected (lock = {lock!r}, how = {how!r})")
    return await _result(lambda hub, number: getattr(lock, name)(hub, number, timeout))
