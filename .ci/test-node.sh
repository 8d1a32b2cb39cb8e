#!/usr/bin/env bash
# The suite of the Node package.
. "$(dirname "$0")/lib.sh"

# By name: Node 22 and newer take no folder.
node --test bindings/node/test/*.test.cjs
