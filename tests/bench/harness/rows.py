"""Rows of the result: a value of ours, what it is compared with, and the goal."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One goal. `ratio` is ours / against for "at most", and how many times better ours is for "at least".

    Without `against` the value itself is the ratio. A row that is not gated is reported only.
    """

    id: str
    title: str
    section: str
    metric: str
    ours: str
    against: str = ""
    at_most: float = 0.0
    at_least: float = 0.0
    gated: bool = True

    def goal(self, against_title):
        """The goal in words."""
        sign, factor = ("≤", self.at_most) if self.at_most else ("≥", self.at_least)
        if not self.at_most and not self.at_least:
            return "none"
        return f"{sign} {factor:g} × {against_title}" if self.against else f"{sign} {factor:g} {UNITS[self.metric]}"


#: Metrics in which less is better.
LOWER_IS_BETTER = {"call_us", "call_p99_us", "total_us", "total_p99_us", "cpu_s", "rss_ratio",
                   *(f"{kind}_{size}" for kind in ("us", "p99_us") for size in ("64", "1k", "64k", "1m", "64m"))}
UNITS = {"call_us": "µs", "total_us": "µs", "call_p99_us": "µs", "total_p99_us": "µs", "per_s": "/s", "gib_s": "GiB/s",
         "mlines_s": "M lines/s", "cpu_s": "s", "rss_ratio": "× the output",
         **{f"us_{size}": "µs" for size in ("64", "1k", "64k", "1m", "64m")},
         "mmsg_64": "M/s", "mmsg_1k": "M/s", "gib_64k": "GiB/s", "gib_1m": "GiB/s", "gib_64m": "GiB/s", "kmsg": "k/s"}


def ratio_of(row, ours, against):
    """See Row."""
    if not row.against:
        return ours
    better = against / ours if row.metric in LOWER_IS_BETTER else ours / against
    return ours / against if row.at_most else better


def noise_of(row, result):
    """Half the spread between the quartiles of the ratios of single rounds, relative to their median; None with fewer than 4."""
    ours = result.by_round(row.ours, row.metric)
    against = result.by_round(row.against, row.metric) if row.against else dict.fromkeys(ours, 1.0)
    ratios = [ratio_of(row, ours[number], against[number]) for number in ours.keys() & against.keys() if against[number] and ours[number]]
    if len(ratios) < 4:
        return None
    low, middle, high = statistics.quantiles(ratios, n=4)
    return (high - low) / 2 / middle if middle else None


def met(row, ratio):
    """True, False or "report"."""
    if not row.gated:
        return "report"
    if row.at_most:
        return ratio <= row.at_most
    return ratio >= row.at_least


def evaluate(row, section, result):
    """The row as it goes into docs/benchmarks.json."""
    titles = {case.id: case.title for case in section.cases}
    values = {case.id: result.value(case.id, row.metric) for case in section.cases}
    ours, against = values.get(row.ours), values.get(row.against)
    record = {"id": row.id, "area": section.area, "title": row.title, "section": section.id, "metric": row.metric, "unit": UNITS[row.metric],
              "limit": by_role(section, values, "limit"), "peers": by_role(section, values, "peer"), "ours": ours,
              "against": titles.get(row.against, ""), "ratio": None, "noise": None, "goal": row.goal(titles.get(row.against, row.against)),
              "met": False if row.gated else "report"}
    missing = row.ours if ours is None else row.against if row.against and against is None else ""
    if missing:
        record["absent"] = f"{titles.get(missing, missing)}: {result.absent.get(missing, 'not run')}"
        return record
    record["ratio"] = ratio_of(row, ours, against)
    record["noise"] = noise_of(row, result)
    record["met"] = met(row, record["ratio"])
    return record


def by_role(section, values, role):
    """Title → value of the cases of one role that have the metric."""
    return {case.title: values[case.id] for case in section.cases if case.role == role and values[case.id] is not None}
