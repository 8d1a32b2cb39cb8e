"""Area A: starting and ending children."""

from .build import BENCH, ROOT
from .rows import Row
from .sampling import Case, Section

#: Parent sizes in MB, touched and held.
SMALL, LARGE, HUGE = 20, 1024, 4096


class Maker:
    """Makes cases of one section from the programs that could be built."""

    def __init__(self, box, kind, *options):
        self.box, self.kind, self.options = box, kind, options

    def program(self, case_id, title, role, words):
        """A case whose first word names a program of the toolbox."""
        name, *rest = words
        path = self.box.programs.get(name)
        if path is None:
            return Case(case_id, title, role, (), absent=self.box.absent.get(name, "not built"))
        return Case(case_id, title, role, (path, *rest, *self.options))

    def python(self, case_id, title, role, name):
        """A case of python/<kind>.py; the module `procs` is taken from the tree."""
        case = self.program(case_id, title, role, ("python", str(BENCH / "python" / f"{self.kind}.py"), name))
        return Case(case.id, case.title, case.role, case.command, (("PYTHONPATH", str(ROOT / "bindings" / "python")),), case.absent)

    def node(self, case_id, title, role, name):
        """A case of node/<kind>.mjs; the package is taken from the tree."""
        return self.program(case_id, title, role, ("node", str(BENCH / "node" / f"{self.kind}.mjs"), name))

    def node_limit(self, case_id, title):
        """A case of node/<kind>.mjs with the native module that does nothing else."""
        addon = self.box.programs.get("limit-node")
        if addon is None:
            return Case(case_id, title, "limit", (), absent=self.box.absent.get("limit-node", "not built"))
        return self.program(case_id, title, "limit", ("node", str(BENCH / "node" / f"{self.kind}.mjs"), case_id, f"addon={addon}"))

    def limit(self, case_id, title, name=None):
        """A case of limits/<kind>.c."""
        return self.program(case_id, title, "limit", (f"limit-{self.kind}", name or case_id))


def spawn_maker(box, seconds, *options):
    """The options that every spawn case gets."""
    return Maker(box, "spawn", f"true={box.programs.get('true', '')}", f"seconds={seconds}", *options)


def everyone(make):
    """All that start children one at a time."""
    return (
        make.limit("clone", "C clone + execve"),
        make.limit("vfork", "C vfork + execve"),
        make.limit("clone3", "C clone3, all that a library needs"),
        make.limit("clone-nowait", "C clone, not waiting for exec"),
        make.limit("posix_spawn", "C posix_spawn"),
        make.limit("fork", "C fork + execve"),
        make.node_limit("node-addon", "Node, bare addon"),
        make.program("libuv", "libuv uv_spawn", "peer", ("libuv", "uv_spawn")),
        make.program("command", "Rust Command", "peer", ("rust-peers", "spawn")),
        make.python("py-run", "Python subprocess.run", "peer", "run"),
        make.python("py-popen", "Python Popen + wait", "peer", "popen"),
        make.python("py-posix_spawn", "Python os.posix_spawn", "peer", "posix_spawn"),
        make.python("py-asyncio", "Python asyncio", "peer", "asyncio"),
        make.python("py-uvloop", "Python uvloop", "peer", "uvloop"),
        make.node("node-spawn", "Node spawn", "peer", "spawn"),
        make.node("node-spawn-pipe", "Node spawn with pipes", "peer", "spawn-pipe"),
        make.node("node-execFile", "Node execFile", "peer", "execFile"),
        make.node("node-spawnSync", "Node spawnSync", "peer", "spawnSync"),
        *ours(make),
    )


def ours(make):
    """libprocs in four languages."""
    return (
        make.program("rust", "libprocs Rust", "ours", ("rust-ours", "spawn")),
        make.program("rust-no-wait", "libprocs Rust, not waiting for exec", "ours", ("rust-ours", "spawn-no-wait")),
        make.program("c", "libprocs C", "ours", ("ours-c-spawn", "spawn")),
        make.program("c-no-wait", "libprocs C, not waiting for exec", "ours", ("ours-c-spawn", "spawn-no-wait")),
        make.python("python-run", "libprocs Python run", "ours", "procs-run"),
        make.python("python-popen", "libprocs Python Popen + wait", "ours", "procs-popen"),
        make.python("python-asyncio", "libprocs Python asyncio", "ours", "procs-asyncio"),
        make.python("python-uvloop", "libprocs Python uvloop", "ours", "procs-uvloop"),
        make.node("node", "libprocs Node spawn", "ours", "procs-spawn"),
        make.node("node-pipe", "libprocs Node spawn with pipes", "ours", "procs-spawn-pipe"),
        make.node("node-exec", "libprocs Node execFile", "ours", "procs-execFile"),
        make.node("node-sync", "libprocs Node spawnSync", "ours", "procs-spawnSync"),
    )


