# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""Private names of ``subprocess`` that the standard library's tools and test suites reach for."""

import selectors
import sys

# subprocess keeps its abandoned children here; ours are reaped by the engine, so the list stays empty.
_active = []

# Switches of subprocess's own engine. Ours never forks for an ordinary start; setting them changes nothing.
_USE_VFORK = True
_USE_POSIX_SPAWN = False
_PopenSelector = selectors.PollSelector

_REPEATED = (("debug", "d"), ("dont_write_bytecode", "B"), ("no_site", "S"), ("verbose", "v"), ("bytes_warning", "b"), ("quiet", "q"))
_X_OPTIONS = ("faulthandler", "tracemalloc", "importtime", "frozen_modules", "showrefcount", "utf8", "gil")


def _cleanup():
    """Nothing to do: the engine reaps children that nobody holds any more."""


def _optim_args_from_interpreter_flags():
    """The ``-O`` options this interpreter runs with."""
    return ["-" + "O" * sys.flags.optimize] if sys.flags.optimize > 0 else []


def _isolation():
    if sys.flags.isolated:
        return ["-I"]
    args = []
    if sys.flags.ignore_environment:
        args.append("-E")
    if sys.flags.no_user_site:
        args.append("-s")
    if sys.flags.safe_path:
        args.append("-P")
    return args


def _warn_options():
    """The ``-W`` options, less those that ``-X dev`` and ``-b`` imply."""
    options = list(sys.warnoptions)
    if sys.flags.dev_mode and "default" in options:
        options.remove("default")
    if sys.flags.bytes_warning > 1 and "error::BytesWarning" in options:
        options.remove("error::BytesWarning")
    elif sys.flags.bytes_warning == 1 and "default::BytesWarning" in options:
        options.remove("default::BytesWarning")
    return options


def _args_from_interpreter_flags():
    """The options that give a new interpreter the flags of this one."""
    args = _optim_args_from_interpreter_flags()
    for flag, letter in _REPEATED:
        count = getattr(sys.flags, flag)
        if count > 0:
            args.append("-" + letter * count)
    args += _isolation()
    args += [f"-W{option}" for option in _warn_options()]
    if sys.flags.dev_mode:
        args += ["-X", "dev"]
    for name in _X_OPTIONS:
        if name in sys._xoptions:
            value = sys._xoptions[name]
            args += ["-X", name if value is True else f"{name}={value}"]
    return args
