#!/usr/bin/env bash
# Formatting and lints of the Rust code, warnings as errors; shell scripts at least parse.
. "$(dirname "$0")/lib.sh"

cargo fmt --version >/dev/null 2>&1 || skip rustfmt "rustup component add rustfmt"
cargo clippy --version >/dev/null 2>&1 || skip clippy "rustup component add clippy"
cargo fmt --all --check
cargo clippy --quiet --workspace --all-targets -- -D warnings
count=0
for script in .ci/*.sh .ci/run tests/*.sh; do
    bash -n "$script"
    count=$((count + 1))
done
printf 'lint: rustfmt and clippy clean, %d shell scripts parse\n' "$count"
