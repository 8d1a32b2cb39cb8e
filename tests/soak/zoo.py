#!/usr/bin/env python3
"""Soak: one host with children of every kind, in which something goes wrong all the time, and rules that hold all the time.

usage: zoo.py SECONDS [SEED]

Threads start children, feed them, talk with them and share memory with them; children are killed, stopped, dropped, timed out and forgotten at
random moments. Every second: no zombie that stays, descriptors and threads within their bounds. At the end: nothing is left.
A failed run prints its seed; the moments depend on the machine too, so a seed repeats the choices, not the races.
Exit status: 0 all rules held, 1 one did not.
"""

import hashlib
import os
import random
import signal
import sys
import threading
import time
import traceback
import uuid
from pathlib import Path

import procs

HERE = Path(__file__).resolve().parent
#: Stretches what follows on a slow machine.
SLOW = float(os.environ.get("PROCS_TEST_SLOW", "1"))
#: Seconds by which the end of a killed child must be known; the machine is loaded by the zoo itself.
NOTICED = 5.0 * SLOW
#: Seconds after which a zombie counts as left. The children of a forgotten handle are reaped by the library's thread.
ZOMBIE = 2.0 * SLOW
DESCRIPTORS, THREADS = 200, 40
COOKIE = "PROCS_ZOO_COOKIE"


class Zoo:
    """What the actors share: the end, what went wrong, and how often each did what."""

    def __init__(self, seconds, seed):
        self.until = time.monotonic() + seconds
        self.seed = seed
        self.cookie = uuid.uuid4().hex
        self.environment = {**os.environ, COOKIE: self.cookie}
        self.wrong = []
        self.done = {}
        self.lock = threading.Lock()

    def open(self):
        """Whether the actors go on."""
        return time.monotonic() < self.until and not self.wrong

    def count(self, what):
        """One more of these."""
        with self.lock:
            self.done[what] = self.done.get(what, 0) + 1

    def fail(self, text):
        """A rule was broken."""
        with self.lock:
            self.wrong.append(text)


def ends(zoo, child, what):
    """The child, whose end is near, is known to have ended in time."""
    try:
        child.wait(NOTICED)
    except procs.TimeoutExpired:
        child.kill()
        zoo.fail(f"{what}: process {child.pid} had not ended after {NOTICED} s")


# ---- actors: each does one thing with the numbers that it is given ----


def a_tree(zoo, dice):
    """A tree of processes, ended in one of the ways there are."""
    child = procs.Popen(["sh", "-c", "sleep 300 & sleep 300 & wait"], stdout=procs.PIPE, env=zoo.environment, kill_tree=True)
    if dice.random() < 0.3:
        child.send_signal(signal.SIGSTOP)
    way = dice.choice(["stop", "kill_tree", "forgotten"])
    if way == "stop":
        child.stop(grace=dice.choice([0, 0.05, 1]))
    elif way == "kill_tree":
        child.kill_tree()
        ends(zoo, child, "a killed tree")
    else:
        child.kill_tree()
        child.returncode  # nobody waits: the library's own thread reaps it
    child.stdout.close()
    return way


def a_run(zoo, dice):
    """Output that is captured whole, exactly to a limit, or until a deadline."""
    size = dice.randrange(1, 3_000_000)
    way = dice.choice(["whole", "head", "fed", "deadline"])
    if way == "whole":
        kept = procs.run(["head", "-c", str(size), "/dev/zero"], stdout=procs.PIPE, env=zoo.environment).stdout
        right = kept == bytes(size)
    elif way == "head":
        kept = procs.run(["head", "-c", str(size), "/dev/zero"], stdout=procs.PIPE, env=zoo.environment, max_output=("head", 1000)).stdout
        right = len(kept) == min(size, 1000)
    elif way == "fed":
        data = dice.randbytes(size)
        right = procs.run(["cat"], input=data, stdout=procs.PIPE, env=zoo.environment).stdout == data
    else:
        began = time.monotonic()
        try:
            procs.run(["sh", "-c", "yes & sleep 300"], stdout=procs.DEVNULL, env=zoo.environment, timeout=0.05, kill_tree=True)
            right = False
        except procs.TimeoutExpired:
            right = time.monotonic() - began < NOTICED
    if not right:
        zoo.fail(f"a run ({way}, {size} bytes) gave something else")
    return way


def a_talk(zoo, dice):
    """Messages to a child and back; then it is killed, closed or stopped for good."""
    kid = dice.choice([str(HERE / "kid.py"), str(HERE / "kid.js")])
    arguments = ["echo"] if kid.endswith(".py") else []
    child = procs.fork(kid, *arguments, env=zoo.environment)
    channel = child.channel
    for _ in range(dice.randrange(20)):
        text = dice.choice("abcé") * dice.randrange(200_000)
        message = {"text": text, "sum": hashlib.md5(text.encode()).hexdigest()}
        channel.send(message)
        if channel.recv(timeout=60) != message:
            zoo.fail(f"a message came back changed from {kid}")
    way = dice.choice(["killed", "killed in mid-message", "closed"])
    if way == "killed in mid-message":
        try:
            channel.send("x" * 5_000_000, timeout=0.01)
        except (procs.TimeoutExpired, OSError):
            pass
    if way == "closed":
        channel.close()
        if kid.endswith(".js"):
            ends(zoo, child, "a plain Node child whose channel was closed")
    else:
        child.kill()
        try:
            while True:
                channel.recv(timeout=NOTICED)
        except EOFError:
            pass
        except procs.TimeoutExpired:
            zoo.fail(f"the end of a killed {kid} was not noticed in {NOTICED} s")
        channel.close()
    ends(zoo, child, f"a child that was talked to ({way})")
    return way


