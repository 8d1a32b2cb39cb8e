"""A fifth implementation, from docs/wire.md alone: the socket wire without rings, in Python's standard library.

Sends messages back as they came, answers calls of one reply with the same message, calls with parts by three parts, `fail` by an error.
"""

import array
import os
import socket
import struct
import sys

HEADER = struct.Struct("<QQQBBBBHH")
PLACE = struct.Struct("<QQII")
HELLO = struct.Struct("<8sHHIQQII8x")
HELLO_KIND, DATA, CALL, REPLY, PART, END, ERROR, CANCEL, CREDIT, CLOSE, PING, PONG = 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13


def take():
    number, _, inode = os.environ.pop("PROCS_CHANNEL_FD").partition(":")
    assert not inode or os.fstat(int(number)).st_ino == int(inode), "another socket"
    os.set_inheritable(int(number), False)
    return socket.socket(fileno=int(number))


class Wire:
    def __init__(self, sock):
        self.sock, self.sent, self.came, self.fds = sock, 1, 0, []

    def read(self, count):
        parts = b""
        while len(parts) < count:
            data, control, flags, _ = self.sock.recvmsg(count - len(parts), socket.CMSG_SPACE(4 * 253), socket.MSG_CMSG_CLOEXEC)
            assert not flags & socket.MSG_CTRUNC, "descriptors lost"
            for level, kind, rights in control:
                assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                self.fds += array.array("i", rights)
            if not data:
                assert not parts, f"ended inside a frame ({len(parts)} of {count} bytes)"
                return None
            parts += data
        return parts

    def recv(self):
        head = self.read(HEADER.size)
        if head is None:
            return None
        length, seq, ident, kind, codec, flags, handle, fds, buffers = HEADER.unpack(head)
        assert seq == self.came and len(self.fds) == fds, (seq, self.came, self.fds, fds)
        self.came += 1
        payload = self.read(length) if length else b""
        taken, self.fds = self.fds, []
        return kind, ident, codec, flags, handle, taken, buffers, payload

    def send(self, kind, ident, codec=0, handle=0, fds=(), buffers=0, payload=b""):
        head = HEADER.pack(len(payload), self.sent, ident, kind, codec, 0, handle, len(fds), buffers)
        self.sent += 1
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        done = self.sock.sendmsg([head, payload], rights)
        if rest := (head + payload)[done:]:
            self.sock.sendall(rest)
        for fd in fds:
            os.close(fd)


def main():
    wire = Wire(take())
    kind, _, _, _, _, fds, _, payload = wire.recv()
    magic, major, _, flags, ring_bytes, *_ = HELLO.unpack(payload[: HELLO.size])
    assert (kind, magic, major) == (HELLO_KIND, b"procs-ch", 1), (kind, magic, major)
    assert flags & 1 == 0 and ring_bytes == 0 and not fds, "this implementation has no rings"
    while (frame := wire.recv()) is not None:
        kind, ident, codec, flags, handle, fds, buffers, payload = frame
        table, inline = payload[: buffers * PLACE.size], payload[buffers * PLACE.size :]
        places = [PLACE.unpack_from(table, at * PLACE.size) for at in range(buffers)]
        assert all(place[1:] == (0, 0, 0) for place in places), "everything is inline"
        body = inline[: len(inline) - sum(place[0] for place in places)]
        if kind == DATA:
            wire.send(DATA, 0, codec, handle, fds, buffers, payload)
        elif kind == CALL and body == b"fail":
            name, message, trace = b"LookupError", "nothing \u00e9".encode(), b"line 7"
            wire.send(ERROR, ident, payload=struct.pack("<III", 13, len(name), len(message)) + name + message + trace)
        elif kind == CALL and flags & 1:
            for part in (b"one", b"two", b"three"):
                wire.send(PART, ident, payload=part)
            wire.send(END, ident)
        elif kind == CALL:
            wire.send(REPLY, ident, codec, handle, fds, buffers, payload)
        elif kind == PING:
            wire.send(PONG, ident)
        elif kind == CLOSE:
            break
        else:
            assert kind in (CANCEL, CREDIT), kind
    return 5


sys.exit(main())
