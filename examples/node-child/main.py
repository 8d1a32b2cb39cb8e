"""A plain Node program as the child: objects both ways, a connection that it is handed, its end."""

import json
import socket
from pathlib import Path

import procs


def main() -> None:
    child = procs.fork(Path(__file__).with_name("child.cjs"))
    question = {"number": 12}
    child.channel.send(question)
    print(f"sent {text(question)}, got back {text(child.channel.recv(timeout=20))}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        connection, _ = listener.accept()
    with connection:
        child.channel.send({"name": "client"}, fds=[connection])
    with client, client.makefile() as file:
        print("the child answered on the connection:", file.read())

    child.channel.close()
    print("the child ended with exit code", child.wait())


def text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


if __name__ == "__main__":
    main()
