#!/usr/bin/env bash
# Every Rust test of the workspace: unit, integration, scenario and fault tests, and the snippets of the documentation.
. "$(dirname "$0")/lib.sh"

locked=()
in_ci && locked=(--locked)
cargo test --workspace --no-fail-fast "${locked[@]}"
