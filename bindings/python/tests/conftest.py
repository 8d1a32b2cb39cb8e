"""Every test runs in a fresh folder, under a watchdog, and leaves no descriptor, thread or child behind."""

import faulthandler
import gc
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SLOW = float(os.environ.get("PROCS_TEST_SLOW", "1"))
WATCHDOG_SECONDS = 90 * SLOW * (10 if os.environ.get("PROCS_TEST_FULL") == "1" else 1)
SETTLE_SECONDS = 20 * SLOW
#: How long a program that a test starts may take: it fails before the watchdog does.
PROGRAM_SECONDS = WATCHDOG_SECONDS - 10
#: The deadline of a child that has something to say before it.
WORD_SECONDS = 2 * SLOW


def descriptors():
    """The open descriptors with their targets; those of the engine's own threads stay open on purpose."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if not target.startswith("anon_inode:[event"):
            found.append(target)
    return sorted(found)


def threads():
    """The names of all threads but the engine's."""
    names = []
    for task in os.listdir("/proc/self/task"):
        try:
            name = Path("/proc/self/task", task, "comm").read_text().strip()
        except OSError:
            continue
        if not name.startswith("procs-"):
            names.append(name)
    return sorted(names)


def children():
    """Process ids of the children in any state."""
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            found += Path("/proc/self/task", task, "children").read_text().split()
        except OSError:
            continue
    return sorted(found)


def state():
    """What is open, runs or lives, counted."""
    kinds = {"descriptor": descriptors(), "thread": threads(), "child": children()}
    return Counter((kind, name) for kind, names in kinds.items() for name in names)


@pytest.fixture(scope="session", autouse=True)
def signals_as_in_the_foreground():
    """A shell in the background starts us with these ignored, and every program of a test would inherit that."""
    for number, action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, action)


@pytest.fixture(scope="session")
def terminal(request):
    """Standard error as the runner got it: what is written to pytest's own is lost when the watchdog ends everything."""
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        number = os.dup(2)
    yield number
    os.close(number)


@pytest.fixture(autouse=True)
def nothing_left(terminal, tmp_path, monkeypatch):
    """The leak check and the watchdog around every test."""
    monkeypatch.chdir(tmp_path)
    gc.collect()
    before = state()
    faulthandler.dump_traceback_later(WATCHDOG_SECONDS, exit=True, file=terminal)
    yield
    faulthandler.cancel_dump_traceback_later()
    # Not longer on slow machines: many children end by themselves after a minute.
    end = time.monotonic() + 20
    while (left := state() - before) and time.monotonic() < end:
        gc.collect()
        time.sleep(0.005)
    assert not left


@pytest.fixture(scope="session")
def helper():
    """The helper child of the test package."""
    given = os.environ.get("PROCS_TEST_CHILD")
    candidates = [Path(given)] if given else [ROOT / "target" / kind / "procs-child" for kind in ("release", "debug")]
    found = [path for path in candidates if path.exists()]
    assert found, "the helper is missing: cargo build -p procs-tests, or set PROCS_TEST_CHILD"
    return str(found[0])


def alive(pid):
    """Whether the process is there, and more than a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def wait_until(condition, what):
    """Polls until the condition holds."""
    end = time.monotonic() + SETTLE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.005)
