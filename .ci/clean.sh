#!/usr/bin/env bash
# Removes what was built and set up inside the clone.
. "$(dirname "$0")/lib.sh"
rm -rf "$target" "$venv" node_modules bindings/python/procs/_native.abi3.so bindings/node/procs.node
find bindings examples tests -name __pycache__ -type d -prune -exec rm -rf {} +
