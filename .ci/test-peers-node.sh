#!/usr/bin/env bash
# Programs and libraries written for child_process, with child_process and with procs-native: the same output, or this fails.
. "$(dirname "$0")/lib.sh"

modules=$target/peers-node
mkdir -p "$modules"
if ! cmp -s tests/peers/node/package-lock.json "$modules/installed.json"; then
  say "npm ci: the libraries of tests/peers/node/package-lock.json"
  cp tests/peers/node/package.json tests/peers/node/package-lock.json "$modules"
  (cd "$modules" && npm ci --no-audit --no-fund --silent) || fail "npm ci"
  cp tests/peers/node/package-lock.json "$modules/installed.json"
fi
PEERS_MODULES=$modules node tests/peers/node/compare.cjs "$@"
