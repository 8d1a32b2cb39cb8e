"""Area C: messages between two processes."""

from .build import BENCH
from .rows import Row
from .sampling import Section
from .spawn import Maker

SIZES = "sizes=64,1024,65536,1048576"
LARGE = "sizes=67108864"
#: More rounds would make the area longer than a few minutes, and the medians of fewer hold.
ROUNDS = 5
#: What a section may take, so that the area ends within ten minutes also on a machine that does other things.
SECONDS = 75.0


def maker(box, *options):
    """The options that every case of a section gets."""
    return Maker(box, "ipc", *options)


def limits(make, asleep, small):
    """C without a library. A side that only ever spins needs a CPU of its own; the floors are a wake-up and 64 bytes."""
    cases = [
        make.limit("socketpair", "C socketpair"),
        make.limit("pipe", "C pipes of 1 MiB"),
        make.limit("ring-spin-futex", "C ring, spins, then futex"),
        make.limit("ring-futex", "C ring, futex"),
        make.limit("ring-adaptive", "C ring, spins only for a peer on another CPU"),
    ]
    if small:
        cases.append(make.limit("seqpacket", "C SEQPACKET"))
    if not asleep:
        cases.append(make.limit("ring-spin", "C ring, spins for ever"))
    return cases


def floors(make):
    """What no message can be faster than when the receiver sleeps."""
    return [make.limit("futex", "C futex and 64 bytes"), make.limit("eventfd", "C eventfd and 64 bytes")]


def peers(make, asleep):
    """What there is today."""
    cases = [
        make.program("ipc-channel-vec", "ipc-channel Vec<u8>", "peer", ("ipc-peers", "ipc-channel-vec")),
        make.program("ipc-channel-bytes", "ipc-channel bytes", "peer", ("ipc-peers", "ipc-channel-bytes")),
        make.program("iceoryx2-event", "iceoryx2 with events", "peer", ("ipc-peers", "iceoryx2-event")),
        make.python("py-pipe", "Python Pipe send_bytes", "peer", "pipe-bytes"),
        make.python("py-pipe-objects", "Python Pipe send", "peer", "pipe-objects"),
        make.python("py-queue", "Python Queue", "peer", "queue"),
        make.python("pyzmq", "pyzmq PAIR ipc", "peer", "pyzmq"),
        make.node("node-json", "Node fork, json", "peer", "fork-json"),
        make.node("node-advanced", "Node fork, advanced", "peer", "fork-advanced"),
        make.node("node-worker", "Node worker postMessage", "peer", "worker"),
    ]
    if not asleep:
        cases.append(make.program("iceoryx2-polling", "iceoryx2 polling", "peer", ("ipc-peers", "iceoryx2-polling")))
    return cases


def ours(make):
    """libprocs in four languages, parent and child in the same one."""
    return [
        make.program("rust", "libprocs Rust", "ours", ("rust-channel", "native")),
        make.program("c", "libprocs C", "ours", ("ours-c-ipc", "native")),
        make.python("python", "libprocs Python", "ours", "procs-bytes"),
        make.node("node", "libprocs Node", "ours", "procs-channel"),
        make.node("node-fork", "libprocs Node fork, json, child upgraded", "ours", "procs-fork"),
    ]


def everyone(make, asleep=False, small=True):
    """All of a section."""
    return tuple(limits(make, asleep, small) + peers(make, asleep) + ours(make))


def in_place(make):
    """Messages by reference, and what copies cost."""
    return (
        make.limit("ring-spin-futex", "C ring, spins, then futex"),
        make.program("rust", "libprocs Rust, by reference", "ours", ("rust-channel", "in-place")),
        make.program("c", "libprocs C, by reference", "ours", ("ours-c-ipc", "in-place")),
        make.python("python", "libprocs Python, by reference", "ours", "procs-in-place"),
    )


def echoing(box, *options):
    """A plain Node script that echoes, under a parent in each language."""
    make = maker(box, f"echo={BENCH / 'node' / 'echo.cjs'}", *options)
    return (
        make.node("node", "Node fork", "peer", "echo"),
        make.program("rust", "libprocs Rust", "ours", ("rust-channel", "node")),
        make.program("c", "libprocs C", "ours", ("ours-c-ipc", "node")),
        make.python("python", "libprocs Python", "ours", "procs-node"),
        make.node("node-fork", "libprocs Node fork", "ours", "procs-echo"),
    )


