"""Checked by mypy --strict, not run: what is typed with the names of subprocess, asyncio and multiprocessing is typed with those of procs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import procs as subprocess
from procs import Array, Lock, Value
from procs import aio as asyncio
from procs.aio.subprocess import PIPE, Process


def run_text(command: list[str]) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def run_bytes(command: Sequence[str | os.PathLike[str]], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, timeout=3)


def either(done: subprocess.CompletedProcess[str | bytes]) -> str | bytes:
    return done.stdout


def made(code: int) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = subprocess.CompletedProcess(args=["a"], returncode=code, stdout="x", stderr="")
    done.check_returncode()
    return done


def lines(command: str) -> Iterator[str]:
    child: subprocess.Popen[str] = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert child.stdout is not None
    out: IO[str] = child.stdout
    yield from iter(out.readline, "")
    if code := child.wait():
        raise subprocess.CalledProcessError(code, command, output="a", stderr="b")


class Runner:
    """As wrappers are typed."""

    child: subprocess.Popen[bytes] | None = None

    def start(self, *args: str, **options: Any) -> None:
        self.child = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)

    def talk(self, data: bytes) -> tuple[bytes, bytes]:
        assert self.child is not None
        return self.child.communicate(data, timeout=5)

    def stop(self) -> int | None:
        if self.child is None:
            return None
        self.child.terminate()
        try:
            return self.child.wait(timeout=1.5)
        except subprocess.TimeoutExpired as error:
            late: float = error.timeout
            self.child.kill()
            return round(late)


async def gathered(command: str) -> tuple[int | None, bytes, bytes]:
    child = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE, stderr=PIPE)
    out, err = await child.communicate()
    return child.returncode, out, err


async def streamed(stream: asyncio.StreamReader | None) -> list[bytes]:
    assert stream is not None
    return [await stream.readline(), *[line async for line in stream], await stream.read(5), await stream.readexactly(1)]


async def main(*args: str) -> int:
    child: Process = await asyncio.create_subprocess_exec("ls", *args, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, limit=1 << 20)
    await streamed(child.stdout)
    try:
        async with asyncio.timeout(3):
            await child.wait()
    except (TimeoutError, asyncio.exceptions.CancelledError):
        child.terminate()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(gathered("a")).add_done_callback(lambda task: queue.put_nowait(task.result()[1]))
    loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
    loop.call_later(1, print)
    return await asyncio.wait_for(child.wait(), timeout=4)


def shared() -> list[int]:
    number, numbers, text, lock = Value("d", 0.0), Array("i", range(10)), Array("c", b"hello"), Lock()
    with lock, number.get_lock(), numbers:
        number.value += 1
        numbers[0] = numbers[1] + 1
    text.value = text.raw.upper()
    lock.acquire(block=False)
    return [*numbers[:], *numbers]
