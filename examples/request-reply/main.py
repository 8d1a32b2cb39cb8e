"""Questions to another process: an answer, a failure, a deadline."""

import sys
from typing import Any

import procs


def parent() -> None:
    child = procs.fork(__file__, "serve", stdin=procs.PIPE)
    ask = child.channel.call
    print(f"2 + 3 = {ask([2, 3], timeout=20)}")
    try:
        ask([], timeout=20)
    except procs.TaskFailedError as error:
        print(f"a failure comes back: {error.remote_type}")
    try:
        ask(["slowly"], timeout=0.1)
    except procs.TimedOutError as error:
        print(f"no answer in 0.1 s: {error.kind}")
    # The end of the input makes the child answer what it was slow with.
    assert child.stdin is not None
    child.stdin.close()
    print(f"and it goes on: 40 + 2 = {ask([40, 2], timeout=20)}")
    child.channel.close()
    print(f"the child ended with exit code {child.wait()}")


def answer(numbers: list[Any]) -> int:
    if not numbers:
        raise ValueError("no sum of nothing")
    if numbers == ["slowly"]:
        sys.stdin.read()
        return 0
    return sum(numbers)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        procs.parent_channel().serve(answer)
    else:
        parent()
