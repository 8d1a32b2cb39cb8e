"""Programs as tutorials write them, on `subprocess` or, with `--procs`, on `procs`: each prints what it saw. `run.py [--procs] NAME`."""

import sys
import warnings

import common

import blocking  # noqa: F401 registers its programs
import doubles  # noqa: F401
import left  # noqa: F401
import loops  # noqa: F401

if sys.argv[1:] == ["--list"]:
    print("\n".join(common.SNIPPETS))
else:
    warnings.simplefilter("ignore", ResourceWarning)
    common.SNIPPETS[sys.argv[1]]()
