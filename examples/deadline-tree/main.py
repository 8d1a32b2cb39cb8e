import signal

import procs


def show(script: str, *, grace: float | None = None, kill_tree: bool = False) -> None:
    try:
        procs.run(["sh", "-c", script], capture_output=True, timeout=2, grace=grace, kill_tree=kill_tree)
    except procs.TimeoutExpired as error:
        print("  output so far:", ", ".join((error.output or b"").decode().splitlines()))
        print("  timed out: true")
        assert error.completed is not None and error.completed.stopped is not None
        code = error.completed.returncode
        print("  ended:", f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.Signals(-code).name})")
        if "wait" in script:
            print("  survivors:", len(error.completed.stopped.survivors))


print("a tree of sleepers, deadline 2 s:")
show("sleep 60 & sleep 60 & echo started; wait", kill_tree=True)
print("a program that cleans up when asked to:")
show('trap "echo cleaned up; exit 7" TERM; echo ready; while :; do sleep 0.1; done', grace=10)
print("a program that ignores the request:")
show('trap "" TERM; echo not listening; while :; do sleep 0.1; done', grace=0.2, kill_tree=True)
