# mypy: ignore-errors
# Private: the types that users see are in _ipc.pyi.
"""Values and arrays in shared memory with the names of ``multiprocessing``: a lock, and numbers that all processes see."""

import importlib
import struct
import sys

from ._errors import OutOfRangeError
from ._native import SharedMemory, SharedMutex
from ._arguments import refused, shown

# The lock, then the numbers on a cache line of their own.
_START = (SharedMutex.SIZE + 63) // 64 * 64


_CTYPES = {
    "c": "c_char", "b": "c_byte", "B": "c_ubyte", "?": "c_bool", "h": "c_short", "H": "c_ushort", "i": "c_int", "I": "c_uint", "l": "c_long",
    "L": "c_ulong", "q": "c_longlong", "Q": "c_ulonglong", "f": "c_float", "d": "c_double",
}


def Lock():  # noqa: N802, as multiprocessing has it
    """A ``SharedMutex`` in memory of its own. To share it, send it on a channel with ``codec="pickle"``."""
    return SharedMemory(SharedMutex.SIZE).mutex(0)


def _code(typecode):
    """The code of an item: that of ``array`` and ``struct``, or of a simple type of ``ctypes``."""
    code = getattr(typecode, "_type_", typecode)
    if not isinstance(code, str) or len(code) != 1 or code not in "cbB?hHiIlLqQfd":
        raise TypeError(f"no such type of item (typecode = {shown(typecode)}, expected one of c b B ? h H i I l L q Q f d, or a simple type of ctypes)")
    return code


class _Shared:
    """Items of one type in shared memory, and a lock. Sent on a channel with ``codec="pickle"`` the other side has the same ones."""

    def __init__(self, code, memory, lock=True):
        self.typecode, self.memory = code, memory
        self._items = memory.buf[_START:].cast(code)
        self._object = None
        # True is a lock of its own, which its memory has room for; False is none; else one that others have as well.
        self._given = lock is None or lock
        if self._given is True:
            self._lock = memory.mutex(0)
        elif self._given is False or hasattr(lock, "acquire"):
            self._lock = lock
        else:
            raise TypeError(f"not a lock (lock = {shown(lock)}, expected True, False or what has acquire and release)")

    def _refused(self, error, value):
        """The exception for an item that does not fit."""
        return type(error)(f"not an item of this type (value = {shown(value)}, expected one of typecode {self.typecode!r})")

    def __reduce__(self):
        return _attach, (type(self), self.typecode, self.memory, self._given)

    def get_lock(self):
        """The ``SharedMutex``, for changes that depend on what was there: ``with value.get_lock(): value.value += 1``."""
        if self._lock is False:
            raise AttributeError("it was made without a lock (lock = False)")
        return self._lock

    def get_obj(self):
        """The same memory as an object of ``ctypes``, which has a buffer: ``numpy.frombuffer(array.get_obj(), array.typecode)``."""
        if self._object is None:
            self._object = self._made(getattr(importlib.import_module("ctypes"), _CTYPES[self.typecode]))
        return self._object

    def acquire(self, *args, **kwargs):
        """Takes the lock."""
        return self.get_lock().acquire(*args, **kwargs)

    def release(self):
        """Lets the lock go."""
        self.get_lock().release()

    def __enter__(self):
        self.get_lock().acquire()
        return self

    def __exit__(self, *error):
        self.get_lock().release()


def _attach(kind, code, memory, lock):
    shared = kind.__new__(kind)
    _Shared.__init__(shared, code, memory, lock)
    return shared


class Value(_Shared):
    """One number in shared memory, ``.value``. ``typecode`` is that of ``array``, or a simple type of ``ctypes``.

    ``lock`` is True for a lock of its own, False for none, or a lock to use.
    """

    def __init__(self, typecode, value=0, *, lock=True):
        code = _code(typecode)
        super().__init__(code, SharedMemory(_START + struct.calcsize(code)), lock)
        self.value = value or (b"\0" if code == "c" else 0)

    @property
    def value(self):
        """The number now."""
        return self._items[0]

    @value.setter
    def value(self, value):
        try:
            self._items[0] = value
        except (TypeError, ValueError) as error:
            raise self._refused(error, value) from None

    def _made(self, item):
        return item.from_buffer(self._items)

    def __repr__(self):
        return f"<procs.Value {self.typecode} {self.value!r}>"