def threads(make):
    """Blocking interfaces with 8 threads."""
    return (
        make.limit("clone", "C clone + execve"),
        make.limit("clone3", "C clone3, all that a library needs"),
        make.limit("posix_spawn", "C posix_spawn"),
        make.program("command", "Rust Command", "peer", ("rust-peers", "spawn")),
        make.python("py-run", "Python subprocess.run", "peer", "run"),
        make.program("rust", "libprocs Rust", "ours", ("rust-ours", "spawn")),
        make.program("c", "libprocs C", "ours", ("ours-c-spawn", "spawn")),
        make.python("python-run", "libprocs Python run", "ours", "procs-run"),
    )


def sized(box, megabytes, seconds):
    """The cases that are repeated with a large parent."""
    make = spawn_maker(box, seconds, f"mb={megabytes}")
    size = f"{megabytes} MB" if megabytes < 1024 else f"{megabytes // 1024} GB"
    cases = (
        make.limit("clone", "C clone + execve"),
        make.limit("fork", "C fork + execve"),
        make.program("libuv", "libuv uv_spawn", "peer", ("libuv", "uv_spawn")),
        make.program("command", "Rust Command", "peer", ("rust-peers", "spawn")),
        make.python("py-run", "Python subprocess.run", "peer", "run"),
        make.node("node-spawn", "Node spawn", "peer", "spawn"),
        make.program("rust", "libprocs Rust", "ours", ("rust-ours", "spawn")),
        make.program("c", "libprocs C", "ours", ("ours-c-spawn", "spawn")),
        make.python("python-run", "libprocs Python run", "ours", "procs-run"),
        make.node("node", "libprocs Node spawn", "ours", "procs-spawn"),
    )
    return [Case(f"{case.id}@{megabytes}", f"{case.title}, {size}", case.role, case.command, case.env, case.absent) for case in cases]


