"""Area B: taking in a child's output."""

from .rows import Row
from .sampling import Section
from .spawn import Maker

GIB = 1 << 30
WARM = 64 << 20
PIPE = "pipe=1048576"


def maker(box, *options):
    """The options that every capture case gets."""
    return Maker(box, "capture", f"producer={box.programs.get('producer', '')}", *options)


def limit(make, case_id, title, *words):
    """A limit that needs options of its own."""
    return make.program(case_id, title, "limit", ("limit-capture", *words))


def streaming(make):
    """Everything is read, nothing is kept."""
    return (
        limit(make, "c-64k", "C read loop, 64 KiB pipe", "discard"),
        limit(make, "c-1m", "C read loop, 1 MiB pipe", "discard", PIPE, "read=262144"),
        make.program("read", "Rust read loop, 64 KiB", "peer", ("rust-peers", "read-64k")),
        make.python("py-read", "Python read loop, 64 KiB", "peer", "read-64k"),
        make.python("py-asyncio", "Python asyncio read", "peer", "stream"),
        make.node("node-data", "Node 'data' events", "peer", "discard"),
        make.program("rust", "libprocs Rust chunks", "ours", ("rust-ours", "chunks")),
        make.program("c", "libprocs C chunks", "ours", ("ours-c-capture", "chunks")),
        make.program("c-read", "libprocs C read loop", "ours", ("ours-c-capture", "read")),
        make.python("python", "libprocs Python read loop, 64 KiB", "ours", "procs-read-64k"),
        make.python("python-asyncio", "libprocs Python asyncio read", "ours", "procs-stream"),
        make.node("node", "libprocs Node 'data' events", "ours", "procs-discard"),
    )


def storing(make):
    """Everything is kept until the child has ended."""
    return (
        limit(make, "c-realloc", "C growth by realloc, 64 KiB pipe", "store-realloc"),
        limit(make, "c-huge", "C huge pages, 1 MiB pipe", "store-huge", PIPE, "read=262144"),
        limit(make, "c-keep", "C huge pages kept, 1 MiB pipe", "store-keep", PIPE, "read=262144"),
        make.program("output", "Rust Command::output", "peer", ("rust-peers", "output")),
        make.python("py-run", "Python run(capture_output)", "peer", "run"),
        make.python("py-read", "Python Popen.stdout.read()", "peer", "read-all"),
        make.python("py-communicate", "Python asyncio communicate", "peer", "communicate"),
        make.python("py-uvloop", "Python uvloop communicate", "peer", "uvloop-communicate"),
        make.node("node-concat", "Node spawn + concat", "peer", "concat"),
        make.node("node-execFile", "Node execFile", "peer", "execFile"),
        make.node("node-spawnSync", "Node spawnSync", "peer", "spawnSync"),
        make.program("rust", "libprocs Rust output", "ours", ("rust-ours", "output")),
        make.program("c", "libprocs C run", "ours", ("ours-c-capture", "output")),
        make.python("python", "libprocs Python run(capture_output)", "ours", "procs-run"),
        make.python("python-read", "libprocs Python Popen.stdout.read()", "ours", "procs-read-all"),
        make.python("python-communicate", "libprocs Python asyncio communicate", "ours", "procs-communicate"),
        make.node("node", "libprocs Node execFile", "ours", "procs-execFile"),
        make.node("node-sync", "libprocs Node spawnSync", "ours", "procs-spawnSync"),
    )


def lines(box, millions):
    """Lines of 12 bytes; slow readers get fewer of them, a rate does not depend on it."""
    fast, middle, slow = (maker(box, f"lines={int(count * 1e6)}") for count in (millions, millions / 6, millions / 30))
    return (
        limit(fast, "c-memchr", "C read + memchr, 1 MiB pipe", "lines-memchr", PIPE, "read=262144"),
        limit(fast, "c-getline", "C getline", "lines-getline"),
        fast.program("read_until", "Rust read_until", "peer", ("rust-peers", "read-until")),
        fast.program("read_line", "Rust read_line", "peer", ("rust-peers", "read-line")),
        fast.program("lines", "Rust lines()", "peer", ("rust-peers", "lines")),
        middle.python("py-text", "Python text iteration", "peer", "text-lines"),
        middle.python("py-bytes", "Python bytes iteration", "peer", "bytes-lines"),
        slow.python("py-asyncio", "Python asyncio async for", "peer", "async-lines"),
        middle.node("node-event", "Node readline 'line' events", "peer", "line-events"),
        slow.node("node-await", "Node readline for await", "peer", "for-await"),
        fast.program("rust", "libprocs Rust borrowed lines", "ours", ("rust-ours", "lines")),
        fast.program("c", "libprocs C borrowed lines", "ours", ("ours-c-capture", "lines")),
        middle.python("python", "libprocs Python bytes iteration", "ours", "procs-bytes-lines"),
        middle.python("python-text", "libprocs Python text iteration", "ours", "procs-text-lines"),
        middle.python("python-lines", "libprocs Python text lines()", "ours", "procs-lines"),
        slow.python("python-asyncio", "libprocs Python asyncio async for", "ours", "procs-async-lines"),
        middle.node("node-batches", "libprocs Node lines().batches()", "ours", "procs-batches"),
        middle.node("node-lines", "libprocs Node for await of lines()", "ours", "procs-lines"),
    )


