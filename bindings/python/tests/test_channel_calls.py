"""Questions over a channel and their answers, whole and in parts: blocking, and on event loops."""

import asyncio
import contextlib
import itertools

import pytest
from test_channel import script

import procs
from procs import aio

SERVER = """
import procs
def handler(question):
    if question == "many":
        return (n * n for n in range(100))
    if question == "slow":
        import time; time.sleep(30)
    return {"answer": 10 // question}
with procs.parent_channel() as channel:
    channel.serve(handler)
"""


def test_calls_are_answered_and_failures_are_told(tmp_path):
    with procs.fork(script(tmp_path, SERVER)) as child:
        assert child.channel.call(5, timeout=60) == {"answer": 2}
        with pytest.raises(procs.TaskFailedError, match="ZeroDivisionError") as caught:
            child.channel.call(0, timeout=60)
        assert caught.value.remote_type == "ZeroDivisionError" and "handler" in caught.value.remote_traceback
        assert list(child.channel.call_stream("many")) == [n * n for n in range(100)]
        with pytest.raises(TimeoutError):
            child.channel.call("slow", timeout=0.1)
        child.kill()
        with pytest.raises(EOFError):
            child.channel.call(1, timeout=60)


def test_calls_of_an_event_loop(tmp_path):
    async def main():
        child = await aio.fork(script(tmp_path, SERVER))
        async with child.channel as channel:
            answers = await asyncio.wait_for(asyncio.gather(*(channel.call(n) for n in range(1, 30))), 60)
            assert answers == [{"answer": 10 // n} for n in range(1, 30)]
            with pytest.raises(procs.TaskFailedError):
                await channel.call(0)
            with pytest.raises(TimeoutError):
                await channel.call("slow", timeout=0.05)
            child.kill()
        await asyncio.wait_for(child.wait(), 60)

    asyncio.run(main())


async def many(count):
    for number in range(count):
        yield number
        await asyncio.sleep(0)


def answer(question):
    kind, value = question
    if kind == "fail":
        raise KeyError(value)
    return {"many": many, "plain": lambda n: n + 1, "list": lambda n: iter(range(n))}[kind](value)


@contextlib.asynccontextmanager
async def served(handler):
    """One end of a channel whose other end serves on the same loop, until the block is left."""
    here, there = (aio.AsyncChannel(end) for end in procs.Channel.pair())
    serving = asyncio.create_task(there.serve(handler))
    yield here
    here.close()
    await asyncio.wait_for(serving, 60)
    there.close()


def test_an_event_loop_answers_many_at_once():
    async def main():
        together = asyncio.Barrier(20)

        async def slowly(question):
            await together.wait()
            return question

        async with served(lambda question: answer(question) if isinstance(question, list) else slowly(question)) as here:
            assert await here.call(["plain", 1], 60) == 2
            # No slow answer is given before all 20 are asked for.
            answers = await asyncio.wait_for(asyncio.gather(*(here.call(n) for n in range(20)), here.call(["plain", 9])), 60)
            assert answers == [*range(20), 10]

    asyncio.run(main())


def test_an_event_loop_tells_the_failures_of_its_handler():
    async def main():
        async with served(answer) as here:
            with pytest.raises(procs.TaskFailedError, match="KeyError") as caught:
                await here.call(["fail", "x"])
            assert caught.value.remote_type == "KeyError"
            with pytest.raises(procs.TaskFailedError):
                _ = [n async for n in here.call_stream(["fail", "x"])]

    asyncio.run(main())


def test_replies_in_parts_come_to_an_event_loop(tmp_path):
    async def main():
        async with served(answer) as here:
            for kind in ("many", "list"):
                assert [n async for n in here.call_stream([kind, 300])] == list(range(300))
        child = await aio.fork(script(tmp_path, SERVER))
        async with child.channel as channel:
            assert [n async for n in channel.call_stream("many")] == [n * n for n in range(100)]
        await asyncio.wait_for(child.wait(), 60)

    asyncio.run(main())


def test_a_stream_of_replies_may_be_left():
    async def main():
        async with served(answer) as here:
            stream = here.call_stream(["many", 10**9])
            async for number in stream:
                if number == 50:
                    break
            await stream.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
            assert await here.call(["plain", 4], 60) == 5

    asyncio.run(main())


def test_who_is_cancelled_between_replies_misses_none():
    """While it waits, or at the moment at which a reply comes."""
    async def main():
        async with served(answer) as here:
            stream, got, cancelled = here.call_stream(["many", 300]), [], 0
            for turns in itertools.cycle(range(8)):
                task = asyncio.ensure_future(anext(stream))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    got.append(await task)
                except asyncio.CancelledError:
                    cancelled += 1
                except StopAsyncIteration:
                    break
            assert got == list(range(300)) and cancelled

    asyncio.run(main())
