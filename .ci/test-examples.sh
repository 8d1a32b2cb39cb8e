#!/usr/bin/env bash
# Runs every example in four languages: each must print expected.txt, apart from times such as "0.3 s". The ten lines of README are
# one of the examples, and must stand there word for word.
. "$(dirname "$0")/lib.sh"

.ci/compile-examples.sh
folder=$target/examples/output
mkdir -p "$folder"
failures=0
runs=0
without_times() { sed -E 's/[0-9]+\.[0-9] s/T s/g'; }
broken() {
    printf 'FAILED: %s\n' "$*"
    failures=$((failures + 1))
}

# check TOPIC LANGUAGE COMMAND
check() {
    local topic=$1 language=$2 out=$folder/$1.$2
    shift 2
    runs=$((runs + 1))
    if ! timeout 60 "$@" >"$out" 2>"$out.err" </dev/null; then
        cat "$out" "$out.err"
        broken "example $topic in $language: $*"
    elif ! diff -u --label expected --label "$topic in $language" <(without_times <"examples/$topic/expected.txt") <(without_times <"$out"); then
        broken "example $topic in $language prints something else"
    fi
}

for topic in examples/*/; do
    topic=$(basename "$topic")
    check "$topic" rust "$target/release/$topic"
    check "$topic" c "$target/examples/$topic"
    check "$topic" python "$venv/bin/python" "examples/$topic/main.py"
    check "$topic" node node "examples/$topic/main.mjs"
done

# block LANGUAGE: the lines of README in the fence of that name.
block() { awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; next } /^```$/ { inside = 0 } inside' README.md; }
for pair in rust:main.rs python:main.py js:main.mjs c:main.c; do
    diff -u --label README.md --label "examples/ten-lines/${pair##*:}" <(block "${pair%%:*}") "examples/ten-lines/${pair##*:}" || broken "README.md does not show examples/ten-lines/${pair##*:}"
done
printf 'examples: %d runs, %d failures\n' "$runs" "$failures"
[ "$failures" -eq 0 ]
