"""What the Python programs of the benchmarks share: options as `key=value`, samples, and one line of JSON as the result."""

import json
import resource
import sys
import time


def options():
    """Returns the case and its options."""
    case, *rest = sys.argv[1:]
    return case, dict(pair.split("=", 1) for pair in rest)


def quantile(samples, q):
    """Quantile by nearest rank."""
    ordered = sorted(samples)
    return ordered[round(q * (len(ordered) - 1))] if ordered else 0.0


def hold(megabytes):
    """Returns touched memory of this size, to be kept by the caller."""
    return bytearray(b"\x01") * (megabytes << 20)


def memory(field):
    """A field of /proc/self/status in bytes: VmRSS now, VmHWM at its peak."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


class Times:
    """Starts and ends of children, for `seconds` after 20 rounds that warm up."""

    def __init__(self, seconds):
        self.call, self.total = [], []
        self.seconds, self.warm_up = seconds, 20
        self.begin = self.stop = None

    def running(self):
        """Whether another child is to be started."""
        now = time.perf_counter()
        if self.warm_up > 0:
            self.warm_up -= 1
            return True
        if self.stop is None:
            self.begin, self.stop = now, now + self.seconds
            self.call.clear()
            self.total.clear()
        return now < self.stop

    def add(self, begin, called, ended):
        """Records one child by three readings of time.perf_counter()."""
        self.call.append((called - begin) * 1e6)
        self.total.append((ended - begin) * 1e6)


def report_spawn(runs):
    """Prints the result of one or several threads."""
    call = [t for run in runs for t in run.call]
    total = [t for run in runs for t in run.total]
    elapsed = time.perf_counter() - min(run.begin for run in runs)
    print(json.dumps({
        "call_us": quantile(call, 0.5), "call_p99_us": quantile(call, 0.99),
        "total_us": quantile(total, 0.5), "total_p99_us": quantile(total, 0.99),
        "per_s": len(total) / elapsed, "count": len(total),
    }))


def producer(values):
    """The command line of the producer and what it delivers: (argv, lines or 0, bytes)."""
    if "lines" in values:
        lines = int(values["lines"])
        return [values["producer"], "lines", str(lines), "12"], lines, lines * 12
    size = int(values["bytes"])
    return [values["producer"], "flood", str(size), values.get("block", "65536")], 0, size


def report_capture(values, take):
    """Runs `take(argv)`, which returns the bytes it took in, `captures` times and prints median rate, CPU and memory."""
    argv, lines, size = producer(values)
    baseline, rates = memory("VmRSS:"), []
    for _ in range(int(values.get("captures", 1))):
        begin = time.perf_counter()
        taken = take(argv)
        seconds = time.perf_counter() - begin
        if taken not in (size, size - lines):
            sys.exit(f"took {taken} bytes of {size}")
        rates.append((lines / 1e6 if lines else size / (1 << 30)) / seconds)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({
        "mlines_s" if lines else "gib_s": quantile(rates, 0.5), "cpu_s": (usage.ru_utime + usage.ru_stime) / len(rates),
        "rss_ratio": (memory("VmHWM:") - baseline) / size, "count": len(rates),
    }))
