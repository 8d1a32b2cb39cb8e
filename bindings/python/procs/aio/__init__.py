"""``procs`` for asyncio: the same names, awaitable, and ``create_subprocess_exec`` and ``create_subprocess_shell``.

Runs are driven by the core; the event loop is woken through one descriptor, and no thread touches the interpreter. Cancelling the
await of ``run`` and its relatives ends the child (with ``kill_tree`` its tree) before the cancellation goes on its way. The methods of
``Process`` leave the child alone when they are cancelled, as asyncio's do: ``wait_for(process.wait(), 1)`` asks and does not kill.

Whatever else asyncio has is here as well, asyncio's own, so that one import serves: ``from procs import aio as asyncio``. ``run`` of a
coroutine and ``wait`` for tasks are asyncio's too.
"""

import asyncio
import contextlib
import inspect
import weakref
from collections.abc import Iterable

from . import subprocess
from .. import _channel, _native, _pipeline
from .._aio_channel import AsyncChannel
from .._aio_loop import result_of as _result
from .._aio_process import Process, adopt, create, opened, stop_together
from .._aio_streams import StreamReader
from .._arguments import seconds, shown
from .._errors import InvalidArgumentError, InvalidStateError, TimedOutError
from .._many import prepared
from .._options import DEVNULL, PIPE, STDOUT
from .._plan import Plan, checked, named, redirect
from .._run import output_options
from .._stop import ladder

__all__ = [
    "AsyncChannel", "DEVNULL", "PIPE", "Pipeline", "PipelineChild", "Process", "STDOUT", "StreamReader", "call", "check_call", "check_output", "create_subprocess_exec",
    "create_subprocess_shell", "fork", "getoutput", "getstatusoutput", "held", "parent_channel", "run", "run_many", "subprocess", "wait", "wait_any",
]


async def _await(plan):
    """What the core hands over for a plan."""
    plan.audit()
    cancel = plan.options.pop("cancel", None)
    try:
        return await _result(lambda hub, number: _native.run_async(hub, number, plan.argv, plan.options), cancel)
    except OSError as error:
        raise plan.start_error(error)


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(f"module 'procs.aio' has no attribute {name!r}")
    return getattr(asyncio, name)


def run(*popenargs, **kwargs):
    """``procs.run``, awaitable, with the same arguments, result and errors. The start itself happens on a thread of the core.

    Given a coroutine, it is ``asyncio.run``.
    """
    main = popenargs[0] if popenargs else kwargs.get("main")
    return asyncio.run(*popenargs, **kwargs) if inspect.iscoroutine(main) else _run(*popenargs, **kwargs)


async def _run(*popenargs, input=None, capture_output=False, timeout=None, check=False, **kwargs):
    args = named(popenargs, kwargs)
    redirect(kwargs, input, capture_output)
    plan = Plan(args, kwargs, input, timeout)
    done = plan.captured(*await _await(plan))
    return checked(done) if check else done


run.__signature__ = inspect.signature(_run)


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
    made, jobs = prepared(commands, jobs, progress, None, options)
    free = asyncio.Semaphore(jobs)

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


async def create_subprocess_exec(program, *args, stdin=None, stdout=None, stderr=None, limit=None, **kwds):
    """Starts a program; a ``Process`` with asyncio's shape. ``limit`` is accepted and not needed: no line is too long.

    The other keyword arguments are those of ``Popen``. The child is started at once, within the call, which waits until the program
    is executing, unless this process has executed it before and its file is unchanged since: then the loop goes on while the kernel
    loads it. Should it not be executed this time, ``wait`` and ``communicate`` raise the ``OSError``, and ``returncode`` is 127.
    """
    if kwds and kwds.pop("shell", False):
        raise ValueError("shell must be False")
    process = create([program, *args], stdin, stdout, stderr, kwds)
    return await opened(process) if process._popen.piped else process


async def create_subprocess_shell(cmd, stdin=None, stdout=None, stderr=None, limit=None, **kwds):
    """Starts a command line in a shell; a ``Process`` with asyncio's shape."""
    if not isinstance(cmd, (bytes, str)):
        raise ValueError("cmd must be a string")
    if not kwds.pop("shell", True):
        raise ValueError("shell must be True")
    process = create(cmd, stdin, stdout, stderr, {"shell": True, **kwds})
    return await opened(process) if process._popen.piped else process


async def wait_any(processes, timeout=None):
    """Waits until one of the processes has ended, at most ``timeout`` seconds, and returns it; None when the time passed."""
    try:
        processes = list(processes)
        waits = [process.wait for process in processes]
    except (AttributeError, TypeError, ValueError):
        raise TypeError(f"wait_any: not processes (processes = {shown(processes)}, expected a list of Process)") from None
    timeout = seconds(timeout)
    if not processes:
        raise InvalidArgumentError("wait_any: no processes (processes = [], expected at least one)")
    tasks = {asyncio.ensure_future(wait()): process for process, wait in zip(processes, waits)}
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    return next((process for task, process in tasks.items() if task in done), None)


