#!/usr/bin/env bash
# The suite of the Node package.
. "$(dirname "$0")/lib.sh"

node --test bindings/node/test/
