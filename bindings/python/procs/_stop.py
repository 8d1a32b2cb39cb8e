# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""The steps of a stop, as the core wants them."""

import math
import operator
import signal

from ._arguments import seconds, shown


def ladder(steps, grace, stdin):
    """The steps of a stop for the core. It does not know our file, so that closing it is done first."""
    if steps is None:
        if grace is None:
            raise TypeError("stop: no time (grace = None, expected seconds)")
        grace = seconds(grace, "grace", "seconds")
        steps = [(signal.SIGTERM, grace), ("kill", 10.0)]
    plan = []
    try:
        listed = [(action if isinstance(action, str) else operator.index(action), float(wait)) for action, wait in steps]
    except (TypeError, ValueError):
        raise TypeError(f"stop: not a ladder (steps = {shown(steps)}, expected a list of (action, seconds))") from None
    if any(math.isnan(wait) for _, wait in listed):
        raise ValueError(f"stop: not a number (steps = {shown(steps)}, expected a list of (action, seconds))")
    for action, wait in listed:
        if action == "close-stdin":
            if stdin:
                try:
                    stdin.close()
                except BrokenPipeError:
                    pass  # the child does not want the rest
            action = "wait"
        plan.append((action, wait))
    return plan
