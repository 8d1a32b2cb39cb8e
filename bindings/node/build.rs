//! Sets the link arguments of a Node-API module.

fn main() {
    napi_build::setup();
    // The library owns threads: unloading the module from a worker must not unmap their code.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
