# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""A command line for people to read, quoted by the rules of the Microsoft C runtime."""

import os

from ._arguments import iterated


def _quoted(arg):
    needs_quotes = not arg or " " in arg or "\t" in arg
    parts = []
    backslashes = 0
    for char in arg:
        if char == "\\":
            backslashes += 1
            continue
        # Backslashes are literal unless a quotation mark follows.
        parts.append("\\" * (2 * backslashes if char == '"' else backslashes))
        parts.append('\\"' if char == '"' else char)
        backslashes = 0
    parts.append("\\" * (2 * backslashes if needs_quotes else backslashes))
    text = "".join(parts)
    return f'"{text}"' if needs_quotes else text


def list2cmdline(seq):
    """Joins arguments into one string; backslashes and quotation marks are escaped as the Microsoft C runtime reads them."""
    return " ".join([_quoted(os.fsdecode(arg)) for arg in iterated(seq, "seq", "a list of arguments")])
