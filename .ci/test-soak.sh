#!/usr/bin/env bash
# The soak: one host in which something goes wrong all the time. SECONDS of the zoo as an argument; longer with the full counts.
. "$(dirname "$0")/lib.sh"

duration=${1:-$([ "${PROCS_TEST_FULL:-}" = 1 ] && echo 600 || echo 15)}
"$venv/bin/python" tests/soak/zoo.py "$duration" ${PROCS_TEST_SEED:+"$PROCS_TEST_SEED"}
