# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi.
"""The errors that are also errors of ``concurrent.futures``. Apart, because that takes longer to import than all of this package: ``procs`` makes them
when somebody names them, or when one is raised."""

from concurrent.futures import BrokenExecutor as _BrokenExecutor
from concurrent.futures import CancelledError as _CancelledError

from ._errors import ProcsError


class CancelledError(ProcsError, _CancelledError):
    """The caller asked to stop; ``output`` and ``stderr`` are what was read until then."""

    kind = "CANCELLED"
    output = None
    stderr = None
    completed = None


class WorkerLostError(ProcsError, _BrokenExecutor):
    """The worker that held this task died."""

    kind = "WORKER_LOST"


for _class in (CancelledError, WorkerLostError):
    _class.__module__ = "procs"

# As in _errors.py.
CLASSES = {
    6: CancelledError,
    12: WorkerLostError,
}
