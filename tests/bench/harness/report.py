"""Writes docs/benchmarks.json, docs/benchmarks.md and the plots."""

import json

from . import plot
from .rows import LOWER_IS_BETTER

#: Which metrics a section's table shows, and the one that is drawn.
COLUMNS = {
    "A": ("call_us", "call_p99_us", "total_us", "total_p99_us", "per_s"),
    "B1": ("gib_s", "cpu_s", "rss_ratio"),
    "B2": ("mlines_s", "cpu_s", "rss_ratio"),
    "C1": ("us_64", "p99_us_64", "us_1k", "us_64k", "us_1m", "p99_us_1m"),
    "C2": ("mmsg_64", "mmsg_1k", "gib_64k", "gib_1m"),
    "C3w": ("gib_64m",),
    "C3": ("us_64m",),
    "C4": ("us_64k", "us_64m"),
    "C6": ("us_64", "p99_us_64", "kmsg"),
}
HEADINGS = {"call_us": "call p50 µs", "call_p99_us": "call p99 µs", "total_us": "start→exit p50 µs", "total_p99_us": "start→exit p99 µs",
            "per_s": "children/s", "gib_s": "GiB/s", "mlines_s": "M lines/s", "cpu_s": "reader CPU s", "rss_ratio": "peak memory / output",
            "us_64": "64 B µs", "p99_us_64": "64 B p99 µs", "us_1k": "1 KiB µs", "us_64k": "64 KiB µs", "us_1m": "1 MiB µs",
            "p99_us_1m": "1 MiB p99 µs", "us_64m": "64 MiB µs", "mmsg_64": "64 B M messages/s", "mmsg_1k": "1 KiB M messages/s",
            "gib_64k": "64 KiB GiB/s", "gib_1m": "1 MiB GiB/s", "gib_64m": "64 MiB GiB/s", "kmsg": "1000 echoes/s"}
DRAWN = {"A1": "total_us", "A1u": "total_us", "A2": "per_s", "A3": "call_us", "B1": "gib_s", "B1w": "gib_s", "B1c": "gib_s", "B2": "mlines_s",
         "C1": "us_64", "C1a": "us_64", "C2": "mmsg_64", "C3": "us_64m", "C3a": "us_64m", "C3w": "gib_64m", "C4": "us_64m",
         "C6": "us_64", "C6a": "kmsg"}
METHOD = """One driver starts every case as a short process and goes round all cases of a section in a fresh random order several times. A figure is
the median over rounds of each run's own median. For each sample the driver estimates the CPU that foreign processes used
(pinned: on that CPU); a sample above 20 % of one CPU is taken once more, and dropped where at least half
stay. Start → exit ends when the status is known; letting
go of the child counts in children/s only. "noise" is half the distance between the quartiles of the ratio of single rounds. Limits are C programs
without a library (`tests/bench/limits`), peers are used as their documentation shows. Children are a static program of three instructions (A)
and a C program that writes blocks or lines (B). In C both sides are processes, and the receiver
owns the bytes of every message; round trips are timed one by one, a rate is the median of four batches that end when the receiver has said
that it has all of it. Absolute figures belong to this machine and these minutes; compare ratios."""


def columns(section_id):
    """The metrics of a section's table."""
    return next(metrics for prefix, metrics in COLUMNS.items() if section_id.startswith(prefix))


def cell(value):
    """A number for a table."""
    return "–" if value is None else plot.number(value)


def values_of(section, metric):
    """(title, role, value) of the cases that have the metric, best first."""
    entries = [(case["title"], case["role"], case["values"].get(metric)) for case in section["cases"]]
    present = [entry for entry in entries if entry[2]]
    return sorted(present, key=lambda entry: entry[2], reverse=metric not in LOWER_IS_BETTER)


def verdict(record):
    """The last column of the table of goals."""
    if "absent" in record:
        return f"absent ({record['absent']})"
    return {True: "met", False: "**missed**"}.get(record["met"], record["met"])


def goal_table(records):
    """The rows with their goals."""
    lines = ["| row | what | ours | compared with | ratio | noise | goal | |", "| --- | --- | ---: | --- | ---: | ---: | --- | --- |"]
    for record in records:
        noise = "–" if record["noise"] is None else f"±{record['noise']:.0%}"
        ours = "–" if record["ours"] is None else f"{cell(record['ours'])} {record['unit']}"
        lines.append(f"| {record['id']} | {record['title']} | {ours} | {record['against'] or '–'} | {cell(record['ratio'])} | {noise} "
                     f"| {record['goal']} | {verdict(record)} |")
    return lines


def section_text(section):
    """A section's table, every case."""
    metrics = columns(section["id"])
    lines = [f"## {section['id']}. {section['title']}", "", f"*{section['conditions']}*", "",
             f"![{section['title']}](benchmarks-{section['id']}.svg)", "",
             "| case | " + " | ".join(HEADINGS[metric] for metric in metrics) + " |", "| --- |" + " ---: |" * len(metrics)]
    for case in section["cases"]:
        if not case["absent"]:
            name = f"**{case['title']}**" if case["role"] == "ours" else case["title"]
            lines.append(f"| {name} | " + " | ".join(cell(case["values"][metric]) for metric in metrics) + " |")
    lines.append("")
    for case in section["cases"]:
        if case["absent"]:
            lines += [f"Absent: {case['title']} ({case['absent']}).", ""]
    return lines


def markdown(data):
    """The whole page."""
    lines = ["# Benchmarks", "", "Written by `make bench`. Do not edit.", "", data["machine"], "", METHOD, "", "## Goals", "",
             "A ratio is ours / the other for \"at most\", and how many times better ours is for \"at least\". \"report\" rows are not gated.", ""]
    lines += goal_table(data["rows"]) + [""]
    for section in data["sections"]:
        lines += section_text(section)
    return "\n".join(lines).rstrip() + "\n"


def stored(section, result):
    """A section as it goes into the JSON file."""
    cases = [{"id": case.id, "title": case.title, "role": case.role, "absent": result.absent.get(case.id, ""),
              "values": {metric: result.value(case.id, metric) for metric in columns(section.id)}} for case in section.cases]
    return {"id": section.id, "area": section.area, "title": section.title, "conditions": result.conditions, "cases": cases}


def merged(old, new, section_of):
    """The entries of earlier runs whose sections were not run now, and the new ones, by section."""
    measured = {section_of(entry) for entry in new}
    return sorted([entry for entry in old if section_of(entry) not in measured] + new, key=section_of)


def write(folder, machine, runs, records):
    """Writes all files of the report into `folder`; sections that were not run keep the figures of their last run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "benchmarks.json"
    old = json.loads(path.read_text()) if path.exists() else {"rows": [], "sections": []}
    sections = [stored(section, result) for section, result in runs]
    data = {"machine": machine, "rows": merged(old["rows"], records, lambda row: row["section"]),
            "sections": merged(old["sections"], sections, lambda section: section["id"])}
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    (folder / "benchmarks.md").write_text(markdown(data))
    for section in sections:
        metric = DRAWN[section["id"]]
        entries = values_of(section, metric)
        if entries:
            heading = f"{HEADINGS[metric]} ({'less' if metric in LOWER_IS_BETTER else 'more'} is better)"
            (folder / f"benchmarks-{section['id']}.svg").write_text(plot.bars(section["title"], heading, entries))
