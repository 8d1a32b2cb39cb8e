#!/usr/bin/env bash
# Checks the tools, names what is missing, and prepares .venv and node_modules inside the clone. Nothing is downloaded here.
. "$(dirname "$0")/lib.sh"

missing=()
need() { missing+=("$1"); }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
}

check_tools() {
    local rust found
    [ "$(uname -s)" = Linux ] || need "Linux: libprocs runs on no other system (this is $(uname -s))"
    rust=$(manifest_value rust-version)
    if ! have cargo; then
        need "Rust $rust or newer (cargo, rustc): https://rustup.rs"
    else
        found=$(cargo --version | version_in)
        at_least "$rust" "$found" || need "Rust $rust or newer, found $found: rustup update stable"
    fi
    have "${CC:-cc}" || need "a C compiler (${CC:-cc}): apt-get install gcc libc6-dev, or dnf install gcc"
    have readelf || need "readelf: apt-get install binutils, or dnf install binutils"
    python=$(find_python)
    [ -n "$python" ] || need "Python 3.11 or newer with its venv module: apt-get install python3 python3-venv, or dnf install python3.11; or set PYTHON"
    if ! have node; then
        need "Node.js 20 or newer (node): https://nodejs.org, or apt-get install nodejs where that is 20 or newer"
    else
        found=$(node --version | version_in)
        at_least 20.0 "$found" || need "Node.js 20 or newer, found $found: https://nodejs.org"
    fi
}

make_venv() {
    if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        rm -rf "$venv"
        "$python" -m venv --without-pip "$venv"
    fi
    local site
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$root/bindings/python" >"$site/procs.pth"
}

check_tools
if [ ${#missing[@]} -gt 0 ]; then
    printf 'libprocs needs these tools, which are not here:\n' >&2
    printf '  - %s\n' "${missing[@]}" >&2
    exit 1
fi
make_venv
mkdir -p node_modules
ln -sfn ../bindings/node node_modules/procs-native
