# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""What the core does for one event loop, and how the loop is told: one descriptor for runs, one for the ends of children."""

import asyncio
import os
import weakref

from . import _native


_NOTHING = (None, None, None)


def give_back(future, undo):
    """Undoes what a future has brought to somebody who was cancelled meanwhile."""
    if undo is not None and future.done() and not future.cancelled() and future.exception() is None:
        undo(future.result())


class Runs:
    """The runs of one event loop, and the descriptor through which the core rings."""

    def __init__(self, loop):
        self.loop = weakref.ref(loop)
        self._hub = _native.Hub()
        self._pending = {}
        self._number = 0
        self.ends = None

    def start(self, make, undo=None):
        """Starts what ``make(hub, number)`` prepares; its number and the future of what the core hands over. ``undo`` gives back what comes
        when nobody awaits it any more.
        """
        loop = self.loop()
        self._number += 1
        number = self._number
        native = make(self._hub, number)
        future = loop.create_future()
        if not self._pending:
            loop.add_reader(self._hub.fileno(), self._ring)
        self._pending[number] = (native, future, undo)
        self._poll(number)
        return number, future

    def cancel(self, number):
        """Ends a run as its deadline would; its future then tells that it was cancelled."""
        native, _, _ = self._pending.get(number, _NOTHING)
        if native is not None:
            native.cancel()

    async def stop(self, number):
        """Ends a run whose future nobody awaits any more, and waits for that whatever else is cancelled."""
        native, _, undo = self._pending.get(number, _NOTHING)
        if native is None:
            return
        ended = self.loop().create_future()
        self._pending[number] = (native, ended, None)
        native.cancel()
        while not ended.done():
            try:
                await asyncio.shield(ended)
            except asyncio.CancelledError:
                continue
            except Exception:
                break
        give_back(ended, undo)

    def _ring(self):
        for number in set(self._hub.take()):
            self._poll(number)

    def _poll(self, number):
        native, future, undo = self._pending.get(number, _NOTHING)
        if native is None:
            return
        try:
            result = native.poll()
        except Exception as error:
            self._finish(number)
            if not future.done():
                future.set_exception(error)
            return
        if result is not None:
            self._finish(number)
            if not future.done():
                future.set_result(result)
            elif undo is not None:
                undo(result)

    def _finish(self, number):
        del self._pending[number]
        if not self._pending:
            self.loop().remove_reader(self._hub.fileno())


_loops = weakref.WeakKeyDictionary()
# What was asked for last, which is nearly always the one. Held weakly: a loop and its descriptors go when nobody else needs them.
_recent = [lambda: None]


def _forget():
    """What a forked copy inherits belongs to its parent."""
    _loops.clear()
    _recent[0] = lambda: None


os.register_at_fork(after_in_child=_forget)


def runs_of(loop):
    """The ``Runs`` of a loop."""
    runs = _recent[0]()
    if runs is not None and runs.loop() is loop:
        return runs
    found = _loops.get(loop)
    if found is None:
        for old in [old for old in _loops if old.is_closed()]:
            del _loops[old]
        found = _loops[loop] = Runs(loop)
    _recent[0] = weakref.ref(found)
    return found


def ends_of(loop):
    """Where coroutines of a loop wait for children. The loop watches its one descriptor from the first use on."""
    runs = runs_of(loop)
    if runs.ends is None:
        runs.ends = _native.Ends()
        loop.add_reader(runs.ends.fileno(), runs.ends.take)
    return runs.ends


async def result_of(make, cancel=None, undo=None):
    """What the core hands over for a run or job, which ends when this is cancelled or ``cancel``, the caller's own handle, is. ``undo`` gets
    what it handed over at the moment at which this was cancelled.
    """
    loop = asyncio.get_running_loop()
    runs = runs_of(loop)
    if cancel is not None and not isinstance(cancel, _native.CancelHandle):
        raise TypeError(f"run: not a handle (cancel = {cancel!r}, expected a CancelHandle)")
    number, future = runs.start(make, undo)
    if cancel is not None:
        loop.add_reader(cancel.fileno(), runs.cancel, number)
    try:
        return await future
    except asyncio.CancelledError:
        give_back(future, undo)
        await runs.stop(number)
        raise
    finally:
        if cancel is not None:
            loop.remove_reader(cancel.fileno())
