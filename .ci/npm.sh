#!/usr/bin/env bash
# Packs the npm package with the native module inside: nothing is compiled or downloaded when it is installed.
. "$(dirname "$0")/lib.sh"
have npm || fail "npm is missing: it comes with Node.js, or apt-get install npm"
.ci/build.sh

say "npm: target/npm"
rm -rf "$target/npm"
mkdir -p "$target/npm"
npm pack --silent --pack-destination "$target/npm" ./bindings/node
ls -l "$target/npm"
