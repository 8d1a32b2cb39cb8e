# mypy: ignore-errors
# Private: the types that users see are in aio/__init__.pyi.
"""Channels in an event loop."""

import asyncio
import inspect

from . import _native
from ._aio_loop import result_of
from ._arguments import seconds, shown

_NOTHING = object()


async def _answer(request, handler):
    """One call of the other side: what the handler raises is the caller's to know."""
    try:
        value = handler(request.message())
        if inspect.isawaitable(value):
            value = await value
        if not request.takes_parts or not hasattr(value, "__anext__") and not hasattr(value, "__next__"):
            await result_of(lambda hub, number: request.reply(hub, number, value))
            return
        async for part in _each(value):
            if not await result_of(lambda hub, number, part=part: request.part(hub, number, part)):
                return  # the caller wants no more of it, or is gone
        request.finish()
    except Exception as error:
        request.fail(error)


async def _each(values):
    """What a generator of either kind yields."""
    if hasattr(values, "__anext__"):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value


class _Replies:
    """The replies to one call. Forgetting it cancels the call."""

    def __init__(self, channel, obj):
        self._channel = channel
        self._obj = obj
        self._native = None
        self._begun = self._over = False
        # What came for somebody who was cancelled at the same moment.
        self._kept = []

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._kept:
            return self._kept.pop()
        if self._over:
            raise StopAsyncIteration
        try:
            if not self._begun:
                self._begun = True
                self._native, self._obj = self._channel._stream_async(self._obj), None
                await result_of(self._native.begin)
        except BaseException:
            self._end()  # it was not sent
            raise
        try:
            found = await result_of(self._native.next, undo=self._kept.extend)
        except Exception:
            self._end()
            raise
        if not found:
            self._end()
            raise StopAsyncIteration
        return found[0]

    def _end(self):
        self._over, self._native = True, None

    async def aclose(self):
        """Cancels the call."""
        self._kept.clear()
        self._end()


class AsyncChannel:
    """A channel in an event loop: ``await`` instead of blocking. Made by ``aio.fork``, ``aio.parent_channel`` or from a ``procs.Channel``."""

    def __init__(self, channel):
        if not isinstance(channel, _native.Channel):
            raise TypeError(f"AsyncChannel: not a channel (channel = {shown(channel)}, expected a Channel)")
        self._channel = channel
        self._waiting = []

    def fileno(self):
        """The descriptor that the loop watches."""
        return self._channel.fileno()

    @property
    def closed(self):
        """Whether either side has closed."""
        return self._channel.closed

    @property
    def codec(self):
        """What ``send`` and ``recv`` speak."""
        return self._channel.codec

    async def _sent(self, unsent):
        if unsent is not None:
            await result_of(lambda hub, number: self._channel._send_async(hub, number, unsent))

    async def _taken(self, take):
        while True:
            obj = take(_NOTHING)
            if obj is not _NOTHING:
                return obj
            await self._readable()

    async def send(self, obj, *, fds=None):
        """Sends an object; waits while the other side does not read."""
        await self._sent(self._channel._give(obj, fds))

    async def send_bytes(self, data):
        """Sends a bytes-like object as it is."""
        await self._sent(self._channel._give_bytes(data))

    async def send_message(self, body, *, codec="raw", buffers=None, fds=None):
        """Sends a body in a codec of one's own choice, with buffers and descriptors."""
        await self._sent(self._channel._give_message(body, codec, buffers, fds))

    async def recv(self):
        """The next object. Raises ``EOFError`` once everything was received and the other side is gone."""
        return await self._taken(self._channel._take)

    async def recv_bytes(self):
        """The body of the next message."""
        return await self._taken(self._channel._take_bytes)

    async def recv_message(self):
        """The next message as it is: codec, body, buffers, and descriptors that are the caller's to close."""
        return await self._taken(self._channel._take_message)

    def alloc(self, size):
        """``Channel.alloc``: a block to build a large message in place."""
        return self._channel.alloc(size)

    async def call(self, obj, timeout=None):
        """Asks the other side, which serves, and gives its reply. Cancelling the await cancels the call there."""
        _native.check_limit(timeout)
        async with asyncio.timeout(seconds(timeout)):
            return (await result_of(lambda hub, number: self._channel._call_async(hub, number, obj)))[0]

    def call_stream(self, obj):
        """Asks for several replies: an async iterator over them. Leaving it early, or ``aclose()``, cancels the call there. Who is cancelled while
        it waits for a reply, by a timeout perhaps, can ask again: no reply is lost."""
        return _Replies(self._channel, obj)

    async def serve(self, handler):
        """Answers the calls of the other side with what ``handler`` returns, or what it returns gives when it is awaited, several at once;
        a generator, async or not, sends each value it yields to a caller that takes several. Ends when the other side closes."""
        if not callable(handler):
            raise TypeError(f"serve: it cannot be called (handler = {shown(handler)}, expected a function)")
        async with asyncio.TaskGroup() as answers:
            while True:
                try:
                    request = self._channel._take_request()
                except EOFError:
                    return
                if request is None:
                    await self._readable()
                else:
                    answers.create_task(_answer(request, handler))

    async def _readable(self):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._waiting:
            loop.add_reader(self._channel.fileno(), self._wake)
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)
                if not self._waiting:
                    loop.remove_reader(self._channel.fileno())

    def _wake(self):
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.recv()
        except EOFError:
            raise StopAsyncIteration from None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        self.close()

    def close(self):
        """Closes this end; those who wait for a message get ``InvalidStateError``."""
        if self._waiting:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._wake()
            self._waiting = []
        self._channel.close()
