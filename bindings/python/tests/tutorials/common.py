"""What the programs share: the module under test, chosen by `--procs`, and the table of programs."""

import asyncio
import os
import sys

if "--procs" in sys.argv:
    sys.argv.remove("--procs")
    import procs as subprocess
    from procs import aio
else:
    import subprocess
    aio = asyncio

__all__ = ["PY", "SNIPPETS", "WORD_SECONDS", "aio", "code", "snippet", "subprocess"]

PY = sys.executable
# The deadline of a child that has something to say before it.
WORD_SECONDS = 2 * float(os.environ.get("PROCS_TEST_SLOW", "1"))
SNIPPETS = {}


def snippet(function):
    """Registers a program by its name."""
    SNIPPETS[function.__name__] = function
    return function


def code(text, *args):
    """The command of a Python child."""
    return [PY, "-c", text, *args]
