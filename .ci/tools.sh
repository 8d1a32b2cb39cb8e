#!/usr/bin/env bash
# Installs the test tools of one kind inside the clone: python (pytest, mypy into .venv), typescript or maturin (into target/tools).
. "$(dirname "$0")/lib.sh"

stamped() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

add_pip() {
    "$1" -m pip --version >/dev/null 2>&1 || "$1" -m ensurepip --default-pip >/dev/null ||
        fail "Python has no ensurepip: apt-get install python3-venv (or python3.N-venv)"
}

python_tools() {
    local want stamp=$venv/.tools
    want=$(cksum <.ci/requirements.txt)
    stamped "$stamp" "$want" && return
    note "installing the Python test tools into .venv"
    add_pip "$venv/bin/python"
    retry "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r .ci/requirements.txt
    printf '%s\n' "$want" >"$stamp"
}

typescript_tools() {
    local want="typescript@7.0.2 @types/node@20" folder=$tools/typescript
    stamped "$folder/.tools" "$want" && return
    have npm || skip npm "it comes with Node.js, or apt-get install npm"
    note "installing TypeScript into target/tools"
    mkdir -p "$folder"
    printf '{"private": true}\n' >"$folder/package.json"
    # shellcheck disable=SC2086 # two packages
    (cd "$folder" && retry npm install --silent --no-audit --no-fund $want)
    printf '%s\n' "$want" >"$folder/.tools"
}

maturin_tools() {
    local want="maturin==1.16.0" folder=$tools/maturin
    stamped "$folder/.tools" "$want" && return
    note "installing maturin into target/tools"
    mkdir -p "$tools"
    "$venv/bin/python" -m venv --without-pip "$folder"
    add_pip "$folder/bin/python"
    retry "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$want"
    printf '%s\n' "$want" >"$folder/.tools"
}

case ${1:-} in
python) python_tools ;;
typescript) typescript_tools ;;
maturin) maturin_tools ;;
*) fail "usage: .ci/tools.sh python | typescript | maturin" ;;
esac
