//! Where things are: the tree, the build, the interpreters.

use std::path::PathBuf;

/// The root of the workspace.
pub fn root() -> PathBuf {
    // Under cargo the running package says where it is; a copied or moved build still finds the tree it was built from.
    let package = from_env("CARGO_MANIFEST_DIR", || PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package.parent().expect("packages with tests lie in the workspace").to_owned()
}

/// The folder of the build that this program belongs to: it holds binaries and libraries.
pub fn build_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let folder = program.parent().expect("a program lies in a folder");
    match folder.file_name().and_then(|name| name.to_str()) {
        // Test binaries and examples lie one level deeper.
        Some("deps" | "examples") => folder.parent().expect("deps lies in the build folder").to_owned(),
        _ => folder.to_owned(),
    }
}

/// A path from the environment, or this default.
fn from_env(variable: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
    std::env::var_os(variable).map_or_else(default, PathBuf::from)
}

/// The helper child: `PROCS_TEST_CHILD`, or the one of this build.
pub fn helper() -> PathBuf {
    from_env("PROCS_TEST_CHILD", || build_dir().join("procs-child"))
}

/// The folder with the C library: `PROCS_LIBDIR`, or that of the shipped profile beside this build.
pub fn library_dir() -> PathBuf {
    from_env("PROCS_LIBDIR", || build_dir().with_file_name("shipped"))
}

/// The Python to test with: `PROCS_PYTHON`, or the one of the workspace's virtual environment.
pub fn python() -> PathBuf {
    from_env("PROCS_PYTHON", || root().join(".venv/bin/python"))
}

/// The Node to test with: `PROCS_NODE`, or `node` from PATH.
pub fn node() -> PathBuf {
    from_env("PROCS_NODE", || PathBuf::from("node"))
}

/// A tool that a test cannot do without; fails with the way to get it.
pub fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file());
    found.unwrap_or_else(|| panic!("the tests need {name}: install it (Debian: apt-get install {name})"))
}

/// A count of a fault row: the full number when `PROCS_TEST_FULL=1`, otherwise a tenth of it, at least 1.
pub fn count(full: usize) -> usize {
    if std::env::var_os("PROCS_TEST_FULL").is_some_and(|value| value == "1") { full } else { (full / 10).max(1) }
}