def sections(box, plan):
    """The sections of the area."""
    small = spawn_maker(box, plan.seconds, f"mb={SMALL}")
    many = spawn_maker(box, plan.seconds, f"mb={SMALL}", "threads=8", "outstanding=64")
    large = [case for megabytes in (SMALL, LARGE, *([HUGE] if plan.full else [])) for case in sized(box, megabytes, plan.seconds)]
    outstanding = (many.python("py-asyncio", "Python asyncio, 64 outstanding", "peer", "asyncio"),
                   many.python("python-asyncio", "libprocs Python asyncio, 64 outstanding", "ours", "procs-asyncio"),
                   many.node("node-spawn", "Node spawn, 64 outstanding", "peer", "spawn"),
                   many.node("node", "libprocs Node spawn, 64 outstanding", "ours", "procs-spawn"))
    return (
        Section("A1", "A", "One child at a time, parent 20 MB", everyone(small), plan.rounds, pinned=True),
        Section("A1u", "A", "The same on all CPUs", everyone(small), max(2, plan.rounds // 2)),
        Section("A2", "A", "8 threads, or 64 outstanding children of a loop", threads(many) + outstanding, plan.rounds),
        Section("A3", "A", "Large parents", tuple(large), max(2, plan.rounds // 2), pinned=True),
    )


def rows(plan):
    """The goals of the area."""
    # What the machine gives to a program that holds its child by a pidfd, without any library: shown beside the goal of ours.
    found = [Row("A1-limit-exit", "C clone3 alone: start → exit", "A1", "total_us", "clone3", "clone", at_most=1.08, gated=False)]
    for name, language in (("rust", "Rust"), ("c", "C")):
        found += [
            Row(f"A1-{name}-exit-limit", f"{language}: start → exit", "A1", "total_us", name, "clone", at_most=1.08),
            Row(f"A1-{name}-exit-peer", f"{language}: start → exit", "A1", "total_us", name, "command", at_least=1.3),
            Row(f"A1-{name}-call", f"{language}: the call alone", "A1", "call_us", name, "command", at_least=1.85),
            Row(f"A2-{name}-threads", f"{language}: 8 threads", "A2", "per_s", name, "command", at_least=1.65),
            Row(f"A3-{name}-1g-size", f"{language}: call with a parent of 1 GB", "A3", "call_us", f"{name}@1024", f"{name}@20", at_most=1.25),
        ]
        if plan.full:
            found += [
                Row(f"A3-{name}-4g-size", f"{language}: call with a parent of 4 GB", "A3", "call_us", f"{name}@4096", f"{name}@20", at_most=1.25),
                Row(f"A3-{name}-4g-limit", f"{language}: start → exit with a parent of 4 GB", "A3", "total_us",
                    f"{name}@4096", "clone@4096", at_most=1.08),
            ]
    for name, language in (("rust-no-wait", "Rust"), ("c-no-wait", "C")):
        found += [
            Row(f"A1-{name}-call", f"{language}: the call alone, not waiting for exec", "A1", "call_us", name, "command", at_least=4.5),
            # What `Command::status` and `procs_run` do: the start is not waited for, because the end is.
            Row(f"A1-{name}-exit", f"{language}: start → exit, not waiting for exec", "A1", "total_us", name, "clone", at_most=1.08),
        ]
    return tuple(found) + python_rows() + node_rows(plan)


def python_rows():
    """What Python's faces have to reach."""
    return (
        Row("A1-python-run", "Python: run, no pipes", "A1", "total_us", "python-run", "py-run", at_least=1.3),
        Row("A1-python-popen", "Python: Popen + wait", "A1", "total_us", "python-popen", "py-popen", at_least=1.3, gated=False),
        Row("A1-python-asyncio", "Python: asyncio, start → exit", "A1", "total_us", "python-asyncio", "py-asyncio", at_least=2.4),
        Row("A1-python-uvloop", "Python: asyncio against uvloop", "A1", "total_us", "python-asyncio", "py-uvloop", at_least=26),
        Row("A2-python-threads", "Python: 8 threads", "A2", "per_s", "python-run", "py-run", at_least=1.5),
        Row("A2-python-asyncio", "Python: asyncio, 64 outstanding", "A2", "per_s", "python-asyncio", "py-asyncio", at_least=4),
    )


def node_rows(plan):
    """What Node's face has to reach. The rows that are not gated show ways for which there is no goal of their own."""
    found = [
        Row("A1-node-exit", "Node: start → exit", "A1", "total_us", "node", "node-spawn", at_least=16),
        Row("A1-node-call", "Node: the loop is blocked", "A1", "call_us", "node", "node-spawn", at_least=35),
        # What this machine can give where Node's own loop and JavaScript's callback are all that there is.
        Row("A1-node-exit-limit", "Node, bare addon: start → exit", "A1", "total_us", "node-addon", "node-spawn", at_least=16, gated=False),
        Row("A1-node-call-limit", "Node, bare addon: the loop is blocked", "A1", "call_us", "node-addon", "node-spawn", at_least=35, gated=False),
        Row("A1-node-addon", "Node: start → exit, over the bare addon", "A1", "total_us", "node", "node-addon", at_most=1.3, gated=False),
        Row("A1-node-sync", "Node: spawnSync", "A1", "total_us", "node-sync", "node-spawnSync", at_least=1, gated=False),
        Row("A2-node-outstanding", "Node: 64 outstanding", "A2", "per_s", "node", "node-spawn", at_least=14),
        Row("A1-node-pipe", "Node: start → close with pipes", "A1", "total_us", "node-pipe", "node-spawn-pipe", at_least=16, gated=False),
        Row("A1-node-execFile", "Node: execFile", "A1", "total_us", "node-exec", "node-execFile", at_least=16, gated=False),
        Row("A3-node-1g", "Node: the loop is blocked, parent 1 GB", "A3", "call_us", "node@1024", "node-spawn@1024", at_least=500),
    ]
    if plan.full:
        found.append(Row("A3-node-4g", "Node: the loop is blocked, parent 4 GB", "A3", "call_us", "node@4096", "node-spawn@4096", at_least=1700))
    return tuple(found)
