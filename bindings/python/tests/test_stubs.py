"""The stubs name what the code has: every public name, method and keyword argument."""

import ast
import asyncio
import functools
import inspect
import sys
from pathlib import Path

import pytest

import procs
from procs import _arguments, _native, _options, aio

FOLDER = Path(procs.__file__).parent


def parsed(name):
    return ast.parse((FOLDER / name).read_text())


@functools.cache
def defined_in(module):
    """The classes and functions that a private stub defines itself."""
    return {node.name: node for node in parsed(f"{module}.pyi").body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}


def top_level(tree):
    """Names that a stub defines or imports, with the class definitions."""
    names = {}
    for node in tree.body:
        if isinstance(node, ast.If) and eval(ast.unparse(node.test), {"sys": sys}):
            names.update(top_level(node))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            names[node.target.id] = node
        elif isinstance(node, ast.Assign):
            names.update((target.id, node) for target in node.targets)
        elif isinstance(node, ast.ImportFrom):
            beside = node.module if node.level else None
            known = defined_in(beside) if beside and (FOLDER / f"{beside}.pyi").exists() else {}
            names.update({alias.asname or alias.name: known.get(alias.name, node) for alias in node.names})
    return names


def members(node):
    """Methods and annotated attributes of a stub's class."""
    found = {item.name for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return found | {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}


@pytest.mark.parametrize(("module", "stub"), [(procs, "__init__.pyi"), (aio, "aio/__init__.pyi")])
def test_public_names_and_methods(module, stub):
    names = top_level(parsed(stub))
    assert set(module.__all__) <= set(names)
    for name in module.__all__:
        value = getattr(module, name)
        if not inspect.isclass(value) or not isinstance(names[name], ast.ClassDef) or issubclass(value, (tuple, BaseException)):
            continue
        public = {member for member, item in vars(value).items() if not member.startswith("_") and (callable(item) or inspect.isdatadescriptor(item))}
        inherited = {"read", "readexactly", "readline", "readuntil", "at_eof"} if name == "StreamReader" else set()
        assert public - inherited <= members(names[name]), name


@pytest.mark.parametrize("module", [procs, aio])
def test_help_says_something_about_every_public_name(module):
    silent = []
    for name in module.__all__:
        value = getattr(module, name)
        silent += [] if inspect.getdoc(value) else [name]
        if inspect.isclass(value):
            own = {member: item for member, item in vars(value).items() if not member.startswith("_")}
            silent += [f"{name}.{member}" for member, item in own.items()
                       if (inspect.isroutine(item) or inspect.isdatadescriptor(item)) and not inspect.getdoc(item)]
    assert not silent


def test_the_names_of_asyncio():
    """But those of child watchers, which have gone from later versions."""
    later = {name for name in asyncio.__all__ if not name.endswith(("ChildWatcher", "child_watcher")) and not name.startswith("_")}
    assert later <= set(top_level(parsed("aio/__init__.pyi")))


def test_native_names():
    names = top_level(parsed("_native.pyi"))
    assert {name for name in dir(_native) if not name.startswith("__")} == set(names) - {"Any", "Callable", "final", "__version__"}
    for name, node in names.items():
        if isinstance(node, ast.ClassDef):
            assert {member for member in vars(getattr(_native, name)) if not member.startswith("_")} == {
                member for member in members(node) if not member.startswith("_")
            }, name


def test_every_keyword_argument_is_typed():
    names = top_level(parsed("__init__.pyi"))
    typed = members(names["_StartOptions"]) | members(names["_RunOptions"])
    spelled_out = {"bufsize", "universal_newlines", "encoding", "errors", "text"}
    assert typed | spelled_out == _arguments.STANDARD | _options._OWN
    assert members(names["_StartOptions"]) | members(names["_PopenOptions"]) | spelled_out | {"self", "args"} == set(inspect.signature(procs.Popen.__init__).parameters)


def test_keyword_arguments_are_those_of_subprocess():
    import subprocess
    ours, theirs = (inspect.signature(module.Popen.__init__).parameters for module in (procs, subprocess))
    assert list(theirs) == list(ours)[:len(theirs)]
    for name, parameter in theirs.items():
        assert (ours[name].kind, ours[name].default) == (parameter.kind, parameter.default), name
    assert inspect.signature(procs.run) == inspect.signature(subprocess.run)
