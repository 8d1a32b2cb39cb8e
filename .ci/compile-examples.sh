#!/usr/bin/env bash
# Compiles the C examples, all or those named, as C99 with warnings as errors, into target/examples.
. "$(dirname "$0")/lib.sh"

topics=("$@")
if [ ${#topics[@]} -eq 0 ]; then
    for source in examples/*/main.c; do
        topics+=("$(basename "$(dirname "$source")")")
    done
fi
mkdir -p "$target/examples"
for topic in "${topics[@]}"; do
    program=$target/examples/$topic
    if [ "$program" -nt "examples/$topic/main.c" ] && [ "$program" -nt include/procs.h ]; then continue; fi
    "${CC:-cc}" -std=c99 -Wall -Wextra -pedantic -Werror -O1 -g -Iinclude "examples/$topic/main.c" \
        -L"$shipped" -lprocs -Wl,-rpath,"$shipped" -o "$program"
done
