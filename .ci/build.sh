#!/usr/bin/env bash
# Builds everything once and puts the native modules beside the Python and Node packages.
. "$(dirname "$0")/lib.sh"
.ci/setup.sh

locked=()
in_ci && locked=(--locked)
say "build: cargo build --profile shipped, then the rest with --release"
parts=(procs-ffi procs-python procs-node)
cargo build --profile shipped "${parts[@]/#/--package=}" "${locked[@]}"
cargo build --release --workspace "${parts[@]/#/--exclude=}" "${locked[@]}"

# place FROM TO: installs a file, unless the same bytes are there already. A running program keeps the old file.
place() { cmp -s "$1" "$2" || install -m 755 "$1" "$2"; }
place "$shipped/lib_native.so" bindings/python/procs/_native.abi3.so
place "$shipped/libprocs_node.so" bindings/node/procs.node

name=$(soname)
[ -n "$name" ] || fail "libprocs.so has no SONAME: ffi/build.rs must set one"
ln -sf libprocs.so "$shipped/$name"
