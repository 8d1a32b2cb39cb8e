"""A child of a plain Node program: it finds Node's channel, answers a message, and reads from the connection that it is handed."""

import json
import socket
import sys
from pathlib import Path

import procs


def start_node() -> int:
    """Node, with this program as its child."""
    return procs.run(["node", Path(__file__).with_name("parent.cjs"), sys.executable, __file__, "child"]).returncode


def child() -> int:
    channel = procs.parent_channel()
    while True:
        try:
            message = channel.recv_message()
        except EOFError:
            return 3
        if message.fds:
            with socket.socket(fileno=message.fds[0]) as connection, connection.makefile() as file:
                connection.setblocking(True)  # Node's sockets never block
                channel.send({"read": file.read()})
        else:
            channel.send({"sum": sum(json.loads(message.body)["numbers"])})


if __name__ == "__main__":
    sys.exit(child() if len(sys.argv) > 1 else start_node())
