# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio.pyi.
"""Children with a channel, and channels in an event loop."""

import os
import sys

from ._popen import Popen

_NOTHING = object()


def fork(program, *args, codec="json", wire="auto", channel=None, **options):
    """Starts ``program`` with a channel to it and gives the ``Popen``, whose ``channel`` talks to it.

    A ``.py`` file is run by this interpreter, a ``.js``, ``.mjs`` or ``.cjs`` file by ``node``, which then has ``process.send``; anything
    else is executed. The child finds its end with ``procs.parent_channel()``, or the call of that name in its language.
    ``codec`` is what ``send`` and ``recv`` speak: "json" (default), "raw" (bytes-like objects) or "pickle", which only suits children that
    you trust. ``wire`` is "native" for a program that uses libprocs, "node" for one that has ``process.send``, or "auto" (default): by the
    program. ``channel`` holds options such as ``{"max_message": 1 << 20}``; the others are those of ``Popen``.
    """
    name = os.fspath(program)
    suffix = b".py" if isinstance(name, bytes) else ".py"
    argv = [sys.executable, name, *args] if name.endswith(suffix) else [name, *args]
    return Popen(argv, channel={"codec": codec, "wire": wire, **(channel or {})}, **options)


class AsyncChannel:
    """A channel in an event loop: ``await`` instead of blocking. Made by ``aio.fork``, ``aio.parent_channel`` or from a ``procs.Channel``."""

    def __init__(self, channel):
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
        from .aio import _result  # here, because it imports this module

        if unsent is not None:
            await _result(lambda hub, number: self._channel._send_async(hub, number, unsent))

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
        await self._sent(self._channel._give_message(data, "raw", None, None))

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
        from .aio import _result

        import asyncio  # here, so that programs without a loop do not pay for it

        async with asyncio.timeout(timeout):
            return (await _result(lambda hub, number: self._channel._call_async(hub, number, obj)))[0]

    async def _readable(self):
        from asyncio import get_running_loop

        loop = get_running_loop()
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
            from asyncio import get_running_loop

            get_running_loop().remove_reader(self._channel.fileno())
            self._wake()
            self._waiting = []
        self._channel.close()
