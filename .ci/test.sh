#!/usr/bin/env bash
# Runs every suite, or those named, prints each runner's closing lines and a summary, and fails if one failed.
. "$(dirname "$0")/lib.sh"

suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(lint rust examples c python node types soak)
minutes=${PROCS_SUITE_MINUTES:-40}
[ "${PROCS_TEST_FULL:-}" = 1 ] && minutes=${PROCS_SUITE_MINUTES:-240}

.ci/build.sh </dev/null
logs=$target/test-logs
mkdir -p "$logs"
export PATH=$venv/bin:$PATH
# The helper child of the test package, for the runners that cargo does not start.
export PROCS_TEST_CHILD=$target/release/procs-child
# Machines of continuous integration may be slow and busy: what is awaited is awaited for longer.
! in_ci || export PROCS_TEST_SLOW=${PROCS_TEST_SLOW:-3}

# The lines with which the runners close: cargo test, pytest, node --test, the C suite, the type checkers.
closing_lines() {
    { grep -aE '^test result: |^(=+ )?[0-9]+ (passed|failed|error)|^[#ℹ] (tests|pass|fail|skipped) |^(c suite|examples|lint|types|soak): |^(Success: |Found )|^SKIPPED: |^failed: ' "$1" || [ $? = 1 ]; } |
        awk '/^test result: / { for (i = 1; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1); if ($i ~ /^ignored/) g += $(i-1) } n++; next }
             { print "     " $0 }
             END { if (n) printf "     test result: %s. %d passed; %d failed; %d ignored; in %d test programs\n", f ? "FAILED" : "ok", p, f, g, n }'
}

# The lines of a log that tell why the suite failed: those that name a failure with what follows them, and the last ones.
reasons() {
    { grep -aE -A 6 '^FAILED|FAILED$|panicked at|^not ok|^Timeout|^(E  |Error)|^error' "$1" || [ $? = 1 ]; } | tail -n 40
    printf -- '--\n'
    tail -n 15 "$1"
}

summary=()
broken=()
failed=0
skipped=0
for suite in "${suites[@]}"; do
    say "suite $suite"
    log=$logs/$suite.log
    began=$SECONDS
    set +e
    # A shell in the background, nohup and some services start us with signals ignored, which the tests' programs would inherit.
    timeout -k 10 "${minutes}m" env --default-signal ".ci/test-$suite.sh" </dev/null 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    set -e
    case $status in
    0) word=ok ;;
    77) word=skipped skipped=$((skipped + 1)) ;;
    124) word="FAILED (over $minutes minutes)" failed=$((failed + 1)) ;;
    *) word="FAILED (status $status)" failed=$((failed + 1)) ;;
    esac
    [[ $word != FAILED* ]] || broken+=("$suite")
    summary+=("$(printf '%-9s %s in %d s' "$suite" "$word" $((SECONDS - began)))" "$(closing_lines "$log")")
done

say "summary"
printf '%s\n' "${summary[@]}" | sed '/^$/d; s/^/   /'
if [ "$failed" -gt 0 ]; then
    for suite in "${broken[@]}"; do
        say "why $suite failed"
        reasons "$logs/$suite.log" | cut -c 1-240 | sed 's/^/   /'
    done
    printf '\n%d of %d suites failed; logs: %s\n' "$failed" "${#suites[@]}" "${logs#"$root/"}"
    exit 1
fi
printf '\nall %d suites passed (%d skipped, %d s)\n' "${#suites[@]}" "$skipped" "$SECONDS"
