# mypy: ignore-errors
# Private: the types that users see are in _ipc.pyi.
"""Values and arrays in shared memory with the names of ``multiprocessing``: a lock, and numbers that all processes see."""

import struct

from ._native import SharedMemory, SharedMutex

# The lock, then the numbers on a cache line of their own.
_START = (SharedMutex.SIZE + 63) // 64 * 64


def Lock():  # noqa: N802, as multiprocessing has it
    """A ``SharedMutex`` in memory of its own. To share it, send it on a channel with ``codec="pickle"``."""
    return SharedMemory(SharedMutex.SIZE).mutex(0)


def _code(typecode):
    """The code of an item: that of ``array`` and ``struct``, or of a simple type of ``ctypes``."""
    code = getattr(typecode, "_type_", typecode)
    if not isinstance(code, str) or len(code) != 1 or code not in "cbB?hHiIlLqQfd":
        raise ValueError(f"no such type of item (typecode = {typecode!r}, expected one of c b B ? h H i I l L q Q f d, or a simple type of ctypes)")
    return code


class _Shared:
    """Items of one type in shared memory, and a lock. Sent on a channel with ``codec="pickle"`` the other side has the same ones."""

    def __init__(self, code, memory):
        self.typecode, self.memory = code, memory
        self._items = memory.buf[_START:].cast(code)
        self._lock = memory.mutex(0)

    def __reduce__(self):
        return _attach, (type(self), self.typecode, self.memory)

    def get_lock(self):
        """The ``SharedMutex``, for changes that depend on what was there: ``with value.get_lock(): value.value += 1``."""
        return self._lock

    def acquire(self, blocking=True, timeout=None):
        """Takes the lock."""
        return self._lock.acquire(blocking, timeout)

    def release(self):
        """Lets the lock go."""
        self._lock.release()

    def __enter__(self):
        self._lock.acquire()
        return self

    def __exit__(self, *error):
        self._lock.release()


def _attach(kind, code, memory):
    shared = kind.__new__(kind)
    _Shared.__init__(shared, code, memory)
    return shared


class Value(_Shared):
    """One number in shared memory, ``.value``. ``typecode`` is that of ``array``, or a simple type of ``ctypes``."""

    def __init__(self, typecode, value=0):
        code = _code(typecode)
        super().__init__(code, SharedMemory(_START + struct.calcsize(code)))
        self.value = value or (b"\0" if code == "c" else 0)

    @property
    def value(self):
        """The number now."""
        return self._items[0]

    @value.setter
    def value(self, value):
        self._items[0] = value

    def __repr__(self):
        return f"<procs.Value {self.typecode} {self.value!r}>"


class Array(_Shared):
    """Numbers of one type in shared memory, with a buffer: ``numpy.frombuffer(array, array.typecode)`` is the memory itself.

    ``size_or_initializer`` is how many (all 0), or what to begin with.
    """

    def __init__(self, typecode, size_or_initializer):
        code = _code(typecode)
        count, values = size_or_initializer, ()
        if not isinstance(count, int):
            values = tuple(size_or_initializer)
            count = len(values)
        if count < 0:
            raise ValueError(f"an array has no negative size (size = {count})")
        super().__init__(code, SharedMemory(_START + max(1, count) * struct.calcsize(code)))
        self._items = self._items[:count]
        for at, value in enumerate(values):
            self._items[at] = value

    def __reduce__(self):
        return _attach_array, (self.typecode, self.memory, len(self))

    def __len__(self):
        return len(self._items)

    def __getitem__(self, at):
        return self._items[at].tolist() if isinstance(at, slice) else self._items[at]

    def __setitem__(self, at, value):
        if not isinstance(at, slice):
            self._items[at] = value
            return
        places = range(len(self))[at]
        values = list(value)
        if len(values) != len(places):
            raise ValueError(f"an array does not change its size (values = {len(values)}, expected {len(places)})")
        for place, item in zip(places, values, strict=True):
            self._items[place] = item

    def __iter__(self):
        return iter(self._items)

    @property
    def buf(self):
        """A view of the numbers in place."""
        return self._items[:]

    def __repr__(self):
        return f"<procs.Array {self.typecode} size={len(self)}>"


def _attach_array(code, memory, count):
    array = _attach(Array, code, memory)
    array._items = array._items[:count]
    return array
