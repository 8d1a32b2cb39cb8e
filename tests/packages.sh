#!/usr/bin/env bash
# Uses each package from a clean place: a C program with pkg-config (shared and static), a Rust program that depends on the crate,
# the wheel in a fresh virtual environment, the npm package in a fresh project.
. "$(dirname "$0")/../.ci/lib.sh"

have pkg-config || skip pkg-config "apt-get install pkg-config"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing of the clone may leak in: no search path, no variable of a build.
clean() { env -i HOME="$work" PATH="$PATH" "$@"; }
expect() { [ "$2" = "$3" ] || fail "$1: got '$2', expected '$3'"; }

check_c() {
    PREFIX=$work/prefix .ci/install.sh
    say "package: a C program outside the tree"
    cat >"$work/program.c" <<'C'
#include <procs.h>
#include <stdio.h>

int main(void) {
    const char *const argv[] = {"echo", "from a C program", NULL};
    procs_spawn_options options;
    procs_output *output = NULL;
    size_t length;
    procs_spawn_options_init(&options, sizeof options);
    options.argv = argv;
    if (procs_run(&options, &output) != PROCS_OK) {
        fprintf(stderr, "%s\n", procs_last_error_message());
        return 1;
    }
    const char *text = procs_output_stdout(output, &length);
    fwrite(text, 1, length, stdout);
    procs_output_free(output);
    return 0;
}
C
    export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig
    local flags libs private name
    flags=$(pkg-config --cflags procs)
    libs=$(pkg-config --libs procs)
    private=$(sed -n 's/^Libs.private: //p' "$PKG_CONFIG_PATH/procs.pc")
    name=$(soname)
    expect "version in procs.pc" "$(pkg-config --modversion procs)" "$(manifest_value version)"
    # shellcheck disable=SC2086 # lists of flags
    {
        "${CC:-cc}" -std=c99 -Wall -Wextra -Werror "$work/program.c" $flags $libs -o "$work/shared"
        "${CC:-cc}" -std=c99 -Wall -Wextra -Werror "$work/program.c" $flags -Wl,-Bstatic $libs -Wl,-Bdynamic $private -o "$work/static"
    }
    expect "shared" "$(clean LD_LIBRARY_PATH="$work/prefix/lib" "$work/shared")" "from a C program"
    readelf -d "$work/shared" | grep -q "NEEDED.*\[$name\]" || fail "the shared program does not ask for $name"
    expect "static" "$(clean "$work/static")" "from a C program"
    if readelf -d "$work/static" | grep -q libprocs; then fail "the static program asks for a shared libprocs"; fi
    # A program that is static throughout, where the system has a static libc.
    if echo 'int main(void) { return 0; }' | "${CC:-cc}" -static -x c - -o "$work/bare" 2>"$work/bare.log"; then
        # shellcheck disable=SC2046 # a list of flags
        "${CC:-cc}" -std=c99 -static "$work/program.c" $(pkg-config --static --cflags --libs procs) -o "$work/whole"
        expect "static throughout" "$(clean "$work/whole")" "from a C program"
    fi
    note "pkg-config, shared ($name) and static: ok"
}

check_rust() {
    say "package: a Rust program outside the tree"
    mkdir -p "$work/rust/src"
    cat >"$work/rust/Cargo.toml" <<TOML
[package]
name = "outside"
version = "0.0.0"
edition = "2024"

[dependencies]
procs = { path = "$root/core" }
TOML
    cp Cargo.lock "$work/rust/Cargo.lock"
    cat >"$work/rust/src/main.rs" <<'RS'
fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", String::from_utf8(procs::Command::new("echo").arg("from a Rust program").output()?.stdout.into_vec())?);
    Ok(())
}
RS
    cargo build --quiet --manifest-path "$work/rust/Cargo.toml" --target-dir "$target/outside"
    expect "rust" "$(clean "$target/outside/debug/outside")" "from a Rust program"
    note "path dependency: ok"
}

check_wheel() {
    .ci/wheel.sh
    say "package: the wheel in a fresh virtual environment"
    "$venv/bin/python" -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps "$target"/wheels/*.whl
    (
        cd "$work"
        got=$(clean "$work/venv/bin/python" -c 'import procs; print(procs.run(["echo", "from a wheel"], capture_output=True, text=True).stdout, end="")')
        expect "wheel" "$got" "from a wheel"
        got=$(clean "$work/venv/bin/python" -c 'import procs; print(procs.__file__)')
        case $got in "$work"/venv/*) ;; *) fail "procs came from $got" ;; esac
        [ -f "$(dirname "$got")/py.typed" ] || fail "the wheel has no py.typed"
    )
    note "$(basename "$target"/wheels/*.whl): ok"
}

check_npm() {
    .ci/npm.sh
    say "package: the npm package in a fresh project"
    mkdir -p "$work/project"
    (
        cd "$work/project"
        printf '{"private": true}\n' >package.json
        clean npm install --silent --offline --no-audit --no-fund "$target"/npm/*.tgz
        [ ! -L node_modules/procs-native ] || fail "npm linked the package instead of copying it"
        got=$(clean node -e 'require("procs-native").run("echo", ["from an npm package"], { encoding: "utf8" }).then((r) => process.stdout.write(r.stdout))')
        expect "require" "$got" "from an npm package"
        got=$(clean node --input-type=module -e 'import { run } from "procs-native"; process.stdout.write((await run("echo", ["imported"], { encoding: "utf8" })).stdout)')
        expect "import" "$got" "imported"
        for types in index lib/message-channel lib/shared-memory; do
            [ -f "node_modules/procs-native/$types.d.ts" ] || fail "the package has no $types.d.ts"
        done
    )
    note "$(basename "$target"/npm/*.tgz): ok"
}

checks=("$@")
[ ${#checks[@]} -gt 0 ] || checks=(c rust wheel npm)
for check in "${checks[@]}"; do "check_$check"; done
printf '\npackages: %d checked from a clean place: %s\n' "${#checks[@]}" "${checks[*]}"