class Array(_Shared):
    """Numbers of one type in shared memory; ``numpy.asarray(array.buf)`` is the memory itself.

    ``size_or_initializer`` is how many (all 0), or what to begin with; ``lock`` is that of ``Value``. An array of characters (``c``) has
    ``value``, its bytes up to the first 0, and ``raw``, all of them.
    """

    def __init__(self, typecode, size_or_initializer, *, lock=True):
        code = _code(typecode)
        count, values = size_or_initializer, ()
        if not isinstance(count, int):
            values = self._values(code, size_or_initializer, "size_or_initializer", "a number of items, or the items")
            count = len(values)
        if count < 0:
            raise OutOfRangeError(f"an array has no negative size (size_or_initializer = {count}, expected a number of items, or the items)")
        if count > sys.maxsize // 8 - _START:
            raise OutOfRangeError(f"an array is not that large (size_or_initializer = {count}, expected a number of items, or the items)")
        super().__init__(code, SharedMemory(_START + max(1, count) * struct.calcsize(code)), lock)
        self._items = self._items[:count]
        for at, value in enumerate(values):
            self[at] = value

    @staticmethod
    def _values(code, given, name, expected):
        """The items to store: bytes are characters one by one."""
        if code == "c" and isinstance(given, (bytes, bytearray, memoryview)):
            return [bytes((byte,)) for byte in bytes(given)]
        try:
            return list(given)
        except (TypeError, ValueError) as error:
            raise refused(error, name, given, expected) from None

    def _made(self, item):
        return (item * len(self)).from_buffer(self._items)

    def __reduce__(self):
        return _attach_array, (self.typecode, self.memory, self._given, len(self))

    def __len__(self):
        return len(self._items)

    def __getitem__(self, at):
        if not isinstance(at, slice):
            try:
                return self._items[at]
            except (TypeError, IndexError, NotImplementedError) as error:
                raise self._no_place(error, at) from None
        return self._items[at].tobytes() if self.typecode == "c" else self._items[at].tolist()

    def __setitem__(self, at, value):
        if not isinstance(at, slice):
            try:
                self._items[at] = value
            except (TypeError, IndexError, ValueError, NotImplementedError) as error:
                if isinstance(error, IndexError) or not hasattr(at, "__index__"):
                    raise self._no_place(error, at) from None
                raise self._refused(error, value) from None
            return
        places = range(len(self))[at]
        values = self._values(self.typecode, value, "value", "the items for the slice")
        if len(values) != len(places):
            raise ValueError(f"an array does not change its size (values = {len(values)}, expected {len(places)})")
        for place, item in zip(places, values, strict=True):
            self[place] = item

    def _no_place(self, error, at):
        kind = IndexError if isinstance(error, IndexError) else TypeError  # a view knows places of several dimensions, if only to refuse them
        return kind(f"no such item (at = {shown(at)}, expected an integer below {len(self)}, or a slice)")

    def __iter__(self):
        return iter(self._items)

    def _characters(self, name):
        if self.typecode != "c":
            raise AttributeError(f"only an array of characters has it ({name}, typecode = {self.typecode!r})")
        return self.get_obj()

    @property
    def value(self):
        """The characters up to the first 0."""
        return self._characters("value").value

    @value.setter
    def value(self, value):
        self._characters("value").value = value

    @property
    def raw(self):
        """All characters."""
        return self._characters("raw").raw

    @raw.setter
    def raw(self, value):
        self._characters("raw").raw = value

    @property
    def buf(self):
        """A view of the numbers in place."""
        return self._items[:]

    def __repr__(self):
        return f"<procs.Array {self.typecode} size={len(self)}>"


def _attach_array(code, memory, lock, count):
    array = _attach(Array, code, memory, lock)
    array._items = array._items[:count]
    return array