def sections(box, plan):
    """The sections of the area."""
    rounds, seconds = min(plan.rounds, ROUNDS), f"seconds={plan.seconds / 6:.3f}"
    few = max(2, rounds // 2)
    small, large = maker(box, "mode=round", SIZES, seconds), maker(box, "mode=round", LARGE, seconds)
    way, large_way = maker(box, "mode=oneway", SIZES, seconds), maker(box, "mode=oneway", LARGE, seconds)
    placed = maker(box, "mode=round", "sizes=65536,67108864", seconds)
    copy = (way.limit("memcpy", "C memcpy alone"),), (large_way.limit("memcpy", "C memcpy alone"),)
    near, far = {"pinned": True, "seconds": SECONDS}, {"pinned": True, "apart": True, "seconds": SECONDS}
    return (
        Section("C1", "C", "Round trip, both sides on one CPU: the receiver sleeps", everyone(small, asleep=True) + tuple(floors(small)), rounds, **near),
        Section("C1a", "C", "Round trip, one CPU for each side: the receiver is active", everyone(small) + tuple(floors(small)), rounds, **far),
        Section("C2", "C", "One way, one CPU for each side", everyone(way) + copy[0], rounds, **far),
        Section("C3", "C", "Round trip of 64 MiB, both sides on one CPU", everyone(large, asleep=True, small=False), few, **near),
        Section("C3a", "C", "Round trip of 64 MiB, one CPU for each side", everyone(large, small=False), few, **far),
        Section("C3w", "C", "64 MiB one way, one CPU for each side", everyone(large_way, small=False) + copy[1], few, **far),
        Section("C4", "C", "Round trip by reference: built and read in place", in_place(placed), few, **far),
        Section("C6", "C", "A plain Node child that echoes, both sides on one CPU", echoing(box, seconds), rounds, **near),
        Section("C6a", "C", "A plain Node child that echoes, one CPU for each side", echoing(box, seconds), rounds, **far),
    )


def group(prefix, title, section, metric, name, goals):
    """Rows of one figure: its goal on its own if there is one, and how many times better than others it is to be."""
    found = []
    for against, goal in goals.items():
        key = f"{prefix}-{against}" if against else prefix
        sides = {"at_most": float(goal[1:])} if goal.startswith("≤") else {"at_least": float(goal[1:])}
        found.append(Row(key, title, section, metric, name, against, **sides))
    return found


def core_rows(name, language):
    """Rust and C."""
    asleep = {"futex": "≤1.1", "pipe": "≥1.05", "ipc-channel-bytes": "≥1.8", "iceoryx2-event": "≥3"}
    active = {"": "≤0.30", "iceoryx2-polling": "≥2", "ipc-channel-bytes": "≥140"}
    rate = {"": "≥9", "iceoryx2-polling": "≥2.4", "ipc-channel-bytes": "≥8"}
    middle = {"": "≥40", "iceoryx2-polling": "≥1", "ipc-channel-bytes": "≥6"}
    return [
        *group(f"C1-{name}-64", f"{language}: 64 B round trip, asleep", "C1", "us_64", name, asleep),
        *group(f"C1a-{name}-64", f"{language}: 64 B round trip, active", "C1a", "us_64", name, active),
        *group(f"C2-{name}-64", f"{language}: 64 B one way", "C2", "mmsg_64", name, rate),
        *group(f"C2-{name}-64k", f"{language}: 64 KiB one way", "C2", "gib_64k", name, middle),
        *group(f"C3w-{name}-64m", f"{language}: 64 MiB one way", "C3w", "gib_64m", name, {"": "≥6", "ipc-channel-bytes": "≥4"}),
    ]


def python_rows():
    """Python."""
    large = {"": "≤120", "pyzmq": "≥3", "py-pipe": "≥15"}
    return [
        *group("C1-python-64", "Python: 64 B round trip, asleep", "C1", "us_64", "python", {"": "≤5.5", "py-pipe": "≥2.4", "py-queue": "≥5.5"}),
        *group("C1a-python-64", "Python: 64 B round trip, active", "C1a", "us_64", "python", {"": "≤0.6", "py-pipe": "≥50"}),
        *group("C2-python-64", "Python: 64 B one way", "C2", "mmsg_64", "python", {"": "≥3", "pyzmq": "≥2", "py-pipe": "≥7.5"}),
        *group("C1a-python-1m", "Python: 1 MiB round trip", "C1a", "us_1m", "python", large),
    ]


def node_rows(name, title):
    """Node: a channel, and fork with a child that has the package as well."""
    asleep = {"": "≤9", "node-json": "≥1.8", "node-advanced": "≥2.9", "node-worker": "≥1.45"}
    rate = {"": "≥1.2", "node-json": "≥3.8", "node-worker": "≥1.5", "node-advanced": "≥10"}
    large = {"": "≤200", "node-advanced": "≥3.5", "node-json": "≥39"}
    return [
        *group(f"C1-{name}-64", f"{title}: 64 B round trip, asleep", "C1", "us_64", name, asleep),
        *group(f"C1a-{name}-64", f"{title}: 64 B round trip, active", "C1a", "us_64", name, {"": "≤4", "node-json": "≥12"}),
        *group(f"C2-{name}-64", f"{title}: 64 B one way", "C2", "mmsg_64", name, rate),
        *group(f"C1a-{name}-1m", f"{title}: 1 MiB round trip", "C1a", "us_1m", name, large),
    ]


def rows(_plan):
    """The goals of the area."""
    found = core_rows("rust", "Rust") + core_rows("c", "C") + python_rows()
    found += node_rows("node", "Node") + node_rows("node-fork", "Node fork")
    for name, language in (("rust", "Rust"), ("c", "C"), ("python", "Python")):
        found += group(f"C4-{name}-64m", f"{language}: 64 MiB round trip by reference", "C4", "us_64m", name, {"": "≤10"})
    for name, language in (("rust", "Rust"), ("c", "C"), ("python", "Python"), ("node-fork", "Node fork")):
        found += group(f"C6-{name}-64", f"{language}: round trip with a plain Node child", "C6", "us_64", name, {"node": "≥1"})
        found += group(f"C6a-{name}-rate", f"{language}: echoes of a plain Node child", "C6a", "kmsg", name, {"node": "≥1"})
    return tuple(found)
