"""The scenarios' face on an event loop: blocking calls around `procs.aio`, or around asyncio's own subprocesses with `peer`."""

import asyncio
import subprocess
import types


class Child:
    """A process of the loop with the methods that the scenarios call."""

    def __init__(self, loop, process):
        self._loop, self.process = loop, process
        self.pid = process.pid
        if process.stdout is not None:
            self.stdout = Stdout(loop, process.stdout)

    returncode = property(lambda self: self.process.returncode)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wait()

    def wait(self):
        return self._loop.run(self.process.wait())

    def kill(self):
        self.process.kill()

    def stop(self, **how):
        return self._loop.run(self.process.stop(**how))

    def lines(self):
        return self._loop.run(gathered(self.process.stdout.lines()))


class Stdout:
    """A stream of the loop as a file."""

    def __init__(self, loop, stream):
        self._loop, self._stream = loop, stream

    def __iter__(self):
        return iter(self._loop.run(gathered(self._stream)))

    def read(self):
        return self._loop.run(self._stream.read())

    def readline(self):
        return self._loop.run(self._stream.readline())


async def gathered(stream):
    return [item async for item in stream]


async def recipe(args, input=None, capture_output=False, timeout=None, check=False, shell=False, **options):
    """What a program writes that wants `subprocess.run` from asyncio."""
    if capture_output:
        options["stdout"] = options["stderr"] = subprocess.PIPE
    if input is not None:
        options["stdin"] = subprocess.PIPE
    start = asyncio.create_subprocess_shell(args, **options) if shell else asyncio.create_subprocess_exec(*args, **options)
    process = await start
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(input), timeout)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise subprocess.TimeoutExpired(args, timeout) from None
    if check and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, args, stdout, stderr)
    return subprocess.CompletedProcess(args, process.returncode, stdout, stderr)


def face(peer):
    """The module that the scenarios use, on a loop of its own that lasts as long as the program."""
    loop = asyncio.Runner()
    if peer:
        package, module, run = subprocess, asyncio, recipe
    else:
        import procs as package
        import procs.aio as module
        run = module.run

    def popen(args, **options):
        return Child(loop, loop.run(module.create_subprocess_exec(*args, **options)))

    made = types.SimpleNamespace(**{name: getattr(package, name) for name in package.__all__})
    made.run = lambda args, **options: loop.run(run(args, **options))
    made.Popen = popen
    if not peer:
        made.run_many = lambda commands, **options: loop.run(module.run_many(commands, **options))
        made.wait_any = lambda children: first(children, loop.run(module.wait_any([child.process for child in children])))
        made.Pipeline = lambda *stages: types.SimpleNamespace(run=lambda: loop.run(module.Pipeline(*stages).run()))
    return made


def first(children, process):
    return next(child for child in children if child.process is process)
