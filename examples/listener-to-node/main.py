"""A listening socket that is opened here and handed to a plain Node program, which serves HTTP on it."""

import socket
from pathlib import Path
from urllib.request import urlopen

import procs


def main() -> None:
    child = procs.fork(Path(__file__).with_name("server.cjs"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        child.channel.send({"greeting": "hello"}, fds=[listener])
    child.channel.recv(timeout=20)
    print("Node serves on the socket that was opened here")
    for name in ("world", "again"):
        with urlopen(f"http://127.0.0.1:{port}/{name}") as page:
            print(f"GET /{name}: {page.read().decode()}")
    child.channel.close()
    print("the child ended with exit code", child.wait())


if __name__ == "__main__":
    main()
