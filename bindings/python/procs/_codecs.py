# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi.
"""How Python objects become bodies of messages; called by ``procs._native``."""

import json
import pickle
from typing import NamedTuple

# Compact, and without the checks for cycles that depth limits make superfluous.
json_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_decode(body):
    return json.loads(body)


def pickle_dumps(obj):
    """The body, and the buffers that travel beside it without being copied into it."""
    buffers = []
    body = pickle.dumps(obj, 5, buffer_callback=buffers.append)
    return body, [buffer.raw() for buffer in buffers]


def pickle_loads(body, buffers):
    return pickle.loads(body, buffers=buffers)


class Message(NamedTuple):
    """A message as it came: ``fds`` are the receiver's to close."""

    codec: str
    body: bytes
    buffers: list
    fds: list
