"""The scenarios in Python: `main.py ID` prints the facts of one, `--list` the ids. `scenarios/README.md` has the rules."""

import sys

import facts

# Each adds its scenarios to the list.
import runs, setups, limits, streams, spawns, many  # noqa: E401, F401, I001

if not facts.PEER and not facts.AIO:
    import memory, channels, node_wire, node_faults  # noqa: E401, F401


def main():
    names = [argument for argument in sys.argv[1:] if argument not in ("--peer", "--aio")]
    if names == ["--list"]:
        print("\n".join(facts.SCENARIOS))
        return 0
    if names[:1] == ["--child"]:
        facts.PARTS[names[1]]()
        return 0
    if len(names) != 1 or names[0] not in facts.SCENARIOS or not facts.HELPER or not facts.DIR:
        print("usage: main.py [--peer] [--aio] --list | ID, with PROCS_TEST_CHILD and PROCS_TEST_DIR set", file=sys.stderr)
        return 64
    facts.SCENARIOS[names[0]]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
