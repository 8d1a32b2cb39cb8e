//! Only `procs_*` leaves the library, and exactly what `symbols.txt` lists: a removed line needs a new ABI number in the same commit.

use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shared library of the sources as they are, in the target folder that this test was built in.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its path");
    let target = test.ancestors().nth(3).expect("the test lies in TARGET/PROFILE/deps").to_owned();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "procs-ffi", "--lib", "--target-dir"])
        .arg(&target)
        .current_dir(folder())
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the library does not build");
    target.join("debug/libprocs.so")
}

fn output(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output().unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is text")
}

#[test]
fn exports_are_the_listed_ones_and_the_library_has_its_name() {
    let library = library();
    let mut exports: Vec<String> =
        output("nm", &["-D", "--defined-only"], &library).lines().filter_map(|line| line.split(' ').nth(2)).map(str::to_owned).collect();
    exports.sort();
    let listed = std::fs::read_to_string(folder().join("symbols.txt")).expect("symbols.txt is there");
    let listed: Vec<&str> = listed.lines().collect();
    assert_eq!(exports, listed, "symbols.txt and the library differ");
    assert!(exports.iter().all(|name| name.starts_with("procs_")));

    let dynamic = output("readelf", &["-d"], &library);
    assert!(dynamic.contains("[libprocs.so.1]"), "SONAME is missing: {dynamic}");
    assert!(dynamic.contains("NODELETE"), "the library could be unloaded under its threads: {dynamic}");
}

#[test]
fn every_export_is_declared_in_the_header_and_guarded_or_plain() {
    let header = std::fs::read_to_string(folder().join("../include/procs.h")).expect("the header is there");
    let listed = std::fs::read_to_string(folder().join("symbols.txt")).expect("symbols.txt is there");
    for name in listed.lines() {
        assert!(header.contains(&format!("{name}(")), "{name} is not declared in procs.h");
    }
    // Bodies that call nothing but a table or a constant need no guard; all others have one.
    const PLAIN: &[&str] = &[
        "procs_abi_version",
        "procs_err_name",
        "procs_last_error",
        "procs_last_error_message",
        "procs_last_error_os",
        "procs_last_error_path",
        "procs_last_error_remote_name",
        "procs_last_error_remote_trace",
        "procs_last_error_stage",
        "procs_max_children",
        "procs_signal_name",
        "procs_strerror",
        "procs_version",
        "procs_version_number",
    ];
    let guarded =
        |body: &str| ["guard(", "guard_value(", "flag(", "stream_bytes(", "so_far(", "field(", "ask("].iter().any(|call| body.contains(call));
    let mut seen = 0;
    for file in std::fs::read_dir(folder().join("src")).expect("the sources are there") {
        let source = std::fs::read_to_string(file.expect("an entry").path()).expect("a source is read");
        for function in source.split("#[unsafe(no_mangle)]").skip(1) {
            let name = function.split("fn ").nth(1).and_then(|rest| rest.split('(').next()).expect("a function has a name");
            let body = function.split("\n}\n").next().expect("a function ends");
            assert!(guarded(body) || PLAIN.contains(&name), "{name} has no guard");
            seen += 1;
        }
    }
    assert_eq!(seen, listed.lines().count(), "a function is exported in another way");
}
