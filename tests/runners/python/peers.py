"""Children that are the runner again, or that of another language."""

import os
import sys

import procs
from facts import PARTS

PATIENCE = 20


def part(name):
    def add(function):
        PARTS[name] = function
        return function
    return add


def again(name):
    """The runner again, or the one of SCENARIO_PEER, as the child of a scenario."""
    peer = os.environ.get("SCENARIO_PEER", f"{sys.executable}\n{sys.argv[0]}")
    return [*peer.split("\n"), "--child", name]


def kind(action):
    """The kind of an error that must come."""
    try:
        action()
    except procs.ProcsError as error:
        print(f"error kind={error.kind}")
    else:
        raise AssertionError("it did not fail")
