"""Programs with an event loop."""

import asyncio

from common import aio, code, snippet, subprocess


async def told(*command, **more):
    """A child of the loop and what it said."""
    child = await aio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    out, err = await child.communicate()
    return child.returncode, out, err


@snippet
def asyncio_communicate():
    async def main():
        print(await told("sh", "-c", "echo out; echo err >&2; exit 3"))
        child = await aio.create_subprocess_shell("cat; exit 2", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        print(await child.communicate(b"fed"), child.returncode)
        print(await (await aio.create_subprocess_exec("true")).wait())
    asyncio.run(main())


@snippet
def asyncio_gather():
    async def main():
        print(await asyncio.gather(*(told("sh", "-c", f"echo {n}; exit {n}") for n in range(30))))
    asyncio.run(main())


@snippet
def asyncio_lines():
    async def main():
        child = await aio.create_subprocess_exec("sh", "-c", "echo one; echo two; printf three", stdout=subprocess.PIPE)
        async for line in child.stdout:
            print(line)
        print(await child.wait(), child.stdout.at_eof(), await child.stdout.read(), await child.stdout.readline())
        child = await aio.create_subprocess_exec("printf", "abc\\ndef", stdout=subprocess.PIPE)
        print(await child.stdout.readexactly(2), await child.stdout.readuntil(b"\n"))
        try:
            await child.stdout.readexactly(10)
        except asyncio.IncompleteReadError as error:
            print(error, error.partial)
        print(await child.wait())
    asyncio.run(main())


@snippet
def asyncio_wait_for():
    async def main():
        child = await aio.create_subprocess_exec("sleep", "30")
        try:
            await asyncio.wait_for(child.wait(), 0.1)
        except asyncio.TimeoutError:
            print("timed out", child.returncode)
            child.kill()
        print(await child.wait(), child.returncode)
        for send in (child.kill, child.terminate, lambda: child.send_signal(1)):
            try:
                send()
            except ProcessLookupError as error:
                print(type(error).__mro__[-4].__name__, error)
    asyncio.run(main())


@snippet
def asyncio_talk():
    async def main():
        child = await aio.create_subprocess_exec(*code("for line in iter(input, 'end'): print(line[::-1], flush=True)"),
                                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for word in (b"abc", b"def"):
            child.stdin.write(word + b"\n")
            await child.stdin.drain()
            print(await child.stdout.readline())
        child.stdin.write(b"end\n")
        child.stdin.close()
        await child.stdin.wait_closed()
        print(child.stdin.is_closing(), await child.wait())
    asyncio.run(main())


@snippet
def asyncio_errors():
    async def main():
        for call in (
            lambda: aio.create_subprocess_exec("no such program"), lambda: aio.create_subprocess_exec("true", shell=True),
            lambda: aio.create_subprocess_exec("true", text=True), lambda: aio.create_subprocess_exec(["true"]),
            lambda: aio.create_subprocess_shell(["true"]), lambda: aio.create_subprocess_exec("true", bufsize=1),
            lambda: aio.create_subprocess_exec("true", cwd="/nowhere"), lambda: aio.create_subprocess_exec("true", encoding="utf-8"),
            lambda: aio.create_subprocess_shell("true", universal_newlines=True), lambda: aio.create_subprocess_exec("true", nonsense=1),
            lambda: aio.create_subprocess_exec("true", errors="strict"), lambda: aio.create_subprocess_shell("true", shell=False),
        ):
            try:
                print("started", await (await call()).wait())
            except Exception as error:
                print([base.__name__ for base in type(error).__mro__ if base.__module__ == "builtins"][0], str(error).split("Popen.", 1)[-1])
    asyncio.run(main())


@snippet
def asyncio_cancelled_task():
    async def main():
        child = await aio.create_subprocess_exec("sleep", "30", stdout=subprocess.PIPE)
        task = asyncio.create_task(child.communicate())
        await asyncio.sleep(0.05)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled", child.returncode)
        child.terminate()
        print(await child.wait(), await child.stdout.read())
    asyncio.run(main())


@snippet
def asyncio_with_threads():
    async def main():
        loop = asyncio.get_running_loop()
        codes = await asyncio.gather(*(loop.run_in_executor(None, lambda n=n: subprocess.run(["sh", "-c", f"exit {n}"]).returncode)
                                       for n in range(8)), told("echo", "beside"))
        print(codes)

    async def limited():
        free = asyncio.Semaphore(3)

        async def one(n):
            async with free:
                return (await told("echo", str(n)))[1]
        print(await asyncio.gather(*(one(n) for n in range(9))))
    asyncio.run(main())
    asyncio.run(limited())


@snippet
def asyncio_by_one_import():
    """Nothing is named but `aio`, which a program may import as asyncio."""
    async def run(cmd):
        child = await aio.create_subprocess_shell(cmd, stdout=aio.subprocess.PIPE, stderr=aio.subprocess.STDOUT)
        out, _ = await child.communicate()
        return child.returncode, out

    async def main():
        print(await aio.gather(run("echo one; exit 1"), run("echo two >&2")))
        child = await aio.subprocess.create_subprocess_exec("sleep", "60", stdin=aio.subprocess.DEVNULL)
        print(isinstance(child, aio.subprocess.Process))
        try:
            await aio.wait_for(child.wait(), 0.05)
        except aio.TimeoutError:
            child.kill()
        print(await child.wait())
        tasks = [aio.create_task(run(f"exit {code}")) for code in (3, 4)]
        done, rest = await aio.wait(tasks, timeout=60, return_when=aio.ALL_COMPLETED)
        print(sorted(task.result() for task in done), rest)
        queue = aio.Queue()
        await queue.put(await run("printf queued"))
        async with aio.Lock(), aio.timeout(60):
            print(await queue.get())
        return "over"

    print(aio.run(main()), aio.iscoroutinefunction(main))
    try:
        aio.no_such_name
    except AttributeError as error:
        print(type(error).__name__)