class PipelineChild(_pipeline.Stages):
    """A running pipeline: ``children`` (a ``Process`` for each stage), ``stdin`` of the first, ``stdout`` of the last."""

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
        return await stop_together(self.children, ladder(steps, grace, self.stdin), tree)


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
        return PipelineChild([await adopt(popen, loop) for popen in running.children])


async def fork(program, *args, codec="json", wire="auto", channel=None, **options):
    """``procs.fork`` for an event loop: the process, whose ``channel`` is an ``AsyncChannel``."""
    popen = _channel.fork(program, *args, codec=codec, wire=wire, channel=channel, bufsize=0, **options)
    process = await adopt(popen, asyncio.get_running_loop())
    process.channel = AsyncChannel(popen.channel)
    return process


def parent_channel(*, codec="json", **options):
    """The channel to the parent, once in a process, as an ``AsyncChannel``."""
    return AsyncChannel(_native.parent_channel(codec=codec, **options))


async def wait(lock, timeout=None, *, how=None, return_when=asyncio.ALL_COMPLETED):
    """Awaits a lock of shared memory without blocking the loop: takes a ``SharedMutex``, ``SharedSemaphore`` or a side of a ``SharedRwLock``
    (``lock.read``, ``lock.write``, or the lock itself with ``how="read"`` or ``"write"``), waits for a ``SharedEvent`` or at a
    ``SharedBarrier``, begins a ``SharedOnce``.

    Gives what the blocking call gives; raises ``TimedOutError`` when the time is over. The thread of the loop then holds the lock.
    Given tasks or futures, it is ``asyncio.wait``.
    """
    if isinstance(lock, Iterable):
        return await asyncio.wait(lock, timeout=timeout, return_when=return_when)
    if how not in (None, "read", "write"):
        raise ValueError(f"wait: no such side of a lock (how = {shown(how)}, expected \"read\", \"write\" or None)")
    if how is not None:
        lock = getattr(lock, how, None)
    if not hasattr(lock, "_wait_async"):
        raise TypeError(f"wait: cannot be waited for (lock = {shown(lock)}, how = {how!r}, expected a lock of shared memory, or tasks)")
    return await _result(lambda hub, number: lock._wait_async(hub, number, timeout), undo=lambda taken: _let_go(lock, taken))


def _let_go(lock, taken):
    """Gives back what was taken for somebody who was cancelled at the same moment."""
    if taken and hasattr(lock, "release"):
        lock.release()
    elif taken and hasattr(lock, "finish"):
        lock.finish(failed=True)


# For each loop the tasks that hold something through ``held``, each with the future that tells when it has let go.
_holders = weakref.WeakKeyDictionary()


async def _taken(lock, timeout, holders):
    """As ``wait``, also for a mutex that another task of this loop has: for the core the one who has it is this very thread."""
    loop = asyncio.get_running_loop()
    end = None if timeout is None else loop.time() + timeout
    left = timeout
    while True:
        try:
            return await wait(lock, left)
        except InvalidStateError:
            others = [released for task, released in holders if task is not asyncio.current_task()]
            if not others:
                raise
            left = None if end is None else max(0, end - loop.time())
            if not (await asyncio.wait(others, timeout=left, return_when=asyncio.FIRST_COMPLETED))[0]:
                raise TimedOutError(f"held: another task did not let go in time (lock = {lock!r}, timeout = {timeout})") from None
            left = None if end is None else max(0, end - loop.time())


@contextlib.asynccontextmanager
async def held(lock, timeout=None):
    """``async with aio.held(lock):`` has a ``SharedMutex``, a ``SharedSemaphore`` or a side of a ``SharedRwLock``, and lets it go. Tasks of one loop
    that want a mutex have it one after the other; a task that has it already gets ``InvalidStateError``."""
    if not hasattr(lock, "release"):
        raise TypeError(f"held: cannot be held (lock = {shown(lock)}, expected a SharedMutex, a SharedSemaphore, or read or write of a SharedRwLock)")
    _native.check_limit(timeout)
    loop = asyncio.get_running_loop()
    holders = _holders.setdefault(loop, set())
    await _taken(lock, timeout, holders)
    holder = (asyncio.current_task(), loop.create_future())
    holders.add(holder)
    try:
        yield lock
    finally:
        holders.discard(holder)
        lock.release()
        if not loop.is_closed():
            holder[1].set_result(None)
