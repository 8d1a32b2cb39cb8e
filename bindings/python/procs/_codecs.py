# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi.
"""How Python objects become bodies of messages; called by ``procs._native``."""

import importlib
import json
import os
import pickle
import sys
from json import encoder

from ._native import SharedMemory
from ._native import unpack_memory as unpack_memory  # where pickles of shared memory find it

# What no other language could read is refused: NaN and the infinities are no JSON.
_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_scan = json.JSONDecoder().scan_once


def _made_once():
    """The C encoder, which ``JSONEncoder`` makes anew for every object; without its search for cycles, which deep recursion ends as well."""
    if encoder.c_make_encoder is None:
        return _json.encode
    chunks = encoder.c_make_encoder(None, _json.default, encoder.encode_basestring, None, ":", ",", False, False, False)
    return lambda obj: "".join(chunks(obj, 0))


json_encode = _made_once()
json_encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def json_decode(text):
    """The value of a JSON text."""
    try:
        obj, end = _scan(text, 0)
        if end == len(text):
            return obj
    except (StopIteration, TypeError):
        pass
    return json.loads(text)  # with space around the value, or wrong


def pickle_dumps(obj):
    """The body, and the buffers that travel beside it without being copied into it."""
    buffers = []
    body = pickle.dumps(obj, 5, buffer_callback=buffers.append)
    return body, [buffer.raw() for buffer in buffers]


pickle_loads = pickle.loads


def pickle_loads_beside(body, buffers):
    """The object whose buffers travelled beside its body."""
    return pickle.loads(body, buffers=buffers)


def open_in_memory(memory, method, offset):
    """What lives in shared memory, from its pickle."""
    return getattr(memory, method)(offset, create=False)


def inherited(fd):
    """This descriptor for the process that multiprocessing is starting, when it is."""
    starting = getattr(sys.modules.get("multiprocessing.context"), "get_spawning_popen", None)
    if starting is None or starting() is None:
        raise TypeError(
            "cannot pickle SharedMemory, or what lives in it, but to send it on a channel with codec=\"pickle\", or as an argument of a Process of "
            "multiprocessing; else pass its descriptor on: fileno() with pass_fds, or fds= of a message")
    return importlib.import_module("multiprocessing.reduction").DupFd(fd)


def open_inherited(duplicate):
    """The memory behind it, in that process."""
    fd = duplicate.detach()
    try:
        return SharedMemory.from_fd(fd)
    finally:
        os.close(fd)
