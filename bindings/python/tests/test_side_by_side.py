"""The scenarios on subprocess: equal transcripts, except for the differences that `peer_differences.txt` lists with their reasons."""

import os
import subprocess  # the peer under test
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RUNNER = ROOT / "tests" / "runners" / "python.py"
SCENARIOS = {path.stem: path for path in (ROOT / "tests" / "scenarios").glob("*.txt")}


def expected(name):
    lines = SCENARIOS[name].read_text().splitlines()
    return [line for line in lines if not line.startswith(("#", "not:"))]


def read_differences():
    """`id: reason` starts a section; its lines are subprocess's whole transcript, or `absent` when it cannot have the scenario."""
    found, current = {}, None
    for line in (Path(__file__).parent / "peer_differences.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("  "):
            found[current][1].append(line[2:])
        else:
            current, reason = line.split(": ", 1)
            found[current] = (reason, [])
    return found


DIFFERENCES = read_differences()


def listed(*options):
    done = subprocess.run([sys.executable, RUNNER, *options, "--list"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_list_names_every_scenario_that_subprocess_cannot_have():
    absent = {name for name, (_, lines) in DIFFERENCES.items() if lines == ["absent"]}
    assert set(listed()) - set(listed("--peer")) == absent
    assert set(DIFFERENCES) <= set(SCENARIOS)


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {name for name, (_, lines) in DIFFERENCES.items() if lines == ["absent"]}))
@pytest.mark.parametrize("module", ["procs", "subprocess"])
def test_transcripts(name, module, helper, tmp_path):
    if name not in listed():
        pytest.skip("python has no such scenario")
    env = {**os.environ, "PROCS_TEST_CHILD": helper, "PROCS_TEST_DIR": str(tmp_path), "SCENARIO_HELPER": helper,
           "SCENARIO_KEEP": "kept", "SCENARIO_REMOVE": "removed"}
    options = ["--peer"] if module == "subprocess" else []
    done = subprocess.run([sys.executable, RUNNER, *options, name], env=env, cwd=tmp_path, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    (tmp_path / "stop").touch()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    if module == "subprocess" and name in DIFFERENCES:
        assert lines == DIFFERENCES[name][1], DIFFERENCES[name][0]
        assert lines != expected(name), "no longer a difference"
    else:
        assert lines == expected(name)
