"""The tour: six things that libprocs does, each with what it prints."""

import json
import time
from pathlib import Path

import procs

# Three processes: a shell, its child, and a grandchild in a session of its own. Each tells its process id.
TREE = "sleep 60 & echo $!; setsid sleep 60 & echo $!; echo $$; wait"

# A plain program of Node, which knows nothing of libprocs.
ADDER = "process.once('message', ({ a, b }) => { process.send({ sum: a + b }); process.disconnect(); })"


def run_and_capture() -> None:
    print("1. run a program and capture what it says")
    done = procs.run(["sh", "-c", "echo hello; echo oops >&2; exit 3"], capture_output=True, text=True)
    print(f'   stdout "{done.stdout.rstrip()}", stderr "{done.stderr.rstrip()}", exit code {done.returncode}')


def stream_lines() -> None:
    print("2. stream a long runner, line by line")
    began = time.monotonic()
    command = ["sh", "-c", "for i in 1 2 3; do echo step $i of 3; sleep 0.3; done"]
    with procs.Popen(command, stdout=procs.PIPE, text=True) as child:
        for line in child.lines():
            print(f"   after {time.monotonic() - began:.1f} s: {line}", flush=True)
    print(f"   ended with exit code {child.returncode}")


def feed_a_filter() -> None:
    print("3. feed a filter")
    done = procs.run(["sort"], input="pear\nfig\napple\n", capture_output=True, text=True)
    print(f"   pear fig apple sorted: {' '.join(done.stdout.split())}")


def stop_a_tree() -> None:
    print("4. a deadline that stops a whole tree")
    began = time.monotonic()
    try:
        procs.run(["sh", "-c", TREE], capture_output=True, timeout=2, kill_tree=True)
    except procs.TimeoutExpired as error:
        pids = (error.output or b"").decode().split()
        print(f"   the deadline passed, after {time.monotonic() - began:.1f} s")
        print(f"   {len(pids)} processes had started, {sum(map(alive, pids))} are left")


def honest_errors() -> None:
    print("5. honest errors")
    for program, folder in (("no-such-program", None), ("true", "/no/such/folder")):
        try:
            procs.run([program], cwd=folder, capture_output=True)
        except procs.ProcsError as error:
            print(f"   {error.kind} at {error.stage}: {error.detail}")


def talk_with_node() -> None:
    print("6. talk with a plain Node program")
    with procs.fork("node", "-e", ADDER) as child:
        child.channel.send({"a": 20, "b": 22})
        answer = child.channel.recv()
        print("   it answered", json.dumps(answer, separators=(",", ":")))
    print(f"   then exit code {child.returncode}")


def alive(pid: str) -> bool:
    """Whether the process exists and is more than a zombie that its new parent has not looked at yet."""
    try:
        stat = Path("/proc", pid, "stat").read_text()
    except OSError:
        return False
    return not stat.rsplit(") ", 1)[-1].startswith("Z")


if __name__ == "__main__":
    run_and_capture()
    stream_lines()
    feed_a_filter()
    stop_a_tree()
    honest_errors()
    talk_with_node()
