//! The C interface of libprocs.

mod guard;
mod slab;
mod status;
