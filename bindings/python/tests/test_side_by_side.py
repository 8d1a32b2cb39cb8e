"""The scenarios on subprocess, on procs.aio and on asyncio: equal transcripts, except for the differences that `peer_differences.txt` and
`asyncio_differences.txt` list with their reasons."""

import functools
import os
import random
import subprocess  # the peer under test
import sys
from pathlib import Path

import pytest
from conftest import PROGRAM_SECONDS, SLOW

ROOT = Path(__file__).resolve().parents[3]
RUNNER = ROOT / "tests" / "runners" / "python" / "main.py"
SCENARIOS = {path.stem: path for path in (ROOT / "tests" / "scenarios").glob("*.txt")}


def expected(name):
    lines = SCENARIOS[name].read_text().splitlines()
    return [line for line in lines if not line.startswith(("#", "not:"))]


# What the peers have nothing like; of procs.aio it is tested in test_channel.py and test_memory.py.
BEYOND = {name for name in SCENARIOS if name.startswith(("channel-", "memory-", "node-"))}


def read_differences(name):
    """`id: reason` starts a section; its lines are the peer's whole transcript, or `absent` when it cannot have the scenario."""
    found, current = {}, None
    for line in (Path(__file__).parent / name).read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("  "):
            found[current][1].append(line[2:])
        else:
            current, reason = line.split(": ", 1)
            found[current] = (reason, [])
    return found


# Options of the runner for each module, and what may differ.
MODULES = {
    "procs": ((), {}),
    "procs.aio": (("--aio",), {}),
    "subprocess": (("--peer",), read_differences("peer_differences.txt")),
    "asyncio": (("--peer", "--aio"), read_differences("asyncio_differences.txt")),
}


def absent(module):
    return {name for name, (_, lines) in MODULES[module][1].items() if lines == ["absent"]}


@functools.cache
def listed(*options):
    done = subprocess.run([sys.executable, RUNNER, *options, "--list"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", MODULES)
def test_the_lists_name_every_scenario_that_a_module_cannot_have(module):
    options, differences = MODULES[module]
    beyond = set() if module == "procs" else BEYOND
    assert listed() - listed(*options) == absent(module) | beyond
    assert set(differences) <= set(SCENARIOS)


@pytest.mark.parametrize(("module", "name"), [
    (module, name) for module in MODULES
    for name in sorted(set(SCENARIOS) - absent(module) - (set() if module == "procs" else BEYOND))])
def test_transcripts(module, name, helper, tmp_path):
    options, differences = MODULES[module]
    if name not in listed():
        pytest.skip("python has no such scenario")
    env = {**os.environ, "PROCS_TEST_CHILD": helper, "PROCS_TEST_DIR": str(tmp_path), "SCENARIO_HELPER": helper,
           "SCENARIO_PLAIN": str(ROOT / "tests" / "runners" / "node" / "plain.cjs"),
           "SCENARIO_KEEP": "kept", "SCENARIO_REMOVE": "removed",
           "SCENARIO_ROUNDS": "5", "SCENARIO_NOTICE_MS": str(int(2000 * SLOW)), "SCENARIO_TIMEOUT_MS": str(int(2000 * SLOW)),
           "SCENARIO_SEED": str(random.randrange(65_537))}
    print("seed", env["SCENARIO_SEED"])
    done = subprocess.run([sys.executable, RUNNER, *options, name], env=env, cwd=tmp_path, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    (tmp_path / "stop").touch()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    if name in differences:
        assert lines == differences[name][1], differences[name][0]
        assert lines != expected(name), "no longer a difference"
    else:
        assert lines == expected(name)
