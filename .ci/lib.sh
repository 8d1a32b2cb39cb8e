# Sourced by every script here: where things are and how to say what happens. Needs bash.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
# What users get: libprocs and the native modules.
shipped=$target/shipped
venv=$root/.venv
tools=$target/tools
cd "$root"

say() { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
fail() {
    printf 'failed: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# retry COMMAND…: up to three times. What comes over the network may fail once.
retry() {
    local pause
    for pause in 5 20; do
        "$@" && return
        note "failed, once more in $pause s: $*"
        sleep "$pause"
    done
    "$@"
}

# at_least 3.11 3.9.2: is the second version not older than the first?
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# The first number of the form 1.2 or 1.2.3 on standard input.
version_in() { grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1; }

# manifest_value version: a value of [workspace.package].
manifest_value() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" Cargo.toml | head -n 1; }

# The SONAME of the shared library that was built, such as libprocs.so.1.
soname() { readelf -d "$shipped/libprocs.so" | sed -n 's/.*SONAME.*\[\(.*\)\].*/\1/p'; }

in_ci() { [ "${CI:-}" = true ]; }

# skip WHAT HOW: a check cannot run here. An error in CI; at home counted by test.sh through this status.
skip() {
    if in_ci; then fail "$1 is missing: $2"; fi
    printf 'SKIPPED: %s is missing: %s\n' "$1" "$2"
    exit 77
}

# Every compiler run of the project sees the same interpreter, else a change of PATH rebuilds the Python module.
export PYO3_PYTHON=$venv/bin/python
