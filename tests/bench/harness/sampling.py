"""Cases, and the rounds in which they take turns."""

import json
import os
import random
import signal
import statistics
import subprocess
import time
from dataclasses import dataclass, field

from . import machine

#: Above this share of one CPU a sample counts as disturbed.
NOISY = 0.2
#: How often a disturbed sample is taken in all.
ATTEMPTS = 2


@dataclass(frozen=True)
class Case:
    """One short program run: what it is called, whose it is and how it is started."""

    id: str
    title: str
    role: str  # "limit", "peer" or "ours"
    command: tuple
    env: tuple = ()
    absent: str = ""  # why it cannot be run


@dataclass(frozen=True)
class Section:
    """Cases that are compared with each other under the same conditions."""

    id: str
    area: str
    title: str
    cases: tuple
    rounds: int
    pinned: bool = False
    apart: bool = False  # pinned, and the other side of a case on another CPU, which it is told as `peer-cpu=`
    seconds: float = float("inf")  # no round is begun that would end later than this


@dataclass
class Result:
    """What the rounds of a section gave: per case a list of (round, foreign share, metrics), and why cases are absent."""

    samples: dict = field(default_factory=dict)
    absent: dict = field(default_factory=dict)
    conditions: str = ""

    def kept(self, case_id):
        """The quiet samples if there are enough of them, else all."""
        samples = self.samples.get(case_id, [])
        quiet = [sample for sample in samples if sample[1] <= NOISY]
        return quiet if len(quiet) >= max(2, (len(samples) + 1) // 2) else samples

    def value(self, case_id, metric):
        """The median over rounds, or None when the case is absent or has no such metric."""
        values = [metrics[metric] for _, _, metrics in self.kept(case_id) if metric in metrics]
        return statistics.median(values) if values else None

    def by_round(self, case_id, metric):
        """The value of each kept round."""
        return {number: metrics[metric] for number, _, metrics in self.kept(case_id) if metric in metrics}


def environment():
    """The same small environment for every case: exec copies it each time, so its size is part of what is measured."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}


def run_case(case, cpu, peer_cpu=None):
    """Runs a case once, pinned to a CPU unless it is `None`, and returns its metrics; raises RuntimeError with the reason when it fails."""
    if case.absent:
        raise RuntimeError(case.absent)
    command = list(case.command)
    if cpu is not None:
        command = ["taskset", "-c", str(cpu), *command]
    if peer_cpu is not None:
        command.append(f"peer-cpu={peer_cpu}")
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env={**environment(), **dict(case.env)}, start_new_session=True)
    try:
        stdout, stderr = child.communicate(timeout=120)
    except subprocess.TimeoutExpired as error:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise RuntimeError("no result within 120 s") from error
    if child.returncode != 0:
        raise RuntimeError((stderr.strip().split("\n")[-1] or f"ended with {child.returncode}")[:200])
    return json.loads(stdout)


def other_cpu(cpu):
    """A CPU for the other side."""
    others = sorted(os.sched_getaffinity(0) - {cpu})
    if not others:
        raise RuntimeError("needs two CPUs")
    return others[0]


def quietest(case, section):
    """Runs a case, once more if it was disturbed, and gives (foreign share, metrics) of the quieter run."""
    tries = []
    while not tries or (len(tries) < ATTEMPTS and tries[-1][0] > NOISY):
        cpu = machine.quiet_cpu(0.5, section.pinned)
        peer_cpu = other_cpu(cpu) if section.apart else None
        foreign = machine.ForeignCpu(None if section.apart else cpu)
        metrics = run_case(case, cpu, peer_cpu)
        tries.append((foreign.share(), metrics))
    return min(tries, key=lambda entry: entry[0])


def sample_round(section, number, result):
    """Every case once, in random order."""
    order = [case for case in section.cases if case.id not in result.absent]
    random.shuffle(order)
    for case in order:
        try:
            share, metrics = quietest(case, section)
        except (RuntimeError, OSError, ValueError) as error:
            result.absent[case.id] = str(error)
            continue
        result.samples.setdefault(case.id, []).append((number, share, metrics))


def run_section(section, tell):
    """All rounds of a section; `tell` is given a line of progress per round."""
    result = Result()
    before = machine.load_average()
    begin, rounds = time.monotonic(), 0
    while rounds < section.rounds and (time.monotonic() - begin) * (rounds + 1) <= section.seconds * rounds or rounds == 0:
        sample_round(section, rounds, result)
        rounds += 1
        tell(f"{section.id}: round {rounds} of {section.rounds}, {time.monotonic() - begin:.0f} s")
    shares = [share for samples in result.samples.values() for _, share, _ in samples]
    foreign = statistics.median(shares) if shares else 0.0
    place = ", one CPU for each side" if section.apart else ", pinned to one CPU" if section.pinned else ""
    result.conditions = (f"{time.strftime('%Y-%m-%d %H:%M')}, {rounds} rounds, load {before:.2f} → {machine.load_average():.2f}, "
                         f"median foreign CPU {foreign:.0%}{place}")
    for case_id, reason in result.absent.items():
        tell(f"{section.id}: {case_id} absent: {reason}")
    return result
