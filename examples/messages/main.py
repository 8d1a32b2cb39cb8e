"""Two processes that exchange messages: objects, and bytes as they are."""

import json
import sys

import procs


def parent() -> None:
    child = procs.fork(__file__, "child")
    channel = child.channel
    for word in ("apple", "fig"):
        channel.send({"word": word})
        back = channel.recv(timeout=20)
        print(f"sent {text({'word': word})}, got back {text(back)}")
    data = bytes(1 << 20)
    channel.send_bytes(data)
    print(f"a mebibyte came back as it was: {str(channel.recv_bytes(timeout=20) == data).lower()}")
    channel.send("enough")
    try:
        channel.recv(timeout=20)
    except procs.ClosedError as error:
        print(f"the other side has ended: {error.kind}")
    print(f"the child ended with exit code {child.wait()}")


def text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def child() -> None:
    with procs.parent_channel() as channel:
        while True:
            message = channel.recv_message()
            if message.codec == "raw":
                channel.send_bytes(message.body)
                continue
            value = json.loads(message.body)
            if value == "enough":
                return
            channel.send({"length": len(value["word"]), "word": value["word"].upper()})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child()
    else:
        parent()
