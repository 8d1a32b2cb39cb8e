#!/usr/bin/env bash
# Installs the C library: header, shared library with its links, static library, pkg-config file. PREFIX and DESTDIR as usual.
. "$(dirname "$0")/lib.sh"

prefix=${PREFIX:-/usr/local}
stage=${DESTDIR:-}$prefix
version=$(manifest_value version)
# Only what is installed is built: neither Python nor Node is needed.
have cargo || fail "cargo is missing: https://rustup.rs"
have readelf || fail "readelf is missing: apt-get install binutils, or dnf install binutils"
locked=()
in_ci && locked=(--locked)
cargo build --profile shipped --package procs-ffi "${locked[@]}"
name=$(soname)
[ -n "$name" ] || fail "libprocs.so has no SONAME: ffi/build.rs must set one"

say "install: $stage"
install -d "$stage/include" "$stage/lib/pkgconfig"
install -m 644 include/procs.h "$stage/include/procs.h"
install -m 755 "$shipped/libprocs.so" "$stage/lib/libprocs.so.$version"
ln -sf "libprocs.so.$version" "$stage/lib/$name"
ln -sf "$name" "$stage/lib/libprocs.so"
install -m 644 "$shipped/libprocs.a" "$stage/lib/libprocs.a"
# Libs.private is what `rustc --print native-static-libs` names for this crate, without -lgcc_s: the compiler adds that by itself, or -lgcc_eh for
# a program that is static throughout. tests/packages.sh links with it.
cat >"$stage/lib/pkgconfig/procs.pc" <<PC
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: procs
Description: $(manifest_value description)
Version: $version
Libs: -L\${libdir} -lprocs
Libs.private: -lutil -lrt -lpthread -lm -ldl -lc
Cflags: -I\${includedir}
PC
(cd "$stage" && ls -l include/procs.h lib/libprocs.* lib/pkgconfig/procs.pc)
if [ -z "${DESTDIR:-}" ] && [ "$prefix" = /usr/local ] && [ "$(id -u)" = 0 ] && have ldconfig; then ldconfig; fi
