"""What the machine does besides us: CPU that foreign processes used, and the wait for a quiet moment."""

import os
import platform
import resource
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """CPU seconds of all processes since boot, time stolen by the hypervisor included: by CPU number, and in all under `None`."""
    found = {}
    for line in Path("/proc/stat").read_text().split("\n"):
        name, *fields = line.split() or [""]
        if name.startswith("cpu"):
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            found[int(name[3:]) if name[3:] else None] = (user + nice + system + irq + softirq + steal) / TICK
    return found


def own_seconds(pinned):
    """CPU seconds of every child that this process has waited for, their children included; unless pinned, of this process as well."""
    total = 0.0
    for who in (resource.RUSAGE_CHILDREN,) if pinned else (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


class ForeignCpu:
    """Estimates the share of one CPU that foreign processes used between start and `share()`: on one CPU by number, or (`None`) on all."""

    def __init__(self, cpu):
        self.cpu, self.busy = cpu, busy_seconds()
        self.own, self.clock = own_seconds(cpu is not None), time.monotonic()

    def share(self):
        """0.0 is a quiet machine; 1.0 is one CPU's worth of foreign work. The clock tick of 10 ms bounds the precision."""
        wall = max(time.monotonic() - self.clock, 1e-9)
        busy = busy_seconds()[self.cpu] - self.busy[self.cpu]
        return max(0.0, busy - (own_seconds(self.cpu is not None) - self.own)) / wall


def quiet_cpu(limit_seconds, pinned, quiet_share=0.2):
    """Waits until 50 ms pass with little foreign work, at most `limit_seconds`; gives the quietest CPU for a pinned run, else `None`."""
    stop = time.monotonic() + limit_seconds
    candidates = sorted(os.sched_getaffinity(0)) if pinned else [None]
    while True:
        before = busy_seconds()
        time.sleep(0.05)
        after = busy_seconds()
        used, cpu = min(((after[cpu] - before[cpu], cpu) for cpu in candidates), key=lambda entry: entry[0])
        if used <= quiet_share * 0.05 or time.monotonic() >= stop:
            return cpu


def load_average():
    """The load of the last minute."""
    return os.getloadavg()[0]


def describe():
    """One line about the machine, for the report."""
    info = Path("/proc/cpuinfo").read_text().split("\n")
    model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    huge = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    mode = next((word.strip("[]") for word in huge.read_text().split() if word.startswith("[")), "?") if huge.exists() else "absent"
    cpus = len(os.sched_getaffinity(0))
    return f"{cpus} CPUs ({model}), {memory:.0f} GiB, Linux {platform.release()}, huge pages: {mode}"
