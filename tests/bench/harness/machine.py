"""What the machine does besides us: CPU that foreign processes used, and the wait for a quiet moment."""

import os
import platform
import resource
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """CPU seconds of all processes since boot, time stolen by the hypervisor included."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / TICK


def own_seconds():
    """CPU seconds of this process and of every child that it has waited for, their children included."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


class ForeignCpu:
    """Estimates the share of one CPU that foreign processes used between start and `share()`."""

    def __init__(self):
        self.busy, self.own, self.clock = busy_seconds(), own_seconds(), time.monotonic()

    def share(self):
        """0.0 is a quiet machine; 1.0 is one CPU's worth of foreign work. The clock tick of 10 ms bounds the precision."""
        wall = max(time.monotonic() - self.clock, 1e-9)
        return max(0.0, (busy_seconds() - self.busy) - (own_seconds() - self.own)) / wall


def wait_for_quiet(limit_seconds, quiet_share=0.2):
    """Waits until 50 ms pass with little foreign work, at most `limit_seconds`."""
    stop = time.monotonic() + limit_seconds
    while True:
        foreign = ForeignCpu()
        time.sleep(0.05)
        if foreign.share() <= quiet_share or time.monotonic() >= stop:
            return


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
