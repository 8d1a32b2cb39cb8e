#!/usr/bin/env bash
# run.sh plain|valgrind|asan|asan-rust|tsan [NAMES…]: builds the C tests against target/shipped and runs them, or those named. Ends with one
# line that counts. asan-rust and tsan build the library itself for the sanitizer first, which takes minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
kind=${1:-plain}
target=${CARGO_TARGET_DIR:-$PWD/target}
library=${PROCS_LIBDIR:-$target/shipped}
work=$target/c-tests/$kind
cc=${CC:-cc}
shift || true
only=("$@")
mkdir -p "$work"
export PROCS_TEST_KIND=$kind PROCS_LIBDIR=$library PROCS_TEST_CHILD=${PROCS_TEST_CHILD:-$target/release/procs-child}

flags=(-std=gnu11 -g -O1 -Wall -Wextra -Wpedantic -Wno-unused-function -Werror -Iinclude)
runner=()
case $kind in
plain) link=(-L"$library" -lprocs -Wl,-rpath,"$library") ;;
valgrind)
    link=(-L"$library" -lprocs -Wl,-rpath,"$library")
    # --vgdb=no: the debugger's pipe would be a descriptor that comes later.
    runner=(valgrind -q --vgdb=no --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=30)
    ;;
asan-rust | tsan)
    # Source: the compiler's own runtimes; the standard library is not instrumented (tsan.supp).
    name=thread extra=-Cunsafe-allow-abi-mismatch=sanitizer
    [ "$kind" = tsan ] || name=address extra=
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$name $extra" \
        cargo build --quiet --release --package procs-ffi --target x86_64-unknown-linux-gnu --target-dir "$target/$kind"
    library=$target/$kind/x86_64-unknown-linux-gnu/release
    flags+=("-fsanitize=$name")
    link=("$library/libprocs.a" -Wl,--whole-archive "$(rustc --print target-libdir)/librustc-stable_rt.${kind%-rust}.a" -Wl,--no-whole-archive)
    link+=(-rdynamic -lpthread -ldl -lm -lrt -lgcc_s -lresolv)
    export TSAN_OPTIONS="suppressions=$PWD/tests/c/tsan.supp"
    # Those about many threads; those in which a child runs on the host's memory, or bytes cross the border.
    if [ ${#only[@]} -eq 0 ]; then
        only=(handles callbacks ownership loop together faults_wait faults_text)
        [ "$kind" = tsan ] || only=(handles callbacks ownership faults_signals faults_wait faults_streams faults_text)
    fi
    ;;
# The C side is instrumented, and every byte that crosses the border with it; the Rust side is linked in whole.
asan)
    flags+=(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
    link=(-fsanitize=address,undefined "$library/libprocs.a" -lpthread -ldl -lm -lgcc_s)
    ;;
*) echo "run.sh: unknown kind $kind, expected plain, valgrind, asan, asan-rust or tsan" >&2 && exit 2 ;;
esac

passed=0
failed=0
run() {
    local name=$1
    shift
    if timeout --kill-after=10 600 "${runner[@]}" "$@" >"$work/$name.log" 2>&1; then
        passed=$((passed + 1))
        # valgrind names each system call that it does not know; the passed tests are what matters here.
        sed -n "s/^ok /   $name: /p" "$work/$name.log"
    else
        failed=$((failed + 1))
        printf '   %s: FAILED\n' "$name"
        { grep -v 'unhandled amd64-linux syscall\|write your own handler\|README_MISSING\|consider this a bug\|valgrind.org/support' \
            "$work/$name.log" || [ $? = 1 ]; } | sed 's/^/      /'
    fi
}

for source in tests/c/*.c; do
    name=$(basename "$source" .c)
    [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " = *" $name "* ]] || continue
    # Two copies and dlclose need the shared library itself.
    if [ "$name" = copies ]; then
        [ "$kind" = plain ] || continue
        cp "$library/libprocs.so" "$work/second.so"
        "$cc" "${flags[@]}" "$source" "${link[@]}" -ldl -o "$work/$name"
        cp "$library/libprocs.so" "$work/first.so"
        run "$name" "$work/$name" "$work/first.so" "$work/second.so"
        # The same with the library linked in whole, and exported as plugins need it.
        "$cc" "${flags[@]}" "$source" "$library/libprocs.a" -lpthread -ldl -lm -lgcc_s -rdynamic -o "$work/$name-static"
        run "$name-static" "$work/$name-static" "$work/first.so" "$work/second.so"
        continue
    fi
    # As strangers compile: C99 to the letter, and C++ where there is a compiler for it.
    if [ "$name" = portable ]; then
        [ "$kind" = plain ] || continue
        "$cc" -std=c99 -Wall -Wextra -Wpedantic -Werror -Iinclude "$source" "${link[@]}" -o "$work/$name"
        run "$name" "$work/$name"
        if command -v "${CXX:-c++}" >/dev/null; then
            "${CXX:-c++}" -x c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -Iinclude "$source" "${link[@]}" -o "$work/$name-cpp"
            run "$name-cpp" "$work/$name-cpp"
        fi
        continue
    fi
    "$cc" "${flags[@]}" -c "$source" -o "$work/$name.o"
    "$cc" "$work/$name.o" "${link[@]}" -o "$work/$name"
    run "$name" "$work/$name"
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
