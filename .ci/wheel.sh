#!/usr/bin/env bash
# Builds the Python wheel with maturin, in a virtual environment of its own.
. "$(dirname "$0")/lib.sh"
.ci/setup.sh
.ci/tools.sh maturin

say "wheel: target/wheels"
rm -rf "$target/wheels"
"$tools/maturin/bin/maturin" build --release --manifest-path bindings/python/Cargo.toml --interpreter "$venv/bin/python" --out "$target/wheels"
ls -l "$target/wheels"
