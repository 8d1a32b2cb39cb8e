#!/usr/bin/env bash
# Programs and libraries written for child_process, with child_process and with procs-native: the same output, or this fails.
. "$(dirname "$0")/lib.sh"

modules=$target/peers-node
mkdir -p "$modules"
if ! cmp -s tests/peers/node/package.json "$modules/package.json"; then
  say "npm install: the libraries of tests/peers/node/package.json"
  cp tests/peers/node/package.json "$modules/package.json.new"
  (cd "$modules" && mv package.json.new package.json && npm install --no-audit --no-fund --silent) || { rm -f "$modules/package.json"; fail "npm install"; }
fi
PEERS_MODULES=$modules node tests/peers/node/compare.cjs "$@"
