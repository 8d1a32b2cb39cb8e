#!/usr/bin/env bash
# Builds the Python wheel with maturin, in a virtual environment of its own.
. "$(dirname "$0")/lib.sh"
.ci/setup.sh
.ci/tools.sh maturin

say "wheel: target/wheels"
rm -rf "$target/wheels"
# maturin compiles with settings of its own: in a folder of its own, or each would make the other compile everything again.
export CARGO_TARGET_DIR=$target/maturin
"$tools/maturin/bin/maturin" build --profile shipped --manifest-path bindings/python/Cargo.toml --interpreter "$venv/bin/python" --out "$target/wheels"
ls -l "$target/wheels"
