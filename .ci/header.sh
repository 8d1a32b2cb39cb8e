#!/usr/bin/env bash
# Writes include/procs.h again: the test of ffi that verifies the header rewrites it when told to.
. "$(dirname "$0")/lib.sh"
.ci/setup.sh
PROCS_UPDATE_HEADER=1 cargo test --quiet -p procs-ffi --test header
git diff --stat -- include/procs.h
