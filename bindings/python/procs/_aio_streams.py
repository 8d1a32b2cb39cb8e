# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""The pipes of a child for asyncio: read by the event loop itself, without a limit on the length of a line."""

import asyncio
import io
import os

from . import _native
from ._lines import complete
from ._arguments import index
from ._pipes import enlarge

_CHUNK = 1 << 18
_LINE_BLOCK = 1 << 16
# So many bytes may come without the loop getting a turn.
_TURN = 1 << 20


class StreamReader(asyncio.StreamReader):
    """Reads a pipe; the methods are those of ``asyncio.StreamReader``, and no line is too long for ``readline``.

    ``lines()`` yields lines without their ends, ``batches()`` lists of them: the fastest way to many short lines.
    """

    def __init__(self, fd, loop):
        super().__init__(loop=loop)
        os.set_blocking(fd, False)
        self._pipe = io.FileIO(fd)
        self._loop = loop
        self._pending = bytearray()
        # Whole lines that were split off and not given out yet; they come before what is pending.
        self._ready = iter(())
        self._ended = False
        self._waiter = None
        self._watched = False
        self._since_turn = 0
        self._grown = False

    def __repr__(self):
        return f"<StreamReader {'ended' if self._ended else 'open'} pending={len(self._pending)}>"

    def __aiter__(self):
        return self._each_line()

    def __del__(self):
        self.close()

    def close(self):
        """Closes the pipe."""
        self._ended = True
        if self._watched:
            self._watched = False
            if not self._loop.is_closed():
                self._loop.remove_reader(self._pipe.fileno())
        self._pipe.close()

    def at_eof(self):
        """Whether all was read."""
        return self._ended and not self._pending and not self._ready.__length_hint__()

    def _settle(self):
        """Puts lines that were split off back, for calls that want bytes."""
        if self._ready.__length_hint__():
            self._pending[:0] = b"".join(self._ready)

    async def _readable(self):
        if self._waiter is not None:
            raise RuntimeError("read() called while another coroutine is already waiting for incoming data")
        self._since_turn = 0
        self._waiter = self._loop.create_future()
        if not self._watched:
            self._watched = True
            # Held by the loop, and with it the task that waits, as long as the pipe is watched.
            self._loop.add_reader(self._pipe.fileno(), self._wake)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self):
        """The pipe has something. It stays watched as long as somebody takes it."""
        if self._waiter is None:
            self._watched = False
            self._loop.remove_reader(self._pipe.fileno())
        elif not self._waiter.done():
            self._waiter.set_result(None)

    async def _turn(self, count):
        """Lets the loop run when much has come without a wait."""
        self._since_turn += count
        if count >= 65536 and not self._grown:
            self._grown = True
            enlarge(self._pipe.fileno())
        if self._since_turn >= _TURN:
            self._since_turn = 0
            await asyncio.sleep(0)

    async def _chunk(self, size=_CHUNK):
        """The next bytes, at most ``size``; empty at the end."""
        while not self._ended:
            data = self._pipe.read(size)
            if data is None:
                await self._readable()
                continue
            if not data:
                self.close()
                break
            await self._turn(len(data))
            return data
        return b""

    def _take(self, size):
        data = bytes(self._pending[:size])
        del self._pending[:size]
        return data

    async def read(self, n=-1):
        """At most ``n`` bytes, as soon as there are some; all of them until the end with -1."""
        n = index(n, "n", "bytes, or -1 for all")
        if n == 0:
            return b""
        self._settle()
        if n < 0:
            return await self._read_all()
        if self._pending:
            return self._take(n)
        return await self._chunk(min(n, _TURN))

    async def _read_all(self):
        """All bytes, gathered in one growing object: the result is not copied once more."""
        if self._ended:
            return self._take(len(self._pending))
        drain = _native.Drain(self._pipe.fileno())
        try:
            while (more := drain.turn()) is not None:
                await (asyncio.sleep(0) if more else self._readable())
        except asyncio.CancelledError:
            self._pending += drain.take()
            raise
        self.close()
        rest = drain.take()
        return self._take(len(self._pending)) + rest if self._pending else rest

    async def readexactly(self, n):
        """Exactly ``n`` bytes; ``IncompleteReadError`` with what there was when the end comes first."""
        n = index(n, "n", "bytes, 0 or more")
        if n < 0:
            raise ValueError("readexactly size can not be less than zero")
        self._settle()
        while len(self._pending) < n:
            data = await self._chunk()
            if not data:
                raise asyncio.IncompleteReadError(self._take(len(self._pending)), n)
            self._pending += data
        return self._take(n)

    async def readuntil(self, separator=b"\n"):
        """The bytes up to the separator and with it, or of a tuple of them up to the one that ends first; ``IncompleteReadError`` when the end
        comes first."""
        separators = separator if isinstance(separator, tuple) else (separator,)
        if not separators:
            raise ValueError("Separator should contain at least one element")
        if not all(separators):
            raise ValueError("Separator should be at least one-byte string")
        longest = max(map(len, separators))
        self._settle()
        start = 0
        while not (ends := [at + len(one) for one in separators if (at := self._pending.find(one, start)) >= 0]):
            start = max(0, len(self._pending) - longest + 1)
            data = await self._chunk()
            if not data:
                raise asyncio.IncompleteReadError(self._take(len(self._pending)), None)
            self._pending += data
        return self._take(min(ends))

    async def readline(self):
        """The next line with its end, however long; the rest at the end, then empty."""
        for line in self._ready:
            return line
        await self._split()
        return next(self._ready, b"")

    async def _split(self):
        """Waits for more and splits it into lines; nothing is ready afterwards only at the end."""
        while data := await self._lines_block():
            end = data.find(b"\n") + 1
            if end == 0:
                self._pending += data  # the line goes on
                continue
            if self._pending:
                self._pending += data[:end]
                lines = [bytes(self._pending), *io.BytesIO(data[end:]).readlines()]
                self._pending.clear()
            else:
                lines = io.BytesIO(data).readlines()
            if not lines[-1].endswith(b"\n"):
                self._pending += lines.pop()
            self._ready = iter(lines)
            return
        self._ready = iter([self._take(len(self._pending))] if self._pending else ())

    async def _lines_block(self):
        """A block to split: what other calls have left over, or the next bytes."""
        if b"\n" in self._pending:
            return self._take(len(self._pending))
        return await self._chunk(_LINE_BLOCK)

    async def _each_line(self):
        while True:
            for line in self._ready:
                yield line
            await self._split()
            if not self._ready.__length_hint__():
                return

    async def __anext__(self):
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    async def batches(self):
        """Yields lists of lines without their ends, as many as came at once."""
        self._settle()
        parts = [self._take(len(self._pending))]
        lines = complete(parts, parts.pop().split(b"\n"), b"")
        if lines:
            yield lines
        while data := await self._chunk(_LINE_BLOCK):
            lines = complete(parts, data.split(b"\n"), b"")
            if lines:
                yield lines
        if any(parts):
            yield [b"".join(parts)]

    async def lines(self):
        """Yields the lines without their ends."""
        async for batch in self.batches():
            for line in batch:
                yield line


async def open_writer(fd, loop):
    """A standard ``asyncio.StreamWriter`` on a pipe."""
    protocol = _WriterProtocol(loop)
    transport, _ = await loop.connect_write_pipe(lambda: protocol, io.open(fd, "wb", 0))
    return asyncio.StreamWriter(transport, protocol, None, loop)


class _WriterProtocol(asyncio.streams.FlowControlMixin):
    """Flow control for ``drain``, and the end of the pipe for ``wait_closed``."""

    def __init__(self, loop):
        super().__init__(loop=loop)
        self._closed = loop.create_future()

    def connection_lost(self, exc):
        super().connection_lost(exc)
        if self._closed.done():
            return
        if exc is None:
            self._closed.set_result(None)
        else:
            self._closed.set_exception(exc)
            self._closed.exception()  # nobody has to ask

    def _get_close_waiter(self, stream):
        return self._closed
