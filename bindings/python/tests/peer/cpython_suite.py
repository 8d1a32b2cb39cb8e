"""Runs one of CPython's own test suites with only the module replaced, and prints one line per test that did not pass.

`PYTHON cpython_suite.py SUITE PACKAGE_FOLDER`; suites:
  subprocess  test.test_subprocess, where `subprocess` is `procs`
  transports  test.test_asyncio.test_subprocess: asyncio's transports over `procs.Popen`
  asyncio     the tests of the same file that use `asyncio.create_subprocess_*`, which are `procs.aio`'s
Exit status 3: this interpreter comes without its tests.
"""

import importlib
import json
import sys
import unittest


class Result(unittest.TestResult):
    """Keeps what did not pass by the name of its test."""

    def __init__(self):
        super().__init__()
        self.lines = {}

    def startTest(self, test):
        super().startTest(test)
        print(test.id(), file=sys.stderr, flush=True)

    def note(self, test, error):
        name = test.id().split("test_subprocess.", 1)[-1]
        self.lines.setdefault(name, f"{error[0].__name__}: {error[1]}".splitlines()[0] if error else "unexpected success")

    def addError(self, test, err):
        self.note(test, err)

    def addFailure(self, test, err):
        self.note(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.note(test, err)

    def addUnexpectedSuccess(self, test):
        self.note(test, None)


def select(suite, keep):
    """The tests of a suite that `keep` wants."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from select(item, keep)
        elif keep(item):
            yield item


def main():
    """Replaces, loads, runs, prints one line of JSON."""
    kind, folder = sys.argv[1:]
    sys.path.insert(0, folder)
    import procs
    sys.modules["subprocess"] = procs
    name, keep = "test.test_subprocess", lambda test: True
    if kind != "subprocess":
        name = "test.test_asyncio.test_subprocess"
    try:
        importlib.import_module("test.support")
        module = importlib.import_module(name)
    except ModuleNotFoundError:
        sys.exit(3)
    if kind == "transports":
        import asyncio.base_subprocess
        import asyncio.unix_events
        asyncio.unix_events.subprocess = asyncio.base_subprocess.subprocess = procs
    if kind == "asyncio":
        import asyncio
        import procs.aio
        asyncio.create_subprocess_exec = procs.aio.create_subprocess_exec
        asyncio.create_subprocess_shell = procs.aio.create_subprocess_shell
        mixin = set(dir(module.SubprocessMixin))
        keep = lambda test: test.id().rsplit(".", 1)[-1] in mixin
    result = Result()
    tests = unittest.TestSuite(select(unittest.defaultTestLoader.loadTestsFromModule(module), keep))
    tests.run(result)
    sys.__stdout__.write("\n" + json.dumps({"run": result.testsRun, "skipped": len(result.skipped), "failed": result.lines}) + "\n")


if __name__ == "__main__":
    main()