def sections(box, plan):
    """The sections of the area."""
    whole = GIB if plan.full else GIB // 4
    flood = maker(box, f"bytes={whole}")
    warm = maker(box, f"bytes={WARM}", "captures=16" if plan.full else "captures=6")
    cold = max(2, plan.rounds // 2)
    return (
        Section("B1", "B", f"Streaming {whole >> 20} MiB, nothing kept", streaming(flood), plan.rounds),
        Section("B1w", "B", "Storing 64 MiB again and again in one process, memory warm", storing(warm), plan.rounds),
        Section("B1c", "B", f"Storing {whole >> 20} MiB once, memory cold", storing(flood), cold),
        Section("B2", "B", "Lines of 12 bytes", lines(box, 30 if plan.full else 10), plan.rounds),
    )


def rows(_plan):
    """The goals of the area."""
    found = []
    for name, language in (("rust", "Rust"), ("c", "C")):
        found += [
            Row(f"B1-{name}-stream-limit", f"{language}: streaming", "B1", "gib_s", name, "c-1m", at_least=0.9),
            Row(f"B1-{name}-stream-peer", f"{language}: streaming", "B1", "gib_s", name, "read", at_least=2.8),
            Row(f"B1w-{name}-store", f"{language}: storing, warm", "B1w", "gib_s", name, "output", at_least=1.9),
            Row(f"B1w-{name}-memory", f"{language}: storing, warm, peak memory", "B1w", "rss_ratio", name, at_most=1.05),
            Row(f"B1c-{name}-store", f"{language}: storing, cold", "B1c", "gib_s", name, "output", at_least=1.0),
            Row(f"B1c-{name}-memory", f"{language}: storing, cold, peak memory", "B1c", "rss_ratio", name, at_most=1.05),
            Row(f"B2-{name}-lines", f"{language}: borrowed lines", "B2", "mlines_s", name, at_least=120),
            Row(f"B2-{name}-lines-until", f"{language}: borrowed lines", "B2", "mlines_s", name, "read_until", at_least=1.35),
            Row(f"B2-{name}-lines-lines", f"{language}: borrowed lines", "B2", "mlines_s", name, "lines", at_least=3.4),
        ]
    return tuple(found) + python_rows() + node_rows()


def python_rows():
    """What Python's faces have to reach."""
    return (
        Row("B1-python-stream", "Python: streaming", "B1", "gib_s", "python", "py-read", at_least=2.2),
        Row("B1-python-asyncio", "Python: asyncio, streaming", "B1", "gib_s", "python-asyncio", "py-asyncio", at_least=4.6),
        Row("B1w-python-store", "Python: run and capture, warm", "B1w", "gib_s", "python", "py-run", at_least=3),
        Row("B1w-python-memory", "Python: run and capture, peak memory", "B1w", "rss_ratio", "python", at_most=1.1),
        Row("B1w-python-asyncio", "Python: asyncio communicate, warm", "B1w", "gib_s", "python-communicate", "py-communicate", at_least=4),
        Row("B2-python-text", "Python: text lines", "B2", "mlines_s", "python-text", "py-text", at_least=1.2),
        Row("B2-python-lines", "Python: text lines()", "B2", "mlines_s", "python-lines", "py-text", at_least=1.2),
        Row("B2-python-bytes", "Python: bytes lines", "B2", "mlines_s", "python", "py-bytes", at_least=1.2, gated=False),
        Row("B2-python-asyncio", "Python: asyncio, lines", "B2", "mlines_s", "python-asyncio", "py-asyncio", at_least=5),
    )


def node_rows():
    """What Node's face has to reach."""
    return (
        Row("B1-node-stream", "Node: streaming", "B1", "gib_s", "node", "node-data", at_least=1.2),
        Row("B1-node-stream-cpu", "Node: streaming, CPU of the reader", "B1", "cpu_s", "node", "node-data", at_most=0.7),
        Row("B1w-node-store", "Node: execFile, warm", "B1w", "gib_s", "node", "node-execFile", at_least=2.5),
        Row("B1w-node-sync", "Node: spawnSync, warm", "B1w", "gib_s", "node-sync", "node-spawnSync", at_least=2.5),
        Row("B1w-node-memory", "Node: execFile, peak memory", "B1w", "rss_ratio", "node", at_most=1.1),
        Row("B1c-node-memory", "Node: execFile of 1 GiB, peak memory", "B1c", "rss_ratio", "node", at_most=1.1),
        Row("B2-node-batches", "Node: lines in batches", "B2", "mlines_s", "node-batches", "node-event", at_least=1.6),
        Row("B2-node-lines", "Node: for await of lines", "B2", "mlines_s", "node-lines", "node-await", at_least=1.5),
    )
