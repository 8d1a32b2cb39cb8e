# mypy: ignore-errors
# Private: the types that users see are in aio/__init__.pyi.
"""``procs.aio.subprocess``: what ``asyncio.subprocess`` names."""

import sys

from .._aio_process import Process
from .._options import DEVNULL, PIPE, STDOUT

__all__ = ["DEVNULL", "PIPE", "Process", "STDOUT", "create_subprocess_exec", "create_subprocess_shell"]


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module 'procs.aio.subprocess' has no attribute {name!r}")
    return getattr(sys.modules[__package__], name)  # complete only after this module
