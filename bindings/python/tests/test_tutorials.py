"""The programs in `tutorials` print the same whether they import `subprocess` and asyncio or `procs`."""

import os
import re
import subprocess  # the peer under test
import sys
from pathlib import Path

import pytest
from conftest import PROGRAM_SECONDS

PROGRAMS = Path(__file__).with_name("tutorials")
NAMES = [name for path in sorted(PROGRAMS.glob("*.py")) for name in re.findall(r"@snippet\ndef (\w+)", path.read_text())]
# Addresses, and the names of module and file in what is printed of classes and warnings.
SAME = ((r"procs(\._\w+)?(?=\W)", "subprocess"), (r"0x[0-9a-f]+", "0x"))


def transcript(name, folder, *options):
    environ = {**os.environ, "PYTHONPATH": str(PROGRAMS.parents[1])}
    done = subprocess.run([sys.executable, PROGRAMS / "run.py", *options, name], cwd=folder, env=environ, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PROGRAM_SECONDS)
    text = done.stdout.decode(errors="backslashreplace")
    for pattern, word in SAME:
        text = re.sub(pattern, word, text)
    assert done.returncode == 0, text
    return text.splitlines()


def test_there_are_many():
    assert len(NAMES) >= 35


@pytest.mark.parametrize("name", NAMES)
def test_the_same_transcript(name, tmp_path):
    assert transcript(name, tmp_path, "--procs") == transcript(name, tmp_path)
