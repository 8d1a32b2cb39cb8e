# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio.pyi.
"""A child's output as text: the standard library's text file, whose lines are made many at once."""

import codecs
import io
from itertools import chain

from . import _native


class _PlainReader(io.TextIOWrapper):
    """What a ``TextIOWrapper`` becomes when other line ends than the usual ones are asked for."""

    def batches(self, bare):
        return ((line.removesuffix("\n") if bare else line for line in self),)


class TextIOWrapper(io.TextIOWrapper):
    """``io.TextIOWrapper`` for reading a pipe. What has been decoded is kept by ``_native.Text``, not by the class above."""

    def __init__(self, buffer, encoding, errors):
        super().__init__(buffer, encoding, errors)
        self._begin()

    def _begin(self):
        buffer = self.buffer
        self._decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(self.encoding)(self.errors), translate=True)
        self._text = _native.Text(getattr(buffer, "read1", buffer.read), buffer.read, self._decoder.decode)
        # Of the instance: no Python code between a line and its reader.
        self.read, self.readline = self._text.read, self._text.readline

    def __iter__(self):
        return chain.from_iterable(self.batches(False))

    def batches(self, bare):
        """Iterators over the lines, with their ends or without, as many as came at once."""
        return iter(self._text.batch_bare if bare else self._text.batch, None)

    def __next__(self):
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def __del__(self):
        """Closes nothing: iterators and methods do not refer to this object, but to its buffer, which closes itself after the last of them."""

    @property
    def newlines(self):
        return self._decoder.newlines

    def reconfigure(self, **options):
        given = {name: value for name, value in options.items() if value is not None or name == "newline"}
        if self._text.started and given.keys() & {"encoding", "errors", "newline"}:
            raise io.UnsupportedOperation("not possible to set the encoding or newline of stream after the first read")
        super().reconfigure(**options)
        if given.get("newline") is not None:
            self.__class__ = _PlainReader
            del self.read, self.readline
        elif not self._text.started:
            self._begin()

    def detach(self):
        buffer = super().detach()
        self._text.close(True)
        return buffer

    def close(self):
        self._text.close(False)
        super().close()
