"""What the scenarios print, how they start the helper, and the list of them.

With `--peer` the same code runs on `subprocess`, for the scenarios that it can have, and with `--aio` on `procs.aio` or, both given, on
asyncio; `bindings/python/tests` compares them.
"""

import errno
import hashlib
import json
import os
import signal
import sys

PEER, AIO = "--peer" in sys.argv, "--aio" in sys.argv
if AIO:
    import on_loop
    procs = on_loop.face(PEER)
elif PEER:
    import subprocess as procs
else:
    import procs

PIPE, DEVNULL = procs.PIPE, procs.DEVNULL
HELPER = os.environ.get("PROCS_TEST_CHILD", "")
DIR = os.environ.get("PROCS_TEST_DIR", "")
SCENARIOS = {}
# What the children of scenarios do.
PARTS = {}


def scenario(name, own=False, asyncio=True):
    """Adds a scenario; `own` is one that uses what only procs has, and without `asyncio` one that asyncio alone cannot have."""
    def add(function):
        if not (PEER and (own or AIO and not asyncio)):
            SCENARIOS[name] = function
        return function
    return add


# ---- facts ----

def text(name, data):
    decoded = (data or b"").decode()
    print(f"{name} text={quoted(decoded)}")


def quoted(decoded):
    return json.dumps(decoded, ensure_ascii=False).replace("\\b", "\\u0008").replace("\\f", "\\u000c")


def long(name, data):
    print(f"{name} bytes={len(data)} sha256={hashlib.sha256(data).hexdigest()}")


def flag(name, value):
    print(f"flag {name}={str(value).lower() if isinstance(value, bool) else value}")


def ending(code):
    return f"code=none signal={signal.Signals(-code).name}" if code < 0 else f"code={code} signal=none"


def status(code):
    print("status", ending(code))


def failure(start):
    """The error of a start or run that must fail."""
    try:
        start()
    except (OSError, ValueError) as error:
        kind = getattr(error, "kind", None) or peer_kind(error)
        if kind == "INVALID_ARGUMENT":
            print("error kind=INVALID_ARGUMENT")
            return
        number = getattr(error, "errno", None)
        print(f"error kind={kind} stage={getattr(error, 'stage', None) or 'none'} errno={errno.errorcode.get(number, 'none')}")
    else:
        raise AssertionError("it did not fail")


def peer_kind(error):
    """The kind that our table gives the classes that subprocess raises."""
    table = ((FileNotFoundError, "NOT_FOUND"), (NotADirectoryError, "NOT_FOUND"), (PermissionError, "PERMISSION_DENIED"),
             (OSError, "IO"), (ValueError, "INVALID_ARGUMENT"))
    return next(kind for cls, kind in table if isinstance(error, cls))


# ---- starting ----

def run(*args, **options):
    """A captured run of the helper, as every scenario means it."""
    if "input" not in options:
        options.setdefault("stdin", DEVNULL)
    options.setdefault("stdout", PIPE)
    options.setdefault("stderr", PIPE)
    return procs.run([HELPER, *args], **options)


def quiet(*args, **options):
    return procs.Popen([HELPER, *args], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, **options)


def piped(*args, **options):
    return procs.Popen([HELPER, *args], stdin=DEVNULL, stdout=PIPE, **options)


def path(name):
    return os.path.join(DIR, name)


def show(done):
    status(done.returncode)
    text("stdout", done.stdout)
    text("stderr", done.stderr)
