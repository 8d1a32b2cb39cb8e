#!/usr/bin/env bash
# Packs the npm package with the native module inside: nothing is compiled or downloaded when it is installed.
. "$(dirname "$0")/lib.sh"
have npm || fail "npm is missing: it comes with Node.js, or apt-get install npm"
.ci/build.sh

say "npm: target/npm"
stage=$target/npm/package
rm -rf "$target/npm"
mkdir -p "$stage"
cp -r bindings/node/package.json bindings/node/index.* bindings/node/lib bindings/node/procs.node LICENSE-MIT LICENSE-APACHE README.md "$stage"
if have strip; then strip --strip-unneeded "$stage/procs.node"; fi
npm pack --silent --pack-destination "$target/npm" "$stage"
rm -rf "$stage"
ls -l "$target/npm"
