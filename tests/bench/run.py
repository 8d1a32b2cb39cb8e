#!/usr/bin/env python3
"""Side by side: limits, peers and libprocs, interleaved in one run. Writes docs/benchmarks.{md,json} and plots.

Exit status: 0 all gated goals met, 1 some missed or absent, 2 wrong arguments.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from harness import build, capture, ipc, machine, report, rows, sampling, spawn

AREAS = {"A": spawn, "B": capture, "C": ipc}


@dataclass(frozen=True)
class Plan:
    """How much is run."""

    rounds: int
    seconds: float
    full: bool  # also parents of 4 GB, and outputs of 1 GiB and of 30 million lines


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("area", nargs="?", default="", choices=["", *AREAS], help="A (spawn), B (capture) or C (messages); default: all")
    parser.add_argument("--rounds", type=int, default=0, help="rounds per section (default 7, quick 2)")
    parser.add_argument("--quick", action="store_true", help="a short run to see that everything works; its figures decide nothing")
    parser.add_argument("--sections", default="", help="only these, by id, separated by commas")
    parser.add_argument("--cases", default="", help="only these, by id, separated by commas; for work on one figure, with --out elsewhere")
    parser.add_argument("--out", type=Path, default=build.ROOT / "docs", help="folder of the report")
    return parser.parse_args()


def tell(line):
    """One line of progress."""
    print(line, flush=True)


def chosen(options, box, plan):
    """The sections to run and the rows that belong to them."""
    areas = [AREAS[options.area]] if options.area else AREAS.values()
    wanted = set(filter(None, options.sections.split(",")))
    sections = [section for area in areas for section in area.sections(box, plan) if not wanted or section.id in wanted]
    if options.cases:
        cases = set(options.cases.split(","))
        sections = [replace(section, cases=tuple(case for case in section.cases if case.id in cases)) for section in sections]
    ids = {section.id for section in sections}
    return sections, [row for area in areas for row in area.rows(plan) if row.section in ids]


def measure(sections, wanted):
    """Runs the sections and evaluates the rows."""
    runs = [(section, sampling.run_section(section, tell)) for section in sections]
    found = {section.id: (section, result) for section, result in runs}
    return runs, [rows.evaluate(row, *found[row.section]) for row in wanted]


def main():
    """Sets up, measures, writes, and says which goals were missed."""
    options = arguments()
    plan = Plan(options.rounds or (2 if options.quick else 7), 0.15 if options.quick else 0.4, not options.quick)
    box = build.prepare(tell)
    about = f"{machine.describe()}; " + ", ".join(f"{name} {version}" for name, version in box.versions.items())
    runs, records = measure(*chosen(options, box, plan))
    report.write(options.out, about, runs, records)
    missed = [record for record in records if record["met"] is False]
    for line in report.goal_table(records):
        tell(line)
    tell(f"{options.out / 'benchmarks.md'}: {len(records)} rows, {len(missed)} gated goals missed or absent")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
