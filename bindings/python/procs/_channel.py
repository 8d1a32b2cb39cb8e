# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""Children with a channel."""

import os
import sys

from ._arguments import refused
from ._options import channel_settings
from ._popen import Popen


def fork(program, *args, codec="json", wire="auto", channel=None, **options):
    """Starts ``program`` with a channel to it and gives the ``Popen``, whose ``channel`` talks to it.

    A ``.py`` file is run by this interpreter, a ``.js``, ``.mjs`` or ``.cjs`` file by ``node``, which then has ``process.send``; anything
    else is executed. The child finds its end with ``procs.parent_channel()``, or the call of that name in its language.
    ``codec`` is what ``send`` and ``recv`` speak: "json" (default), "raw" (bytes-like objects) or "pickle", which only suits children that
    you trust. ``wire`` is "native" for a program that uses libprocs, "node" for one that has ``process.send``, or "auto" (default): by the
    program. ``channel`` holds options such as ``{"max_message": 1 << 20}``; the others are those of ``Popen``.
    """
    try:
        name = os.fspath(program)
    except TypeError as error:
        raise refused(error, "program", program, "a str, bytes or path-like object") from None
    settings = channel_settings(True if channel is None else channel)
    suffix = b".py" if isinstance(name, bytes) else ".py"
    argv = [sys.executable, name, *args] if name.endswith(suffix) else [name, *args]
    return Popen(argv, channel={"codec": codec, "wire": wire, **settings}, **options)
