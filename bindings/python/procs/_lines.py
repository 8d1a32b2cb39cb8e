# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""Blocks of bytes as lines: splitting a block is cheaper than asking for one line after the other."""

import codecs
import io

from ._native import split_lines

# Large enough that a read costs little, small enough that the lines of a block stay in the cache and in memory that Python keeps.
LINE_BLOCK = 32768


def complete(parts, lines, empty):
    """The whole lines of a split block; ``parts`` collects a line that goes on, so that a long one is joined once."""
    parts.append(lines[0])
    if len(lines) == 1:
        return ()
    if len(parts) > 1:
        lines[0] = empty.join(parts)
    parts[:] = [lines.pop()]
    return lines


def byte_batches(chunks):
    """Lists of lines without their ends, as many as came at once."""
    parts = []
    for data in chunks:
        yield complete(parts, data.split(b"\n"), b"")
    if any(parts):
        yield [b"".join(parts)]


def text_batches(chunks, encoding, errors):
    """Lists of decoded lines; all line ends of text files count."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(errors), translate=True)
    parts = []
    for data in chunks:
        yield complete(parts, split_lines(decoder.decode(data)), "")
    yield complete(parts, split_lines(decoder.decode(b"", final=True)), "")
    if any(parts):
        yield ["".join(parts)]


def untouched(text_file):
    """Whether a text file has not decoded anything yet; what it has decoded could not be taken back."""
    try:
        text_file.reconfigure(newline=None)
    except io.UnsupportedOperation:
        return False
    return True
