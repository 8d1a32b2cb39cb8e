#!/usr/bin/env bash
# Side by side with the peers: measures one area or all, writes docs/benchmarks.md and docs/benchmarks.json.
. "$(dirname "$0")/lib.sh"
.ci/build.sh
exec "$venv/bin/python" tests/bench/run.py "$@"
