#!/usr/bin/env bash
# The C suite: plain, under valgrind, and with the address sanitizer; in full also with the library built for the address and the thread sanitizer.
. "$(dirname "$0")/lib.sh"

have valgrind || skip valgrind "apt-get install valgrind"
failed=()
kinds=(plain valgrind asan)
# These build the library anew, for minutes.
[ "${PROCS_TEST_FULL:-}" != 1 ] || kinds+=(asan-rust tsan)
for kind in "${kinds[@]}"; do
    printf 'c suite, %s:\n' "$kind"
    tests/c/run.sh "$kind" || failed+=("$kind")
done
[ ${#failed[@]} -eq 0 ] || fail "c suite: ${failed[*]}"
printf 'c suite: %s without errors\n' "${kinds[*]}"
