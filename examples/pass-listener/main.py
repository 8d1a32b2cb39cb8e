"""A listening socket is passed to another process, which answers who connects to it."""

import socket
import sys

import procs


def parent() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    child = procs.Popen([sys.executable, __file__, "answer"], channel=True)
    assert child.channel is not None
    child.channel.send("listen", fds=[listener])
    print("a listening socket goes to another process")
    listener.close()
    print("this process has closed its own")
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(b"hello\n")
        answer = connection.makefile().readline().strip()
    print(f"asked at the same address, the other process answers: {answer}")
    print(f"the child ended with exit code {child.wait()}")


def answer() -> None:
    message = procs.parent_channel().recv_message(20)
    with socket.socket(fileno=message.fds[0]) as listener:
        connection, _ = listener.accept()
    with connection:
        connection.sendall(connection.makefile("rb").readline().upper())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        answer()
    else:
        parent()