def a_count(zoo, dice):
    """Two numbers that children raise together under a lock; a child is killed; the numbers are still equal."""
    with procs.SharedMemory(4096) as memory:
        lock, first, second = memory.mutex(0, create=True), memory.cell(256), memory.cell(264)
        fd = memory.fileno()
        children = [procs.Popen([sys.executable, str(HERE / "kid.py"), "count", str(fd)], pass_fds=[fd], env=zoo.environment) for _ in range(2)]
        while first.load() < 100 and zoo.open():
            time.sleep(0.001)
        for child in children:
            time.sleep(dice.random() / 50)
            child.kill()
            if not lock.acquire(timeout=NOTICED):
                zoo.fail("a lock was not given back by a killed holder")
                break
            if lock.owner_died:
                second.store(first.load())
                lock.repair()
            if first.load() != second.load():
                zoo.fail(f"the numbers differ under the lock: {first.load()} and {second.load()}")
            lock.release()
        for child in children:
            child.kill()
            ends(zoo, child, "a child that counts")
    return "counted"


def a_fork(zoo, _dice):
    """A forked copy of the host that uses the library and goes."""
    pid = os.fork()
    if pid == 0:
        try:
            right = procs.run(["echo", "copy"], stdout=procs.PIPE, env=zoo.environment).stdout == b"copy\n"
            os._exit(0 if right else 9)
        finally:
            os._exit(8)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        zoo.fail(f"a forked copy ended with {status}")
    return "forked"


ACTORS = [a_tree, a_tree, a_run, a_run, a_talk, a_talk, a_count, a_fork]


def act(zoo, actor, number):
    """One actor until the end."""
    dice = random.Random(f"{zoo.seed}/{number}")
    while zoo.open():
        try:
            zoo.count(f"{actor.__name__[2:]}: {actor(zoo, dice)}")
        except BaseException:
            zoo.fail(f"{actor.__name__}: {traceback.format_exc()}")


# ---- rules ----


def own_children():
    """(pid, state) of every child of this process."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.append((int(entry), fields[0]))
    return found


def carriers(cookie):
    """Processes besides this one that were started by the zoo, by their environment."""
    wanted = f"{COOKIE}={cookie}".encode()
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if wanted in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0") and int(entry) != os.getpid():
                found.append(int(entry))
        except OSError:
            continue
    return found


def watch(zoo):
    """Looks at the rules until the end."""
    since = {}
    while zoo.open():
        time.sleep(0.5)
        now = time.monotonic()
        zombies = {pid for pid, state in own_children() if state == "Z"}
        since = {pid: since.get(pid, now) for pid in zombies}
        left = [pid for pid, seen in since.items() if now - seen > ZOMBIE]
        if left:
            zoo.fail(f"zombies: {left}")
        descriptors, threads = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
        if descriptors > DESCRIPTORS or threads > THREADS:
            zoo.fail(f"{descriptors} descriptors, {threads} threads")


def settled(check, seconds=10 * SLOW):
    """Whether the check holds within so many seconds."""
    until = time.monotonic() + seconds
    while not check():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def main():
    """Everybody acts, the rules are watched, and nothing is left."""
    seconds = float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    procs.run(["true"])  # the library's own descriptors and threads are there
    before = len(os.listdir("/proc/self/fd"))
    zoo = Zoo(seconds, seed)
    threads = [threading.Thread(target=act, args=(zoo, actor, number)) for number, actor in enumerate(ACTORS)]
    for thread in threads:
        thread.start()
    watch(zoo)
    for thread in threads:
        thread.join(90)
        if thread.is_alive():
            zoo.fail(f"{thread.name} did not end")
    if not settled(lambda: not own_children() and not carriers(zoo.cookie)):
        zoo.fail(f"left: children {own_children()}, processes {carriers(zoo.cookie)}")
    if not settled(lambda: len(os.listdir("/proc/self/fd")) <= before + 8):
        zoo.fail(f"descriptors: {before} before, {len(os.listdir('/proc/self/fd'))} after")
    for what, times in sorted(zoo.done.items()):
        print(f"{times:6} {what}")
    for text in zoo.wrong:
        print(f"wrong: {text}")
    print(f"soak: seed {seed}, {sum(zoo.done.values())} acts, {'rules broken' if zoo.wrong else 'all rules held'}", flush=True)
    os._exit(1 if zoo.wrong else 0)  # a thread that hangs must not keep the verdict back


main()
