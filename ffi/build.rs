//! Gives the shared library its name for the loader, and keeps it mapped: it owns threads, so unloading must be without effect.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // While the version is 0.x the ABI number is the minor version, from 1.0 on the major one.
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    let minor = std::env::var("CARGO_PKG_VERSION_MINOR").unwrap_or_default();
    let abi = if major == "0" { minor } else { major };
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libprocs.so.{abi}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
