"""Programs that leave a communication in the middle: the child notices, and the pipes are the program's own again."""

import signal
from pathlib import Path

from common import snippet, subprocess

BOTH = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


class Alarm(Exception):
    """Raised by the handler of SIGALRM."""


def in_a_moment():
    """Sends the alarm; whoever waits by then is interrupted in the middle."""
    def handler(*_):
        raise Alarm

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)


def timed_out(child, *given, until=b""):
    """Communicates until deadlines have passed and the words were read."""
    while True:
        try:
            return child.communicate(*given, timeout=0.1)
        except subprocess.TimeoutExpired as error:
            if until in (error.output or b""):
                return error.timeout


@snippet
def block_left_after_a_timeout():
    with subprocess.Popen(["yes"], **BOTH) as child:
        print(timed_out(child))
    print(child.returncode, child.stdout.closed)
    with subprocess.Popen(["sh", "-c", "cat; while echo x; do sleep 0.01; done"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        timed_out(child, b"fed")
    print(child.returncode)
    with subprocess.Popen(["sh", "-c", "echo said; exec sleep 30"], text=True, **BOTH) as child:
        print(timed_out(child, until=b"said"))
        child.kill()
    print(child.returncode, child.communicate())


@snippet
def block_left_by_an_exception():
    for read in (lambda child: child.communicate(), lambda child: child.stdout.read()):
        try:
            with subprocess.Popen(["sh", "-c", "while echo x; do sleep 0.01; done"], **BOTH) as child:
                in_a_moment()
                read(child)
        except Alarm:
            print("alarm", child.returncode is not None)


@snippet
def pipes_closed_after_a_timeout():
    child = subprocess.Popen(["yes"], **BOTH)
    print(timed_out(child))
    child.stdout.close()
    child.stderr.close()
    print(child.wait(timeout=60))


@snippet
def pipes_read_after_a_timeout():
    child = subprocess.Popen(["sh", "-c", "echo one; until [ -e go ]; do sleep 0.02; done; echo two; echo err >&2"], **BOTH)
    print(timed_out(child, until=b"one"))
    Path("go").touch()
    print(child.stdout.read(), child.stderr.read(), child.wait())
    Path("go").unlink()
    child.stdout.close()
    child.stderr.close()


@snippet
def undecodable_after_a_block():
    try:
        with subprocess.Popen(["printf", "\\377"], encoding="utf-8", **BOTH) as child:
            child.communicate()
    except UnicodeDecodeError as error:
        print(error, child.returncode)
