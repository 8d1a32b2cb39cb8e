#!/usr/bin/env bash
# Programs on libraries that are built on subprocess, with subprocess and with procs in its place: equal transcripts. Needs the registry
# of Python packages and git; the libraries go into target/tools/peers.
. "$(dirname "$0")/lib.sh"

peer=$root/bindings/python/tests/peer
folder=$tools/peers
[ -x "$folder/bin/python" ] || "$venv/bin/python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$peer/requirements.txt"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# transcript NAME [--procs]: what the program says, without addresses, times and the folders of this run.
transcript() {
    (cd "$work" && PYTHONPATH=$root/bindings/python timeout 120 "$folder/bin/python" "$peer/libraries.py" "${@:2}" "$1" 2>&1 || echo "status $?") |
        sed -E 's/0x[0-9a-f]+/0x/g; s/in [0-9.]+s/in TIME/; s/tmp[a-z0-9_]{8}/TMP/g; s/[0-9.]+ seconds/TIME/g'
}

status=0
for name in $("$folder/bin/python" "$peer/libraries.py" --list); do
    transcript "$name" >"$work/$name.peer"
    transcript "$name" --procs >"$work/$name.procs"
    if grep -q '^status ' "$work/$name.peer"; then
        cat "$work/$name.peer"
        fail "$name does not even run with subprocess"
    elif diff "$work/$name.peer" "$work/$name.procs"; then
        note "$name: the same"
    else
        status=1
        note "$name: differs"
    fi
done
exit "$status"
