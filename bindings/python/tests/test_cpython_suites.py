"""CPython's own tests of `subprocess` and of asyncio's subprocesses, with `procs` in the place of both. What fails is listed in
`cpython_differences.txt` with its reason, and must fail. Skipped where the interpreter comes without its tests, as Debian's does."""

import contextlib
import faulthandler
import fnmatch
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FULL = os.environ.get("PROCS_TEST_FULL")
SECONDS = 500


def interpreters():
    """This one; with full counts also the newer ones that are installed."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    if FULL:
        for minor in range(12, 15):
            name = f"3.{minor}"
            builds = sorted(Path.home().glob(f".pyenv/versions/{name}.*/bin/python3"))
            path = builds[-1] if builds else shutil.which(f"python{name}")
            if path is not None:
                found.setdefault(name, str(path))
    return found


def differences(suite, version):
    """Patterns of names for one suite, and whether they must fail: `SUITE[@VERSION,…][?] NAME: reason`."""
    for line in (HERE / "cpython_differences.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        where, pattern = line.split(": ", 1)[0].split(" ")
        name, _, versions = where.removesuffix("?").partition("@")
        if name == suite and (not versions or version in versions.split(",")):
            yield pattern, not where.endswith("?")


@pytest.mark.parametrize("suite", ["subprocess", "transports", "asyncio"])
@pytest.mark.parametrize("version", interpreters())
def test_the_suite_of_the_interpreter(suite, version, tmp_path, terminal):
    faulthandler.dump_traceback_later(SECONDS + 50, exit=True, file=terminal)
    command = [interpreters()[version], HERE / "peer" / "cpython_suite.py", suite, HERE.parent]
    with open(tmp_path / "result", "w") as result, open(tmp_path / "said", "w") as said:
        # A session of its own: some tests signal their group, and some leave children behind, which end with it.
        suite_process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=result, stderr=said, start_new_session=True)
        try:
            code = suite_process.wait(timeout=SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(suite_process.pid, signal.SIGKILL)
            suite_process.wait()
    if code == 3:
        pytest.skip(f"Python {version} comes without its tests (Debian: libpython{version}-testsuite)")
    assert code == 0, (tmp_path / "said").read_text(errors="replace")[-3000:]
    found = json.loads((tmp_path / "result").read_text().splitlines()[-1])
    listed = dict(differences(suite, version))
    unlisted = {name: why for name, why in found["failed"].items() if not any(fnmatch.fnmatchcase(name, pattern) for pattern in listed)}
    assert not unlisted
    assert not [pattern for pattern, must in listed.items() if must and not fnmatch.filter(found["failed"], pattern)], "no longer differences"
    assert found["run"] >= 100
