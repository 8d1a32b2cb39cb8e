//! The C interface of libprocs: `libprocs.so`, `libprocs.a` and `procs.h`.
//!
//! Conventions, which the top of `procs.h` tells C programmers:
//! - Living things are opaque handles, looked up in a slab and never dereferenced (`slab`): a freed or foreign handle is an error.
//! - Options and plain results are structs whose first field is their size (`ptr::read_options`, `ptr::OutStruct`).
//! - Functions that can fail return `procs_status` and write out-parameters last, on success only. Getters give 0, NULL or -1 for NULL.
//! - The body of every exported function is inside `guard`, so neither an error nor a panic passes the boundary unseen.
//! - Pointers from C are looked behind in `ptr` only.
//!
//! May use: the public interface of `procs`, libc, std.

#![allow(non_camel_case_types, reason = "the names are those of the C interface")]
#![allow(clippy::missing_safety_doc, reason = "the conditions are the same for every function and stand once: in `ptr` and at the top of procs.h")]
#![allow(clippy::enum_variant_names, reason = "C has one namespace, so the names carry their prefix")]

mod bell;
pub mod cancel;
pub mod capture;
pub mod channel;
pub mod channel_events;
pub mod channel_options;
pub mod child;
mod choices;
mod command;
pub mod guard;
pub mod lines;
pub mod many;
pub mod memory;
pub mod memory_arena;
pub mod memory_counters;
pub mod memory_locks;
pub mod memory_pending;
pub mod memory_signals;
pub mod message;
pub mod options;
pub mod output;
pub mod pipeline;
pub mod pipeline_output;
mod ptr;
pub mod request;
pub mod results;
mod slab;
pub mod status;
pub mod stop;
pub mod streams;
pub mod version;
