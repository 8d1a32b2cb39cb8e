#!/usr/bin/env bash
# Builds everything once and puts the native modules beside the Python and Node packages.
. "$(dirname "$0")/lib.sh"
.ci/setup.sh

locked=()
in_ci && locked=(--locked)
say "build: cargo build --release --workspace"
cargo build --release --workspace "${locked[@]}"

# place FROM TO: installs a file, unless the same bytes are there already. A running program keeps the old file.
place() { cmp -s "$1" "$2" || install -m 755 "$1" "$2"; }
place "$target/release/lib_native.so" bindings/python/procs/_native.abi3.so
place "$target/release/libprocs_node.so" bindings/node/procs.node

name=$(soname)
[ -n "$name" ] || fail "libprocs.so has no SONAME: ffi/build.rs must set one"
ln -sf libprocs.so "$target/release/$name"
