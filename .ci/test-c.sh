#!/usr/bin/env bash
# The C suite: plain, under valgrind, and with the address sanitizer.
. "$(dirname "$0")/lib.sh"

have valgrind || skip valgrind "apt-get install valgrind"
failed=()
for kind in plain valgrind asan; do
    printf 'c suite, %s:\n' "$kind"
    tests/c/run.sh "$kind" || failed+=("$kind")
done
[ ${#failed[@]} -eq 0 ] || fail "c suite: ${failed[*]}"
printf 'c suite: plain, valgrind and address sanitizer without errors\n'
