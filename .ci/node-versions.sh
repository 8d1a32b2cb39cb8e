#!/usr/bin/env bash
# node-versions.sh [VERSION...]: runs the tests of Node's wire with other versions of Node (18 22 24 26 by default), each installed by npm inside the clone,
# and from 20 on, the oldest that the package takes, those of fork, of changing over and of the runtime.
# `docs/wire.md` names the versions that passed.
. "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || set -- 18 22 24 26
failed=()
for version in "$@"; do
    folder=$target/tools/node-$version
    [ -x "$folder/node_modules/.bin/node" ] || npm install --silent --no-audit --no-fund --prefix "$folder" "node@$version"
    export PATH="$folder/node_modules/.bin:$PATH"
    say "Node $(node --version)"
    {
        cargo test --quiet --release -p procs-tests --test node_wire --test faults_node_wire &&
            cargo test --quiet --release -p procs-tests --test scenarios -- on_nodes_wire &&
            { ! at_least 20 "$(node --version | tr -d v)" || node --test bindings/node/test/{fork,fork-peer,upgrade,parent-channel,runtime}.test.cjs; }
    } || failed+=("$(node --version)")
done
[ ${#failed[@]} -eq 0 ] || fail "with Node ${failed[*]}"
