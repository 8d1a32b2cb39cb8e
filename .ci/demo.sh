#!/usr/bin/env bash
# The tour: the same six stations in Rust, C, Python and Node, from the sources in examples/tour.
. "$(dirname "$0")/lib.sh"
.ci/build.sh
.ci/compile-examples.sh tour

tour() {
    local language=$1
    shift
    printf '\n=== %s ===   examples/tour/%s\n' "$language" "$1"
    shift
    "$@"
}
tour Rust main.rs "$target/release/tour"
tour C main.c "$target/examples/tour"
tour Python main.py "$venv/bin/python" examples/tour/main.py
tour Node main.mjs node examples/tour/main.mjs
printf '\nThe tour ended well in four languages. Next: make test, README.md, examples/.\n'
