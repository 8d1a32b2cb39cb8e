#!/usr/bin/env bash
# Coverage-guided fuzzing: fuzz.sh [SECONDS [TARGET…]]. Fails when an input crashes, hangs for 20 s or takes more than 512 MiB.
. "$(dirname "$0")/lib.sh"

seconds=${1:-60}
shift || true
targets=${*:-$(ls tests/fuzz/corpus)}
have c++ || skip "a C++ compiler" "apt-get install g++"

# What `cargo fuzz -s none` passes; these are stable options of the compiler's back end.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
triple=$(rustc -vV | sed -n 's/^host: //p')
say "fuzz: building for $triple"
# With a target named, build scripts are left alone; one unit, so that no counter is lost.
RUSTFLAGS="--cfg fuzzing $coverage -Ccodegen-units=1" CARGO_TARGET_DIR="$target/fuzz" \
    cargo build --release --manifest-path tests/fuzz/Cargo.toml --target "$triple"
for name in $targets; do
    found=$target/fuzz/found/$name
    mkdir -p "$found"
    say "fuzz: $name for $seconds s"
    "$target/fuzz/$triple/release/$name" "$found" "tests/fuzz/corpus/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=512 \
        -max_len=8192 -print_final_stats=1 -artifact_prefix="$found-crash-" 2>"$found.log" || {
        tail -n 40 "$found.log" >&2
        fail "fuzz: $name: the input is named above"
    }
    grep -E 'cov:' "$found.log" | tail -n 1
    grep -E 'number_of_executed_units|peak_rss' "$found.log"
done
