"""Compares the ``.pyi`` files with what is there at run time: ``stubtest`` of mypy.

The types are sorted by topic, the code by what it does, so that some ``.pyi`` files have no module. What they declare is a name of ``procs``.
"""

import ast
import pathlib
import sys
import types

import procs
from mypy import stubtest

STUBS = pathlib.Path(__file__).resolve().parent.parent / "procs"


def declared(path):
    """The public names that a stub itself defines."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and not node.target.id.startswith("_"):
            yield node.target.id


for path in STUBS.glob("*.pyi"):
    if not path.with_suffix(".py").exists() and path.stem != "_native":
        module = types.ModuleType(f"procs.{path.stem}")
        for name in declared(path):
            setattr(module, name, getattr(procs, name))
        sys.modules[module.__name__] = module

sys.argv[1:] = ["procs", *sys.argv[1:]]
sys.exit(stubtest.main())
